"""``boxoffice stats``: what was sold, and how fast."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from time import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from boxoffice.cli.options import AsJson
from boxoffice.cli.tables import print_json
from boxoffice.showing.printing import printable

if TYPE_CHECKING:
    from rich.console import Group

    from boxoffice.settings import Settings
    from boxoffice.statistics.reading import Report

_INTERVAL_S = 1.0
_BARS = " ▁▂▃▄▅▆▇█"
_ASCII_BARS = " .:-=+*#@"
_MOST_ROWS = 40
"""Events shown one by one: those that sold last."""

_LAST_SALE = "last sale, UTC"
_CHART = "tickets/s"
_HEADINGS = ("event", "name", "sold#", "held#", "left#", "expired#", "rejected#", "revenue#", _LAST_SALE, _CHART)
_OF_HOLDS = ("held#", "expired#")
"""Columns that are there where anything is, or was, held."""
_LEAVE_FIRST = (_CHART, _LAST_SALE, "rejected#", "expired#", "left#", "held#")
"""Columns that a narrow terminal does without, in this order."""
_NOT_SOLD = {
    "not_on_sale_yet": "not yet",
    "ended": "ended",
    "closed": "closed",
    "cancelled": "called off",
}
"""By models.figures.SaleStatus, what stands in the place of the tickets left, which nobody can buy."""
_LEAST_NAME_WIDTH = 12
_GAP_WIDTH = 2
_CHART_HEIGHT = 4
_ROW_CHART_WIDTH = 12
_CHART_STYLE = "green"
_MB = 1_000_000
_WIDE = 200
"""Columns where nobody looks."""
_UNCOUNTED = "PDFs not counted"
_MOST_KEYS = 10
"""Places shown that hold what they should not."""


def stats(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on until Ctrl-C.")] = False,
    interval_s: Annotated[
        float | None,
        typer.Option(
            "--interval",
            min=0.1,
            metavar="SECONDS",
            help=f"With --watch: how often to look; every {_INTERVAL_S:g} unless given.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what was sold of each event and how fast; from Redis, or where it is down from the topic.

    Below an event stand its categories. Revenue is what confirmed purchases have cost, less refunds. Archived events
    count in the first lines and are not listed.

    Processes are those that say in Redis that they run. PDFs are counted by what ticket-documents announces of
    the last 30 days, less those of cancelled tickets; what lies in the store, 'boxoffice documents status' shows.
    With --json amounts are in the currency's smallest unit: 4500 is 45.00 EUR.
    """
    from boxoffice.cli.signals import until_told_to_stop

    if interval_s is not None and not watch:
        raise typer.BadParameter("is for --watch.", param_hint="--interval")
    if watch:
        asyncio.run(until_told_to_stop(_watch(interval_s or _INTERVAL_S, as_json=as_json)))
    else:
        # Whoever interrupts it has seen nothing: that is no success.
        _show(as_json=as_json)


def _show(*, as_json: bool) -> None:
    from boxoffice.cli.waiting import look_settings, looked
    from boxoffice.statistics.reading import members

    settings = look_settings()
    report = looked(_read(settings), settings)
    if as_json:
        print_json(members(report))
    else:
        _print(report)


async def _read(settings: Settings) -> Report:
    from contextlib import aclosing

    from boxoffice.statistics.reading import Reader

    async with aclosing(Reader(settings)) as reader:
        return await reader.read()


async def _watch(interval_s: float, *, as_json: bool) -> None:
    from contextlib import aclosing

    from boxoffice.settings import load_settings
    from boxoffice.statistics.reading import Reader

    async with aclosing(Reader(load_settings())) as reader:
        with _screen(as_json=as_json) as show:
            while True:
                show(await reader.read(patience_s=interval_s))
                await asyncio.sleep(interval_s)


@contextmanager
def _screen(*, as_json: bool) -> Iterator[Callable[[Report], None]]:
    """A table that changes in place on a terminal; elsewhere one after the other, JSON one a line."""
    if as_json:
        yield _print_line
    elif not sys.stdout.isatty():
        yield _print
    else:
        from rich.console import Console
        from rich.live import Live

        console = Console()
        with Live(console=console, auto_refresh=False) as live:
            yield lambda report: live.update(picture(report, console.width), refresh=True)


def _print_line(report: Report) -> None:
    from boxoffice.statistics.reading import members

    print_json(members(report), indent=None)


def _print(report: Report) -> None:
    from rich.console import Console

    console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
    console.print(picture(report, console.width))


