"""Text in lines: what stays together, where lines end, and in which order they are seen."""

from __future__ import annotations

import pytest

from boxoffice.rendering.faces import BOLD_WEIGHT, EM, faces
from boxoffice.rendering.typesetting import Block, Space, Type, clean, clusters, fit, seen_order


def fitted(text: str, width: float = 250, height: float = 98, size: float = 27) -> Block:
    return fit(text, Type(faces(BOLD_WEIGHT), "en"), Space(width, height, size))


def lines(block: Block) -> list[str]:
    return [line.text for line in block.lines]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ae\u0301b", ["a", "e\u0301", "b"]),
        ("👩\u200d👩\u200d👧x", ["👩\u200d👩\u200d👧", "x"]),
        ("👍🏽👍", ["👍🏽", "👍"]),
        ("🇩🇪🇫🇷", ["🇩🇪", "🇫🇷"]),
        ("क्षत", ["क्ष", "त"]),
        ("\u0301a", ["\u0301", "a"]),
    ],
)
def test_characters_that_belong_together_stay_together(text: str, parts: list[str]) -> None:
    assert clusters(text) == parts


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\ud800b", "a\ufffdb"),
        ("a\nb\u2028c", "a b c"),
        ("a\u202eb\u2066c", "abc"),
        ("a\ufeffb\ufffe", "ab\ufffd"),
        ("👍", "👍"),
    ],
)
def test_what_is_no_text_is_taken_out(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_a_short_name_keeps_its_size() -> None:
    block = fitted("Night at the Opera")
    assert lines(block) == ["Night at the Opera"]
    assert block.size == 27


def test_lines_end_between_words_and_are_about_as_long() -> None:
    block = fitted("The Long Night of the Short Films", width=320, size=24)
    assert lines(block) == ["The Long Night of", "the Short Films"]


def test_a_word_is_broken_only_where_it_would_become_too_small() -> None:
    assert lines(fitted("Donaudampfschifffahrtsgesellschaft")) == ["Donaudampfschifffahrtsgesellschaft"]
    assert len(lines(fitted("W" * 100))) > 1


def test_a_bracket_does_not_end_a_line_and_a_full_stop_does_not_begin_one() -> None:
    for width in range(60, 200, 7):
        for line in lines(fitted("東京。京都「大阪」東京。京都「大阪」", width=width, height=300, size=20)):
            assert line[0] not in "。」"
            assert line[-1] != "「"


def test_no_line_is_wider_than_its_box() -> None:
    for text in ("a" * 200, "ab " * 66, "\u0301" * 200, "漢" * 200):
        block = fitted(text)
        assert all(line.width * block.size / EM <= 250 for line in block.lines)


@pytest.mark.parametrize(
    ("text", "base", "seen"),
    [
        ("ab שלום cd", "L", "ab םולש cd"),
        ("שלום (12)", "R", "(12) םולש"),
        ("שלום (ab)", "R", "(ab) םולש"),
        ("ab (של)", "L", "ab (לש)"),
        ("שָל", "R", "לשָ"),
    ],
)
def test_right_to_left_text_is_seen_from_the_right(text: str, base: str, seen: str) -> None:
    """Brackets are mirrored only when they are shaped, so as characters they are still the other ones."""
    mirrored = str.maketrans("()", ")(")
    parts = [
        part.text.translate(mirrored) if part.rtl and part.text in "()" else part.text
        for part in seen_order(clusters(text), base)
    ]
    assert "".join(parts) == seen
