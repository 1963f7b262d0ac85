"""Traces, by OpenTelemetry: what became of one request, through all processes.

None is written unless OpenTelemetry's own variables say where to (:mod:`boxoffice.tracing.opening`). Until then none of
its packages is imported, and whoever could be traced has ``None`` in place of a
:class:`~boxoffice.tracing.spans.Tracing`. Which spans there are, each room says in its own ``traced.py``.

A span is written when it is over, never while a sale waits: its ids are made beforehand, its times are noted. The
header ``traceparent`` alone goes on from process to process. It stays as it came with the command, since two owners of
a partition write the same records; so the id of a fact's span is computed, and who reads the fact knows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from boxoffice.tracing.opening import opened

if TYPE_CHECKING:
    from boxoffice.tracing.spans import Tracing

__all__ = ["Tracing", "opened"]
