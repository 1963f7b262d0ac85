"""The front door's rooms: which request goes where, and what every response has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import GeneratorType
from typing import Any, Final

import structlog
from typing_extensions import TypeIs

from boxoffice import metrics
from boxoffice.gateway import pages
from boxoffice.gateway.administration import Administration
from boxoffice.gateway.admission import Admission
from boxoffice.gateway.contract import contract
from boxoffice.gateway.counting import Counting
from boxoffice.gateway.cross_origin import CrossOrigin
from boxoffice.gateway.events import Events
from boxoffice.gateway.looking import Looking
from boxoffice.gateway.messages import Pending, Problem, Request, Response, Steps
from boxoffice.gateway.posting import Posting
from boxoffice.gateway.recent import Recent
from boxoffice.gateway.request_ids import HEADER, given_id, made_id
from boxoffice.gateway.routes import Handler, Routes
from boxoffice.gateway.tickets import Tickets
from topics.purchase_requests import TRACE_HEADER

log = structlog.get_logger(__name__)

_THAT_MATTER: Final[Mapping[str, str]] = {
    "not-taken": "Kafka refuses commands",
    "outcome-unknown": "Kafka does not acknowledge commands",
    "unavailable": "a server behind the gateway does not answer",
}
"""What an operator is told of problems that he can mend; what callers do wrong, and what is shed, is only counted."""
_MOST_SHOWN: Final = 200


def table(
    posting: Posting, looking: Looking, tickets: Tickets, events: Events, administration: Administration
) -> Mapping[str, Mapping[str, Handler]]:
    """Every path, its methods, and who answers them."""
    return {
        "/": {"GET": pages.index},
        "/openapi.json": {"GET": contract},
        "/v1/problems": {"GET": pages.all_problems},
        "/v1/problems/{name}": {"GET": pages.problem},
        "/v1/events": {"GET": events.all, "POST": posting.create_event},
        "/v1/events/{event}": {"GET": events.one},
        "/v1/events/{event}/change": {"POST": posting.change_event},
        "/v1/events/{event}/tickets": {"POST": posting.add_tickets},
        "/v1/events/{event}/removal": {"POST": posting.remove_tickets},
        "/v1/events/{event}/closing": {"POST": posting.close_event},
        "/v1/events/{event}/cancellation": {"POST": posting.cancel_event},
        "/v1/events/{event}/archiving": {"POST": posting.archive_event},
        "/v1/events/{event}/purchases": {"POST": posting.purchase},
        "/v1/events/{event}/purchases/{key}/cancellation": {"POST": posting.cancel},
        "/v1/events/{event}/requests/{key}": {"GET": looking.request},
        "/v1/events/{event}/tickets/{file}": {"GET": tickets.ticket},
        "/v1/admin/rebuild": {"POST": administration.rebuild},
        "/v1/admin/drill": {"POST": administration.drill},
    }


class Gateway:
    """Answers requests. What it knows can be lost: the log holds what was taken."""

    def __init__(
        self, routes: Routes, admission: Admission, recent: Recent, counting: Counting, cross_origin: CrossOrigin
    ) -> None:
        self._routes = routes
        self._admission = admission
        self._recent = recent
        self._cross_origin = cross_origin
        self._counting = counting

    @property
    def draining(self) -> bool:
        """Whether it takes no more."""
        return self._admission.draining

    def tell_metrics(self) -> None:
        """Let the metrics know how it is now, and what came since the last time."""
        self._counting.tell()
        metrics.WAITING_REQUESTS.set(self.waiting)

    @property
    def waiting(self) -> int:
        """How many commands wait for their answers."""
        return self._admission.waiting.count

    @property
    def reading(self) -> int:
        """How many GETs are being answered."""
        return self._admission.reading.count

    @property
    def busy(self) -> bool:
        """Whether anybody waits for anything."""
        return bool(self.waiting or self.reading)

    def drain(self) -> None:
        """Take no more, and let whoever waits for news of a request have what there is."""
        self._admission.draining = True
        self._recent.wake_all()

    def respond(self, request: Request) -> Steps:
        """The response to a request, whatever it is."""
        self._begin(request)
        try:
            self._admission.by_address(request)
            answer = self._handled(request)
            if _is_in_steps(answer):
                yield from answer
                return
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told
            answer = self._told(request, error)
        yield self._end(request, answer) if isinstance(answer, Response) else _Awaited(answer)

    def late(self, request: Request, pending: Pending) -> Response | None:
        """The response that a request has waited for; None where whoever asked has gone away."""
        try:
            response = pending.response()
        except Exception as error:  # noqa: BLE001  # as above
            response = self._told(request, error)
        return None if response is None else self._end(request, response)

    def refuse(self, request: Request, problem: Problem) -> Response:
        """The response to a request whose body cannot be read."""
        self._begin(request)
        return self._end(request, self._told(request, problem))

    def _begin(self, request: Request) -> None:
        request.id = given_id(request.header(HEADER)) or made_id()
        request.also.append((HEADER, request.id))
        if self._cross_origin.allows_any:
            request.also += self._cross_origin.headers(request)

    def _end(self, request: Request, response: Response) -> Response:
        response.headers.extend(request.also)
        self._counting.responded(response.status)
        return response

    def _handled(self, request: Request) -> Response | Coroutine[Any, Any, Response] | Steps:
        found = self._routes.find(request.path)
        if found is None:
            raise Problem("not-found", f"There is nothing at {request.path[:_MOST_SHOWN]}.")
        if request.method == "POST" and (post := found.handlers.get("POST")) is not None:
            return post(request, *found.variables)
        if request.method == "OPTIONS":
            allowed = found.allowed
            return Response(204, [("allow", allowed), *self._cross_origin.preflight(request, allowed)])
        handler = found.handler(request.method)
        if handler is None:
            raise Problem("method-not-allowed", f"Only {found.allowed}.", headers=[("allow", found.allowed)])
        return self._read(handler, request, found.variables)

    async def _read(self, handler: Handler, request: Request, variables: Sequence[str]) -> Response:
        with self._admission.reads(request):
            answer = handler(request, *variables)
            assert not _is_in_steps(answer), "what only looks is a coroutine"
            return await answer

    def _told(self, request: Request, error: Exception) -> Response:
        """What is told of an error."""
        if not isinstance(error, Problem):
            path = request.path[:_MOST_SHOWN]
            log.error("a request failed", x_request_id=request.id, path=path, exc_info=error)
            return Problem("internal-error", "Something failed here that should not.").response()
        return self._problem(request, error)

    @staticmethod
    def _problem(request: Request, problem: Problem) -> Response:
        said = _THAT_MATTER.get(problem.name)
        # Whoever looks at a command that has just left is no news.
        if said is not None and (request.method == "POST" or problem.name == "unavailable"):
            trace = request.header(TRACE_HEADER)
            log.warning(
                said,
                x_request_id=request.id,
                method=request.method,
                path=request.path[:_MOST_SHOWN],
                detail=problem.detail,
                seldom=True,
                **({TRACE_HEADER: trace[:_MOST_SHOWN]} if trace else {}),
            )
        return problem.response()


def _is_in_steps(answer: Response | Coroutine[Any, Any, Response] | Steps) -> TypeIs[Steps]:
    return isinstance(answer, GeneratorType)


class _Awaited(Pending):
    """The response that a task makes."""

    __slots__ = ("_task",)

    def __init__(self, response: Coroutine[Any, Any, Response]) -> None:
        self._task = asyncio.get_running_loop().create_task(response)

    def when_over(self, tell: Callable[[], None]) -> None:
        self._task.add_done_callback(lambda _: tell())

    def go(self) -> None:
        self._task.cancel()

    def response(self) -> Response | None:
        return None if self._task.cancelled() else self._task.result()
