"""Commands over HTTP: what a request asks for is published, and its answer is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from boxoffice.gateway import commands
from boxoffice.gateway.admission import Admission
from boxoffice.gateway.answering import answer
from boxoffice.gateway.counting import Counting
from boxoffice.gateway.desk import Asking, Desk, Order
from boxoffice.gateway.messages import Pending, Problem, Request, Response, Steps
from boxoffice.gateway.openings import Openings
from boxoffice.gateway.preferences import idempotency_key, purchase_key, wait_s
from boxoffice.gateway.recent import Recent
from boxoffice.gateway.request_ids import HEADER, given_id
from boxoffice.gateway.traced import traced_order
from models.api_keys import ApiKey, Scope
from topics.purchase_requests import HTTP_REQUEST_HEADER, TRACE_HEADER

if TYPE_CHECKING:
    from boxoffice.gateway.traced import TracedOrder
    from boxoffice.tracing import Tracing

MOST_TRACE: Final = 256


class Posting:
    """Takes commands. What it knows can be lost: the log holds what was taken."""

    def __init__(
        self,
        admission: Admission,
        desk: Desk,
        recent: Recent,
        counting: Counting,
        patience_s: float,
        *,
        openings: Openings | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._admission = admission
        self._counting = counting
        self._desk = desk
        self._openings = openings
        self._recent = recent
        self._tracing = tracing
        self._patience_s = patience_s
        """A partition whose oldest command has waited so long for the broker takes no more."""

    def purchase(self, request: Request, event: str) -> Steps:
        """Buy tickets, or have them held until they are paid for."""
        return self._command(request, "buy", "purchase", event)

    def cancel(self, request: Request, event: str, key: str) -> Steps:
        """Give back what the same caller bought with a key, or some of it."""
        return self._command(request, "buy", "cancel_purchase", event, key)

    def create_event(self, request: Request) -> Steps:
        """Put an event on sale."""
        return self._command(request, "events", "create_event", None)

    def change_event(self, request: Request, event: str) -> Steps:
        """Change what is given of an event."""
        return self._command(request, "events", "change_event", event)

    def add_tickets(self, request: Request, event: str) -> Steps:
        """Put further tickets on sale."""
        return self._command(request, "events", "add_tickets", event)

    def remove_tickets(self, request: Request, event: str) -> Steps:
        """Take tickets from sale."""
        return self._command(request, "events", "remove_tickets", event)

    def close_event(self, request: Request, event: str) -> Steps:
        """End a sale."""
        return self._command(request, "events", "close_event", event)

    def cancel_event(self, request: Request, event: str) -> Steps:
        """Call an event off."""
        return self._command(request, "events", "cancel_event", event)

    def archive_event(self, request: Request, event: str) -> Steps:
        """Let an event be forgotten."""
        return self._command(request, "events", "archive_event", event)

    def _command(
        self, request: Request, scope: Scope, kind: str, event: str | None, purchase: str | None = None
    ) -> Steps:
        """Publish what a request asks for; its answer is waited for."""
        caller = self._admission.caller(request)
        yield None
        key = idempotency_key(request.header("idempotency-key"))
        members = commands.read_body(request)
        event_id = commands.event_id_of(members) if event is None else commands.event_id_in(event)
        if not caller.may(scope, event_id):
            raise Problem("forbidden", f"This key has no scope '{scope}' for event {event_id}.")
        request_id = commands.request_id(caller.id, key)
        cancels = None if purchase is None else commands.request_id(caller.id, purchase_key(purchase))
        said = {} if cancels is None else {"purchase": cancels}
        if scope != "buy":
            # So the ledger says who did what; a buyer's requests have his shop's id before them, and that is enough.
            said["actor"] = caller.id
        command = commands.command(kind, event_id, request_id, members, **said)
        yield None
        order = Order(event_id, request_id, command, _passed_on(request))
        self._admission.takes_command_of(caller, self._desk.waiting_s(event_id) > self._patience_s)
        traced = traced_order(self._tracing, kind, order) if self._tracing is not None else None
        asked = self._recent.begin(event_id, request_id, cancels)
        asking = self._desk.ask(order if traced is None else traced.order, wait_s(request.header("prefer")), asked)
        self._admission.waiting.begin(caller.id)
        yield _Posted(self, asking, caller, key, traced)

    def told(self, posted: _Posted) -> Response | None:
        """The answer to a command that is not waited for any more; None to whoever has gone away."""
        caller, asking = posted.caller, posted.asking
        self._admission.waiting.end(caller.id)
        self._counting.answered(time.monotonic() - posted.since_s)
        reply = asking.reply()
        if posted.traced is not None:
            posted.traced.ended(reply)
        if reply is None:
            return None
        order = asking.order
        try:
            return answer(reply, order.request_id, location(caller, order.event_id, posted.key, order.request_id))
        except Problem as problem:
            if self._openings is not None:
                self._openings.tell(problem, order.event_id)
            raise


class _Posted(Pending):
    """A command whose answer is waited for."""

    __slots__ = ("_posting", "asking", "caller", "key", "since_s", "traced")

    def __init__(self, posting: Posting, asking: Asking, caller: ApiKey, key: str, traced: TracedOrder | None) -> None:
        self._posting = posting
        self.asking = asking
        self.caller = caller
        self.key = key
        self.traced = traced
        self.since_s = time.monotonic()

    def when_over(self, tell: Callable[[], None]) -> None:
        self.asking.when_over(tell)

    def go(self) -> None:
        self.asking.go()

    def response(self) -> Response | None:
        return self._posting.told(self)


def location(caller: ApiKey, event_id: str, key: str, request_id: str) -> str:
    """Where it is seen what became of a request, with the secret that opens it and no other."""
    path = f"/v1/events/{event_id}/requests/{key}"
    proof = caller.proof(event_id, request_id)
    return path if proof is None else f"{path}?secret={caller.id}.{proof}"


def _passed_on(request: Request) -> list[tuple[str, bytes]]:
    """The headers of a command: those that say whose trace it belongs to, and nothing else that a caller sends."""
    headers = []
    trace = request.header(TRACE_HEADER)
    if trace and len(trace) <= MOST_TRACE:
        headers.append((TRACE_HEADER, trace.encode()))
    given = given_id(request.header(HEADER))
    if given is not None:
        headers.append((HTTP_REQUEST_HEADER, given.encode()))
    return headers
