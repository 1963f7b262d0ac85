"""``GET /v1/operator``: what ``doctor``, ``fallback status`` and ``dead-letters list`` say, for the operator's page."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from time import time
from typing import Any, Final

from pydantic_core import from_json, to_json

from boxoffice.gateway.callers import Callers
from boxoffice.gateway.messages import JSON, Problem, Response
from boxoffice.kafka.dead_letters import DeadLetters
from boxoffice.live.kept import Kept
from boxoffice.operating.doctor import Lag, examine
from boxoffice.operating.requests import read_status
from boxoffice.redis.clients import redis_client
from boxoffice.redis.presence import read_presences
from boxoffice.settings import Settings
from boxoffice.statistics.figures import totals_of_events
from boxoffice.statistics.states import EventState, EventStates
from models.facts import at_text

MOST_EVENTS: Final = 500
"""Shown one by one: those that changed last. GET /v1/events has them all."""
MOST_LETTERS: Final = 20
MOST_REASONS: Final = 20

_WATCH_S: Final = 5.0
"""So long a group that is behind is watched, to see whether it gets on."""
_PATIENCE_S: Final = 12.0


class Overview:
    """Reads what there is to know, a part at a time, and each part once for all who ask."""

    def __init__(self, settings: Settings, states: EventStates, callers: Callers) -> None:
        self._settings = _looking(settings)
        self._states = states
        self._callers = callers
        self._parts: Mapping[str, Kept[dict[str, Any]]] = {
            "totals": Kept(self._totals, 2, _PATIENCE_S),
            "processes": Kept(self._processes, 2, _PATIENCE_S),
            "fallback": Kept(self._fallback, 2, _PATIENCE_S),
            "diagnosis": Kept(self._diagnosis, 15, _PATIENCE_S),
            "dead_letters": Kept(self._dead_letters, 30, _PATIENCE_S),
        }

    async def aclose(self) -> None:
        """Look no more."""
        async with AsyncExitStack() as closing:
            for part in self._parts.values():
                closing.push_async_callback(part.aclose)

    async def answer(self, authorization: str | None, now_s: float) -> Response:
        """The overview, for whoever has the key.

        Raises:
            Problem: no key came that may see it.
        """
        caller = self._callers.of(authorization, now_s)
        if not caller.may("admin") or caller.events is not None:
            raise Problem("forbidden", "This key has no scope 'admin' for all events.")
        return Response(200, [("content-type", JSON)], await self.read())

    async def read(self) -> bytes:
        """The overview as JSON. A part that cannot be read is null, and ``unknown`` says why."""
        seen = dict(zip(self._parts, await asyncio.gather(*(part.get() for part in self._parts.values())), strict=True))
        values = {name: part.value for name, part in seen.items()}
        diagnosis = values.pop("diagnosis") or {"findings": None, "lag": None}
        processes = values.pop("processes") or {"processes": None, "unreadable_keys": None}
        written = to_json(
            {
                "at": at_text(int(time() * 1000)),
                "events_count": len(self._states),
                "events_left_out": self._states.left_out,
                **values,
                **processes,
                **diagnosis,
                "unknown": {name: part.error for name, part in seen.items() if part.error is not None},
                "age_s": {name: part.age_s for name, part in seen.items()},
            }
        )
        events = b",".join(state.body for state in reversed(self._states.newest(MOST_EVENTS)))
        return b'{"events":[%b],%b' % (events, written[1:])

    # Parts

    async def _totals(self) -> dict[str, Any]:
        """All events added up; beside the loop, which streams go through, since of many it takes a while."""
        return await asyncio.to_thread(_added_up, self._states.newest(len(self._states)))

    async def _processes(self) -> dict[str, Any]:
        async with redis_client(self._settings.redis) as client:
            found = await read_presences(client, self._settings.redis.key_prefix)
        return {
            "processes": [state.model_dump() for state in found.states],
            "unreadable_keys": list(found.unreadable),
        }

    async def _fallback(self) -> dict[str, Any]:
        status = await read_status(self._settings.redis)
        return {
            "active": status.is_active,
            "drill_ends_in_s": status.drill_ends_in_s,
            "to_rebuild": list(status.to_rebuild[:MOST_EVENTS]),
            "workers": [state.model_dump() for state in status.workers],
        }

    async def _diagnosis(self) -> dict[str, Any]:
        diagnosis = await examine(self._settings, _WATCH_S)
        return {
            "findings": [asdict(finding) for finding in diagnosis.findings],
            "lag": {group: _lag_members(lags) for group, lags in diagnosis.lags.items()},
        }

    async def _dead_letters(self) -> dict[str, Any]:
        letters = await DeadLetters(self._settings.kafka).newest(MOST_LETTERS)
        return {
            "count": letters.reasons.total(),
            "reasons": dict(letters.reasons.most_common(MOST_REASONS)),
            "newest": [
                {
                    "position": str(letter.position),
                    "at": at_text(letter.at_ms),
                    "of": letter.kind,
                    "original": letter.original or None,
                    "size_bytes": letter.size_bytes,
                    "cut": letter.cut,
                    "reason": letter.reason,
                }
                for letter in letters.letters
            ],
        }


def _looking(settings: Settings) -> Settings:
    """The settings of whoever only looks: a server that hangs is to be told soon."""
    timeout_ms = min(settings.kafka.request_timeout_ms, settings.kafka.look_timeout_ms)
    return replace(settings, kafka=settings.kafka.model_copy(update={"request_timeout_ms": timeout_ms}))


def _added_up(states: Sequence[EventState]) -> dict[str, Any]:
    return totals_of_events([from_json(state.body) for state in states])


def _lag_members(lags: Sequence[Lag]) -> dict[str, Any]:
    return {
        "records": sum(lag.records for lag in lags),
        "partitions": [asdict(lag) for lag in lags if lag.records],
    }
