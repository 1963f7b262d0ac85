"""What a caller is told: his fact, byte for byte, or what has become of his command so far."""

from __future__ import annotations

from typing import Any, Final

from pydantic_core import from_json

from boxoffice.gateway import problems
from boxoffice.gateway.desk import Reply
from boxoffice.gateway.messages import JSON, Headers, Problem, Response
from boxoffice.gateway.waiters import Outcome
from models.facts import ce_type

RETRY_AFTER_S: Final = 1

MADE: Final = frozenset(
    ce_type(kind)
    for kind in (
        *("purchase_confirmed", "purchase_held", "hold_expired", "purchase_cancelled"),
        *("event_created", "event_changed", "tickets_added", "tickets_removed"),
        *("event_closed", "event_cancelled", "event_archived"),
    )
)
"""The types on the ledger of facts that do something."""
_RETRY: Final = [("retry-after", str(RETRY_AFTER_S))]


def answer(reply: Reply, request_id: str, location: str) -> Response:
    """The response to a command of that request id.

    Raises:
        Problem: it was refused, or nobody can say.
    """
    match reply.result.outcome:
        case Outcome.ANSWERED:
            return _answered(reply, request_id, location)
        case Outcome.ACCEPTED:
            return Response(202, [("location", location), *_RETRY])
        case Outcome.REFUSED:
            raise Problem("not-taken", "Kafka has refused the command: nothing was bought.", headers=_RETRY)
        case Outcome.UNKNOWN:
            raise Problem("outcome-unknown", "Kafka has not acknowledged the command in time.", headers=_RETRY)


def _answered(reply: Reply, request_id: str, location: str) -> Response:
    fact = reply.result.fact
    if reply.result.kind not in MADE:
        raise _refused(fact)
    headers: Headers = [("content-type", JSON), ("location", location)]
    if _answers_itself(reply):
        return Response(201, headers, fact)
    headers.append(("idempotent-replayed", "true"))
    # A purchase that was given back, paid for or left to expire since is answered by what became of it: by the fact of
    # another request. Nothing was made.
    return Response(201 if b'"request_id":"%b"' % request_id.encode() in fact else 200, headers, fact)


def _answers_itself(reply: Reply) -> bool:
    """Whether the fact was decided on this very command; a repeat is answered with the fact of the first."""
    return b'"source":{"partition":%d,"offset":%d}' % (reply.partition, reply.offset or 0) in reply.result.fact


def _refused(fact: bytes) -> Problem:
    members = _members(fact)
    reason = str(members.get("reason", ""))
    if members.get("type") == "command_unreadable":
        return Problem("invalid-body", f"The box office cannot read the command: {reason}.", fact=fact)
    name = problems.OF_REASON.get(reason)
    if name is None:
        fact_shown = fact if members else None
        return Problem("outcome-unknown", "The answer is of a kind that this release does not know.", fact=fact_shown)
    return Problem(name, problems.TYPES[name].title, members={"reason": reason}, fact=fact)


def _members(fact: bytes) -> dict[str, Any]:
    """Of what lies in the ledger; none of what is no fact, which somebody else has written there."""
    try:
        members = from_json(fact)
    except ValueError:
        return {}
    return members if isinstance(members, dict) else {}
