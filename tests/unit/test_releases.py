"""What earlier releases wrote is read as before; what this one writes they read too, or refuse as a newer release's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given

from boxoffice.audit.ledger_check import LedgerCheck
from boxoffice.selling.deciding import OwnedPartition, new_partition
from boxoffice.selling.recovery import is_answered_by
from models.commands import BY_TYPE, Command, UnreadableCommandError, earlier_releases_read, read_command
from models.facts import read_fact, same_decision, unreadable, write_fact
from models.inventory import Inventory
from models.ledger import Taken
from models.shapes import Fact
from tests.unit.records import record
from tests.unit.strangers import TIMES
from tests.unit.strategies import HOME, Arrival, answer, commands, opening
from topics.purchase_results import READ_HEADER

RECORDED = [json.loads(line) for line in Path(__file__).with_name("recorded_ledger.jsonl").read_text().splitlines()]
"""Commands, and the facts with which a release answered them that read no nulls, and no time without seconds."""
REQUESTS = [record(offset, one["command"].encode()) for offset, one in enumerate(RECORDED)]
FACTS = [one["fact"].encode() for one in RECORDED]
UNREAD_THEN = [offset for offset, value in enumerate(FACTS) if b'"command_unreadable"' in value]
"""The offsets of commands that this release reads."""

FIRST_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})")
FIRST_MEMBERS = frozenset(
    ("type", "event_id", "seq", "request_id", "name", "venue", "starts_at", "capacity", "max_per_order", "price",
     "rules", "source", "at", "decided_by")
)  # fmt: skip
"""What the first releases know of an event: they refuse a partition on which another member stands."""


def on_ledger(offset: int, value: bytes) -> Any:
    return record(offset, value, headers=((READ_HEADER, b"%d-%d" % (offset, offset)),))


def taken_over() -> OwnedPartition:
    """The partition as a worker of this release has it after it read the recorded ledger."""
    owned = new_partition(0, 1)
    for offset, value in enumerate(FACTS):
        assert owned.ledger.read(value, b"%d-%d" % (offset, offset)) is Taken.TAKEN
    return owned


# What earlier releases wrote


def test_recorded_facts_are_read_whole() -> None:
    for value in FACTS:
        assert read_fact(value) == json.loads(value)


def test_a_recorded_ledger_folds_as_before() -> None:
    ledger = taken_over().ledger
    assert (ledger.bookmark, ledger.last_unreadable) == (len(FACTS) - 1, max(UNREAD_THEN))
    [event] = ledger.inventory.events.values()
    assert (event.event_id, event.seq, event.issued, event.sold, event.closed) == ("42", 7, 8, 0, True)
    assert [*event.categories[0].queue] == [(3, 5), (1, 2), (6, 8)]
    assert [*event.accepted] == ["c-1", "r-2", "x-2", "a-1", "z-1"]


def test_what_earlier_releases_decided_is_decided_alike() -> None:
    """But for what they could not read, and for events, which are created by the present rules now."""
    owned = new_partition(0, 1)
    for request, value in zip(REQUESTS, FACTS, strict=True):
        if request.offset in UNREAD_THEN or b'"event_created"' in value:
            owned.ledger.read(value, b"%d-%d" % (request.offset, request.offset))
        else:
            [decided] = owned.answer([request])
            assert write_fact(decided.fact) == value


@pytest.mark.parametrize("offset", UNREAD_THEN)
def test_an_answer_stands_though_this_release_reads_the_command(offset: int) -> None:
    """Only what lies behind the bookmark is decided; the record at the bookmark is not taken for another topic's."""
    read_command(REQUESTS[offset].value)
    assert is_answered_by(REQUESTS[offset], read_fact(FACTS[offset]))
    owned = taken_over()
    assert owned.ledger.bookmark >= offset


def test_a_command_that_was_unreadable_is_decided_when_it_is_sent_again() -> None:
    owned = taken_over()
    again = record(len(FACTS), REQUESTS[1].value)
    [answered] = owned.answer([again])
    assert answered.fact["type"] == "event_created"
    assert answered.fact["source"] == {"partition": 0, "offset": len(FACTS)}
    assert (answered.first, answered.last) == (len(FACTS), len(FACTS))


def audited(values: list[bytes]) -> list[str]:
    check = LedgerCheck(0, 1, ends={0: len(values)})
    check.commands.extend(REQUESTS[: len(values)])
    for offset, value in enumerate(values):
        check.take(on_ledger(offset, value))
    check.finish(len(values))
    assert check.damaged == 0
    return check.differences


def test_the_audit_takes_the_answers_of_earlier_releases() -> None:
    assert audited(FACTS) == []


def test_the_audit_takes_no_other_answer_for_that_of_an_earlier_release() -> None:
    bought = read_fact(FACTS[3])
    wrong = write_fact(unreadable(None, "it says so", bought["source"], bought["at"]))
    [difference] = audited([*FACTS[:3], wrong])
    assert "and should say" in difference
    of_another = write_fact(unreadable(None, "it says so", bought["source"], read_fact(FACTS[2])["at"]))
    [difference] = audited([*FACTS[:2], of_another])
    assert "and should say" in difference


def test_two_releases_may_say_in_other_words_what_they_could_not_read() -> None:
    here = unreadable(
        b'{"request_id":"r-1","event_id":"42"}', "buyer: Field required", {"partition": 0, "offset": 1}, ""
    )
    there = cast(Fact, {name: value for name, value in here.items() if not name.startswith("claimed_")})
    assert same_decision(here, there)
    assert same_decision(there, here)
    assert same_decision(here, {**here, "claimed_request_id": "r-1 and more"})
    assert not same_decision(here, {**here, "source": {"partition": 0, "offset": 2}})


# What this release writes


@pytest.mark.parametrize("starts_at", TIMES)
def test_an_event_whose_time_the_first_releases_do_not_read_has_a_member_that_stops_them(starts_at: str) -> None:
    """They would take it for damage otherwise, and answer the command again: as unreadable."""
    decided = answer(Inventory(HOME), Arrival(opening(starts_at=starts_at), 0, 0, {"partition": HOME, "offset": 0}))
    assert decided is not None
    fact = json.loads(write_fact(decided))
    assert fact["starts_at"] == starts_at
    assert (FIRST_TIME.fullmatch(starts_at) is None) == bool(fact.keys() - FIRST_MEMBERS)


@given(commands())
def test_every_other_fact_is_as_it_was(command: Command) -> None:
    decided = answer(Inventory(HOME), Arrival(command, 0, 0, {"partition": HOME, "offset": 0}))
    assert decided is not None
    if decided["type"] == "event_created":
        assert ("starts_at_form" in decided) == (FIRST_TIME.fullmatch(decided["starts_at"]) is None)
    else:
        assert "starts_at_form" not in decided


def test_every_type_of_command_can_be_audited_for_nulls() -> None:
    for type_ in BY_TYPE:
        nulled = json.dumps({"type": type_, "note": None}).encode()
        assert not earlier_releases_read(nulled)
        with pytest.raises(UnreadableCommandError):
            read_command(nulled)
