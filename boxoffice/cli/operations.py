"""``boxoffice audit`` and ``doctor``: is all of it right, and if not, where."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boxoffice.cli.options import AsJson, whole_number
from boxoffice.cli.tables import note, print_json, print_table, tell
from boxoffice.cli.terms import with_price
from boxoffice.errors import ExitStatus

if TYPE_CHECKING:
    from boxoffice.audit import AuditReport, EventReport
    from boxoffice.operating.doctor import Diagnosis

_AUDIT_WAIT_S = 60.0
_MOST_ROWS = 50
"""Events shown one by one; of more than this, only those that differ."""

_CATEGORY_HEADINGS = ("event", "category", "issued#", "removed#", "sold#", "held#", "left#")
_HEADINGS = (
    "event",
    "partition#",
    "seq#",
    "issued#",
    "sold#",
    "held#",
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
        float | None,
        typer.Option(
            "--wait",
            min=0,
            metavar="SECONDS",
            help=f"How long the processes may take to catch up; {_AUDIT_WAIT_S:g} unless given.",
        ),
    ] = None,
    then: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="OFFSET|TIME",
            help="Instead, show one event as it stood after this offset of its ledger partition, or at this time, "
            "RFC 3339 with offset.",
        ),
    ] = None,
    every_s: Annotated[
        float | None,
        typer.Option(
            "--every",
            min=1,
            metavar="SECONDS",
            help="Go on until Ctrl-C, an audit each time, and serve metrics of it on BOXOFFICE_HEALTH_PORT.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare commands, ledger, Redis, statistics and documents.

    Exit 0: all agree; 1: something differs; 5: Kafka, Redis or the document store cannot be reached.

    Statistics and documents are compared if their process ever ran here; if
    not, a line says so. Documents of tickets on dead-letters are not missed,
    nor those that BOXOFFICE_DOCUMENTS_KEPT_AFTER_EVENT_DAYS lets go. Sales may go on.
    """
    from boxoffice.audit import Audit
    from boxoffice.cli.waiting import telling
    from boxoffice.settings import load_settings

    if then is not None:
        if wait_s is not None or every_s is not None:
            raise typer.BadParameter("shows what was: it neither waits nor goes on.", param_hint="--at")
        _show_then(event or (), then, as_json=as_json)
        return
    patience_s = _AUDIT_WAIT_S if wait_s is None else wait_s
    if every_s is not None:
        if as_json:
            raise typer.BadParameter("logs what it finds, as BOXOFFICE_LOG_FORMAT says.", param_hint="--every")
        _audit_repeatedly(every_s, patience_s, event or ())
        return
    with telling("audit", note_after_s=None) as tell:
        audited = Audit(load_settings(), patience_s, event or (), lambda what: tell(f"audit: {what}"))
        report = asyncio.run(audited.run())
    if as_json:
        print_json(_report_members(report))
        note(report.summary)
    else:
        print_report(report)
    if not report.agrees:
        raise typer.Exit(ExitStatus.DIFFERS)


def _show_then(events: Sequence[str], then: str, *, as_json: bool) -> None:
    from boxoffice.audit import view_event_then
    from boxoffice.settings import load_settings

    if len(events) != 1:
        raise typer.BadParameter("needs one EVENT", param_hint="--at")
    view = asyncio.run(view_event_then(load_settings().kafka, events[0], _offset_or_time(then)))
    if as_json:
        print_json(asdict(view))
        return
    print_table(("", f"after offset {view.offset}"), with_price(view.ledger).items())
    tell(f"As of {view.at}, purchase-results {view.partition}:{view.offset}.")


def _offset_or_time(text: str) -> int | datetime:
    if text.isascii() and text.isdecimal():
        return whole_number()(text)
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("is no offset and no RFC 3339 time", param_hint="--at") from None
    if then.tzinfo is None:
        raise typer.BadParameter("lacks an offset from UTC, such as Z or +01:00", param_hint="--at")
    return then


def _audit_repeatedly(every_s: float, wait_s: float, events: Sequence[str]) -> None:
    from boxoffice.audit.repeating import audit_repeatedly
    from boxoffice.cli.signals import until_told_to_stop
    from boxoffice.logs import configure
    from boxoffice.settings import load_settings

    settings = load_settings()
    configure(settings, "audit")
    asyncio.run(until_told_to_stop(audit_repeatedly(settings, every_s, wait_s, events)))


def doctor(
    watch_s: Annotated[
        float,
        typer.Option("--watch", min=0, metavar="SECONDS", help="How long to watch a group that is behind."),
    ] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Look at servers, topics and processes, and say what to do: exit 0 well, 1 a problem, 5 unreachable."""
    from boxoffice.cli.waiting import look_settings, telling
    from boxoffice.operating.doctor import examine

    with telling("looking") as tell:
        diagnosis = asyncio.run(examine(look_settings(), watch_s, tell))
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
    if categories := [row for event in shown for row in _category_rows(event)]:
        print_table(_CATEGORY_HEADINGS, categories)
    for sentence in (*report.all_differences, *report.notes):
        tell(sentence)
    tell(report.summary)


def _event_row(event: EventReport) -> tuple[object, ...]:
    return (
        event.event_id,
        event.partition,
        event.seq,
        event.issued,
        event.sold,
        event.held,
        event.left,
        event.purchases,
        event.documents.made if event.documents else None,
        _state(event),
        None if event.statistics is None else "equal" if event.statistics else "differ",
        "no" if event.differences else "yes",
    )


def _state(event: EventReport) -> str:
    if event.cancelled or event.closed:
        return "called off" if event.cancelled else "closed"
    return "on sale" if event.left else "all held" if event.held else "sold out"


def _category_rows(event: EventReport) -> list[tuple[object, ...]]:
    """A row for each category, where the event names them."""
    named = [one for one in event.categories if one.name]
    return [(event.event_id, one.id, one.issued, one.removed, one.sold, one.held, one.left) for one in named]


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


COMMANDS = (audit, doctor)
