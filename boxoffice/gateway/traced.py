"""The spans of a command that came over HTTP: from its taking in to its answer, and of its publishing.

Only what is published is traced: whoever has no key, or is refused, does not use up the traces of others.
"""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Final

from boxoffice.gateway.waiters import Outcome
from boxoffice.tracing.harmless import harmlessly
from topics.purchase_requests import TOPIC, TRACE_HEADER

if TYPE_CHECKING:
    from boxoffice.gateway.desk import Order, Reply
    from boxoffice.tracing.spans import Begun, Tracing

SENDING: Final = f"send {TOPIC.name}"
_LOST: Final = frozenset({Outcome.UNKNOWN, Outcome.REFUSED})
_GONE: Final = "the caller has gone away"
_NOT_ACKNOWLEDGED: Final = "no broker has acknowledged it"


class TracedOrder:
    """A command whose spans are written. It names the span of its publishing as its parent, to whoever reads it."""

    def __init__(self, tracing: Tracing, kind: str, order: Order, begun: Begun) -> None:
        self._tracing = tracing
        self._kind = kind
        self._begun = begun
        self._sending = tracing.child(begun.context)
        self._began_ns = time_ns()
        others = [(name, value) for name, value in order.headers if name != TRACE_HEADER]
        self.order = order._replace(headers=[(TRACE_HEADER, tracing.header(self._sending.context)), *others])

    def ended(self, reply: Reply | None) -> None:
        """This has become of it; None: its sender did not wait for that."""
        with harmlessly():
            self._write(reply)

    def _write(self, reply: Reply | None) -> None:
        ended_ns = time_ns()
        landed_ns = reply.landed_ns if reply is not None else 0
        times_ns = self._began_ns, landed_ns or ended_ns
        self._tracing.write(
            SENDING, "PRODUCER", self._sending, times_ns, error="" if landed_ns or reply is None else _NOT_ACKNOWLEDGED
        )
        attributes = {"boxoffice.event_id": self.order.event_id, "boxoffice.request_id": self.order.request_id}
        error = _GONE
        if reply is not None:
            attributes["boxoffice.answer"] = reply.result.outcome.value
            error = _NOT_ACKNOWLEDGED if reply.result.outcome in _LOST else ""
        self._tracing.write(self._kind, "SERVER", self._begun, (self._began_ns, ended_ns), attributes, error=error)


def traced_order(tracing: Tracing, kind: str, order: Order) -> TracedOrder | None:
    """The command, if it is traced: by what its header says, or since a trace begins here."""
    with harmlessly():
        header = next((value for name, value in order.headers if name == TRACE_HEADER), None)
        begun = tracing.begin(header)
        if begun is not None:
            return TracedOrder(tracing, kind, order, begun)
    return None
