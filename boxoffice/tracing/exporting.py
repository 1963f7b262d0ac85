"""Spans on their way out: a bounded queue for each exporter, and a count of what became of them.

A collector that is slow or gone costs a process the memory of one queue, and nobody any time: the exporter has a thread
of its own, and a span that finds the queue full is dropped.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Final

import structlog
from opentelemetry.sdk.environment_variables import (
    OTEL_BSP_MAX_QUEUE_SIZE,
    OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from boxoffice import metrics

log = structlog.get_logger(__name__)

_GROUP: Final = "opentelemetry_traces_exporter"
_OTLP: Final = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_QUEUE_SIZE: Final = 2_048
"""As OpenTelemetry has it, where nothing is set."""


class NoExporterError(Exception):
    """A variable names an exporter that is not there."""


def exporters(names: str) -> list[SpanExporter]:
    """The exporters that are called so, between commas: the packages that are installed say what they bring.

    Raises:
        NoExporterError: none is called so.
    """
    return [_exporter(name.strip()) for name in names.split(",")]


def _exporter(name: str) -> SpanExporter:
    wanted = _otlp() if name == "otlp" else name
    found = entry_points(group=_GROUP)
    if wanted not in found.names:
        known = ", ".join(sorted({"otlp", *found.names}))
        raise NoExporterError(f"No exporter {name[:100]!r} is installed; there are {known}.")
    exporter: SpanExporter = found[wanted].load()()
    return exporter


def _otlp() -> str:
    """OTLP's exporter for the protocol that is set; HTTP, which needs no other package, unless one is."""
    for variable in (OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL):
        protocol = os.environ.get(variable, "").strip()
        if protocol and protocol not in _OTLP:
            raise NoExporterError(f"{variable} must be one of {', '.join(_OTLP)}: it is {protocol[:100]!r}.")
        if protocol:
            return _OTLP[protocol]
    return _OTLP["http/protobuf"]


class Outlet:
    """One exporter's queue. Spans are handed over in the process' event loop, and taken in the exporter's thread."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._most = int(os.environ.get(OTEL_BSP_MAX_QUEUE_SIZE) or _QUEUE_SIZE)
        self._exporter = _Counted(exporter)
        self._processor = BatchSpanProcessor(self._exporter, max_queue_size=self._most)
        self._handed = 0

    def put(self, span: ReadableSpan) -> None:
        """Hand a span over, if there is room."""
        if self._handed - self._exporter.taken >= self._most:
            metrics.SPANS.labels("queue_full").inc()
            return
        self._handed += 1
        self._processor.on_end(span)

    def close(self) -> None:
        """Send what waits; blocks for as long as that takes."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]


class _Counted(SpanExporter):
    """Hands spans on to an exporter, and counts what became of them."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.taken = 0
        """Spans that do not wait in the queue any more."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001  # whatever an exporter raises, the next spans may get through
            log.warning("spans were not exported", error=f"{type(error).__name__}: {error}"[:200], seldom=True)
            result = SpanExportResult.FAILURE
        exported = result is SpanExportResult.SUCCESS
        metrics.SPANS.labels("exported" if exported else "not_exported").inc(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()
