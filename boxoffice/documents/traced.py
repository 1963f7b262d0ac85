"""The spans of a ticket's document: of all that is done about it, and of its steps. They stand below its fact's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import time_ns
from typing import TYPE_CHECKING, Final

from boxoffice.documents.queue import Job
from boxoffice.kafka.clients import header
from boxoffice.tracing.harmless import harmlessly
from topics import ticket_documents
from topics.purchase_requests import TRACE_HEADER

if TYPE_CHECKING:
    from boxoffice.tracing.spans import Begun, Kind, Tracing

MAKING: Final = "make document"
REMOVING: Final = "remove document"
CHANGING: Final = "look at change"
_NAMES: Final = {"purchase_confirmed": MAKING, "purchase_cancelled": REMOVING, "event_changed": CHANGING}
DRAWING: Final = "draw"
STORING: Final = "store"
SENDING: Final = f"send {ticket_documents.TOPIC.name}"


class TracedJob:
    """A job that is traced: the span of the whole, and what writes it."""

    def __init__(self, tracing: Tracing, span: Begun) -> None:
        self._tracing = tracing
        self.span = span

    @contextmanager
    def writing(self, name: str, kind: Kind, span: Begun, **attributes: str) -> Iterator[None]:
        """Write a span of what is done in the block."""
        began_ns, error = time_ns(), ""
        try:
            yield
        except BaseException as failure:
            error = type(failure).__name__
            raise
        finally:
            with harmlessly():
                self._tracing.write(name, kind, span, (began_ns, time_ns()), attributes, error=error)

    def child(self) -> Begun:
        """A span of a step."""
        return self._tracing.child(self.span.context)


@contextmanager
def traced(tracing: Tracing | None, job: Job) -> Iterator[None]:
    """The span of a job as a whole, around what is done about it."""
    job.traced = _traced(tracing, job) if tracing is not None else None
    if job.traced is None:
        yield
        return
    name = _NAMES[job.order.fact["type"]]
    of_ticket = {"boxoffice.event_id": job.event_id, "boxoffice.ticket": job.ticket}
    with job.traced.writing(name, "CONSUMER", job.traced.span, **of_ticket):
        yield


@contextmanager
def step(job: Job, name: str, kind: Kind = "INTERNAL") -> Iterator[None]:
    """The span of a step of a job, around it."""
    if job.traced is None:
        yield
        return
    with job.traced.writing(name, kind, job.traced.child()):
        yield


def _traced(tracing: Tracing, job: Job) -> TracedJob | None:
    with harmlessly():
        trace = header(job.order.cause.headers, TRACE_HEADER)
        if trace is not None and (sent := tracing.follow(trace)) is not None:
            fact = job.order.fact if job.order.renewal is None else job.order.renewal.change
            return TracedJob(tracing, tracing.child(tracing.of_fact(sent, fact)))
    return None
