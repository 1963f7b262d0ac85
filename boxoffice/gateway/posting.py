"""Commands over HTTP: what a request asks for is published, and its answer is waited for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from boxoffice.gateway import commands
from boxoffice.gateway.admission import Admission
from boxoffice.gateway.answering import answer
from boxoffice.gateway.counting import Counting
from boxoffice.gateway.desk import Desk, Order, Reply
from boxoffice.gateway.messages import Problem, Request, Response
from boxoffice.gateway.preferences import idempotency_key, purchase_key, wait_s
from boxoffice.gateway.recent import Recent
from boxoffice.gateway.request_ids import HEADER, given_id
from boxoffice.gateway.traced import traced_order
from models.api_keys import ApiKey, Scope
from topics.purchase_requests import HTTP_REQUEST_HEADER, TRACE_HEADER

if TYPE_CHECKING:
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
        tracing: Tracing | None = None,
    ) -> None:
        self._admission = admission
        self._counting = counting
        self._desk = desk
        self._recent = recent
        self._tracing = tracing
        self._patience_s = patience_s
        """A partition whose oldest command has waited so long for the broker takes no more."""

    async def purchase(self, request: Request, event: str) -> Response:
        """Buy tickets."""
        return await self._command(request, "buy", "purchase", "purchase_confirmed", event)

    async def cancel(self, request: Request, event: str, key: str) -> Response:
        """Give back what the same caller bought with a key."""
        return await self._command(request, "buy", "cancel_purchase", "purchase_cancelled", event, key)

    async def add_tickets(self, request: Request, event: str) -> Response:
        """Put further tickets on sale."""
        return await self._command(request, "events", "add_tickets", "tickets_added", event)

    async def close_event(self, request: Request, event: str) -> Response:
        """End a sale."""
        return await self._command(request, "events", "close_event", "event_closed", event)

    async def create_event(self, request: Request) -> Response:
        """Put an event on sale."""
        return await self._command(request, "events", "create_event", "event_created", None)

    async def _command(
        self, request: Request, scope: Scope, kind: str, wanted: str, event: str | None, purchase: str | None = None
    ) -> Response:
        """Publish what a request asks for, and wait for its answer."""
        caller = self._admission.caller(request)
        key = idempotency_key(request.header("idempotency-key"))
        members = commands.read_body(request)
        event_id = commands.event_id_of(members) if event is None else commands.event_id_in(event)
        if not caller.may(scope, event_id):
            raise Problem("forbidden", f"This key has no scope '{scope}' for event {event_id}.")
        request_id = commands.request_id(caller.id, key)
        cancels = None if purchase is None else commands.request_id(caller.id, purchase_key(purchase))
        said = {} if cancels is None else {"purchase": cancels}
        command = commands.command(kind, event_id, request_id, members, **said)
        order = Order(event_id, request_id, command, _passed_on(request))
        self._admission.takes_command_of(caller, self._desk.waiting_s(event_id) > self._patience_s)
        wanted_s = wait_s(request.header("prefer"))
        self._admission.waiting.begin(caller.id)
        began_s = time.monotonic()
        traced = traced_order(self._tracing, kind, order) if self._tracing is not None else None
        reply: Reply | None = None
        try:
            asked = self._recent.begin(event_id, request_id, cancels)
            reply = await self._desk.ask(order if traced is None else traced.order, wanted_s, asked)
        finally:
            self._admission.waiting.end(caller.id)
            self._counting.answered(time.monotonic() - began_s)
            if traced is not None:
                traced.ended(reply)
        return answer(reply, wanted, location(caller, event_id, key, request_id))


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
