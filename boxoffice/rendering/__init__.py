"""Tickets as PDFs."""

from boxoffice.rendering.errors import FontError, LanguageError
from boxoffice.rendering.pages import EventPage, Rendered, Style, TicketPage
from boxoffice.rendering.tickets import Layout, check_style, prepare, render_ticket

__all__ = [
    "EventPage",
    "FontError",
    "LanguageError",
    "Layout",
    "Rendered",
    "Style",
    "TicketPage",
    "check_style",
    "prepare",
    "render_ticket",
]
