"""``boxoffice event cancel``: an event is called off, and one sees how far that is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from time import monotonic
from typing import TYPE_CHECKING, Final

import typer

from boxoffice.cli.options import check_event
from boxoffice.cli.tables import note, print_json, tell
from boxoffice.cli.waiting import telling
from models.words import number_of

if TYPE_CHECKING:
    from boxoffice.operating.calling_off import CalledOff

_LINE_INTERVAL_S: Final = 5.0
_INTERRUPTED: Final = 130


def call_off(event: str, *, rate_per_s: int, actor: str | None, timeout_s: float, as_json: bool) -> None:
    """Call the event off, and say how many purchases that are, and how much is to be paid back."""
    from boxoffice.cli.signals import until_told_to_stop
    from boxoffice.operating.calling_off import CallingOff
    from boxoffice.settings import load_settings

    check_event(event)
    settings = load_settings()
    with _progress() as show:
        calling = CallingOff(settings.kafka, event, rate_per_s=rate_per_s, timeout_s=timeout_s, tell=show, actor=actor)
        report = asyncio.run(until_told_to_stop(calling.run()))
    if report is None:
        note("Stopped: run the same command again, and it goes on.")
        raise typer.Exit(_INTERRUPTED)
    if as_json:
        print_json(asdict(report))
    else:
        tell(sentence(report))


def sentence(report: CalledOff) -> str:
    """What has come of it, in words."""
    held = f", {report.held:,} of them while they were held" if report.held else ""
    return (
        f"Event {report.event_id} is called off: {number_of(report.purchases, 'purchase')} cancelled{held}, "
        f"{number_of(report.tickets, 'ticket')} in all; {_refund(report)} to be paid back."
    )


def how_far(report: CalledOff) -> str:
    """How many of the purchases are cancelled by now."""
    everything = number_of(report.purchases + report.left, "purchase")
    return f"{report.purchases:,} of {everything} cancelled, {_refund(report)} to be paid back"


def _refund(report: CalledOff) -> str:
    from models.money import amount_text

    return amount_text(report.refund, report.currency)


@contextmanager
def _progress() -> Iterator[Callable[[CalledOff], None]]:
    """On a terminal a line that changes, elsewhere a new one now and then: beside the output."""
    import sys

    said_s = monotonic()

    def say(report: CalledOff) -> None:
        nonlocal said_s
        if sys.stderr.isatty():
            show(how_far(report))
        elif monotonic() - said_s > _LINE_INTERVAL_S:
            said_s = monotonic()
            note(f"{how_far(report)} ...")

    with telling("reading the ledger") as show:
        yield say
