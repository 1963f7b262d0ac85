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
        state = self._states.get(event_id) if problem.name == TOO_EARLY else None
        opening = opening_in(state.body) if state is not None else None
        if opening is None:
            return
        on_sale_at, at_s = opening
        problem.members = {**(problem.members or {}), "on_sale_at": on_sale_at}
        problem.headers.append(again_in(at_s - time.time()))


@lru_cache(maxsize=1_024)
def opening_in(figures: bytes) -> tuple[str, float] | None:
    """When the sale begins, in an event's figures, also in seconds since 1970; many come too early for the same."""
    on_sale_at = from_json(figures).get("on_sale_at")
    try:
        return on_sale_at, moment(on_sale_at).timestamp()
    except (TypeError, ValueError):
        return None
