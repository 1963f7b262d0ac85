"""All requests of the HTTP API: commands, what only reads, and what operators ask."""

from __future__ import annotations

from typing import Any, Final, get_args

from boxoffice.schema.examples import examples
from boxoffice.schema.openapi_examples import fact
from boxoffice.schema.openapi_operating import OPERATING, OPERATING_SCHEMAS
from boxoffice.schema.openapi_operations import (
    ASKING,
    COMMANDS,
    LOOKING,
    READING,
    Operation,
    allowed,
    content,
    reference,
)
from boxoffice.schema.openapi_parts import LIMITS, ORDER_SECRET, header_references
from models.shapes import DecisionFact

Json = dict[str, Any]

_FIGURES: Final = examples()["event_stats"].payload
_STREAM: Final = (
    f"retry: 3127\n\nevent: stats\nid: {_FIGURES['event_id']}-{_FIGURES['seq']}\ndata: {{…}}\n\nevent: beat\ndata:\n\n"
)
_LIVE: Final = ({"url": "http://127.0.0.1:8081", "description": "The live process, `boxoffice run live`."},)
_ANSWERS: Final = [model.__name__ for model in get_args(DecisionFact)]
"""A key with the scope `read` may look at what others asked for on Kafka as well."""

SCHEMAS: Final[dict[str, Json]] = {
    **OPERATING_SCHEMAS,
    "Events": {
        "type": "object",
        "title": "Events",
        "description": "Events by their numbers, a page at a time.",
        "properties": {
            "events": {"type": "array", "items": reference("EventFigures")},
            "next_cursor": {
                "type": ["string", "null"],
                "description": "The `cursor` of the next page; null on the last.",
            },
        },
        "required": ["events", "next_cursor"],
    },
    "RequestAnswer": {
        "title": "RequestAnswer",
        "description": "The fact that a request was answered with.",
        "oneOf": [reference(title) for title in _ANSWERS],
    },
    "ProblemType": {
        "type": "object",
        "title": "ProblemType",
        "description": "What a problem means, and what to do.",
        "properties": {
            "type": {"type": "string"},
            "status": {"type": "integer"},
            "title": {"type": "string"},
            "remedy": {"type": "string", "description": "What to do."},
            "outcome": {
                "type": "string",
                "enum": ["not-taken", "outcome-unknown"],
                "description": "Whether a command was taken.",
            },
        },
        "required": ["type", "status", "title", "remedy"],
    },
    "ProblemTypes": {
        "type": "object",
        "title": "ProblemTypes",
        "description": "Every type of problem.",
        "properties": {"problems": {"type": "array", "items": reference("ProblemType")}},
        "required": ["problems"],
    },
    "Index": {
        "type": "object",
        "title": "Index",
        "description": "What there is.",
        "properties": {
            "name": {"type": "string"},
            "links": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "required": ["name", "links"],
    },
}


# Watching: for everybody

_CACHED: Final = header_references("ETag", "Cache-Control")
_UNCHANGED: Final[Json] = {"description": "It is still what `If-None-Match` names.", "headers": _CACHED}


def _figures(
    path: str, name: str, summary: str, parameters: tuple[str, ...], answer: Json, *problems: str
) -> Operation:
    return Operation(
        "get",
        path,
        name,
        "watching",
        summary,
        "From the statistics, a moment behind the sale. Anybody may ask, and keep the answer for a second.",
        parameters=(*parameters, "ifNoneMatch", "requestId"),
        answers={"200": {**answer, "headers": _CACHED}, "304": _UNCHANGED},
        problems=(*problems, "not-loaded", *READING),
    )


def _stream(path: str, name: str, summary: str, parameters: tuple[str, ...], *problems: str) -> Operation:
    return Operation(
        "get",
        path,
        name,
        "watching",
        summary,
        "Server-sent events. `stats` has an event's figures whole, so that none that was missed matters; its `id` is "
        "EVENT-SEQ. `removed` says that it is no event any more. A comment comes every 15 s. Who reads too slowly is "
        "cut off, and comes again.",
        parameters=parameters,
        answers={
            "200": {
                "description": "Figures, each time that they change.",
                "headers": header_references("Cache-Control"),
                "content": content({"type": "string"}, _STREAM, "text/event-stream"),
            }
        },
        problems=(*problems, "too-many-streams", "streams-full", "draining"),
        servers=_LIVE,
    )


_WATCHING: Final = (
    _figures(
        "/v1/events",
        "listEvents",
        "All events, and what is left of each.",
        ("cursor", "limit"),
        {
            "description": "A page of events.",
            "content": content(reference("Events"), {"events": [_FIGURES], "next_cursor": None}),
        },
        "invalid-query",
    ),
    _figures(
        "/v1/events/{event}",
        "showEvent",
        "One event, and what is left of it.",
        ("event",),
        {"description": "The event's figures.", "content": content(reference("EventFigures"), _FIGURES)},
        "unknown-event",
    ),
    _stream(
        "/v1/events/{event}/stream",
        "followEvent",
        "An event's figures as they change.",
        ("event",),
        *("unknown-event", "not-loaded"),
    ),
    _stream("/v1/stream", "followEvents", "All events' figures as they change.", ()),
)


# Looking: for who asked, or has the order's secret

_WHOSE: Final = ({ORDER_SECRET: []}, *allowed("buy", "read", "events"))
_LOOKING: Final = (
    Operation(
        "get",
        "/v1/events/{event}/requests/{key}",
        "showRequest",
        "buying",
        "What has become of a request.",
        "With the key that made the request, one with the scope `read` and the `caller`, or the request's own secret. "
        "Of a purchase it is told what it is now: bought, held, paid for, expired, given back, or some of it. What "
        "nobody here knows is no answer: send the request again with the same Idempotency-Key. A refusal is known to "
        "the instance that heard it and to the ledger.",
        security=_WHOSE,
        parameters=("event", "requestKey", "caller", "preferSoon", "requestId"),
        answers={
            "200": {
                "description": "It was decided. The body is the fact; of a purchase the newest about it.",
                "headers": header_references(*LIMITS),
                "content": content(reference("RequestAnswer"), fact("purchase_confirmed")),
            },
            "202": {"description": "It is on its way.", "headers": header_references("Retry-After", *LIMITS)},
        },
        problems=(*ASKING, *LOOKING, "unknown-event", "not-known", "outcome-unknown"),
    ),
    Operation(
        "get",
        "/v1/events/{event}/tickets/{ticket}.pdf",
        "fetchTicket",
        "buying",
        "A ticket's PDF.",
        "With the secret of the order, or as the request itself is looked at. It may lie elsewhere: 303 says where.",
        security=_WHOSE,
        parameters=("event", "ticket", "request", "caller", "ifNoneMatch", "requestId"),
        answers={
            "200": {
                "description": "The PDF.",
                "headers": header_references("ETag", "Cache-Control", *LIMITS),
                "content": {"application/pdf": {}},
            },
            "303": {
                "description": "The store hands it out there, for a minute.",
                "headers": {
                    **header_references("Cache-Control", *LIMITS),
                    "Location": {"description": "Where.", "schema": {"type": "string"}},
                },
            },
            "304": _UNCHANGED,
        },
        problems=(
            *(*ASKING, *LOOKING, "not-found", "unknown-event", "not-known"),
            *("no-such-ticket", "not-yet", "ticket-cancelled"),
        ),
    ),
)


# About

_FOR_PEOPLE: Final = {"text/html": {"schema": {"type": "string"}}}


def _about(path: str, name: str, summary: str, media: Json, parameters: tuple[str, ...] = (), *more: str) -> Operation:
    return Operation(
        "get",
        path,
        name,
        "about",
        summary,
        parameters=(*parameters, "requestId"),
        answers={"200": {"description": summary, "headers": header_references("Cache-Control"), "content": media}},
        problems=(*more, *READING),
    )


_ABOUT: Final = (
    _about("/", "showIndex", "What there is.", {**content(reference("Index")), **_FOR_PEOPLE}),
    _about("/openapi.json", "showContract", "This document.", content({"type": "object"})),
    _about("/v1/problems", "listProblems", "What can go wrong.", {**content(reference("ProblemTypes")), **_FOR_PEOPLE}),
    _about(
        "/v1/problems/{name}",
        "showProblem",
        "What a problem means, and what to do.",
        {**content(reference("ProblemType")), **_FOR_PEOPLE},
        ("problem",),
        "not-found",
    ),
)

OPERATIONS: Final = (*COMMANDS, *_LOOKING, *_WATCHING, *OPERATING, *_ABOUT)
