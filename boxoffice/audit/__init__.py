"""Audit: whether the commands, the ledger, Redis, the statistics and the documents agree."""

from boxoffice.audit.comparing import Audit
from boxoffice.audit.event_view import EventView, UnknownEventError, view_event
from boxoffice.audit.report import AuditReport, EventReport

__all__ = ["Audit", "AuditReport", "EventReport", "EventView", "UnknownEventError", "view_event"]
