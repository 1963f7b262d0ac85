"""``GET …/requests/{key}``: what became of a request."""

from __future__ import annotations

from boxoffice.gateway.admission import Admission
from boxoffice.gateway.commands import event_id_in
from boxoffice.gateway.lookup import Lookup, State
from boxoffice.gateway.messages import JSON, Problem, Request, Response, again_in
from boxoffice.gateway.preferences import wait_s


class Looking:
    """Tells what became of requests."""

    def __init__(self, admission: Admission, lookup: Lookup) -> None:
        self._admission = admission
        self._lookup = lookup

    async def request(self, request: Request, event: str, key: str) -> Response:
        """The fact that answers a request, a refusal too; it is waited for if the caller prefers to."""
        event_id = event_id_in(event)
        request_id = self._admission.request_of(request, event_id, key)
        known = await self._lookup.find(event_id, request_id, wait_s(request.header("prefer"), 0.0))
        match known.state:
            case State.ANSWERED:
                return Response(200, [("content-type", JSON)], known.fact)
            case State.ON_ITS_WAY:
                return Response(202, [again_in(0)])
            case State.NOT_ACKNOWLEDGED:
                raise Problem("outcome-unknown", "Kafka has not acknowledged the command yet.", headers=[again_in(0)])
            case State.NOT_SERVED:
                raise not_served()
            case State.NOT_KNOWN:
                raise not_known()


def not_served() -> Problem:
    """Nobody who could know can be asked."""
    return Problem(
        "unavailable",
        "This instance does not know of the request, and Redis, which may, does not answer.",
        headers=[again_in(0)],
    )


def not_known() -> Problem:
    """Whoever could know knows nothing of it."""
    return Problem(
        "not-known",
        "Nothing is known of this request here: it was refused, it is on its way by another instance, or it never "
        "came. POST it again with the same Idempotency-Key: it gets its answer, and buys nothing twice.",
        headers=[again_in(0)],
    )