def picture(report: Report, width: int = _WIDE) -> Group:
    """The report for a terminal of this width."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    latest = _latest(report.events)
    with_categories = _have_room(latest)
    rows = [row for figures in latest for row in _rows(figures, with_categories=with_categories)]
    headings = _fitting(rows, [name for name in _HEADINGS if name not in _OF_HOLDS or _hold(latest)], width)
    for heading in headings:
        # Where there is no room, names are cut.
        justify: Literal["left", "right"] = "right" if heading.endswith("#") else "left"
        style = _CHART_STYLE if heading == _CHART else ""
        table.add_column(heading.rstrip("#"), justify=justify, style=style, no_wrap=heading != "name")
    for row in rows:
        table.add_row(*(Text(printable(row[heading]), no_wrap=True, overflow="ellipsis") for heading in headings))
    sold = report.totals["sold_by_second"]["sold"]
    return Group(
        Text(printable(_sales(report)), style="bold"),
        *(Text(printable(line)) for line in _besides(report.totals)),
        *(Text(printable(line)) for line in _system(report)),
        Text(),
        Text(f"tickets a second, the last minute in which any was sold: newest {sold[-1]:,}, most {max(sold):,}"),
        *(Text(row, style=_CHART_STYLE) for row in chart(sold[-width:], _CHART_HEIGHT)),
        *([Text(f"The {_MOST_ROWS} events that sold last:")] if len(report.events) > _MOST_ROWS else []),
        *([] if with_categories else [Text("Categories are left out, since there are many: --json has them.")]),
        table,
    )


def _fitting(rows: Sequence[dict[str, str]], headings: list[str], width: int) -> list[str]:
    """The columns that a terminal has room for; of names only the beginning needs to be seen."""
    widths = {name: max(len(name.rstrip("#")), *(len(row[name]) for row in rows)) if rows else 0 for name in headings}
    widths["name"] = min(widths["name"], _LEAST_NAME_WIDTH)
    shown = [*headings]
    for name in _LEAVE_FIRST:
        if name in shown and sum(widths[one] + _GAP_WIDTH for one in shown) > width:
            shown.remove(name)
    return shown


def _sales(report: Report) -> str:
    from models.money import amount_text
    from models.words import number_of

    totals = report.totals
    revenue = ", ".join(amount_text(amount, currency) for currency, amount in totals["revenue"].items())
    archived = f", {totals['archived']:,} of them archived" if totals["archived"] else ""
    held = f", {totals['held']:,} held" if totals["held"] else ""
    # Those of archived events are in no list, and nobody can buy them either.
    ended = totals["remaining"] - sum(of["remaining"] for of in report.events if not of["closed"])
    of_ended = f", {ended:,} of them of events that have ended" if ended > 0 else ""
    there = totals["issued"] - totals["removed"]
    return (
        f"{number_of(totals['events'], 'event')}{archived}   "
        f"{totals['sold']:,} of {number_of(there, 'ticket')} sold{held}   "
        f"{totals['remaining']:,} left{of_ended}   {revenue}"
    ).rstrip()


def _besides(totals: dict[str, Any]) -> Iterator[str]:
    """What has become of holds, payments and refunds, where there were any."""
    from models.money import amount_text
    from models.words import number_of

    refunded = [amount_text(amount, currency) for currency, amount in totals["refunded"].items() if amount]
    refused = sum(totals["payments_refused"].values())
    parts = [
        *([f"{totals['expired']:,} expired unpaid"] if totals["expired"] else []),
        *([f"{totals['released']:,} given back unpaid"] if totals["released"] else []),
        *([f"{totals['late']:,} paid late"] if totals["late"] else []),
        *([f"{totals['cancelled']:,} cancelled"] if totals["cancelled"] else []),
        *([f"refunds of {', '.join(refunded)}"] if refunded else []),
        *([f"{number_of(refused, 'payment')} refused"] if refused else []),
    ]
    if parts:
        yield f"since it began: {', '.join(parts)}"


def _system(report: Report) -> Iterator[str]:
    from models.words import number_of

    documents = report.documents
    pdfs = f"{number_of(documents.tickets, 'PDF')}, {documents.size_bytes / _MB:,.1f} MB" if documents else _UNCOUNTED
    if report.redis_connected:
        yield f"{_processes(report)}   {pdfs}"
    else:
        yield f"Redis is down: tickets are sold without it, and this was read from the topic   {pdfs}"
    if report.using_fallback and report.redis_connected:
        yield "Some process decides without Redis."
    for state in report.processes.states:
        if state.complaint:
            yield f"{state.process} on {state.host} (process {state.pid}, {state.health}) {state.complaint}."
    for key in report.processes.unreadable[:_MOST_KEYS]:
        yield f"What lies under {key} in Redis is no process."
    yield from _strangers(report)


def _strangers(report: Report) -> Iterator[str]:
    """What nobody of ours wrote: it was passed over; and what is not there."""
    from models.money import is_currency
    from models.words import number_of

    instead = "left out, since the topic cannot be read" if report.left_out else "read from the topic"
    for place in report.unreadable[:_MOST_KEYS]:
        yield f"What lies under {place} in Redis is no statistics: they are {instead}."
    more = sum(max(len(found) - _MOST_KEYS, 0) for found in (report.unreadable, report.processes.unreadable))
    if more:
        yield f"So it is with {more:,} more."
    for what in report.lacking:
        yield f"Redis lacks the figures of {what}: they are {instead}."
    if report.unsure:
        yield "Whether Redis has the figures of all partitions is not known, since Kafka cannot be asked."
    if unknown := [currency for currency in report.totals["revenue"] if not is_currency(currency)]:
        named = ", ".join(unknown[:_MOST_KEYS]) + (" and others" if len(unknown) > _MOST_KEYS else "")
        yield f"ISO 4217 has no currency {named}: its amounts are shown with 2 decimals."
    for topic, count in report.strange.items():
        yield f"{topic} holds {number_of(count, 'record')} that nobody of ours wrote: passed over."


def _processes(report: Report) -> str:
    if report.uptime_s is None or report.memory_bytes is None:
        return "no process says that it runs"
    counts = Counter(state.process for state in report.processes.states)
    running = ", ".join(f"{process} {count}" for process, count in counts.items())
    return f"{running}   up {timedelta(seconds=int(report.uptime_s))}   {report.memory_bytes / _MB:,.0f} MB"


def _rows(figures: dict[str, Any], *, with_categories: bool) -> Iterator[dict[str, str]]:
    """An event's row, and those of its categories."""
    from models.figures import names_categories, sale_status

    status = sale_status(figures, int(time() * 1000))
    left = _NOT_SOLD.get(status, f"{figures['remaining']:,}")
    chart_row = chart(figures["sold_by_second"]["sold"][-_ROW_CHART_WIDTH:])[0]
    last_sale = (figures["last_sale_at"] or "")[:16].replace("T", " ")
    yield _row(figures["event_id"], figures["name"], left, figures) | {_LAST_SALE: last_sale, _CHART: chart_row}
    if with_categories and names_categories(figures):
        for category in figures["categories"]:
            name = f"- {category['name']}"
            left = _NOT_SOLD.get(status, f"{category['remaining']:,}")
            yield _row("", name, left, category) | {_LAST_SALE: "", _CHART: ""}


