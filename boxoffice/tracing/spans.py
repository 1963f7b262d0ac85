"""Spans: which are written, their ids, and what they say. Only where traces are written is this imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from threading import Thread
from time import monotonic
from typing import Final, Literal, NamedTuple

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from boxoffice import __version__, metrics
from boxoffice.settings import TracingSettings
from boxoffice.tracing.exporting import Outlet
from boxoffice.tracing.sampling import AtMost, Rate
from models.facts import ce_id, ce_source
from models.shapes import Fact
from topics.purchase_requests import TRACE_HEADER

CLOSE_S: Final = 2.0
"""How long a process that ends goes on sending spans."""

Ids = SpanContext
"""What names a span: its trace's id, and its own."""
Kind = Literal["SERVER", "CLIENT", "PRODUCER", "CONSUMER", "INTERNAL"]
Attributes = Mapping[str, str | int]

_IDS: Final = RandomIdGenerator()
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_SCOPE: Final = InstrumentationScope("boxoffice", __version__)
_SPAN_ID_BYTES: Final = 8
_W3C: Final = TraceContextTextMapPropagator()
_FLAGS_AT: Final = 54
"""Where a ``traceparent`` says whether it is sampled: the last of its bits, in hexadecimal digits."""
_ODD: Final = frozenset(b"13579bdf")


class Begun(NamedTuple):
    """A span that has begun: its ids, and those of its parent."""

    context: Ids
    parent: Ids | None


class Tracing:
    """Writes the spans of one process."""

    def __init__(self, settings: TracingSettings, process: str, exporters: Sequence[SpanExporter]) -> None:
        # The sampler of OTEL_TRACES_SAMPLER is one that a provider takes by itself.
        own = TracerProvider(shutdown_on_exit=False).sampler
        self._sampler = AtMost(own, Rate(settings.begun_rate))
        self._rate = Rate(settings.most_rate)
        self._resource = _resource(process)
        self.most_links: Final = SpanLimits().max_links
        self._outlets = [Outlet(exporter) for exporter in exporters]

    # Which are written

    @staticmethod
    def seems_sampled(header: bytes) -> bool:
        """Whether a ``traceparent`` can be of a trace that is written: a look, of each command that has one."""
        return len(header) > _FLAGS_AT and header[_FLAGS_AT] in _ODD

    def follow(self, header: bytes) -> Ids | None:
        """The parent that a ``traceparent`` names, if it is sampled, and there are not too many.

        Whoever sends something says himself that it is sampled. So the rate, which bounds what he can cost, is asked
        before anything is read.
        """
        if not self.seems_sampled(header):
            return None
        if not self._rate.take():
            metrics.TRACES_CUT.inc()
            return None
        parent = _parent(header)
        return parent if parent is not None and parent.trace_flags.sampled else None

    def begin(self, header: bytes | None) -> Begun | None:
        """A span under the parent that a ``traceparent`` names, or of a trace of its own where it names none."""
        if header and _parent(header) is not None:
            parent = self.follow(header)
            return self.child(parent) if parent is not None else None
        alone = self.alone()
        found = self._sampler.should_sample(None, alone.context.trace_id, "")
        return alone if found.decision is Decision.RECORD_AND_SAMPLE and self._rate.take() else None

    # Ids

    @staticmethod
    def child(parent: Ids) -> Begun:
        """A span under another one."""
        return Begun(_context(parent.trace_id, _IDS.generate_span_id()), parent)

    @staticmethod
    def of_fact(sent: Ids, fact: Fact) -> Ids:
        """The ids of the span of a fact's publishing, by those of its command's, which are all that its header says.

        Everybody computes the same. So a fact's header stays its command's, and yet what is made of the fact stands
        below it.
        """
        digest = blake2b(b"%032x%016x" % (sent.trace_id, sent.span_id), digest_size=_SPAN_ID_BYTES)
        digest.update(f"{ce_source(fact)}/{ce_id(fact)}".encode())
        return _context(sent.trace_id, int.from_bytes(digest.digest(), "big") or 1)

    @staticmethod
    def alone() -> Begun:
        """A span that has a trace to itself."""
        return Begun(_context(_IDS.generate_trace_id(), _IDS.generate_span_id()), None)

    @staticmethod
    def header(context: Ids) -> bytes:
        """The ``traceparent`` under which others' spans are this one's children."""
        return b"00-%032x-%016x-01" % (context.trace_id, context.span_id)

    # Writing

    def write(
        self,
        name: str,
        kind: Kind,
        span: Begun,
        times_ns: tuple[int, int],
        attributes: Attributes | None = None,
        *,
        links: Sequence[Ids] = (),
        error: str = "",
    ) -> None:
        """Hand a span that is over to the exporters; ``error`` says what was wrong, if anything was."""
        written = ReadableSpan(
            name,
            context=span.context,
            parent=span.parent,
            resource=self._resource,
            attributes=attributes,
            links=[Link(linked) for linked in links],
            kind=SpanKind[kind],
            instrumentation_scope=_SCOPE,
            status=Status(StatusCode.ERROR, error) if error else _UNSET,
            start_time=times_ns[0],
            end_time=max(times_ns),
        )
        for outlet in self._outlets:
            outlet.put(written)

    def close(self) -> None:
        """Send what waits, for a moment: what is not sent by then is lost."""
        closing = [Thread(target=outlet.close, daemon=True) for outlet in self._outlets]
        for thread in closing:
            thread.start()
        until_s = monotonic() + CLOSE_S
        for thread in closing:
            thread.join(max(0.0, until_s - monotonic()))


_UNSET: Final = Status(StatusCode.UNSET)


def _context(trace_id: int, span_id: int) -> Ids:
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=_SAMPLED)


def _parent(header: bytes) -> Ids | None:
    """The parent that a ``traceparent`` names; None where it is none."""
    context = _W3C.extract({TRACE_HEADER: header.decode("ascii", "replace")})
    parent = get_current_span(context).get_span_context()
    return parent if parent.is_valid else None


class _Resource(Resource):
    """One whose hash is computed once: an exporter asks for it with each span, which took a third of its time."""

    _hash: int | None = None

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = super().__hash__()
        return self._hash


def _resource(process: str) -> Resource:
    """What is said of the process in every span; what OpenTelemetry's variables say of it goes first."""
    own = {"service.name": f"boxoffice-{process}", "service.version": __version__, "boxoffice.process": process}
    found = Resource.create(own).merge(OTELResourceDetector().detect())
    return _Resource(dict(found.attributes), found.schema_url)
