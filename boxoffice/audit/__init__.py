"""Audit: whether the commands, the ledger, Redis, the statistics and the documents agree."""

from boxoffice.audit.comparing import Audit
from boxoffice.audit.event_view import EventView, PastView, UnknownEventError, view_event, view_event_then
from boxoffice.audit.report import AuditReport, EventReport

__all__ = [
    "Audit",
    "AuditReport",
    "EventReport",
    "EventView",
    "PastView",
    "UnknownEventError",
    "view_event",
    "view_event_then",
]
