"""``boxoffice audit`` and ``doctor``: is all of it right, and if not, where."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boxoffice.cli.options import AsJson
from boxoffice.cli.tables import note, print_json, print_table, say
from boxoffice.errors import ExitStatus

if TYPE_CHECKING:
    from boxoffice.audit import AuditReport, EventReport
    from boxoffice.doctor import Diagnosis

_MOST_ROWS = 50
"""Events shown one by one; of more than this, only those that differ."""

_HEADINGS = (
    "event",
    "partition#",
    "seq#",
    "issued#",
    "sold#",
    "left#",
    "purchases#",
    "PDFs#",
    "state",
    "stats",
    "agrees",
)


def audit(
    event: Annotated[
        list[str] | None, typer.Argument(metavar="[EVENT]...", help="Only these events; all unless given.")
    ] = None,
    wait_s: Annotated[
        float,
        typer.Option("--wait", min=0, metavar="SECONDS", help="How long the processes may take to catch up."),
    ] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Compare commands, ledger, Redis, statistics and documents.

    Exit 0: all agree; 1: something differs; 5: Kafka, Redis or the document store cannot be reached.

    Statistics and documents are compared if their process ever ran here; if
    not, a line says so. Documents of tickets on dead-letters are not missed,
    nor those older than BOXOFFICE_DOCUMENTS_MAX_AGE_DAYS. Sales may go on.
    """
    from boxoffice.audit import Audit
    from boxoffice.settings import load_settings

    with _progress() as progress:
        report = asyncio.run(Audit(load_settings(), wait_s, event or (), progress).run())
    if as_json:
        print_json(_report_members(report))
        note(report.summary)
    else:
        print_report(report)
    if not report.agrees:
        raise typer.Exit(ExitStatus.DIFFERS)


def doctor(
    watch_s: Annotated[
        float,
        typer.Option("--watch", min=0, metavar="SECONDS", help="How long to watch a group that is behind."),
    ] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Look at servers, topics and processes, and say what to do: exit 0 well, 1 a problem, 5 unreachable."""
    from boxoffice.doctor import examine
    from boxoffice.settings import load_settings

    diagnosis = asyncio.run(examine(load_settings(), watch_s))
    if as_json:
        print_json(_diagnosis_members(diagnosis))
    else:
        _print_diagnosis(diagnosis)
    raise typer.Exit(diagnosis.exit_status)


def print_report(report: AuditReport) -> None:
    """Print what an audit found; its last line is the summary."""
    shown = [event for event in report.events if event.differences or len(report.events) <= _MOST_ROWS]
    if shown:
        print_table(_HEADINGS, [_event_row(event) for event in shown])
    for sentence in (*report.all_differences, *report.notes):
        say(sentence)
    say(report.summary)


def _event_row(event: EventReport) -> tuple[object, ...]:
    return (
        event.event_id,
        event.partition,
        event.seq,
        event.issued,
        event.sold,
        event.left,
        event.purchases,
        event.documents.made if event.documents else None,
        "closed" if event.closed else "on sale" if event.left else "sold out",
        None if event.statistics is None else "equal" if event.statistics else "differ",
        "no" if event.differences else "yes",
    )


def _report_members(report: AuditReport) -> dict[str, Any]:
    return {"agrees": report.agrees, **asdict(report), "summary": report.summary}


def _print_diagnosis(diagnosis: Diagnosis) -> None:
    rows = [(finding.state, finding.subject, finding.sentence, finding.advice) for finding in diagnosis.findings]
    print_table(("state", "what", "found", "to do"), rows)
    for group_id, lags in diagnosis.lags.items():
        behind = [lag for lag in lags if lag.records]
        if behind:
            rows_of_group = [(lag.partition, lag.records, "yes" if lag.moves else "no") for lag in behind]
            print_table(("partition#", "records waiting#", "gets on"), rows_of_group, title=group_id)


def _diagnosis_members(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "exit_status": int(diagnosis.exit_status),
        "findings": [asdict(finding) for finding in diagnosis.findings],
        "lag": {group_id: [asdict(lag) for lag in lags] for group_id, lags in diagnosis.lags.items()},
    }


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Says on a terminal what is being done; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("audit") as status:
        yield lambda what: status.update(f"audit: {what}")


COMMANDS = (audit, doctor)
