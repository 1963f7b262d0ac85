"""What tests let the pool draw with, instead of the real thing."""

from __future__ import annotations

import os
import time

from boxoffice.rendering import Rendered, TicketPage, render_ticket

SPOILT = "000007"
"""How the names of tickets end that something happens to."""

_FOR_EVER_S = 3_600


def hanging(page: TicketPage, fonts: tuple[str, ...] = ()) -> Rendered:
    """Hangs at one ticket of each event."""
    if page.ticket.endswith(SPOILT):
        time.sleep(_FOR_EVER_S)
    return render_ticket(page, fonts)


def crashing(page: TicketPage, fonts: tuple[str, ...] = ()) -> Rendered:
    """Ends its process at one ticket of each event."""
    if page.ticket.endswith(SPOILT):
        os._exit(9)
    return render_ticket(page, fonts)


def raising(page: TicketPage, fonts: tuple[str, ...] = ()) -> Rendered:
    """Raises at one ticket of each event."""
    if page.ticket.endswith(SPOILT):
        raise ValueError("this one cannot be drawn")
    return render_ticket(page, fonts)


def slow(page: TicketPage, fonts: tuple[str, ...] = ()) -> Rendered:
    """Takes a while, so that something can happen meanwhile."""
    time.sleep(0.01)
    return render_ticket(page, fonts)


def stuck(page: TicketPage, fonts: tuple[str, ...] = ()) -> Rendered:
    """Hangs at every ticket."""
    time.sleep(_FOR_EVER_S)
    return render_ticket(page, fonts)
