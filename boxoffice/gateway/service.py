"""The front door's rooms: which request is whose, who may make it, and what it is answered."""

from __future__ import annotations

import math
import time
from typing import Final

import structlog

from boxoffice.gateway import commands
from boxoffice.gateway.answering import answer
from boxoffice.gateway.callers import Callers
from boxoffice.gateway.desk import Desk, Order
from boxoffice.gateway.limits import Allowance, Rate, Waiting
from boxoffice.gateway.messages import JSON, Headers, Problem, Request, Response
from boxoffice.gateway.preferences import idempotency_key, purchase_key, wait_s
from models.api_keys import ApiKey, Scope
from topics.purchase_requests import TRACE_HEADER

log = structlog.get_logger(__name__)

VERSION: Final = "v1"
MOST_TRACE: Final = 256


class Gateway:
    """Answers requests. What it knows can be lost: the log holds what was taken."""

    def __init__(self, desk: Desk, callers: Callers, rate: Rate, waiting: Waiting, patience_s: float) -> None:
        self._desk = desk
        self._callers = callers
        self._rate = rate
        self._waiting = waiting
        self._patience_s = patience_s
        """A partition whose oldest command has waited so long for the broker takes no more."""
        self.draining = False

    async def respond(self, request: Request) -> Response:
        """The response to a request, whatever it is."""
        try:
            return await self._route(request)
        except Problem as problem:
            return problem.response()
        except Exception:
            log.exception("a request failed")
            return Problem("internal-error", "Something failed here that should not.").response()

    async def _route(self, request: Request) -> Response:
        match request.path.split("/")[1:]:
            case ["v1", "events", event, "purchases"]:
                return await self._command(request, "buy", "purchase", "purchase_confirmed", event)
            case ["v1", "events", event, "purchases", key, "cancellation"]:
                return await self._command(request, "buy", "cancel_purchase", "purchase_cancelled", event, key)
            case ["v1", "events", event, "tickets"]:
                return await self._command(request, "events", "add_tickets", "tickets_added", event)
            case ["v1", "events", event, "closing"]:
                return await self._command(request, "events", "close_event", "event_closed", event)
            case ["v1", "events"]:
                return await self._command(request, "events", "create_event", "event_created", None)
        raise Problem("not-found", f"There is nothing at {request.path[:200]}.")

    async def _command(
        self, request: Request, scope: Scope, kind: str, wanted: str, event: str | None, purchase: str | None = None
    ) -> Response:
        """Publish what a request asks for, and wait for its answer."""
        if request.method != "POST":
            raise Problem("method-not-allowed", "Only POST.", headers=[("allow", "POST")])
        caller = self._callers.of(request.header("authorization"), time.time())
        allowance = self._allowed(caller)
        if not _is_json(request.header("content-type")) and request.body:
            raise Problem("unsupported-media-type", "The body has to be application/json.")
        key = idempotency_key(request.header("idempotency-key"))
        members = commands.read_body(request.body)
        event_id = commands.event_id_of(members) if event is None else commands.event_id_in(event)
        if not caller.may(scope, event_id):
            raise Problem("forbidden", f"This key has no scope '{scope}' for event {event_id}.")
        said = {} if purchase is None else {"purchase": commands.request_id(caller.id, purchase_key(purchase))}
        request_id = commands.request_id(caller.id, key)
        command = commands.command(kind, event_id, request_id, members, **said)
        self._take_in(caller, event_id)
        self._waiting.begin(caller.id)
        try:
            order = Order(event_id, request_id, command, _trace(request))
            reply = await self._desk.ask(order, wait_s(request.header("prefer")))
        finally:
            self._waiting.end(caller.id)
        response = answer(reply, wanted, f"/{VERSION}/events/{event_id}/requests/{key}")
        response.headers.extend(_limit_headers(self._rate, caller, allowance))
        return response

    def _allowed(self, caller: ApiKey) -> Allowance:
        allowance = self._rate.take(caller.id, time.monotonic(), caller.per_second)
        if not allowance.passes:
            raise Problem(
                "rate-limited",
                "This key asks more often than it may.",
                headers=[*_limit_headers(self._rate, caller, allowance), _retry_after(allowance.again_in_s)],
            )
        return allowance

    def _take_in(self, caller: ApiKey, event_id: str) -> None:
        """See that there is room, before anything is published.

        Raises:
            Problem: there is none; nothing was taken.
        """
        if self.draining:
            raise Problem("draining", "This instance is ending.", headers=[_retry_after(1), ("connection", "close")])
        if self._waiting.is_full_of(caller.id):
            raise Problem("too-many-waiting", "Too many requests of this key wait.", headers=[_retry_after(1)])
        if self._waiting.is_full() or self._desk.waiting_s(event_id) > self._patience_s:
            raise Problem("overloaded", "More is asked than can be done.", headers=[_retry_after(1)])


def _is_json(content_type: str | None) -> bool:
    return content_type is None or content_type.partition(";")[0].strip().lower() == JSON


def _trace(request: Request) -> list[tuple[str, bytes]]:
    trace = request.header(TRACE_HEADER)
    return [(TRACE_HEADER, trace.encode())] if trace and len(trace) <= MOST_TRACE else []


def _retry_after(seconds: float) -> tuple[str, str]:
    return "retry-after", str(max(1, math.ceil(seconds)))


def _limit_headers(rate: Rate, caller: ApiKey, allowance: Allowance) -> Headers:
    pace = caller.per_second or rate.per_second
    window_s = max(1, round(rate.burst / pace))
    return [
        ("ratelimit-policy", f'"key";q={rate.burst};w={window_s}'),
        ("ratelimit", f'"key";r={allowance.left};t={max(0, round(allowance.again_in_s))}'),
    ]
