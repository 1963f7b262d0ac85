"""What became of a request: by what this instance knows, and by what Redis has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple, Protocol

from boxoffice.gateway.recent import Asked, Recent, seq_of
from boxoffice.gateway.records import NotServedError
from models.facts import write_fact
from models.shapes import DecisionFact

LOOK_AGAIN_S: Final = 0.25
"""What another instance took is seen in Redis: so often it is looked whether it is there yet."""


class State(Enum):
    """How far a request is."""

    ANSWERED = "answered"
    """There is a fact."""
    ON_ITS_WAY = "on its way"
    """The log holds the command, which this instance took: it will be decided."""
    NOT_ACKNOWLEDGED = "not acknowledged"
    """This instance took it, and Kafka has not said yet whether it has it."""
    NOT_KNOWN = "not known"
    """Neither this instance nor Redis knows of it."""
    NOT_SERVED = "not served"
    """This instance does not know of it, and Redis cannot be asked."""


class Known(NamedTuple):
    """What is known of a request."""

    state: State
    fact: bytes = b""
    """As it lies in the ledger, or made again of what Redis has."""


class Kept(Protocol):
    """Where requests are kept that were accepted."""

    async def fact(self, event_id: str, request_id: str) -> DecisionFact | None:
        """The fact that answers a request."""

    async def page_since(self, event_id: str) -> int | None:
        """Since which fact an event's tickets say what they say now."""


class Lookup:
    """Looks for requests."""

    def __init__(self, recent: Recent, kept: Kept, is_ending: Callable[[], bool]) -> None:
        self._recent = recent
        self._kept = kept
        self._is_ending = is_ending

    async def find(self, event_id: str, request_id: str, within_s: float = 0.0) -> Known:
        """What is known of a request; its answer is waited for if that is to be had in time."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + within_s
        while True:
            known = await self._look(event_id, request_id)
            left_s = until_s - loop.time()
            if known.state is State.ANSWERED or left_s <= 0 or self._is_ending():
                return known
            asked = self._recent.find(event_id, request_id)
            if asked is not None and asked.answer is None:
                await asked.change(left_s)
            else:
                await asyncio.sleep(min(left_s, LOOK_AGAIN_S))

    async def page_since(self, event_id: str) -> int:
        """Since which fact an event's tickets say what they say now; 1 where it was not changed, or nobody can tell."""
        try:
            return await self._kept.page_since(event_id) or 1
        except NotServedError:
            return 1

    async def _look(self, event_id: str, request_id: str) -> Known:
        asked = self._recent.find(event_id, request_id)
        if asked is not None and asked.answer is None:
            return Known(State.ON_ITS_WAY if asked.has_landed else State.NOT_ACKNOWLEDGED)
        remembered = _remembered(asked)
        if remembered is not None and asked is not None and not asked.may_change:
            return remembered
        # What was bought here may have been given back elsewhere since; what was held, paid for or left to expire.
        try:
            fact = await self._kept.fact(event_id, request_id)
        except NotServedError:
            return remembered or Known(State.NOT_SERVED)
        if fact is None:
            return remembered or Known(State.NOT_KNOWN)
        return remembered if remembered is not None and seq_of(remembered.fact) >= fact["seq"] else _made(fact)


def _remembered(asked: Asked | None) -> Known | None:
    return Known(State.ANSWERED, asked.answer.fact) if asked is not None and asked.answer is not None else None


def _made(fact: DecisionFact) -> Known:
    return Known(State.ANSWERED, write_fact(fact))
