"""Spans as tests see them: written into memory, or sent to a collector that listens here."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from boxoffice.settings import TracingSettings
from boxoffice.tracing.spans import Tracing

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE_ID}-{PARENT_ID}-01"
UNSAMPLED = f"00-{TRACE_ID}-{PARENT_ID}-00"

HOSTILE = (
    "",
    "0",
    "00-",
    "-" * 55,
    "1" * 55,
    "1" * 256,
    f"00-{'0' * 32}-{PARENT_ID}-01",
    f"00-{TRACE_ID}-{'0' * 16}-01",
    f"ff-{TRACE_ID}-{PARENT_ID}-01",
    f"00-{TRACE_ID}-{PARENT_ID}-01-and-more",
    f"00-{TRACE_ID.upper()}-{PARENT_ID}-01",
    f"00-{TRACE_ID}-{PARENT_ID}-0g",
    f"00-{TRACE_ID}-{PARENT_ID}-1",
    f"00-{'x' * 32}-{PARENT_ID}-01",
    f"00-{TRACE_ID}-{PARENT_ID}-01\x00",
    "\xff\xfe" * 27 + "1",
    "१" * 55,
)
"""No ``traceparent``: none of these names a parent."""

ODD = (
    f"00-{TRACE_ID}-{PARENT_ID}-ff",
    f"00-{TRACE_ID}-{PARENT_ID}-03",
    f"cc-{TRACE_ID}-{PARENT_ID}-01",
    f"cc-{TRACE_ID}-{PARENT_ID}-01-what-a-later-version-has",
)
"""Flags that nobody knows, and later versions: each is sampled, and names a parent."""


class Told(NamedTuple):
    """A span, as a collector is told of it."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: Mapping[str, str | int]
    links: Sequence[str]
    failed: bool


class Written:
    """What one process writes its spans with; they are kept in memory."""

    def __init__(
        self,
        process: str = "purchases",
        exporter: SpanExporter | None = None,
        begun_rate: float = 10,
        most_rate: float = 100,
    ) -> None:
        self.memory = InMemorySpanExporter()
        settings = TracingSettings(begun_rate=begun_rate, most_rate=most_rate)
        self.tracing = Tracing(settings, process, [exporter or self.memory])

    def spans(self) -> list[ReadableSpan]:
        """All that were written by now."""
        for outlet in self.tracing._outlets:
            outlet._processor.force_flush()
        return list(self.memory.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        """Those of a name."""
        return [span for span in self.spans() if span.name == name]


def ids(span: ReadableSpan) -> tuple[str, str, str]:
    """A span's trace, itself and its parent."""
    assert span.context is not None
    parent_id = f"{span.parent.span_id:016x}" if span.parent is not None else ""
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}", parent_id


def boundless() -> Written:
    """One that writes whatever is sampled."""
    return Written(begun_rate=100_000, most_rate=100_000)


class Collector:
    """Takes spans by OTLP over HTTP; while it hangs, it takes requests and answers none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: list[Told] = []
        self.requests = 0
        self.hangs = threading.Event()
        self.goes_on = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests += 1
                if collector.hangs.is_set():
                    collector.goes_on.wait()
                    return
                collector._take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Where spans are sent."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def variables(self) -> dict[str, str]:
        """What lets a process send its spans here, soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "5",
        }

    @property
    def told(self) -> list[Told]:
        """All spans that came by now."""
        with self._lock:
            return list(self._told)

    def _take(self, request: ExportTraceServiceRequest) -> None:
        with self._lock:
            for of_process in request.resource_spans:
                service = next(
                    one.value.string_value for one in of_process.resource.attributes if one.key == "service.name"
                )
                for of_scope in of_process.scope_spans:
                    for span in of_scope.spans:
                        attributes = {one.key: one.value.string_value or one.value.int_value for one in span.attributes}
                        self._told.append(
                            Told(
                                service,
                                span.name,
                                span.trace_id.hex(),
                                span.span_id.hex(),
                                span.parent_span_id.hex(),
                                attributes,
                                [link.span_id.hex() for link in span.links],
                                span.status.code == 2,
                            )
                        )


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens until the block ends."""
    collector = Collector()
    thread = threading.Thread(target=collector._server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.goes_on.set()
        collector._server.shutdown()
        collector._server.server_close()
        thread.join()
