"""When a sale begins: told to whoever came too early, as the event's newest figures say it."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Final

from pydantic_core import from_json

from boxoffice.gateway.messages import Problem, again_in
from boxoffice.statistics.states import EventStates
from models.times import moment

TOO_EARLY: Final = "not-on-sale-yet"


class Openings:
    """The times at which sales begin. Figures are a moment behind the ledger, and may not be read yet."""

    def __init__(self, states: EventStates) -> None:
        self._states = states

    def tell(self, problem: Problem, event_id: str) -> None:
        """Say in a problem when to come again, if that is known and the problem is that the sale has not begun."""
        if problem.name != TOO_EARLY or (opens_at := self._opens_at(event_id)) is None:
            return
        problem.members = {**(problem.members or {}), "on_sale_at": opens_at}
        problem.headers.append(again_in(moment(opens_at).timestamp() - time.time()))

    def _opens_at(self, event_id: str) -> str | None:
        state = self._states.get(event_id)
        return opens_at_in(state.body) if state is not None else None


@lru_cache(maxsize=1_024)
def opens_at_in(figures: bytes) -> str | None:
    """When the sale begins, in an event's figures; many come too early, and all of them ask for the same."""
    opens_at = from_json(figures).get("on_sale_at")
    return opens_at if isinstance(opens_at, str) else None
