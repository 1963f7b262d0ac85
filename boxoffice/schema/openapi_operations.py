"""The requests of the HTTP API: who may make them, and what they are answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from boxoffice.gateway.messages import JSON
from boxoffice.schema.openapi_examples import ANSWERS, BODIES, KEYS, accepted, fact, made
from boxoffice.schema.openapi_parts import BEARER, LIMITS, body_name, header_references
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
            again = ("Retry-After",) if status in _RETRIED else ()
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


def _fact_title(kind: str) -> str:
    return "".join(word.title() for word in ANSWERS[kind].split("_"))


def _command(
    kind: str, path: str, name: str, scope: Scope, summary: str, description: str, *problems: str
) -> Operation:
    """A request that becomes a command: all of them are answered alike."""
    in_path = {"create_event": (), "cancel_purchase": ("event", "purchaseKey")}.get(kind, ("event",))
    answers = {
        "201": {
            "description": f"The ledger holds it: `{ANSWERS[kind]}`. The body is the fact, byte for byte.",
            "headers": header_references("Location", "Idempotent-Replayed", *LIMITS),
            "content": content(reference(_fact_title(kind)), fact(kind)),
        },
        "202": {
            "description": "Kafka holds the command, and it will be decided. It was not waited for any longer: ask at "
            "`Location`, or send the request again with the same key.",
            "headers": header_references("Location", "Retry-After", *LIMITS),
        },
    }
    if kind == "purchase":
        answers["200"] = {
            "description": "A repeat of a purchase that was cancelled since: nothing was bought now. The body is the "
            "cancellation.",
            "headers": header_references("Location", "Idempotent-Replayed", *LIMITS),
            "content": content(reference(_fact_title("cancel_purchase")), fact("cancel_purchase")),
        }
    needs_body = bool(BODIES[kind])
    return Operation(
        "post",
        path,
        name,
        "events" if scope == "events" else "buying",
        summary,
        description,
        security=allowed(scope),
        parameters=(*in_path, "idempotencyKey", "prefer", "requestId", "traceparent"),
        body={"required": needs_body, "content": content(reference(body_name(kind)), BODIES[kind])},
        answers=dict(sorted(answers.items())),
        problems=(*_COMMAND, *problems),
    )


COMMANDS: Final = (
    _command(
        "purchase",
        "/v1/events/{event}/purchases",
        "buy",
        "buy",
        "Buy tickets.",
        "All or none. Tickets go to who asks first: in the order in which Kafka holds the requests.",
        *("unknown-event", "event-closed", "sold-out", "not-enough-left", "over-order-limit"),
    ),
    _command(
        "cancel_purchase",
        "/v1/events/{event}/purchases/{key}/cancellation",
        "cancel",
        "buy",
        "Give tickets back.",
        "Only a purchase that was made with a key of the same caller. Its tickets are on sale again.",
        *("unknown-event", "no-such-purchase", "already-cancelled"),
    ),
    _command(
        "create_event",
        "/v1/events",
        "createEvent",
        "events",
        "Put an event on sale.",
        "The body names the event. A number that an event has is never another's.",
        "event-exists",
    ),
    _command(
        "add_tickets",
        "/v1/events/{event}/tickets",
        "addTickets",
        "events",
        "Add tickets to an event.",
        "They come behind all others.",
        *("unknown-event", "event-closed"),
    ),
    _command(
        "close_event",
        "/v1/events/{event}/closing",
        "closeEvent",
        "events",
        "End a sale.",
        "Purchases can still be cancelled. The body may be left out.",
        *("unknown-event", "event-closed"),
    ),
)
assert accepted("purchase").status == 202, "what the gateway answers is what is told here"  # noqa: PLR2004
assert all(made(kind).status == 201 for kind in KEYS), "what the gateway answers is what is told here"  # noqa: PLR2004