def _row(event_id: str, name: str, left: str, figures: dict[str, Any]) -> dict[str, str]:
    from models.money import amount_text

    revenue = figures["revenue"]
    return {
        "event": event_id,
        "name": name,
        "sold#": f"{figures['sold']:,}",
        "held#": f"{figures['held']:,}",
        "left#": left,
        "expired#": f"{figures['expired']:,}",
        "rejected#": f"{sum(figures['rejected'].values()):,}",
        "revenue#": amount_text(revenue["amount"], revenue["currency"]),
    }


def _hold(events: Sequence[dict[str, Any]]) -> bool:
    """Whether anything is held, or was, or will be."""
    return any(figures["hold_s"] or figures["holds"] for figures in events)


def _have_room(events: Sequence[dict[str, Any]]) -> bool:
    """Whether all categories can be shown too."""
    from models.figures import names_categories

    rows = len(events) + sum(len(figures["categories"]) for figures in events if names_categories(figures))
    return rows <= _MOST_ROWS or rows == len(events)


def _latest(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(events) <= _MOST_ROWS:
        return list(events)
    return sorted(events, key=lambda figures: figures["last_sale_at"] or "", reverse=True)[:_MOST_ROWS]


def chart(counts: Sequence[int], height: int = 1) -> list[str]:
    """A bar for each count, as high as it is beside the highest; ``height`` lines, the highest first."""
    highest = max(counts, default=0) or 1
    bars = _bars()
    parts = len(bars) - 1
    heights = [-(-count * parts * height // highest) for count in counts]
    return [
        "".join(bars[min(max(of - parts * below, 0), parts)] for of in heights) for below in reversed(range(height))
    ]


def _bars() -> str:
    """From none to the highest: what standard output has characters for."""
    try:
        _BARS.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return _ASCII_BARS
    return _BARS


COMMANDS = (stats,)
