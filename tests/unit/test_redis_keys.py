"""The keys, codes, records and scripts, as far as they can be judged without a Redis."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest
from redis.crc import key_slot

import lua
from lua import REASONS, SCRIPTS, Code
from lua.calls import agrees, expected_answer
from lua.copies import EventCopy, differences
from lua.keys import EventKeys, event_keys, loading_keys
from lua.records import TYPES, record
from models.accepted import Accepted, Kind
from models.shapes import Decider, PurchaseConfirmed, PurchaseRejected, Reason

LUA_FILES = ("shared.lua", "purchase.lua", "settle.lua", "load.lua", "replace.lua", "chunks.lua")


def test_the_keys_of_an_event_are_those_of_the_design() -> None:
    assert event_keys("", "42") == ("event:{42}:tickets", "event:{42}:meta", "event:{42}:purchases")
    assert event_keys("eu-", "42") == ("eu-event:{42}:tickets", "eu-event:{42}:meta", "eu-event:{42}:purchases")


@pytest.mark.parametrize("event_id", ["0", "42", "999999999999999999"])
def test_all_keys_of_an_event_lie_on_the_slot_of_its_id(event_id: str) -> None:
    keys = [*event_keys("eu.1-", event_id), *loading_keys("eu.1-", event_id, "5f1c")]
    assert {key_slot(key.encode()) for key in keys} == {key_slot(event_id.encode())}


def test_loading_keys_differ_from_live_ones_and_between_attempts() -> None:
    keys = [*event_keys("", "42"), *loading_keys("", "42", "a"), *loading_keys("", "42", "b")]
    assert len(set(keys)) == 3 * len(EventKeys._fields)


def test_every_code_that_a_script_names_exists() -> None:
    """Lua would take a name that does not exist for nil."""
    for name in LUA_FILES:
        assert set(re.findall(r"Code\.(\w+)", lua.source(name))) <= set(Code.__members__), name


def test_every_code_but_one_is_named_in_a_script() -> None:
    """A command for an event that is not known is never sent to Redis."""
    named = {code for name in LUA_FILES for code in re.findall(r"Code\.(\w+)", lua.source(name))}
    assert set(Code.__members__) - named == {"UNKNOWN_EVENT"}


def test_every_reason_has_its_code() -> None:
    assert sorted(REASONS.values()) == sorted(Reason)
    assert all(code.name.lower() == reason for code, reason in REASONS.items())


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
    assert {f"{script.name}.lua" for script in SCRIPTS} == set(LUA_FILES[1:5])


def test_includes_are_resolved() -> None:
    for script in SCRIPTS:
        assert "-- include" not in script.text
        assert re.fullmatch(r"[0-9a-f]{40}", script.sha1)


@pytest.mark.parametrize("name", LUA_FILES[1:5])
def test_a_script_says_first_what_it_takes_returns_and_guarantees(name: str) -> None:
    header = re.match(r"(--.*\n)+(\n--.*|\n|--.*\n)*", lua.source(name))
    assert header
    for word in ("KEYS", "ARGV", "Returns", "Guarantees"):
        assert re.search(rf"^-- {word}\b", header[0], re.MULTILINE), word


def test_the_types_of_records_are_those_that_the_scripts_know() -> None:
    shared, purchase, settle = (lua.source(name) for name in LUA_FILES[:3])
    assert set(re.findall(r'"type":"(\w+)"', shared)) | {"creation"} == set(TYPES.values())
    assert set(re.findall(r"function decide\.(\w+)", purchase)) == set(TYPES.values())
    assert set(re.findall(r"function apply\.(\w+)", settle)) == {*TYPES.values(), "rejection"}


def test_a_record_is_one_line_that_a_person_can_read() -> None:
    accepted = Accepted(Kind.PURCHASE, 2, 1234, 1_795_341_600_123, None, ((1, 2),), 'b"77\\', "x-1")
    text = record(accepted, 3, ["42-000001", "42-000002"])
    assert text == (
        '{"type":"purchase","seq":2,"offset":1234,"source":{"partition":3,"offset":1234},'
        '"at":"2026-11-22T10:00:00.123Z","buyer":"b\\"77\\\\","tickets":["42-000001","42-000002"],'
        '"cancelled_by":"x-1"}'
    )
    assert json.loads(text)["buyer"] == 'b"77\\'


def test_the_record_of_a_forwarded_command_shows_where_it_was_produced() -> None:
    accepted = Accepted(Kind.ADDITION, 3, 9, 0, (11, 70), count=500)
    assert json.loads(record(accepted, 3, [])) == {
        "type": "addition",
        "seq": 3,
        "offset": 9,
        "source": {"partition": 11, "offset": 70},
        "at": "1970-01-01T00:00:00.000Z",
        "count": 500,
    }


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


def test_a_confirmation_agrees_with_the_same_tickets_at_the_same_seq_only() -> None:
    assert expected_answer(CONFIRMED) == (Code.CONFIRMED, 2, "42-000001,42-000002")
    assert agrees(CONFIRMED, (Code.CONFIRMED, 2, "42-000001,42-000002"))
    assert not agrees(CONFIRMED, (Code.CONFIRMED, 3, "42-000001,42-000002"))
    assert not agrees(CONFIRMED, (Code.CONFIRMED, 2, "42-000002,42-000001"))
    assert not agrees(CONFIRMED, (Code.SOLD_OUT, 2, ""))


@pytest.mark.parametrize("reason", Reason)
def test_a_rejection_agrees_with_its_own_reason_only(reason: Reason) -> None:
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
    assert [code for code in REASONS if agrees(fact, (code, 2, ""))] == [Code[reason.name]]


def test_what_was_decided_before_agrees_with_everything() -> None:
    assert agrees(CONFIRMED, (Code.DECIDED_BEFORE, 0, ""))


def test_differences_are_sentences() -> None:
    found = EventCopy("42", {"sold": "1"}, ["42-000002"], {"r-1": "{}", "r-3": "{}"})
    expected = EventCopy("42", {"sold": "2"}, ["42-000003", "42-000004"], {"r-1": "[]", "r-2": "{}"})
    assert differences(found, expected) == [
        "sold is '1', and should be '2'",
        "1 ticket left, and should be 2",
        "ticket 1 of the queue is 42-000002, and should be 42-000003",
        "request r-1 is {}, and should be []",
        "request r-2 is missing",
        "request r-3 should not be there",
    ]
    assert differences(found, expected, limit=1) == ["sold is '1', and should be '2'"]
    assert not differences(found, found)
