"""One definition of a ticket's name: whoever writes one and whoever reads one mean the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import lupa.lua51
import pytest

from boxoffice.kafka.side_records import dead_letter, read_marks
from boxoffice.schema.headers import HEADERS
from models.event import Event
from models.shapes import EventCreated
from models.tickets import TICKET_PATTERN, are_tickets_of, event_of, is_ticket_name, ticket_name, ticket_number
from tests.unit.records import record
from tests.unit.test_documents import sale

NUMBERS = [1, 999_999, 1_000_000, 9_999_999, 10_000_000, 123_456_789, 2**53]
PURCHASE_LUA = Path(__file__).parents[2] / "lua" / "purchase.lua"


def _event() -> Event:
    price = {"amount": 1, "currency": "EUR"}
    return Event(cast(EventCreated, {"event_id": "42", "capacity": 1, "price": price, "rules": 2}), 0)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_ticket_s_name_is_recognised_by_all_who_read_it_however_many_there_are(number: int) -> None:
    name = ticket_name("42", number)
    assert is_ticket_name(name)
    assert are_tickets_of("42", [name])
    assert (event_of(name), ticket_number(name)) == ("42", number)
    _, _, headers = dead_letter(record(0, b"{}"), "it hung", name)
    _, marks = read_marks(headers)
    assert marks is not None
    assert marks.ticket == name
    assert re.search(HEADERS["documentDeadLetterHeaders"]["properties"]["boxoffice-ticket"]["pattern"], name)
    assert re.search(HEADERS["announcementHeaders"]["properties"]["ce_id"]["pattern"], f"{name}-7")


@pytest.mark.parametrize("number", NUMBERS)
def test_the_table_and_redis_call_a_ticket_the_same(number: int) -> None:
    name = ticket_name("42", number)
    assert _event().tickets(((number, number),)) == [name]
    [format_] = re.findall(r"string\.format\('(%s[^']+)'", PURCHASE_LUA.read_text())
    assert lupa.lua51.LuaRuntime().eval("string.format")(format_, "42-", number) == name


@pytest.mark.parametrize(
    "text", ["", "42", "42-", "42-1", "42-00001", "42-0000001", "042-000001", "42-000001 ", "x-000001", f"42-{10**19}"]
)
def test_what_nobody_would_call_a_ticket_is_none(text: str) -> None:
    assert not is_ticket_name(text)
    assert not are_tickets_of("42", [text])
    _, _, headers = dead_letter(record(0, b"{}"), "it hung", text)
    assert read_marks(headers)[1] is None


def test_a_ticket_of_another_event_is_none_of_this_one() -> None:
    assert not are_tickets_of("42", sale("4", first=2)["tickets"])


def test_nobody_spells_the_pattern_himself() -> None:
    root = Path(__file__).parents[2]
    spelt = re.compile(r"\[0-9\]\{+6|:06d|zfill\(6\)")
    # The typefaces' names have six letters, which is another thing.
    found = [
        path
        for folder in ("boxoffice", "models", "agents", "topics")
        for path in (root / folder).rglob("*.py")
        if path.name != "embedding.py" and spelt.search(path.read_text())
    ]
    assert found == []
    assert TICKET_PATTERN.count("{6") == 2
