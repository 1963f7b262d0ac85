"""``boxoffice run``, ``up`` and ``demo``: one process, all of them with their servers, and a show."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxoffice.cli.options import whole_number
from boxoffice.cli.tables import print_table, say
from boxoffice.errors import ExitStatus

if TYPE_CHECKING:
    from boxoffice.demo import DemoReport
    from boxoffice.embedded import Worker


_PORT = whole_number(1, 65_535)
_GATEWAYS = whole_number(1, 64)
_BROKERS = whole_number(1, 9)


class Process(StrEnum):
    """The processes; the Procfile has a line for each."""

    PURCHASES = "purchases"
    DOCUMENTS = "documents"
    STATS = "stats"
    CLOCK = "clock"
    GATEWAY = "gateway"
    LIVE = "live"


class Part(StrEnum):
    """What ``up`` can start."""

    KAFKA = "kafka"
    REDIS = "redis"
    PURCHASES = Process.PURCHASES
    DOCUMENTS = Process.DOCUMENTS
    STATS = Process.STATS
    CLOCK = Process.CLOCK
    GATEWAY = Process.GATEWAY
    LIVE = Process.LIVE


def run(process: Annotated[Process, typer.Argument(help="Which.")]) -> None:
    """Run one process against the Kafka and Redis of the settings, until SIGTERM or Ctrl-C."""
    from importlib import import_module

    import structlog

    from boxoffice import failpoints
    from boxoffice.logs import configure
    from boxoffice.settings import load_settings, misspelt

    settings = load_settings()
    configure(settings, process)
    for sentence in misspelt():
        structlog.get_logger(__name__).warning(sentence)
    failpoints.arm(settings.process.failpoints)
    raise typer.Exit(import_module(f"agents.{process}").main(settings))


def up(  # noqa: PLR0913  # each is an option
    *,
    kafka_port: Annotated[
        int | None, typer.Option(parser=_PORT, metavar="PORT", help="Port of Kafka; a free one unless given.")
    ] = None,
    redis_port: Annotated[
        int | None, typer.Option(parser=_PORT, metavar="PORT", help="Port of Redis; a free one unless given.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where the data lies; in the user's data folder unless given.")
    ] = None,
    wipe: Annotated[bool, typer.Option("--wipe/--keep", help="Begin empty, and leave nothing behind.")] = False,
    gateways: Annotated[
        int | None,
        typer.Option(
            parser=_GATEWAYS, metavar="N", help="So many gateways, behind haproxy if there are several; 1 unless given."
        ),
    ] = None,
    gateway_port: Annotated[
        int | None,
        typer.Option(
            parser=_PORT,
            metavar="PORT",
            help="Port of the gateway, or of haproxy; BOXOFFICE_GATEWAY_PORT, or a free one where that is taken, "
            "unless given.",
        ),
    ] = None,
    brokers: Annotated[
        int | None,
        typer.Option(
            parser=_BROKERS, metavar="N", help="So many Kafka brokers, which are one cluster; 1 unless given."
        ),
    ] = None,
    secure: Annotated[
        bool,
        typer.Option(
            "--secure",
            help="TLS, a user with a password for each process, and ACLs; Redis with TLS where the system's has it.",
        ),
    ] = False,
    only: Annotated[str, typer.Option(metavar="PART,...", help=f"Start only these of {', '.join(Part)}.")] = ",".join(
        Part
    ),
) -> None:
    """Start Kafka, Redis and every process in the foreground; Ctrl-C stops all of it."""
    from boxoffice.cli.signals import until_told_to_stop
    from boxoffice.cli.up import Up

    parts = _parts(only)
    for name, given, users in (
        ("--kafka-port", kafka_port, {Part.KAFKA}),
        ("--redis-port", redis_port, {Part.REDIS}),
        ("--folder", folder, {Part.KAFKA, Part.REDIS, Part.DOCUMENTS}),
        ("--gateways", gateways, {Part.GATEWAY}),
        ("--gateway-port", gateway_port, {Part.GATEWAY}),
        ("--brokers", brokers, {Part.KAFKA}),
    ):
        if given is not None and not parts & users:
            raise typer.BadParameter("is for nothing that --only starts.", param_hint=name)
    if secure and not {Part.KAFKA, Part.REDIS} <= parts:
        raise typer.BadParameter("secures Kafka and Redis: --only must have both.", param_hint="--secure")
    asked = Up(
        parts=parts,
        processes=[process for process in Process if process in parts],
        workers=workers,
        kafka_port=kafka_port,
        redis_port=redis_port,
        folder=folder,
        keep=not wipe,
        gateways=gateways or 1,
        gateway_port=gateway_port,
        brokers=brokers or 1,
        secure=secure,
    )
    raise typer.Exit(asyncio.run(until_told_to_stop(asked.run())) or ExitStatus.OK)


def demo(
    seed: Annotated[
        int | None,
        typer.Option(
            parser=whole_number(), metavar="N", help="The same seed offers the same commands; random unless given."
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where all data lies meanwhile; a temporary one unless given.")
    ] = None,
) -> None:
    """Sell a thousand tickets on a stack of its own, check every outcome, and audit: exit 0 if all is right.

    Two of three buyers pay for what is held for them, and what the others
    leave is sold again: so it takes about two minutes. Documents and
    statistics are made beside the sale, and checked too. The last line is the
    path of one ticket's PDF: it lies in the user's cache until the next demo
    replaces it. Nothing else stays.
    """
    from boxoffice.cli.show import show_progress
    from boxoffice.cli.signals import until_told_to_stop
    from boxoffice.demo import run_demo

    chosen = seed if seed is not None else secrets.randbelow(10**6)
    say(f"Seed {chosen}: 'boxoffice demo --seed {chosen}' offers the same commands again.")
    with show_progress() as show:
        report = asyncio.run(until_told_to_stop(run_demo(folder, chosen, show, workers)))
    if report is None:
        raise typer.Exit(_INTERRUPTED)
    _print_demo(report)
    if not report.succeeded:
        raise typer.Exit(ExitStatus.DIFFERS)


_INTERRUPTED = 130


def workers(environment: Mapping[str, str], processes: Sequence[str] = tuple(Process)) -> list[Worker]:
    """Every process by the command of its Procfile line, with these variables."""
    from boxoffice.embedded import Worker
    from boxoffice.settings import is_given

    # Readable here, unless somebody asked for something else.
    readable = {} if is_given("BOXOFFICE_LOG_FORMAT") else {"BOXOFFICE_LOG_FORMAT": "console"}
    # ``boxoffice`` need not be on the PATH of who runs it by its full name.
    command = (sys.executable, "-m", "boxoffice.cli", "run")
    return [Worker(process, (*command, process), {**readable, **environment}) for process in processes]


def _parts(only: str) -> frozenset[str]:
    asked = frozenset(part.strip() for part in only.split(","))
    if unknown := asked - set(Part):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: must be of {', '.join(Part)}", param_hint="--only")
    return asked


def _print_demo(report: DemoReport) -> None:
    from boxoffice.cli.operations import print_report

    rows: list[tuple[str, object]] = list(report.outcomes.items())
    rows += [(f"rejected: {reason}", count) for reason, count in report.rejected.items()]
    rows += [(f"payment refused: {reason}", count) for reason, count in report.payments_refused.items()]
    rows += [(f"decided by {decider}", count) for decider, count in report.decided_by.items()]
    for how, (p50_ms, p99_ms) in report.latencies_ms.items():
        rows.append((how, f"p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms"))
    say(f"The commands over HTTP came with this key, which is gone with the stack: {report.key}")
    print_table(("what", "#"), rows, title="Demo")
    for mismatch in report.mismatches:
        say(mismatch)
    print_report(report.audit)
    if report.ticket_path:
        say(str(report.ticket_path))


COMMANDS = (run, up, demo)
