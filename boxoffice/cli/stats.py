"""``boxoffice stats``: what was sold, and how fast."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from boxoffice.cli.options import AsJson
from boxoffice.cli.tables import print_json
from boxoffice.showing import printable

if TYPE_CHECKING:
    from rich.console import Group

    from boxoffice.redis.presence import ProcessState
    from boxoffice.statistics.reading import Report

_BARS = " ▁▂▃▄▅▆▇█"
_MOST_ROWS = 40
"""Events shown one by one: those that sold last."""

_HEADINGS = ("event", "name", "sold#", "left#", "rejected#", "revenue#", "last sale", "tickets/s")
_CHART_HEIGHT = 4
_ROW_CHART_WIDTH = 12
_CHART_STYLE = "green"
_MB = 1_000_000
_MOST_KEYS = 10
"""Places shown that hold what they should not."""


def stats(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on until Ctrl-C.")] = False,
    interval_s: Annotated[
        float, typer.Option("--interval", min=0.1, metavar="SECONDS", help="With --watch: how often to look.")
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Show what was sold of each event and how fast; from Redis, or where it is down from the topic.

    Processes are those that say in Redis that they run. PDFs are counted by what ticket-documents announces of
    the last 30 days, less those of cancelled tickets; what lies in the store, 'boxoffice documents status' shows.
    """
    from boxoffice.cli.signals import until_told_to_stop

    work = _watch(interval_s, as_json=as_json) if watch else _show(as_json=as_json)
    asyncio.run(until_told_to_stop(work))


async def _show(*, as_json: bool) -> None:
    from contextlib import aclosing

    from boxoffice.settings import load_settings
    from boxoffice.statistics.reading import Reader, members

    async with aclosing(Reader(load_settings())) as reader:
        report = await reader.read()
    if as_json:
        print_json(members(report))
    else:
        _print(report)


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
        from rich.live import Live

        with Live(auto_refresh=False) as live:
            yield lambda report: live.update(picture(report), refresh=True)


def _print_line(report: Report) -> None:
    from boxoffice.statistics.reading import members

    print_json(members(report), indent=None)


def _print(report: Report) -> None:
    from rich.console import Console

    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(picture(report))


def picture(report: Report) -> Group:
    """The report for a terminal."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in _HEADINGS:
        # Where there is no room, names are cut.
        justify: Literal["left", "right"] = "right" if heading.endswith("#") else "left"
        table.add_column(heading.rstrip("#"), justify=justify, no_wrap=heading != "name")
    table.columns[-1].style = _CHART_STYLE
    for figures in _latest(report.events):
        table.add_row(*(Text(printable(cell), no_wrap=True, overflow="ellipsis") for cell in _row(figures)))
    sold = report.totals["sold_by_second"]["sold"]
    return Group(
        Text(printable(_sales(report)), style="bold"),
        *(Text(printable(line)) for line in _system(report)),
        Text(),
        Text(f"tickets a second, the last minute in which any was sold: newest {sold[-1]:,}, most {max(sold):,}"),
        *(Text(row, style=_CHART_STYLE) for row in chart(sold, _CHART_HEIGHT)),
        *([Text(f"The {_MOST_ROWS} events that sold last:")] if len(report.events) > _MOST_ROWS else []),
        table,
    )


def _sales(report: Report) -> str:
    totals = report.totals
    revenue = ", ".join(money(amount, currency) for currency, amount in totals["revenue"].items())
    return (
        f"{totals['events']:,} events   {totals['sold']:,} of {totals['issued']:,} tickets sold   "
        f"{totals['remaining']:,} left   {revenue}"
    ).rstrip()


def _system(report: Report) -> Iterator[str]:
    documents = report.documents
    pdfs = f"{documents.tickets:,} PDFs, {documents.size_bytes / _MB:,.1f} MB" if documents else "PDFs not counted"
    if report.redis_connected:
        yield f"{_processes(report)}   {pdfs}"
    else:
        yield f"Redis is down: tickets are sold without it, and this was read from the topic   {pdfs}"
    if report.using_fallback and report.redis_connected:
        yield "Some process decides without Redis."
    for state in report.processes.states:
        if complaint := _complaint(state):
            yield f"{state.process} on {state.host} (process {state.pid}, {state.health}) {complaint}."
    for key in report.processes.unreadable[:_MOST_KEYS]:
        yield f"What lies under {key} in Redis is no process."
    yield from _strangers(report)


def _strangers(report: Report) -> Iterator[str]:
    """What nobody of ours wrote: it was passed over."""
    from models.words import number_of

    for place in report.unreadable[:_MOST_KEYS]:
        yield f"What lies under {place} in Redis is no statistics: they are read from the topic."
    more = sum(max(len(found) - _MOST_KEYS, 0) for found in (report.unreadable, report.processes.unreadable))
    if more:
        yield f"So it is with {more:,} more."
    for topic, count in report.strange.items():
        yield f"{topic} holds {number_of(count, 'record')} that nobody of ours wrote: passed over."


def _processes(report: Report) -> str:
    if report.uptime_s is None or report.memory_bytes is None:
        return "no process says that it runs"
    counts = Counter(state.process for state in report.processes.states)
    running = ", ".join(f"{process} {count}" for process, count in counts.items())
    return f"{running}   up {timedelta(seconds=int(report.uptime_s))}   {report.memory_bytes / _MB:,.0f} MB"


def _complaint(state: ProcessState) -> str:
    if state.waits_for:
        return f"waits for {', '.join(state.waits_for)}"
    if not state.live:
        return "does not get on"
    return "" if state.ready else "is not ready"


def _row(figures: dict[str, Any]) -> tuple[str, ...]:
    revenue = figures["revenue"]
    return (
        figures["event_id"],
        figures["name"],
        f"{figures['sold']:,}",
        f"{figures['remaining']:,}",
        f"{sum(figures['rejected'].values()):,}",
        money(revenue["amount"], revenue["currency"]),
        (figures["last_sale_at"] or "")[5:16].replace("T", " "),
        *chart(figures["sold_by_second"]["sold"][-_ROW_CHART_WIDTH:]),
    )


def _latest(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(events) <= _MOST_ROWS:
        return list(events)
    return sorted(events, key=lambda figures: figures["last_sale_at"] or "", reverse=True)[:_MOST_ROWS]


def chart(counts: Sequence[int], height: int = 1) -> list[str]:
    """A bar for each count, as high as it is beside the highest; ``height`` lines, the highest first."""
    highest = max(counts, default=0) or 1
    parts = len(_BARS) - 1
    heights = [-(-count * parts * height // highest) for count in counts]
    return [
        "".join(_BARS[min(max(of - parts * below, 0), parts)] for of in heights) for below in reversed(range(height))
    ]


def money(amount: int, currency: str) -> str:
    """An amount as it is kept: in the currency's smallest unit, of which nobody here knows how many make one."""
    return f"{amount:,} {currency}"


COMMANDS = (stats,)
