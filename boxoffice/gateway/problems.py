"""What can go wrong at the front door, as RFC 9457 tells it: one type each, with a page of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Literal

from pydantic_core import to_json

MEDIA_TYPE: Final = "application/problem+json"
TYPES_PATH: Final = "/v1/problems/"

Taken = Literal["not-taken", "outcome-unknown"]


@dataclass(frozen=True)
class ProblemType:
    """One kind of problem. ``taken`` says of a command whether it may have been bought all the same."""

    name: str
    status: HTTPStatus
    title: str
    remedy: str
    taken: Taken | None = None


def _types(*types: ProblemType) -> Mapping[str, ProblemType]:
    return {one.name: one for one in types}


_AGAIN: Final = "Ask again later, with the same Idempotency-Key."

TYPES: Final = _types(
    ProblemType("not-found", HTTPStatus.NOT_FOUND, "There is nothing here.", "See /openapi.json for what there is."),
    ProblemType(
        "method-not-allowed", HTTPStatus.METHOD_NOT_ALLOWED, "This cannot be done here.", "See the Allow header."
    ),
    ProblemType(
        "unauthenticated",
        HTTPStatus.UNAUTHORIZED,
        "No valid API key came with the request.",
        "Send 'Authorization: Bearer KEY' with a key that was neither revoked nor has expired.",
    ),
    ProblemType(
        "forbidden",
        HTTPStatus.FORBIDDEN,
        "The API key does not allow this.",
        "Use a key with the scope, and for the event, that the detail names.",
    ),
    ProblemType(
        "idempotency-key-missing",
        HTTPStatus.BAD_REQUEST,
        "A command needs an Idempotency-Key.",
        "Choose one for each thing that a person asks for, and send it again with each retry.",
    ),
    ProblemType(
        "invalid-header",
        HTTPStatus.BAD_REQUEST,
        "A header cannot be read.",
        "Correct the header that the detail names.",
    ),
    ProblemType(
        "invalid-query",
        HTTPStatus.BAD_REQUEST,
        "A parameter of the address cannot be read.",
        "Correct the parameter that the detail names; take the cursor of the next page as the page before says it.",
    ),
    ProblemType(
        "invalid-json", HTTPStatus.BAD_REQUEST, "The body is no JSON object.", "Send one JSON object, in UTF-8."
    ),
    ProblemType(
        "invalid-body",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The body is not what it has to be.",
        "Correct the members that the errors point at.",
    ),
    ProblemType(
        "too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.", "A command has at most 16 KiB."
    ),
    ProblemType(
        "too-slow", HTTPStatus.REQUEST_TIMEOUT, "The body did not come in time.", "Send it at once.", "not-taken"
    ),
    ProblemType(
        "unsupported-media-type",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "The body is of a type that is not read here.",
        "Send 'Content-Type: application/json'.",
    ),
    ProblemType(
        "not-loaded",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "This instance has not read the events' figures yet.",
        "Ask again after Retry-After, or another instance.",
    ),
    ProblemType(
        "too-many-streams",
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many streams of this address are open.",
        "Close some: one stream of all events does for many.",
    ),
    ProblemType(
        "streams-full",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "This instance has as many streams open as it may have.",
        "Come again after Retry-After; meanwhile GET /v1/events tells the same.",
    ),
    ProblemType(
        "unknown-event", HTTPStatus.NOT_FOUND, "No event has this id.", "See /v1/events for those that are on sale."
    ),
    ProblemType(
        "no-such-purchase",
        HTTPStatus.NOT_FOUND,
        "There is no such purchase of this key.",
        "Name the Idempotency-Key of a purchase that the same API key made.",
    ),
    ProblemType(
        "not-known",
        HTTPStatus.NOT_FOUND,
        "Nothing is known of this request here.",
        "POST it again with the same Idempotency-Key: it gets its answer, and buys nothing twice.",
    ),
    ProblemType(
        "no-such-ticket",
        HTTPStatus.NOT_FOUND,
        "The purchase has no such ticket.",
        "Name tickets that the purchase has now: GET its request.",
    ),
    ProblemType(
        "not-yet",
        HTTPStatus.NOT_FOUND,
        "The ticket is not drawn yet.",
        "Ask again after as long as Retry-After says.",
    ),
    ProblemType(
        "ticket-cancelled",
        HTTPStatus.GONE,
        "The ticket is the buyer's no longer.",
        "Nothing: it was given back, or not paid for in time. It is on sale again, or somebody else's.",
    ),
    ProblemType(
        "event-archived",
        HTTPStatus.GONE,
        "The event was archived.",
        "Nothing: it is over. What was bought before stands in the ledger, and is not asked for here any more.",
    ),
    ProblemType(
        "event-cancelled",
        HTTPStatus.CONFLICT,
        "The event was called off.",
        "Nothing can be bought any more; what was bought is given back.",
    ),
    ProblemType(
        "not-on-sale-yet",
        HTTPStatus.CONFLICT,
        "The sale has not begun.",
        "Ask anew once it has, with a new key: this one stays refused. on_sale_at and Retry-After say when, if known.",
    ),
    ProblemType("sale-ended", HTTPStatus.CONFLICT, "The time to buy is over.", "Nothing can be bought any more."),
    ProblemType("sold-out", HTTPStatus.CONFLICT, "No ticket is left.", "One may come back: ask anew, with a new key."),
    ProblemType(
        "all-held",
        HTTPStatus.CONFLICT,
        "No ticket is left, but some are held that nobody has paid for yet.",
        "They may come back within minutes: ask anew, with a new key.",
    ),
    ProblemType(
        "not-enough-left",
        HTTPStatus.CONFLICT,
        "Fewer tickets are left than asked for.",
        "Ask for fewer, with a new key.",
    ),
    ProblemType("event-closed", HTTPStatus.CONFLICT, "The sale has ended.", "Nothing can be bought any more."),
    ProblemType(
        "earlier-rules",
        HTTPStatus.CONFLICT,
        "The event is sold by earlier rules, which give back whole purchases alone.",
        "Give the whole purchase back, or change the event first: any change moves it to the present rules.",
    ),
    ProblemType(
        "already-cancelled", HTTPStatus.CONFLICT, "The purchase was cancelled before.", "Nothing is left to be done."
    ),
    ProblemType(
        "not-held",
        HTTPStatus.CONFLICT,
        "The purchase was not paid for in time, and has no tickets any more.",
        "Nothing is left to be done. Who still wants tickets asks anew, with a new key.",
    ),
    ProblemType(
        "over-buyer-limit",
        HTTPStatus.CONFLICT,
        "The buyer would have more tickets than one buyer may.",
        "Ask for fewer, with a new key. What is held counts as well; the event's max_per_buyer is the limit.",
    ),
    ProblemType(
        "event-open",
        HTTPStatus.CONFLICT,
        "The event is still sold, or tickets of it are held.",
        "End its sale, wait until its holds have ended, and ask again.",
    ),
    ProblemType(
        "event-exists", HTTPStatus.CONFLICT, "Another request created this event.", "Choose another id for the event."
    ),
    ProblemType(
        "over-order-limit",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "More tickets than one order may have.",
        "Ask for no more than the event's max_per_order.",
    ),
    ProblemType(
        "unknown-category",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The event has no such category.",
        "Name one of the event's categories; an event that names none has one, general.",
    ),
    ProblemType(
        "idempotency-key-reused",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The Idempotency-Key belongs to another request.",
        "Choose a new key for what is a new request.",
    ),
    ProblemType(
        "rate-limited",
        HTTPStatus.TOO_MANY_REQUESTS,
        "The key, or the address, has asked too often.",
        "Wait for as long as Retry-After says.",
        "not-taken",
    ),
    ProblemType(
        "too-many-waiting",
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many requests of the key, or of the address, wait for their answers.",
        "Ask again when some were answered.",
        "not-taken",
    ),
    ProblemType(
        "unavailable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "A server behind the gateway does not answer.",
        "Ask again after as long as Retry-After says; what was bought stays bought.",
    ),
    ProblemType("overloaded", HTTPStatus.SERVICE_UNAVAILABLE, "More is asked than can be done.", _AGAIN, "not-taken"),
    ProblemType("draining", HTTPStatus.SERVICE_UNAVAILABLE, "This instance is ending.", _AGAIN, "not-taken"),
    ProblemType("not-taken", HTTPStatus.SERVICE_UNAVAILABLE, "Kafka has refused the command.", _AGAIN, "not-taken"),
    ProblemType(
        "outcome-unknown",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Kafka has not said whether it took the command.",
        "Send it again with the same Idempotency-Key: it gets its answer, and buys nothing twice.",
        "outcome-unknown",
    ),
    ProblemType(
        "internal-error",
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something failed here that should not.",
        "Send it again with the same Idempotency-Key; tell the operator the request's X-Request-Id.",
        "outcome-unknown",
    ),
)

OF_REASON: Final[Mapping[str, str]] = {
    "unknown_event": "unknown-event",
    "event_archived": "event-archived",
    "event_cancelled": "event-cancelled",
    "event_closed": "event-closed",
    "not_on_sale_yet": "not-on-sale-yet",
    "sale_ended": "sale-ended",
    "unknown_category": "unknown-category",
    "over_order_limit": "over-order-limit",
    "over_buyer_limit": "over-buyer-limit",
    "sold_out": "sold-out",
    "all_held": "all-held",
    "not_enough_left": "not-enough-left",
    "request_id_reused": "idempotency-key-reused",
    "event_exists": "event-exists",
    "event_open": "event-open",
    "no_such_purchase": "no-such-purchase",
    "no_such_ticket": "no-such-ticket",
    "earlier_rules": "earlier-rules",
    "already_cancelled": "already-cancelled",
    "not_held": "not-held",
}
"""The problem that a fact's reason is told as. What only payments and expiries are refused for comes to nobody here."""


def problem(name: str, detail: str, members: Mapping[str, Any] | None = None, fact: bytes | None = None) -> bytes:
    """The body that tells a problem. A fact goes in byte for byte."""
    kind = TYPES[name]
    body: dict[str, Any] = {
        "type": TYPES_PATH + name,
        "title": kind.title,
        "status": kind.status.value,
        "detail": detail,
    }
    if kind.taken is not None:
        body["outcome"] = kind.taken
    body.update(members or {})
    written = to_json(body)
    return written if fact is None else written[:-1] + b',"fact":' + fact + b"}"
