"""How many tickets one process renders in a second of its own CPU time: python -m benchmarks.rendering."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from boxoffice.rendering import EventPage, TicketPage, prepare, render_ticket

ROUNDS = 5
EVENT = EventPage("42", "Night at the Opera", "Main Hall", "2027-03-01T19:30:00+01:00", 4500, "EUR")


def ticket(number: int, buyer: str = "b-77") -> TicketPage:
    """A ticket as they are sold: a UUID as its order."""
    return TicketPage(EVENT, f"42-{number:06d}", buyer, f"550e8400-e29b-41d4-a716-{number:012d}")


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


def measure(name: str, render: Callable[[int], bytes], count: int) -> None:
    """Print the median of some rounds, and how far they lay apart."""
    sizes: list[int] = []
    rates: list[float] = []
    for first in range(0, ROUNDS * count, count):
        began_s = time.process_time()
        sizes += [len(render(number)) for number in range(first, first + count)]
        rates.append(count / (time.process_time() - began_s))
    print(
        f"{name:<28} {statistics.median(rates):7,.0f} PDFs/CPU second  "
        f"({min(rates):,.0f} to {max(rates):,.0f} in {ROUNDS} rounds of {count:,})  {max(sizes):,} bytes"
    )


def main() -> None:
    """Measure in one process."""
    render_plain(0)
    measure("tickets of one event", render_plain, 5_000)
    measure("a buyer in another script", render_other_script, 200)
    measure("each of another event", render_new_event, 200)


if __name__ == "__main__":
    main()
