"""``boxoffice stats``: what was sold, and how fast."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boxoffice.cli.options import AsJson
from boxoffice.cli.tables import print_json, say

if TYPE_CHECKING:
    from rich.console import Group

    from boxoffice.statistics.reading import Report

_BARS = " ▁▂▃▄▅▆▇█"
_MOST_ROWS = 40
"""Events shown one by one: those that sold last."""

_HEADINGS = (
    "event",
    "name",
    "sold#",
    "left#",
    "issued#",
    "rejected#",
    "cancelled#",
    "revenue#",
    "last sale",
    "tickets/s",
)
_CHART_WIDTH = 20


def stats(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on until Ctrl-C.")] = False,
    interval_s: Annotated[
        float, typer.Option("--interval", min=0.1, metavar="SECONDS", help="With --watch: how often to look.")
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Show what was sold of each event and how fast; from Redis, or where it is down from the topic."""
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
                show(await reader.read())
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

    say(json.dumps(members(report), ensure_ascii=False))


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

    table = Table(box=box.SIMPLE_HEAD)
    for heading in _HEADINGS:
        table.add_column(heading.rstrip("#"), justify="right" if heading.endswith("#") else "left", no_wrap=True)
    for figures in _latest(report.events):
        table.add_row(*(Text(str(cell)) for cell in _row(figures)))
    lines = [*_summary(report)]
    if len(report.events) > _MOST_ROWS:
        lines.append(f"The {_MOST_ROWS} events that sold last:")
    return Group(*(Text(line) for line in lines), table)


def _summary(report: Report) -> list[str]:
    totals, sold = report.totals, report.totals["sold_by_second"]["sold"]
    source = "" if report.redis_connected else "   Redis is down: read from the topic"
    revenue = ", ".join(money(amount, currency) for currency, amount in totals["revenue"].items())
    return [
        f"{totals['events']} events   {totals['sold']:,} of {totals['issued']:,} tickets sold   "
        f"{totals['remaining']:,} left   {revenue}{source}",
        f"tickets a second, the last minute in which any was sold (most: {max(sold):,}; newest: {sold[-1]:,})",
        chart(sold),
    ]


def _row(figures: dict[str, Any]) -> tuple[object, ...]:
    revenue = figures["revenue"]
    return (
        figures["event_id"],
        figures["name"][:40],
        f"{figures['sold']:,}",
        f"{figures['remaining']:,}",
        f"{figures['issued']:,}",
        f"{sum(figures['rejected'].values()):,}",
        f"{figures['cancelled']:,}",
        money(revenue["amount"], revenue["currency"]),
        figures["last_sale_at"] or "",
        chart(figures["sold_by_second"]["sold"][-_CHART_WIDTH:]),
    )


def _latest(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(events) <= _MOST_ROWS:
        return list(events)
    return sorted(events, key=lambda figures: figures["last_sale_at"] or "", reverse=True)[:_MOST_ROWS]


def chart(counts: Sequence[int]) -> str:
    """A bar for each count, as high as it is beside the highest."""
    highest = max(counts, default=0) or 1
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // highest)] for count in counts)


def money(amount: int, currency: str) -> str:
    """An amount as it is kept: in the currency's smallest unit, of which nobody here knows how many make one."""
    return f"{amount:,} {currency}"


COMMANDS = (stats,)
