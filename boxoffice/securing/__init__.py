"""Certificates that change while processes run: whoever connects next uses the new ones."""

from boxoffice.securing.rereading import RereadContext

__all__ = ["RereadContext"]
