"""The states of an event's copy in Redis."""

from __future__ import annotations

import json
from typing import cast

from boxoffice.selling.event_copy import Copy, CopyState, Tally
from lua.calls import Applied
from models.commands import read_command
from models.event import Event, Position
from models.inventory import Inventory, decide
from models.shapes import EventCreated
from tests.unit.records import creation

CREATED = cast(
    EventCreated,
    decide(
        Inventory(0),
        read_command(json.dumps(creation("42")).encode()),
        Position(0, 0, {"partition": 0, "offset": 0}),
    ),
)


def copy_in_step() -> Copy:
    return Copy(Event(CREATED, 0), 0, redis_seq=1)


def test_a_copy_that_missed_facts_is_in_step_once_redis_has_them() -> None:
    copy = copy_in_step()
    copy.missed([Applied(CREATED, 0)])
    assert copy.state is CopyState.BEHIND
    copy.in_step(2)
    assert (copy.state, copy.redis_seq, copy.backlog) == (CopyState.IN_STEP, 2, [])


def test_a_reply_to_what_was_asked_before_a_loss_does_not_bring_a_copy_in_step() -> None:
    copy = copy_in_step()
    copy.missed([Applied(CREATED, 0)])
    copy.lost()
    copy.in_step(2)
    assert (copy.state, copy.lost_more) == (CopyState.BEHIND, True)


def test_a_reply_to_what_was_asked_before_a_rebuild_does_not_end_it() -> None:
    copy = copy_in_step()
    copy.state = CopyState.REBUILDING
    copy.in_step(2)
    copy.missed([Applied(CREATED, 0)])
    assert (copy.state, copy.can_decide(1_000), len(copy.backlog)) == (CopyState.REBUILDING, False, 1)


def test_copies_that_cannot_be_healed_are_counted_until_they_are_or_are_somebody_elses() -> None:
    tally = Tally()
    first, second = (Copy(Event(CREATED, 0), 0, redis_seq=1, tally=tally) for _ in range(2))
    first.given_up = second.given_up = second.given_up = True
    assert tally.given_up == 2
    first.given_up = False
    second.leave()
    second.given_up = False
    assert tally.given_up == 0
