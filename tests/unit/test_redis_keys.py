"""The keys, codes, records and scripts, as far as they can be judged without a Redis."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import pytest
from redis.crc import key_slot

import lua
from lua import SCRIPTS, Code
from lua.calls import agrees, expected_answer
from lua.copies import EventCopy, differences
from lua.effects import effect_of
from lua.keys import EventKeys, event_keys, loading_keys
from lua.records import record
from models.accepted import Accepted, Kind, unpack
from models.commands import Command
from models.event import Event
from models.reasons import Reason
from models.shapes import Decider, DecisionFact, PurchaseConfirmed, PurchaseRejected
from tests.integration.redis_tables import (
    HOME,
    Table,
    addition,
    at_home,
    cancellation,
    categories,
    change,
    closing,
    creation,
    order,
    payment,
    purchase,
)

SCRIPT_FILES = ("purchase.lua", "load.lua", "replace.lua")
LUA_FILES = (*SCRIPT_FILES, "chunks.lua")
CATEGORIES = ("general", "stalls", "box-1")


def test_the_keys_of_an_event_are_those_of_the_design() -> None:
    assert event_keys("", "42").all == ("event:{42}:meta", "event:{42}:purchases", "event:{42}:tickets")
    assert event_keys("eu-", "42", ("stalls", "general")).all == (
        "eu-event:{42}:meta",
        "eu-event:{42}:purchases",
        "eu-event:{42}:tickets:stalls",
        "eu-event:{42}:tickets",
    )


@pytest.mark.parametrize("event_id", ["0", "42", "999999999999999999"])
def test_all_keys_of_an_event_lie_on_the_slot_of_its_id(event_id: str) -> None:
    live, loading = event_keys("eu.1-", event_id, CATEGORIES), loading_keys("eu.1-", event_id, "5f1c", CATEGORIES)
    assert {key_slot(key.encode()) for key in (*live.all, *loading.all)} == {key_slot(event_id.encode())}


def test_loading_keys_differ_from_live_ones_and_between_attempts() -> None:
    all_keys: list[EventKeys] = [event_keys("", "42", CATEGORIES)]
    all_keys += [loading_keys("", "42", attempt, CATEGORIES) for attempt in ("a", "b")]
    assert len({key for keys in all_keys for key in keys.all}) == 3 * (2 + len(CATEGORIES))


def test_every_code_that_a_script_names_exists() -> None:
    """Lua would take a name that does not exist for nil."""
    for name in LUA_FILES:
        assert set(re.findall(r"Code\.(\w+)", lua.source(name))) <= set(Code.__members__), name


def test_every_code_is_named_in_a_script() -> None:
    named = {code for name in LUA_FILES for code in re.findall(r"Code\.(\w+)", lua.source(name))}
    assert set(Code.__members__) == named


def test_no_script_knows_a_reason_or_a_type_of_command() -> None:
    """What is allowed is decided in models/ alone."""
    text = "".join(re.sub("--.*", "", lua.source(name)) for name in LUA_FILES)
    assert not [reason for reason in Reason if reason.value in text.lower()]
    assert "max_per" not in text
    assert "closed" not in text


def test_the_numbers_of_codes_stand_in_no_script() -> None:
    for name in LUA_FILES:
        assert not re.search(r"return \{?\d", lua.source(name)), name


def test_a_script_keeps_its_line_numbers_as_far_as_it_includes_nothing() -> None:
    written, loaded = lua.source("replace.lua").splitlines(), lua.load("replace").text.splitlines()
    assert loaded[0].endswith(written[0])
    assert loaded[1:] == written[1:]


def test_no_lua_file_is_forgotten() -> None:
    found = [file.name for file in files(lua).iterdir() if file.name.endswith(".lua")]
    assert sorted(found) == sorted(LUA_FILES)
    assert {f"{script.name}.lua" for script in SCRIPTS} == set(SCRIPT_FILES)


def test_includes_are_resolved() -> None:
    for script in SCRIPTS:
        assert "-- include" not in script.text
        assert re.fullmatch(r"[0-9a-f]{40}", script.sha1)


@pytest.mark.parametrize("name", SCRIPT_FILES)
def test_a_script_says_first_what_it_takes_returns_and_guarantees(name: str) -> None:
    header = re.match(r"(--.*\n)+(\n--.*|\n|--.*\n)*", lua.source(name))
    assert header
    for word in ("KEYS", "ARGV", "Returns", "Guarantees"):
        assert re.search(rf"^-- {word}\b", header[0], re.MULTILINE), word


# Records


def an_event(*commands: Command, first_rules: bool = False, **members: Any) -> Event:
    table = Table(first_rules={"42"} if first_rules else ())
    table.take(at_home([creation(**members), *commands]))
    return table.event()


def test_a_record_is_one_line_that_a_person_can_read() -> None:
    accepted = Accepted(Kind.PURCHASE, 2, 1234, 1_795_341_600_123, None, ((1, 2),), 'b"77\\', "x-1")
    text = record(an_event(), "r-1", accepted, 3)
    assert text == (
        '{"type":"purchase","seq":2,"offset":1234,"source":{"partition":3,"offset":1234},'
        '"at":"2026-11-22T10:00:00.123Z","buyer":"b\\"77\\\\","tickets":["42-000001","42-000002"],'
        '"by":"x-1"}'
    )
    assert json.loads(text)["buyer"] == 'b"77\\'


def test_the_record_of_a_purchase_says_what_its_event_does_not() -> None:
    hall = an_event(order("r-1", stalls=1, general=2), categories=categories(general=4, stalls=3), hold_s=60)
    assert list(read(hall, "r-1").items())[5:] == [
        ("buyer", "b-1"),
        ("lines", [["stalls", 1, 4500], ["general", 2, 4500]]),
        ("due", "2026-11-22T10:01:00.001Z"),
        ("tickets", ["42-000005", "42-000001", "42-000002"]),
    ]
    plain = an_event(purchase("r-1", 2), purchase("r-2", actor='the "desk"'))
    assert list(read(plain, "r-1"))[5:] == ["buyer", "tickets"]
    assert list(read(plain, "r-2").items())[5:] == [
        ("buyer", "b-1"),
        ("actor", 'the "desk"'),
        ("tickets", ["42-000003"]),
    ]


def test_a_purchase_names_who_changed_it_last() -> None:
    event = an_event(
        purchase("r-1", 3),
        payment("p-1", "r-1", 3 * 4500),
        cancellation("x-1", "r-1", tickets=["42-000002"]),
        purchase("r-2"),
        cancellation("x-2", "r-2"),
        hold_s=60,
    )
    assert [read(event, "r-1")[name] for name in ("tickets", "by")] == [["42-000001", "42-000003"], "x-1"]
    assert [read(event, "r-2")[name] for name in ("tickets", "cancelled_by")] == [["42-000004"], "x-2"]


def test_the_record_of_a_forwarded_command_shows_where_it_was_produced() -> None:
    event = an_event(closing("z-1"))
    forwarded = unpack(event.accepted["z-1"])
    fact = {**json.loads(forwarded.fact), "source": {"partition": 11, "offset": 70}}
    text = record(event, "z-1", forwarded._replace(source=(11, 70), fact=json.dumps(fact).encode()), HOME)
    assert json.loads(text) == {
        "type": "closing",
        "seq": 2,
        "offset": 1,
        "source": {"partition": 11, "offset": 70},
        "at": "2026-11-22T10:00:00.001Z",
    }


def test_under_the_first_rules_records_are_those_of_the_first_releases() -> None:
    event = an_event(purchase("r-1"), cancellation("x-1", "r-1"), addition("a-1", 5), closing("z-1"), first_rules=True)
    own = {request_id: list(read(event, request_id).items())[5:] for request_id in event.accepted}
    assert own == {
        "c-1": [],
        "r-1": [("buyer", "b-1"), ("tickets", ["42-000001"]), ("cancelled_by", "x-1")],
        "x-1": [("purchase", "r-1")],
        "a-1": [("count", 5)],
        "z-1": [],
    }


def read(event: Event, request_id: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(record(event, request_id, unpack(event.accepted[request_id]), HOME))
    return found


# Effects and answers


def test_what_redis_is_told_of_a_fact_that_is_neither_sale_nor_rejection_is_what_follows() -> None:
    table = Table()
    table.take(at_home([creation(categories=categories(general=4, stalls=3)), order("r-1", stalls=2, general=1)]))
    table.take(at_home([cancellation("x-1", "r-1", tickets=["42-000006", "42-000001"])], 2))
    effect = table.history["42"][-1].effect
    assert effect is not None
    assert effect.changes == {1: {"sold": -1, "join": "42-000006"}, 0: {"sold": -1, "join": "42-000001"}}
    assert effect.records[::2] == ("x-1", "r-1")
    assert effect.meta == ()


def test_a_change_tells_all_that_is_given_of_an_event_and_moves_its_creation_where_its_rules_change() -> None:
    table = Table(first_rules={"42"})
    table.take(at_home([creation(), change("v-1", venue="Kleine Halle"), change("v-2", name="Night 2")]))
    first, second = (applied.effect for applied in table.history["42"])
    assert first is not None
    assert second is not None
    assert (first.records[::2], second.records[::2]) == (("v-1", "c-1"), ("v-2",))
    assert (first.changes, second.changes) == ({0: {"tell": True}}, {})
    assert dict(zip(second.meta[::2], second.meta[1::2], strict=True))["name"] == "Night 2"


def test_what_can_be_told_later_needs_no_effect() -> None:
    table = Table()
    table.take(at_home([creation(), purchase("r-1"), purchase("r-2", 99), cancellation("x-1", "never")]))
    assert [applied.effect for applied in table.history["42"]] == [None] * 3
    archived: DecisionFact = {
        "type": "event_archived",
        "event_id": "42",
        "seq": 5,
        "request_id": "y-1",
        "source": {"partition": HOME, "offset": 5},
        "at": "2026-11-22T10:00:00.123Z",
        "decided_by": Decider.LOCAL.value,
    }
    assert effect_of(table.event(), archived, HOME) is None


CONFIRMED: PurchaseConfirmed = {
    "type": "purchase_confirmed",
    "event_id": "42",
    "seq": 2,
    "request_id": "r-1",
    "buyer": "b-1",
    "quantity": 2,
    "tickets": ["42-000001", "42-000002"],
    "source": {"partition": 3, "offset": 1},
    "at": "2026-11-22T10:00:00.123Z",
    "decided_by": Decider.LOCAL.value,
}


def test_a_sale_agrees_with_the_same_tickets_at_the_same_seq_only() -> None:
    assert expected_answer(CONFIRMED) == (Code.SOLD, 2, "42-000001,42-000002")
    assert agrees(CONFIRMED, (Code.SOLD, 2, "42-000001,42-000002"))
    assert not agrees(CONFIRMED, (Code.SOLD, 3, "42-000001,42-000002"))
    assert not agrees(CONFIRMED, (Code.SOLD, 2, "42-000002,42-000001"))
    assert not agrees(CONFIRMED, (Code.SHORT, 2, ""))
    assert not agrees(CONFIRMED, (Code.COUNTED, 2, ""))


@pytest.mark.parametrize("reason", Reason)
def test_a_refusal_for_want_of_tickets_is_redis_own_and_any_other_is_counted(reason: Reason) -> None:
    fact: PurchaseRejected = {
        "type": "purchase_rejected",
        "event_id": "42",
        "seq": 2,
        "request_id": "r-1",
        "reason": reason,
        "buyer": "b-1",
        "quantity": 2,
        "source": {"partition": 3, "offset": 1},
        "at": "2026-11-22T10:00:00.123Z",
        "decided_by": Decider.LOCAL.value,
    }
    for_want = reason in (Reason.SOLD_OUT, Reason.ALL_HELD, Reason.NOT_ENOUGH_LEFT)
    agreeing = {code for code in Code if agrees(fact, (code, 2, ""))} - {Code.DECIDED_BEFORE}
    assert agreeing == {Code.SHORT if for_want else Code.COUNTED}


def test_a_payment_for_what_was_held_is_applied_and_not_sold() -> None:
    paid: PurchaseConfirmed = {**CONFIRMED, "request_id": "p-1", "purchase": "r-1", "late": True}
    assert expected_answer(paid) == (Code.APPLIED, 2, "")


def test_what_was_decided_before_agrees_with_everything() -> None:
    assert agrees(CONFIRMED, (Code.DECIDED_BEFORE, 0, ""))


def test_differences_are_sentences() -> None:
    found = EventCopy("42", {"sold": "1"}, {"general": ["42-000002"]}, {"r-1": "{}", "r-3": "{}"})
    queues = {"general": ["42-000003", "42-000004"], "stalls": ["42-000009"]}
    expected = EventCopy("42", {"sold": "2"}, queues, {"r-1": "[]", "r-2": "{}"})
    assert differences(found, expected) == [
        "sold is '1', and should be '2'",
        "1 ticket left, and should be 2",
        "ticket 1 of the queue is 42-000002, and should be 42-000003",
        "0 tickets of stalls left, and should be 1",
        "request r-1 is {}, and should be []",
        "request r-2 is missing",
        "request r-3 should not be there",
    ]
    assert differences(found, expected, limit=1) == ["sold is '1', and should be '2'"]
    assert not differences(found, found)
