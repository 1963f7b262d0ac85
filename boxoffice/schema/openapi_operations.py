"""The requests of the HTTP API: who may make them, and what they are answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from boxoffice.gateway.messages import JSON
from boxoffice.gateway.openings import TOO_EARLY
from boxoffice.schema.openapi_examples import (
    ANSWERS,
    BODIES,
    HELD_BODY,
    HELD_EVENT_BODY,
    KEYS,
    SINCE,
    accepted,
    fact,
    fact_since,
    made,
)
from boxoffice.schema.openapi_parts import BEARER, LIMITS, body_name, body_schemas, header_references
from boxoffice.schema.openapi_problems import by_status, problem_response
from models.api_keys import Scope

Json = dict[str, Any]

# What every request may be told, and what else by what it does.
_ALL: Final = ("invalid-header", "rate-limited", "too-large", "too-slow", "internal-error")
READING: Final = (*_ALL, "too-many-waiting", "overloaded")
ASKING: Final = (*_ALL, "unauthenticated", "forbidden")
LOOKING: Final = ("invalid-query", "unavailable", *READING)
BODY: Final = ("invalid-json", "unsupported-media-type", "invalid-body")
_COMMAND: Final = (
    *ASKING,
    *BODY,
    "idempotency-key-missing",
    "idempotency-key-reused",
    "too-many-waiting",
    "overloaded",
    "draining",
    "not-taken",
    "outcome-unknown",
)
_RESPONSES: Final = "#/components/responses/"
_RETRIED: Final = frozenset({"429", "503"})
_UNLIMITED: Final = frozenset({"401", "408"})
"""Told before anybody knows whose the request is."""


@dataclass(frozen=True)
class Operation:
    """One request: where it goes, what it says, and what it is told."""

    method: str
    path: str
    name: str
    tag: str
    summary: str
    description: str = ""
    security: tuple[Json, ...] = ()
    parameters: tuple[str, ...] = ()
    body: Json | None = None
    answers: Json = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    servers: tuple[Json, ...] = ()

    def document(self) -> Json:
        """The operation as OpenAPI has it."""
        return {
            "operationId": self.name,
            "tags": [self.tag],
            "summary": self.summary,
            **({"description": self.description} if self.description else {}),
            "security": list(self.security),
            **({"servers": list(self.servers)} if self.servers else {}),
            "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in self.parameters],
            **({} if self.body is None else {"requestBody": self.body}),
            "responses": {**self.answers, **self._problems()},
        }

    def _problems(self) -> Json:
        return {status: {"$ref": f"{_RESPONSES}{name}"} for status, (name, _) in self.told().items()}

    def told(self) -> dict[str, tuple[str, Json]]:
        """By status, the responses that are problems, each with the name under which requests share it."""
        is_limited = "rate-limited" in self.problems
        told = {}
        for status, names in by_status(self.problems).items():
            limits = LIMITS if is_limited and status not in _UNLIMITED else ()
            again = ("Retry-After",) if status in _RETRIED or TOO_EARLY in names else ()
            challenge = ("WWW-Authenticate",) if status == "401" else ()
            headers = header_references(*again, *challenge, *limits)
            name = "-".join((status, *names, *(() if limits or status in _UNLIMITED else ("unlimited",))))
            told[status] = name, {**problem_response(names), "headers": headers}
        return told


def reference(name: str) -> Json:
    """A schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def allowed(*scopes: Scope) -> tuple[Json, ...]:
    """A key with any of these scopes is needed."""
    return tuple({BEARER: [scope]} for scope in scopes)


def content(schema: Json, example: Any = None, media_type: str = JSON) -> Json:
    """A body of a type."""
    return {media_type: {"schema": schema, **({} if example is None else {"example": example})}}


def _contents(schema: Json, examples: Json) -> Json:
    """A body with an example, or with several by their names."""
    if len(examples) == 1:
        return content(schema, *examples.values())
    return {JSON: {"schema": schema, "examples": {name: {"value": value} for name, value in examples.items()}}}


def fact_title(kind: str) -> str:
    """The name of the schema of a type of facts."""
    return "".join(word.title() for word in kind.split("_"))


def _told_by(facts: dict[str, Json]) -> Json:
    """A body that is a fact of one of these types, of which each has its example."""
    schemas = [reference(fact_title(kind)) for kind in facts]
    return _contents(schemas[0] if len(schemas) == 1 else {"oneOf": schemas}, facts)


def _bodies(kind: str) -> Json:
    """What a caller may send."""
    return {
        "purchase": {"plain": BODIES[kind], "lines": HELD_BODY},
        "create_event": {"plain": BODIES[kind], "categories": HELD_EVENT_BODY},
    }.get(kind, {"plain": BODIES[kind]})


