"""What a caller is told: his fact, byte for byte, or what has become of his command so far."""

from __future__ import annotations

from typing import Any, Final

from pydantic_core import from_json

from boxoffice.gateway import problems
from boxoffice.gateway.messages import JSON, Headers, Problem, Response
from boxoffice.gateway.waiters import Outcome, Result, Waiter
from models.facts import ce_type

RETRY_AFTER_S: Final = 1

_MADE: Final = {
    ce_type(kind): kind
    for kind in ("purchase_confirmed", "purchase_cancelled", "event_created", "tickets_added", "event_closed")
}
_RETRY: Final = [("retry-after", str(RETRY_AFTER_S))]


def answer(result: Result, waiter: Waiter, wanted: str, location: str) -> Response:
    """The response to a command; ``wanted`` is the type of the fact that does what it asked for.

    Raises:
        Problem: it was refused, or nobody can say.
    """
    match result.outcome:
        case Outcome.ANSWERED:
            return _answered(result, waiter, wanted, location)
        case Outcome.ACCEPTED:
            return Response(202, [("location", location), *_RETRY])
        case Outcome.REFUSED:
            raise Problem("not-taken", "Kafka has refused the command: nothing was bought.", headers=_RETRY)
        case Outcome.UNKNOWN:
            raise Problem("outcome-unknown", "Kafka has not acknowledged the command in time.", headers=_RETRY)


def _answered(result: Result, waiter: Waiter, wanted: str, location: str) -> Response:
    kind = _MADE.get(result.kind)
    if kind is None:
        raise _refused(result.fact)
    headers: Headers = [("content-type", JSON), ("location", location)]
    if not _answers_itself(result.fact, waiter):
        headers.append(("idempotent-replayed", "true"))
    # A purchase that was cancelled since is answered by what became of it: nothing was made.
    return Response(201 if kind == wanted else 200, headers, result.fact)


def _answers_itself(fact: bytes, waiter: Waiter) -> bool:
    """Whether the fact was decided on this very command; a repeat is answered with the fact of the first."""
    return b'"source":{"partition":%d,"offset":%d}' % (waiter.partition, waiter.landed or 0) in fact


def _refused(fact: bytes) -> Problem:
    members: dict[str, Any] = from_json(fact)
    reason = str(members.get("reason", ""))
    name = problems.OF_REASON.get(reason)
    if name is None:
        return Problem("outcome-unknown", "The answer is of a kind that this release does not know.", fact=fact)
    return Problem(name, problems.TYPES[name].title, members={"reason": reason}, fact=fact)
