"""What operators ask over HTTP: with a key that has the scope ``admin``, or on the process' own port."""

from __future__ import annotations

from typing import Any, Final

from boxoffice.gateway.administration import LONGEST_DRILL_S, MOST_EVENTS, Drill
from boxoffice.schema.openapi_operations import ASKING, BODY, Operation, allowed, content, reference
from boxoffice.schema.openapi_parts import LIMITS, header_references
from models.members import EVENT_ID_PATTERN

Json = dict[str, Any]

_INTERNAL: Final = (
    {"url": "http://127.0.0.1:9464", "description": "The process' own port (`BOXOFFICE_HEALTH_PORT`): for no caller."},
)
_EVENTS: Final = {"type": "array", "items": {"type": "string", "pattern": f"^{EVENT_ID_PATTERN}$"}}
_USUAL_S: Final = Drill.model_fields["duration_s"].default
_OBJECT: Final = {"type": "object"}

OPERATING_SCHEMAS: Final[dict[str, Json]] = {
    "NewRebuild": {
        "type": "object",
        "title": "NewRebuild",
        "description": "Load events anew into Redis from the ledger, while sales go on: some, or all.",
        "properties": {
            "events": {**_EVENTS, "maxItems": MOST_EVENTS, "default": []},
            "all": {"type": "boolean", "default": False},
        },
        "additionalProperties": False,
        "oneOf": [
            {"properties": {"events": {"minItems": 1}, "all": {"const": False}}, "required": ["events"]},
            {"properties": {"events": {"maxItems": 0}, "all": {"const": True}}, "required": ["all"]},
        ],
    },
    "Rebuilding": {
        "type": "object",
        "title": "Rebuilding",
        "description": "It is under way.",
        "properties": {"rebuilding": {"anyOf": [_EVENTS, {"type": "string", "const": "all"}]}},
        "required": ["rebuilding"],
    },
    "Rebuilt": {
        "type": "object",
        "title": "Rebuilt",
        "description": "It is done.",
        "properties": {"rebuilt": {"type": "object", "description": "How far each event is in Redis."}},
        "required": ["rebuilt"],
    },
    "NewDrill": {
        "type": "object",
        "title": "NewDrill",
        "description": "Let the workers decide without Redis for a while, for practice; or let it decide again.",
        "properties": {
            "on": {"type": "boolean"},
            "duration_s": {"type": "integer", "minimum": 1, "maximum": LONGEST_DRILL_S, "default": _USUAL_S},
        },
        "required": ["on"],
        "additionalProperties": False,
    },
    "Drill": {
        "type": "object",
        "title": "Drill",
        "description": "Whether a drill is on now.",
        "properties": {
            "on": {"type": "boolean"},
            "ends_in_s": {"type": "integer", "description": "After so long it ends by itself."},
            "was_on": {"type": "boolean", "description": "Whether one was ended."},
        },
        "required": ["on"],
    },
    "Metrics": {
        "type": "object",
        "title": "Metrics",
        "description": "What was sold, and how the box office is.",
        "properties": {
            "global": {**_OBJECT, "description": "All events together."},
            "events": {"type": "array", "items": _OBJECT, "description": "Each event."},
            "system": {**_OBJECT, "description": "Processes, Redis, whether workers decide without it."},
            "pdf": {**_OBJECT, "description": "Documents."},
        },
        "required": ["global", "events", "system", "pdf"],
    },
}


def _asked(path: str, name: str, summary: str, body: Json, answers: Json, *problems: str) -> Operation:
    return Operation(
        "post",
        path,
        name,
        "operating",
        summary,
        security=allowed("admin"),
        parameters=("prefer", "requestId") if "202" in answers else ("requestId",),
        body={"required": True, "content": body},
        answers=answers,
        problems=(*ASKING, *BODY, *problems),
    )


def _internal(path: str, name: str, summary: str, media: Json) -> Operation:
    answers = {"200": {"description": summary, "content": media}, "503": {"description": "Not so."}}
    return Operation("get", path, name, "operating", summary, answers=answers, servers=_INTERNAL)


_TEXT: Final = {"text/plain": {"schema": {"type": "string"}}}

OPERATING: Final = (
    _asked(
        "/v1/admin/rebuild",
        "rebuildEvents",
        "Load events anew into Redis.",
        content(reference("NewRebuild"), {"events": ["42"]}),
        {
            "200": {
                "description": "It is done.",
                "headers": header_references(*LIMITS),
                "content": content(reference("Rebuilt")),
            },
            "202": {
                "description": "It goes on, and the wait is over.",
                "headers": header_references("Retry-After", *LIMITS),
                "content": content(reference("Rebuilding"), {"rebuilding": ["42"]}),
            },
        },
        *("too-many-waiting", "unknown-event", "unavailable"),
    ),
    _asked(
        "/v1/admin/drill",
        "drill",
        "Let workers decide without Redis, or with it again.",
        content(reference("NewDrill"), {"on": True, "duration_s": 600}),
        {
            "200": {
                "description": "Workers hear of it within about a second.",
                "headers": header_references(*LIMITS),
                "content": content(reference("Drill"), {"on": True, "ends_in_s": 600}),
            }
        },
        "unavailable",
    ),
    _internal(
        "/metrics",
        "metrics",
        "Figures as JSON, or metrics for Prometheus, by `Accept`.",
        {**content(reference("Metrics")), **_TEXT},
    ),
    _internal("/health", "health", "It is well.", content(_OBJECT)),
    _internal("/health/live", "live", "It makes progress.", content(_OBJECT)),
    _internal("/health/ready", "ready", "It takes requests.", content(_OBJECT)),
)
