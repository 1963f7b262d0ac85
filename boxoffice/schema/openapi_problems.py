"""What can go wrong at the front door, as schemas and as a page, out of the one list of problem types."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any, Final

from boxoffice.gateway import problems
from boxoffice.gateway.openings import TOO_EARLY
from boxoffice.gateway.problems import MEDIA_TYPE, TYPES, TYPES_PATH, ProblemType
from boxoffice.schema.openapi_examples import problem

Json = dict[str, Any]

_REASONS: Final = {name: reason for reason, name in problems.OF_REASON.items()}
_WITHOUT_A_FACT_TOO: Final = frozenset({"unknown-event", "no-such-purchase", "no-such-ticket"})
"""What is sometimes found before the ledger is asked."""
_REFUSED: Final = [{"$ref": f"#/components/schemas/{name}"} for name in ("PurchaseRejected", "CommandRejected")]
_TAKEN: Final = {
    "not-taken": "no: nothing was bought",
    "outcome-unknown": "perhaps: send it again with the same key",
    None: "",
}
_PAGE: Final = f"""# Problems of the gateway

What is not done is told as `{MEDIA_TYPE}` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)). Its `type` ends
with a name of this list, which never changes; `title` and `detail` are for people, and may. Where the ledger refused a
command, `reason` and `fact` have its own words. [The guide](http.md#problems) says how to read one. This page is made
from the definitions, by `boxoffice schema --write docs`.

*Taken* says of a command whether it may have been carried out all the same, as `outcome` does in the problem. Where it
is empty it was not: it was refused, or it was none.

| type | status | what happened | what to do | taken |
|---|---:|---|---|---|
"""


def schema_name(name: str) -> str:
    """The name of a problem type's schema."""
    return "Problem" + "".join(word.title() for word in name.split("-"))


def problem_schemas() -> dict[str, Json]:
    """A schema for each type of problem, and one for what all have in common."""
    return {"Problem": _COMMON, "BodyError": _ERROR, **{schema_name(name): _schema(TYPES[name]) for name in TYPES}}


_COMMON: Final[Json] = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong (RFC 9457). Members that are not known are to be passed over.",
    "properties": {
        "type": {"type": "string", "description": "Which problem it is: a page that says more."},
        "title": {"type": "string", "description": "The problem in a sentence, the same each time."},
        "status": {"type": "integer", "description": "The response's status."},
        "detail": {"type": "string", "description": "What it is this time, in a sentence for people."},
    },
    "required": ["type", "title", "status", "detail"],
}
_ERROR: Final[Json] = {
    "type": "object",
    "title": "BodyError",
    "description": "What is wrong with one member of a body.",
    "properties": {
        "pointer": {"type": "string", "description": "A JSON Pointer (RFC 6901) into the body."},
        "detail": {"type": "string", "description": "What is wrong with the member."},
    },
    "required": ["pointer", "detail"],
}


def _schema(kind: ProblemType) -> Json:
    title = schema_name(kind.name)
    own = {
        "type": {"type": "string", "const": TYPES_PATH + kind.name},
        "title": {"type": "string", "const": kind.title},
        "status": {"type": "integer", "const": kind.status.value},
        "detail": {"type": "string"},
        **_further(kind),
    }
    optional = {"fact", "reason"} if kind.name in _WITHOUT_A_FACT_TOO else {"errors", "on_sale_at"}
    return {
        "type": "object",
        "title": title,
        "description": f"{kind.title} {kind.remedy}",
        "properties": own,
        "required": [name for name in own if name not in optional],
        "examples": [problem(kind.name)],
    }


def _further(kind: ProblemType) -> Json:
    """The members that not every problem has."""
    further: Json = {}
    if kind.taken is not None:
        further["outcome"] = {"type": "string", "const": kind.taken, "description": "Whether the command was taken."}
    if kind.name == "invalid-body":
        errors = {"type": "array", "items": {"$ref": "#/components/schemas/BodyError"}, "minItems": 1}
        further["errors"] = {**errors, "description": "What is wrong with which member."}
    if kind.name == TOO_EARLY:
        further["on_sale_at"] = {"type": "string", "description": "When the sale begins, where that is known here."}
    if kind.name in _REASONS:
        further["reason"] = {"type": "string", "const": _REASONS[kind.name], "description": "The fact's."}
        further["fact"] = {"oneOf": _REFUSED, "description": "As it stands in the ledger."}
    return further


def by_status(names: Collection[str]) -> dict[str, list[str]]:
    """Problems by their status, in the order of the statuses and of the list."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for name in TYPES:
        if name in names:
            found[TYPES[name].status.value].append(name)
    return {str(status): found[status] for status in sorted(found)}


def problem_response(names: list[str]) -> Json:
    """The response that is any of these problems, which have one status."""
    references = [{"$ref": f"#/components/schemas/{schema_name(name)}"} for name in names]
    return {
        "description": " ".join(f"`{name}`: {TYPES[name].title}" for name in names),
        "content": {MEDIA_TYPE: {"schema": references[0] if len(references) == 1 else {"oneOf": references}}},
    }


def problems_page() -> str:
    """``docs/problems.md``: every type of problem."""
    rows = (
        f"| `{kind.name}` | {kind.status.value} | {kind.title} | {kind.remedy} | {_TAKEN[kind.taken]} |\n"
        for kind in sorted(TYPES.values(), key=lambda kind: kind.status.value)
    )
    return _PAGE + "".join(rows)
