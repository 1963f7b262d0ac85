"""Commands from HTTP bodies: a body has the members of its command but for those that the path and the key say."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from boxoffice.gateway.messages import JSON, Problem, Request
from models.commands import BY_TYPE, MAX_COMMAND_BYTES, MAX_NAME_SHOWN, fault_of, without_nulls
from models.members import EVENT_ID_PATTERN, MAX_EVENT_ID

_EVENT_ID: Final = re.compile(EVENT_ID_PATTERN)
SAID_ELSEWHERE: Final = frozenset({"type", "event_id", "request_id", "purchase", "actor"})
"""Members of commands that no body has: the path and the key say them. Where no path names the event, its body does."""
KINDS: Final = (
    *("purchase", "cancel_purchase"),
    *("create_event", "change_event", "add_tickets", "remove_tickets", "close_event", "cancel_event", "archive_event"),
)
"""The commands that come over HTTP. What a payment or a deadline says is said by those who know of it, on Kafka."""

_VALIDATE: Final = {kind: TypeAdapter(BY_TYPE[kind]).validator.validate_python for kind in KINDS}
_MOST_ERRORS: Final = 20


@lru_cache(maxsize=4_096)
def event_id_in(path_part: str) -> str:
    """The event that a path names.

    Raises:
        Problem: no event can have this id.
    """
    if not _EVENT_ID.fullmatch(path_part):
        raise Problem("unknown-event", "An event's id is a decimal number of 1 to 18 digits without leading zeros.")
    return path_part


def event_id_of(members: dict[str, Any]) -> str:
    """The event that a body names, which is taken out of it.

    Raises:
        Problem: no event can have this id.
    """
    found = members.pop("event_id", None)
    event_id = str(found) if type(found) is int and 0 <= found <= MAX_EVENT_ID else found
    if not isinstance(event_id, str) or not _EVENT_ID.fullmatch(event_id):
        error = _error("event_id", why="must be a decimal number of 1 to 18 digits without leading zeros")
        raise Problem("invalid-body", error["detail"], members={"errors": [error]})
    return event_id


def request_id(caller_id: str, key: str) -> str:
    """The command's request id: the caller's id stands before his key, so that nobody fetches another's tickets."""
    return f"{caller_id}:{key}"


def read_body(request: Request) -> dict[str, Any]:
    """The members of a body; none where it is empty. A member that is null counts as left out, as everywhere.

    Raises:
        Problem: it is no JSON object, or does not say that it is JSON.
    """
    if not request.body:
        return {}
    if not _is_json(request.header("content-type")):
        raise Problem("unsupported-media-type", "The body has to be application/json.")
    try:
        members = from_json(request.body, allow_inf_nan=False)
    except ValueError as error:
        raise Problem("invalid-json", f"The body is no JSON: {error}.") from None
    if not isinstance(members, dict):
        raise Problem("invalid-json", "The body is JSON, but no object.")
    return without_nulls(members) if b"null" in request.body else members


def command(kind: str, event_id: str, request: str, members: dict[str, Any], **said: Any) -> bytes:
    """The command's bytes, with a body's members and what was said elsewhere.

    Raises:
        Problem: it breaks a bound; the errors point at the members.
    """
    errors: list[dict[str, str]] = []
    if not SAID_ELSEWHERE.isdisjoint(members):
        errors = [_error(name, why="no such member is known here") for name in SAID_ELSEWHERE.intersection(members)]
        members = {name: value for name, value in members.items() if name not in SAID_ELSEWHERE}
    whole = {**members, "type": kind, "event_id": event_id, "request_id": request, **said}
    try:
        found = _VALIDATE[kind](whole)
    except ValidationError as error:
        errors += _errors(error)
    else:
        # Of most purchases no member has to do with another.
        fault = fault_of(found) if kind != "purchase" or "lines" in members else None
        if fault is not None:
            where, _, why = fault.partition(": ")
            errors.append(_error(where, why=why))
    if errors:
        raise _invalid(errors)
    written = to_json(whole)
    if len(written) > MAX_COMMAND_BYTES:
        raise Problem("too-large", f"The command has {len(written)} bytes, more than {MAX_COMMAND_BYTES}.")
    return written


_Body = TypeVar("_Body", bound=BaseModel)


def body_as(model: type[_Body], request: Request) -> _Body:
    """A body that is no command's.

    Raises:
        Problem: it is no JSON object, or breaks a bound.
    """
    try:
        return model.model_validate(read_body(request))
    except ValidationError as error:
        raise _invalid(_errors(error)) from None


def _is_json(content_type: str | None) -> bool:
    return content_type in (JSON, None) or content_type.partition(";")[0].strip().lower() == JSON


def _invalid(errors: list[dict[str, str]]) -> Problem:
    return Problem("invalid-body", errors[0]["detail"], members={"errors": errors[:_MOST_ERRORS]})


def _errors(error: ValidationError) -> list[dict[str, str]]:
    details = error.errors(include_input=False, include_url=False, include_context=False)
    return [_error(*detail["loc"], why=detail["msg"]) for detail in details]


def _error(*where: str | int, why: str) -> dict[str, str]:
    """What is wrong with a member, and a JSON pointer to it (RFC 6901); without one it is the whole."""
    names = [str(part)[:MAX_NAME_SHOWN] for part in where]
    pointer = "".join(f"/{name.replace('~', '~0').replace('/', '~1')}" for name in names)
    return {"pointer": pointer, "detail": f"{'.'.join(names)}: {why}" if names else why}
