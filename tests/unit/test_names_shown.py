"""A name must show something: who types another is refused, and a worker takes it as older ones do."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from boxoffice.kafka.asking import WrongCommandError, command_from
from models.members import shows_something
from tests.unit.test_commands import EXAMPLES, read

NOTHING = ["\u200b", " ", "\u00a0\u3000", "\u2060\u200d\ufe0f", "\u3164", "\u2800", "\u00ad", "\U000e0041", "\ufeff"]
SOMETHING = ["a", " a ", "\u200ba", "-", "東", "👍", "\u0301", "\u0600", "\ua000", "\U000f0000", "\ufffd"]
VISIBLE_ALTHOUGH_FORMATTING = {"\u06dd", "\u070f", "\u08e2", "\U000110bd", "\U000110cd"}


@pytest.mark.parametrize("text", NOTHING, ids=ascii)
def test_a_text_of_what_is_ignored_shows_nothing(text: str) -> None:
    assert not shows_something(text)


@pytest.mark.parametrize("text", SOMETHING, ids=ascii)
def test_any_other_character_shows_something_also_one_that_no_font_has(text: str) -> None:
    assert shows_something(text)


def test_the_fixed_code_points_are_those_that_unicode_calls_spaces_controls_and_formats() -> None:
    """All but the signs of Arabic, Syriac, Kaithi and Egyptian that are drawn around what follows."""
    for char in map(chr, range(sys.maxunicode + 1)):
        category = unicodedata.category(char)
        if category in {"Cc", "Zs", "Zl", "Zp"}:
            assert not shows_something(char)
        elif category == "Cf" and not "\u0600" <= char <= "\u0605" and not "\U00013430" <= char <= "\U0001343f":
            assert shows_something(char) == (char in VISIBLE_ALTHOUGH_FORMATTING | {"\u0890", "\u0891"}), ascii(char)


@pytest.mark.parametrize(
    ("type_", "member"), [("create_event", "name"), ("create_event", "venue"), ("purchase", "buyer")]
)
@pytest.mark.parametrize("text", NOTHING, ids=ascii)
def test_who_types_a_name_that_shows_nothing_is_told_which(type_: str, member: str, text: str) -> None:
    with pytest.raises(
        WrongCommandError, match=f"^This command cannot be published: {member}: nothing of it can be seen"
    ):
        command_from(EXAMPLES[type_] | {member: text})
    # Two releases must not decide one command in two ways.
    assert getattr(read(EXAMPLES[type_], **{member: text}), member) == text


def test_what_was_bought_under_such_a_name_can_be_given_back() -> None:
    cancel = EXAMPLES["cancel_purchase"] | {"buyer": " "}
    assert command_from(cancel).request_id == "x-1"