def _command(
    kind: str, path: str, name: str, scope: Scope, summary: str, description: str, *problems: str
) -> Operation:
    """A request that becomes a command: all of them are answered alike."""
    in_path = {"create_event": (), "cancel_purchase": ("event", "purchaseKey")}.get(kind, ("event",))
    kinds = ", or ".join(f"`{made}`" for made in ANSWERS[kind])
    answers = {
        "201": {
            "description": f"The ledger holds it: {kinds}. The body is the fact, byte for byte.",
            "headers": header_references("Location", "Idempotent-Replayed", *LIMITS),
            "content": _told_by({made: fact(made) for made in ANSWERS[kind]}),
        },
        "202": {
            "description": "Kafka holds the command, and it will be decided. It was not waited for any longer: ask at "
            "`Location`, or send the request again with the same key.",
            "headers": header_references("Location", "Retry-After", *LIMITS),
        },
    }
    if kind in SINCE:
        answers["200"] = {
            "description": "A repeat of a purchase of which more has become since: nothing was bought now. The body is "
            "the newest fact about it: it was paid for, it was not in time, or tickets of it were given back.",
            "headers": header_references("Location", "Idempotent-Replayed", *LIMITS),
            "content": _told_by({since: fact_since(since) for since in SINCE[kind]}),
        }
    needs_body = "required" in body_schemas()[body_name(kind)]
    return Operation(
        "post",
        path,
        name,
        "events" if scope == "events" else "buying",
        summary,
        description,
        security=allowed(scope),
        parameters=(*in_path, "idempotencyKey", "prefer", "requestId", "traceparent"),
        body={"required": needs_body, "content": _contents(reference(body_name(kind)), _bodies(kind))},
        answers=dict(sorted(answers.items())),
        problems=(*_COMMAND, *problems),
    )


_OF_AN_EVENT: Final = ("unknown-event", "event-archived")
_OF_A_SALE: Final = (*_OF_AN_EVENT, "event-cancelled", "event-closed")
_OF_WHAT_IS_LEFT: Final = ("unknown-category", "sold-out", "all-held", "not-enough-left")

COMMANDS: Final = (
    _command(
        "purchase",
        "/v1/events/{event}/purchases",
        "buy",
        "buy",
        "Buy tickets.",
        "All or none. Tickets go to who asks first: in the order in which Kafka holds the requests. Where the event "
        "has a `hold_s` and they cost something, they are held until they are paid for: 201 with `purchase_held`, "
        "`due` and `amount`.",
        *_OF_A_SALE,
        *("not-on-sale-yet", "sale-ended", *_OF_WHAT_IS_LEFT, "over-order-limit", "over-buyer-limit"),
    ),
    _command(
        "cancel_purchase",
        "/v1/events/{event}/purchases/{key}/cancellation",
        "cancel",
        "buy",
        "Give tickets back.",
        "All tickets of a purchase, or some; held ones too. Only of a purchase that was made with a key of the same "
        "caller. They are on sale again.",
        *(*_OF_AN_EVENT, "no-such-purchase", "no-such-ticket", "earlier-rules", "already-cancelled", "not-held"),
    ),
    _command(
        "create_event",
        "/v1/events",
        "createEvent",
        "events",
        "Put an event on sale.",
        "The body names the event. A number that an event has is never another's.",
        *("event-exists", "event-archived"),
    ),
    _command(
        "change_event",
        "/v1/events/{event}/change",
        "changeEvent",
        "events",
        "Change an event.",
        "What is not named stays as it is. What was bought keeps its price, what is held its time. A limit of 0 is no "
        "limit.",
        *(*_OF_AN_EVENT, "event-cancelled", "unknown-category"),
    ),
    _command(
        "add_tickets",
        "/v1/events/{event}/tickets",
        "addTickets",
        "events",
        "Add tickets to an event.",
        "They come behind all others of their category.",
        *(*_OF_A_SALE, "unknown-category"),
    ),
    _command(
        "remove_tickets",
        "/v1/events/{event}/removal",
        "removeTickets",
        "events",
        "Take tickets from sale.",
        "From the tail of what is left, all or none: nobody loses what he has.",
        *(*_OF_A_SALE, *_OF_WHAT_IS_LEFT),
    ),
    _command(
        "close_event",
        "/v1/events/{event}/closing",
        "closeEvent",
        "events",
        "End a sale.",
        "Purchases can still be paid for and cancelled. The body may be left out.",
        *_OF_A_SALE,
    ),
    _command(
        "cancel_event",
        "/v1/events/{event}/cancellation",
        "cancelEvent",
        "events",
        "Call an event off.",
        "Nothing is sold any more. Its purchases are given back one by one, by `boxoffice event cancel`. The body may "
        "be left out.",
        *(*_OF_AN_EVENT, "event-cancelled"),
    ),
    _command(
        "archive_event",
        "/v1/events/{event}/archiving",
        "archiveEvent",
        "events",
        "Let an event be forgotten.",
        "Of an event whose sale has ended, and of which nothing is held. It stands in the ledger alone then, and all "
        "that comes later is answered `event-archived`: a repeat of this request too. The body may be left out.",
        *(*_OF_AN_EVENT, "event-open"),
    ),
)
assert accepted("purchase").status == 202, "what the gateway answers is what is told here"  # noqa: PLR2004
assert all(made(kind).status == 201 for kind in KEYS), "what the gateway answers is what is told here"  # noqa: PLR2004
