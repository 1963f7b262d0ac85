"""What several requests of the HTTP API share: parameters, headers, bodies, and how a caller shows who he is."""

from __future__ import annotations

from typing import Any, Final

from boxoffice.gateway.commands import SAID_ELSEWHERE
from boxoffice.gateway.events import MOST_LIMIT, USUAL_LIMIT
from boxoffice.gateway.preferences import DEFAULT_WAIT_S, KEY_PATTERN, LONGEST_WAIT_S
from boxoffice.schema.openapi_examples import CALLER, EVENT, KEYS, location
from boxoffice.schema.payloads import components, json_schemas
from models.api_keys import PREFIX, SCOPES
from models.members import EVENT_ID_PATTERN
from models.tickets import TICKET_PATTERN
from topics.purchase_requests import TRACE_HEADER

Json = dict[str, Any]

BEARER: Final = "apiKey"
ORDER_SECRET: Final = "orderSecret"  # noqa: S105 - a scheme's name

SECURITY_SCHEMES: Final[dict[str, Json]] = {
    BEARER: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": f"{PREFIX}_ID_SECRET",
        "description": "A key that `boxoffice keys create` has made. Its scopes: "
        + "; ".join(f"`{scope}`: {what}" for scope, what in SCOPES.items())
        + ".",
    },
    ORDER_SECRET: {
        "type": "apiKey",
        "in": "query",
        "name": "secret",
        "description": "An order's own secret, out of the `Location` of its answer. It opens that order alone.",
    },
}


# Parameters


_REQUIRED: Final = frozenset({"Idempotency-Key", "request"})


def _parameter(name: str, where: str, description: str, schema: Json, example: Any = None) -> Json:
    return {
        "name": name,
        "in": where,
        **({"required": True} if where == "path" or name in _REQUIRED else {}),
        "description": description,
        "schema": schema,
        **({} if example is None else {"example": example}),
    }


def _text(pattern: str | None = None, **further: Any) -> Json:
    return {"type": "string", **({} if pattern is None else {"pattern": f"^{pattern}$"}), **further}


PARAMETERS: Final[dict[str, Json]] = {
    "event": _parameter("event", "path", "The event's id.", _text(EVENT_ID_PATTERN), EVENT),
    "purchaseKey": _parameter(
        "key", "path", "The Idempotency-Key of the purchase, bare.", _text(KEY_PATTERN), KEYS["purchase"]
    ),
    "requestKey": _parameter(
        "key", "path", "The Idempotency-Key of the request, bare.", _text(KEY_PATTERN), KEYS["purchase"]
    ),
    "ticket": _parameter("ticket", "path", "The ticket's name.", _text(TICKET_PATTERN), f"{EVENT}-000001"),
    "problem": _parameter("name", "path", "A problem type's name.", _text("[a-z-]{1,40}"), "sold-out"),
    "idempotencyKey": _parameter(
        "Idempotency-Key",
        "header",
        "Names what a person asks for. The same key again, on any instance, is answered with the same fact and does "
        "nothing twice. Choose one for each thing that is asked for, and send it with each retry. Quotes may stand "
        "around it.",
        _text(f'({KEY_PATTERN}|"{KEY_PATTERN}")'),
        KEYS["purchase"],
    ),
    "prefer": _parameter(
        "Prefer",
        "header",
        f"`wait=S`: how many seconds the decision is waited for, 0 to {LONGEST_WAIT_S}; {DEFAULT_WAIT_S} where it is "
        "left out. `respond-async`: it is not waited for. What else it says is passed over (RFC 7240).",
        _text(),
        f"wait={DEFAULT_WAIT_S}",
    ),
    "requestId": _parameter(
        "X-Request-Id", "header", "A name for this very request in logs. One is made where it is left out.", _text()
    ),
    "traceparent": _parameter(TRACE_HEADER, "header", "W3C trace context; it goes on with the command.", _text()),
    "preferSoon": _parameter(
        "Prefer",
        "header",
        f"`wait=S`: how many seconds an answer is waited for, 0 to {LONGEST_WAIT_S}; it is not where this is left out.",
        _text(),
        "wait=5",
    ),
    "caller": _parameter(
        "caller", "query", "Whose request it is, by the id of his key: only with the scope `read`.", _text(), CALLER
    ),
    "cursor": _parameter("cursor", "query", "The `next_cursor` of the page before.", _text(EVENT_ID_PATTERN), EVENT),
    "limit": _parameter(
        "limit",
        "query",
        f"How many events a page has, at most; {USUAL_LIMIT} where it is left out.",
        {"type": "integer", "minimum": 1, "maximum": MOST_LIMIT, "default": USUAL_LIMIT},
        MOST_LIMIT,
    ),
    "request": _parameter(
        "request", "query", "The Idempotency-Key of the purchase.", _text(KEY_PATTERN), KEYS["purchase"]
    ),
    "ifNoneMatch": _parameter("If-None-Match", "header", "An `ETag` of before: 304 if it is still so.", _text()),
}


