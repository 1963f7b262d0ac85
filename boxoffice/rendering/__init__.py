"""Tickets as PDFs."""

from boxoffice.rendering.errors import FontError
from boxoffice.rendering.pages import EventPage, Rendered, TicketPage
from boxoffice.rendering.tickets import Layout, prepare, render_ticket

__all__ = ["EventPage", "FontError", "Layout", "Rendered", "TicketPage", "prepare", "render_ticket"]
