"""Audit: whether the commands, the ledger, Redis, the statistics and the documents agree."""

from boxoffice.audit.comparing import Audit
from boxoffice.audit.event_view import (
    ArchivedEventError,
    EventView,
    PastView,
    UnknownEventError,
    view_event,
    view_event_then,
)
from boxoffice.audit.report import AuditReport, CategoryReport, EventReport

__all__ = [
    "ArchivedEventError",
    "Audit",
    "AuditReport",
    "CategoryReport",
    "EventReport",
    "EventView",
    "PastView",
    "UnknownEventError",
    "view_event",
    "view_event_then",
]