# Headers


def _header(description: str, schema: Json, example: Any = None) -> Json:
    return {"description": description, "schema": schema, **({} if example is None else {"example": example})}


_LIMITED: Final = '"[a-z]+"'
RESPONSE_HEADERS: Final[dict[str, Json]] = {
    "Location": _header(
        "Where it is said what has become of the request, with the order's own secret.",
        _text(),
        location(EVENT, KEYS["purchase"]),
    ),
    "Retry-After": _header("Seconds after which to ask again.", {"type": "integer", "minimum": 0}, 1),
    "Idempotent-Replayed": _header(
        "The fact was decided on an earlier request with this key: nothing was done now.",
        _text("true"),
        "true",
    ),
    "RateLimit-Policy": _header(
        "How many requests may come in how many seconds, of one instance of the gateway (IETF draft).",
        _text(rf"{_LIMITED};q=[0-9]+;w=[0-9]+(, *{_LIMITED};q=[0-9]+;w=[0-9]+)*"),
        '"key";q=2000;w=2',
    ),
    "RateLimit": _header(
        "How many may follow at once, and in how many seconds all are there again.",
        _text(rf"{_LIMITED};r=[0-9]+;t=[0-9]+(, *{_LIMITED};r=[0-9]+;t=[0-9]+)*"),
        '"key";r=1999;t=1',
    ),
    "X-Request-Id": _header("The request's name in logs: what came, or what was made.", _text()),
    "WWW-Authenticate": _header("How to show who one is.", _text(), 'Bearer realm="boxoffice"'),
    "Allow": _header("The methods that there are.", _text(), "POST"),
    "ETag": _header("The version: ask again with `If-None-Match`.", _text(), '"7"'),
    "Cache-Control": _header("Who may keep the answer, and for how long.", _text()),
}
LIMITS: Final = ("RateLimit-Policy", "RateLimit")


def header_references(*names: str) -> Json:
    """These headers of a response, and the one that all have."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, "X-Request-Id")}


# Bodies

_BODIES: Final = {
    "purchase": ("Purchase", "NewPurchase"),
    "cancel_purchase": ("CancelPurchase", "NewCancellation"),
    "create_event": ("CreateEvent", "NewEvent"),
    "change_event": ("ChangeEvent", "NewChange"),
    "add_tickets": ("AddTickets", "NewTickets"),
    "remove_tickets": ("RemoveTickets", "NewRemoval"),
    "close_event": ("CloseEvent", "NewClosing"),
    "cancel_event": ("CancelEvent", "NewCallingOff"),
    "archive_event": ("ArchiveEvent", "NewArchiving"),
}
_DESCRIPTIONS: Final = {
    "purchase": "Buy tickets, all or none: `quantity` of one category, or `lines` of several.",
    "cancel_purchase": "Give back the tickets of a purchase, or some. With `buyer` only if that is who bought them.",
}


def body_name(kind: str) -> str:
    """The name of the schema of a command's body."""
    return _BODIES[kind][1]


def body_schemas() -> dict[str, Json]:
    """The bodies of commands: the command's own schema, without what the path and the key say."""
    known = components()
    return {name: _body(kind, name, known[command]) for kind, (command, name) in _BODIES.items()}


def _body(kind: str, name: str, command: Json) -> Json:
    needless = SAID_ELSEWHERE - ({"event_id"} if kind == "create_event" else set())
    required = [member for member in command["required"] if member not in needless]
    schema = json_schemas()[kind]
    properties = {
        member: _narrowed(of_member, schema["properties"][member])
        for member, of_member in command["properties"].items()
        if member not in needless
    }
    return {
        **{keyword: value for keyword, value in _narrowed(command, schema).items() if keyword != "required"},
        "title": name,
        "description": _DESCRIPTIONS.get(kind, command["description"]),
        "properties": properties,
        **({"required": required} if required else {}),
    }


def _narrowed(component: Json, schema: Json) -> Json:
    """A component with the alternatives that its schema has beside its type: whoever checks a body needs them."""
    return {**component, "anyOf": schema["anyOf"]} if {"type", "anyOf"} <= schema.keys() else component


CALLERS_REQUEST: Final = f"{CALLER}:{KEYS['purchase']}"
"""What an Idempotency-Key becomes in facts: the caller's id stands before it."""
