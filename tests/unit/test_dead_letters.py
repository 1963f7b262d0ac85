"""Dead letters as they are read: their marks, and how what strangers wrote is shown."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from boxoffice.cli.tables import print_json
from boxoffice.kafka.dead_letters import DeadLetter, Position, WrongPositionError, read_position
from boxoffice.kafka.side_records import Marks, dead_letter, read_marks
from boxoffice.showing.printing import told_apart
from tests.unit.records import record

MARKS = [
    ("boxoffice-reason", b"no JSON"),
    ("boxoffice-position", b"purchase-requests:3:17"),
]


# Positions


def test_a_position_is_partition_and_offset() -> None:
    assert read_position("0:0") == Position(0, 0)
    assert read_position("11:1234567") == Position(11, 1_234_567)
    assert str(Position(3, 17)) == "3:17"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "3:",
        ":17",
        "3:17 ",
        "03:17",
        "3:-1",
        "3:1:7",
        "x:y",
        "\u0663:17",
        "3:17\n",
        f"1:{10**18}",
        f"{10**9}:1",
    ],
)
def test_anything_else_is_no_position(text: str) -> None:
    with pytest.raises(WrongPositionError, match="PARTITION:OFFSET"):
        read_position(text)


# Marks


@pytest.mark.parametrize("ticket", [None, "42-000007"])
@pytest.mark.parametrize(("value", "cut_bytes"), [(b"{", None), (b"x" * 70_000, 70_000 + 2 + len("traceparent") + 2)])
def test_what_is_written_is_read(ticket: str | None, value: bytes, cut_bytes: int | None) -> None:
    original = record(17, value, partition=3, key=b"42", headers=(("traceparent", b"00"),))
    headers, marks = read_marks(dead_letter(original, "no JSON", ticket)[2])
    assert headers == [("traceparent", b"00")]
    assert marks == Marks(b"no JSON", "purchase-requests", 3, 17, ticket, cut_bytes)


def test_a_letter_of_an_earlier_release_is_read_though_it_is_no_cloud_event() -> None:
    earlier = [("traceparent", b"00"), ("ce_type", b"order"), *MARKS]
    assert read_marks(earlier) == (earlier[:2], Marks(b"no JSON", "purchase-requests", 3, 17, None, None))


def test_attributes_that_the_original_had_already_stay_its_own() -> None:
    """Though it was a dead letter itself: it is published again as it was."""
    first = dead_letter(record(17, b"{", partition=3, headers=(("ce_id", b"theirs"),)), "no JSON")[2]
    again = dead_letter(record(18, b"{", partition=3, headers=tuple(first)), "no JSON")[2]
    assert read_marks(again)[0] == first


def test_an_earlier_release_finds_the_marks_where_it_looks_for_them() -> None:
    """Behind the last reason there are only marks: more would make the letter a stranger's to it."""
    headers = dead_letter(record(17, b"{", partition=3), "no JSON")[2]
    names = [name for name, _ in headers]
    assert set(names[names.index("boxoffice-reason") :]) == {"boxoffice-reason", "boxoffice-position"}


@pytest.mark.parametrize("name", ["reason", "position", "ticket", "cut"])
def test_marks_that_the_original_had_already_are_its_own(name: str) -> None:
    """Who writes commands cannot make the box office's operator believe something else."""
    own = (f"boxoffice-{name}", b"5")
    headers, marks = read_marks([own, *MARKS])
    assert headers == [own]
    assert marks == Marks(b"no JSON", "purchase-requests", 3, 17, None, None)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("traceparent", b"00")],
        MARKS[:1],
        MARKS[1:],
        [MARKS[0], ("boxoffice-position", b"purchase-requests:3")],
        [MARKS[0], ("boxoffice-position", b"purchase-requests:3:-1")],
        [MARKS[0], ("boxoffice-position", b"purchase\x1brequests:3:1")],
        [*MARKS, ("boxoffice-cut", b"many")],
        [*MARKS, ("boxoffice-ticket", b"\x1b[2J")],
        [*MARKS, ("traceparent", b"00")],
    ],
)
def test_other_marks_are_none(headers: list[tuple[str, bytes]]) -> None:
    assert read_marks(headers) == (headers, None)


def test_a_reason_is_found_as_it_is_and_as_it_is_counted() -> None:
    letter = DeadLetter.read(record(0, b"{", headers=(("boxoffice-reason", b"line 1 column 12"), MARKS[1])))
    assert letter.reason_kind == "line N column N"
    assert all(letter.has_reason(text) for text in ("line 1 column 12", "column 12", "line N column N"))
    assert not letter.has_reason("line 2")


# What strangers wrote


def read_back(shown: str) -> bytes:
    """The inverse of ``told_apart``."""

    def character(match: re.Match[str]) -> bytes:
        code = match[0]
        if code[1] == "x" and code[2:] >= "80":
            return bytes.fromhex(code[2:])
        return code.encode().decode("unicode_escape").encode()

    pieces = re.split(r"(\\x..|\\u....|\\U........|\\.)", shown)
    return b"".join(character(match) if (match := re.fullmatch(r"\\.+", piece)) else piece.encode() for piece in pieces)


@given(st.binary() | st.text().map(str.encode))
@example(b"\x1b[2J\r\n\t\x00\x7f")
@example("\u009b31m \u202e \u200b \u2028 \\x1b \U000e0001".encode())
@example(b"\x9b \xc2\x9b \\x9b")
def test_what_is_shown_is_printable_and_says_what_is_there(raw: bytes) -> None:
    shown = told_apart(raw)
    assert shown.isprintable()
    assert read_back(shown) == raw


def test_what_people_write_is_shown_as_it_is() -> None:
    for text in ('{"name":"Straßenfest"}', "Ω мир שלום 切符 🎟"):
        assert told_apart(text.encode()) == told_apart(text) == text


@given(st.dictionaries(st.text(), st.text()))
@example({"\x1b[2J": "\u009b31m \u202e \U000e0001 \x7f"})
def test_json_is_printable_and_says_what_is_there(members: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        said: list[str] = []
        patched.setattr("boxoffice.cli.tables._write", said.append)
        print_json(members)
    [told] = said
    assert json.loads(told) == members
    assert told.replace("\n", "").isprintable()
