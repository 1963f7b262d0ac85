"""What tests let the pool draw with, instead of the real thing."""

from __future__ import annotations

import os
import time

from boxoffice.rendering import Rendered, Style, TicketPage, render_ticket

SPOILT = "000007"
"""How the names of tickets end that something happens to."""

_FOR_EVER_S = 3_600
_PLAIN = Style()


def hanging(page: TicketPage, style: Style = _PLAIN) -> Rendered:
    """Hangs at one ticket of each event."""
    if page.ticket.endswith(SPOILT):
        time.sleep(_FOR_EVER_S)
    return render_ticket(page, style)


def crashing(page: TicketPage, style: Style = _PLAIN) -> Rendered:
    """Ends its process at one ticket of each event."""
    if page.ticket.endswith(SPOILT):
        os._exit(9)
    return render_ticket(page, style)


def raising(page: TicketPage, style: Style = _PLAIN) -> Rendered:
    """Raises at one ticket of each event."""
    if page.ticket.endswith(SPOILT):
        raise ValueError("this one cannot be drawn")
    return render_ticket(page, style)


def slow(page: TicketPage, style: Style = _PLAIN) -> Rendered:
    """Takes a while, so that something can happen meanwhile."""
    time.sleep(0.01)
    return render_ticket(page, style)


def stuck(page: TicketPage, style: Style = _PLAIN) -> Rendered:
    """Hangs at every ticket."""
    time.sleep(_FOR_EVER_S)
    return render_ticket(page, style)
