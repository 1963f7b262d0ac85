"""``python -m benchmarks``: measure the box office on this machine."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Annotated, Final

import typer

from benchmarks.auditing import auditing
from benchmarks.bench import Bench
from benchmarks.counting import counting
from benchmarks.creation import creation
from benchmarks.crowd import crowd
from benchmarks.decisions import decisions
from benchmarks.end_to_end import end_to_end
from benchmarks.gateway import gateway
from benchmarks.growth import growth
from benchmarks.holding import holding
from benchmarks.latency import latency
from benchmarks.machine import describe
from benchmarks.neighbours import neighbours
from benchmarks.outage import outage
from benchmarks.pressure import pressure
from benchmarks.processes import BenchmarkError
from benchmarks.recovery import recovery
from benchmarks.rendering import rendering
from benchmarks.report import write_report
from benchmarks.results import OUT, Outcome, print_results, write_results
from benchmarks.spreading import spreading
from benchmarks.starting import starting
from benchmarks.streams import streams
from benchmarks.tracing import tracing
from benchmarks.workers import workers
from boxoffice.embedded import EmbeddedStack
from boxoffice.embedded.jars import KAFKA_VERSION

Benchmark = Callable[[Bench], Awaitable[Outcome]]

BENCHMARKS: Final[dict[str, Benchmark]] = {
    benchmark.__name__: benchmark
    for benchmark in (
        decisions,
        end_to_end,
        gateway,
        crowd,
        pressure,
        streams,
        workers,
        latency,
        neighbours,
        outage,
        recovery,
        auditing,
        growth,
        spreading,
        creation,
        holding,
        counting,
        starting,
        rendering,
        tracing,
    )
}
QUICK: Final = ("decisions",)


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Only these benchmarks; all unless given.")] = None,
    quick: Annotated[bool, typer.Option(help="Less than two minutes: small sizes, and only the decisions.")] = False,
    rounds: Annotated[int | None, typer.Option(min=1, help="Times that contestants take turns.")] = None,
) -> None:
    """Measure, print tables, and write benchmarks/out/results.json.

    Once every benchmark has been run in full, docs/performance.md is written too, from the last run of each.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    chosen = names or (QUICK if quick else list(BENCHMARKS))
    try:
        asyncio.run(measure(chosen, quick=quick, rounds=rounds or (2 if quick else 5)))
    except BenchmarkError as error:
        raise SystemExit(str(error)) from None


async def measure(names: Sequence[str], *, quick: bool, rounds: int) -> None:
    """Run benchmarks one after another, and write down what they found."""
    outcomes: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedStack(Path(folder) / "stack", keep=False) as stack:
            bench = Bench.on(stack, Path(folder), rounds=rounds, quick=quick)
            for name in names:
                begun_s = monotonic()
                outcomes[name] = await BENCHMARKS[name](bench)
                print_results(f"{name}, {monotonic() - begun_s:.0f} s", outcomes[name].results)
                if not quick:
                    outcomes[name].save(OUT / f"{name}.json")
            machine = describe(KAFKA_VERSION, await bench.redis_version())
    if not quick:
        outcomes = {name: Outcome.load(OUT / f"{name}.json") for name in BENCHMARKS if (OUT / f"{name}.json").exists()}
    write_results([result for outcome in outcomes.values() for result in outcome.results], OUT / "results.json")
    if len(outcomes) == len(BENCHMARKS):
        write_report(outcomes, machine)


if __name__ == "__main__":
    typer.run(main)
