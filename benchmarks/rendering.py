"""How many tickets one process draws in a second of its own CPU time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from benchmarks.bench import Bench
from benchmarks.results import Outcome
from boxoffice.rendering import EventPage, TicketPage, prepare, render_ticket

CODE: Final = "BX1:" + 11 * "0123456789"
"""As long as a code is."""
EVENT: Final = EventPage("42", "Night at the Opera", "Main Hall", "2027-03-01T19:30:00+01:00", 4500, "EUR")


def ticket(number: int, buyer: str = "b-77") -> TicketPage:
    """A ticket as they are sold: a UUID as its order."""
    return TicketPage(EVENT, f"42-{number:06d}", buyer, f"550e8400-e29b-41d4-a716-{number:012d}", CODE)


def render_plain(number: int) -> bytes:
    """The next ticket of an event."""
    return render_ticket(ticket(number)).pdf


def render_other_script(number: int) -> bytes:
    """A ticket whose buyer is not ASCII: its page is laid out for it alone."""
    return render_ticket(ticket(number, buyer=f"Ρένα {number}")).pdf


def render_new_event(number: int) -> bytes:
    """The first ticket of an event."""
    prepare.cache_clear()
    return render_ticket(ticket(number)).pdf


async def rendering(bench: Bench) -> Outcome:
    """Tickets of one event, for a buyer in another script, and each of another event."""
    render_plain(0)
    outcome = Outcome()
    for name, render, count in (
        ("tickets of one event", render_plain, bench.size(5_000, 200)),
        ("a buyer in another script", render_other_script, bench.size(200, 20)),
        ("each of another event", render_new_event, bench.size(200, 20)),
    ):
        rates, most_bytes = _measure(render, count, bench.rounds)
        outcome.add_rounds("pdfs_per_cpu_second", rates, "PDFs/CPU s", name)
        outcome.add("pdf_size", most_bytes, "bytes", name)
    return outcome


def _measure(render: Callable[[int], bytes], count: int, rounds: int) -> tuple[list[float], int]:
    """The rate of each round, and the size of the largest."""
    sizes: list[int] = []
    rates: list[float] = []
    for first in range(0, rounds * count, count):
        began_s = time.process_time()
        sizes += [len(render(number)) for number in range(first, first + count)]
        rates.append(count / (time.process_time() - began_s))
    return rates, max(sizes)
