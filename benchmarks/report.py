"""Writes docs/performance.md and its pictures from what was measured, and the words of ``performance.md`` here.

In the words, ``{figure}`` or ``{figure|contestant}`` stands for a measured value, ``{table BENCHMARK}`` for
all of a benchmark's medians.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks import goals
from benchmarks.plots import Line, bar_chart, line_chart
from benchmarks.processes import ROOT
from benchmarks.results import Outcome, Result, in_words

WORDS: Final = Path(__file__).with_name("performance.md")
DOCUMENT: Final = ROOT / "docs" / "performance.md"
PICTURES: Final = ROOT / "docs" / "pictures" / "performance"

_PLACE: Final = re.compile(r"\{(?P<table>table )?(?P<name>[a-z0-9_]+)(\|(?P<contestant>[^}]+))?\}")
_SPREAD: Final = ("_min", "_max")


def write_report(outcomes: Mapping[str, Outcome], machine: Sequence[tuple[str, str]]) -> None:
    """Write the document and its pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures(outcomes).items():
        (PICTURES / f"{name}.svg").write_text(picture)
    DOCUMENT.write_text(fill(WORDS.read_text(), outcomes, machine))


def fill(words: str, outcomes: Mapping[str, Outcome], machine: Sequence[tuple[str, str]]) -> str:
    """The words with what was measured in its places."""
    figures = {
        (result.name, result.contestant): result.value for outcome in outcomes.values() for result in outcome.results
    }
    tables = {name: _table(outcome.results) for name, outcome in outcomes.items()}
    tables["goals"] = goals.table(outcomes)
    tables["machine"] = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in machine)])

    def put(place: re.Match[str]) -> str:
        if place["table"]:
            return tables[place["name"]]
        return in_words(figures[place["name"], place["contestant"] or goals.PRODUCT])

    return _PLACE.sub(put, words)


def _table(results: Sequence[Result]) -> str:
    """Medians, each with the least and the most of its rounds."""
    values = {(result.name, result.contestant): result.value for result in results}
    rows = ["| figure | of | median | least to most | unit |", "|---|---|---:|---:|---|"]
    for result in results:
        if result.name.endswith(_SPREAD):
            continue
        least, most = (values.get((f"{result.name}{end}", result.contestant)) for end in _SPREAD)
        spread = f"{in_words(least)} to {in_words(most)}" if least is not None and most is not None else ""
        name = result.name.replace("_", " ")
        rows.append(f"| {name} | {result.contestant} | {in_words(result.value)} | {spread} | {result.unit} |")
    return "\n".join(rows)


def pictures(outcomes: Mapping[str, Outcome]) -> dict[str, str]:
    """The charts by name."""
    decisions = outcomes["decisions"]
    bars = [
        (f"{name}, {events}", decisions.value(f"decisions_per_cpu_second{suffix}", name))
        for suffix, events in (("", "50 events"), ("_hot", "one hot event"))
        for name in (goals.PRODUCT, "bare", "stock")
    ]
    latency = outcomes["latency"].series
    growth = outcomes["growth"].series
    spreading = outcomes["spreading"].series
    return {
        "decisions": bar_chart("Decisions for each CPU second of a worker", bars),
        "latency": line_chart(
            "From publishing a command to reading its fact, 5,000 a second",
            "share of the commands, %",
            "ms",
            [
                Line(f"{name}, {events}", latency[f"latency{suffix}_{name}"])
                for suffix, events in (("", "50 events"), ("_hot", "one hot event"))
                for name in (goals.PRODUCT, "bare")
            ],
        ),
        "growth": line_chart(
            "CPU time of a decision while one event sells a million tickets",
            "tickets sold",
            "µs",
            [Line("worker", growth["growth_worker"]), Line("Redis", growth["growth_redis"])],
        ),
        "spreading": line_chart(
            "CPU time of a decision, the same commands spread over 1 to 10,000 events",
            "Lua calls for each command",
            "µs",
            [Line("worker", spreading["spreading_product"]), Line("Redis", spreading["spreading_redis"])],
            log_x=True,
        ),
    }
