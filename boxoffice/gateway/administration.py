"""What an operator asks of the workers, for keys with the scope ``admin``: rebuild events in Redis, and drills."""

from __future__ import annotations

from typing import Annotated, Final

import structlog
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import to_json

from boxoffice.errors import UnreachableError
from boxoffice.gateway.admission import Admission
from boxoffice.gateway.commands import body_as
from boxoffice.gateway.messages import JSON, Problem, Request, Response, again_in
from boxoffice.gateway.preferences import wait_s
from boxoffice.gateway.rebuilding import Rebuilding
from boxoffice.redis.clients import redis_client, unhurried
from boxoffice.redis.store import RedisStore
from boxoffice.settings import RedisSettings
from models.members import EventIdText

log = structlog.get_logger(__name__)

MOST_EVENTS: Final = 500
LONGEST_DRILL_S: Final = 7 * 86_400
_DRILL_S: Final = 3_600


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Rebuild(_Body):
    """Load events anew into Redis from the ledger, while sales go on; ``events``, or ``all`` of them."""

    events: Annotated[list[EventIdText], Field(max_length=MOST_EVENTS)] = []
    all: bool = False

    @model_validator(mode="after")
    def _some_or_all(self) -> Rebuild:
        if bool(self.events) == self.all:
            raise ValueError("give events, or all")
        return self


class Drill(_Body):
    """Let the workers decide without Redis for a while, for practice; or let it decide again."""

    on: bool
    duration_s: Annotated[int, Field(ge=1, le=LONGEST_DRILL_S)] = _DRILL_S


class Administration:
    """Hands on what operators ask."""

    def __init__(self, admission: Admission, rebuilding: Rebuilding, settings: RedisSettings) -> None:
        self._admission = admission
        self._rebuilding = rebuilding
        self._settings = settings

    async def rebuild(self, request: Request) -> Response:
        """Rebuild events."""
        caller = self._admission.caller_with(request, "admin")
        asked = body_as(Rebuild, request)
        if not all(caller.may("admin", event_id) for event_id in asked.events) or (asked.all and caller.events):
            raise Problem("forbidden", "This key has no scope 'admin' for all of these events.")
        log.warning("events are rebuilt", api_key=caller.id, events=asked.events[:20] or "all")
        done = await self._rebuilding.rebuild(frozenset(asked.events), wait_s(request.header("prefer")))
        if done is None:
            return _told(202, {"rebuilding": sorted(asked.events) or "all"}, again_in(1))
        return _told(200, {"rebuilt": done})

    async def drill(self, request: Request) -> Response:
        """Begin or end a drill."""
        caller = self._admission.caller_with(request, "admin")
        asked = body_as(Drill, request)
        log.warning("a drill begins" if asked.on else "a drill ends", api_key=caller.id)
        try:
            async with redis_client(self._settings) as client:
                store = RedisStore(client, unhurried(self._settings))
                if asked.on:
                    await store.begin_drill(asked.duration_s)
                    return _told(200, {"on": True, "ends_in_s": asked.duration_s})
                return _told(200, {"on": False, "was_on": await store.end_drill()})
        except UnreachableError as error:
            raise Problem("unavailable", str(error), headers=[again_in(0)]) from None


def _told(status: int, members: dict[str, object], *headers: tuple[str, str]) -> Response:
    return Response(status, [("content-type", JSON), *headers], to_json(members))
