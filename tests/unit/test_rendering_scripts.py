"""Tickets in the scripts that people write in, from the product's own fonts alone; and what nothing can draw."""

from __future__ import annotations

import unicodedata
from importlib.util import module_from_spec, spec_from_file_location
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pypdf import PdfReader

from boxoffice.rendering import EventPage, Rendered, Style, TicketPage, render_ticket
from boxoffice.rendering.faces import BOLD_WEIGHT, REGULAR_WEIGHT, Face, faces, region_of
from boxoffice.rendering.typesetting import Space, Type, clusters, fit, pieces_of
from tests.unit.test_rendering import CODE, OPERA, TICKET, text_of, unembedded_fonts

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
TWELVE = {
    *("Latin with combining marks", "Greek", "Cyrillic", "Arabic", "Hebrew", "Devanagari"),
    *("Bengali", "Tamil", "Thai", "Han", "Kana", "Hangul"),
}
NOTHING = "\u200b\u2060\u3164 "


def _samples() -> dict[str, Any]:
    """Those of the README's picture."""
    spec = spec_from_file_location("scripts_picture", PICTURES / "scripts.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.SAMPLES)


SAMPLES = _samples()


def named(name: str, venue: str = "Main Hall", buyer: str = "b-77", language: str = "en") -> Rendered:
    event = EventPage("42", name, venue, OPERA.starts_at, 4500, "EUR")
    return render_ticket(TicketPage(event, "42-000001", buyer, "r-1", CODE), Style(language=language))


def fonts_of(rendered: Rendered) -> set[str]:
    (page,) = PdfReader(BytesIO(rendered.pdf), strict=True).pages
    return {str(font.get_object()["/BaseFont"]) for font in page["/Resources"]["/Font"].values()}  # type: ignore[index]


def without_spaces(text: str) -> str:
    return "".join(text.split())


def test_the_picture_shows_the_twelve_scripts() -> None:
    assert SAMPLES.keys() == TWELVE
    with Image.open(PICTURES / "scripts.png") as picture:
        assert picture.width > picture.height * 3 // 4


@pytest.mark.parametrize("script", sorted(TWELVE))
def test_a_ticket_in_any_of_the_twelve_scripts_has_no_flaw_and_brings_its_fonts(script: str) -> None:
    sample = SAMPLES[script]
    rendered = named(sample.name, sample.venue, sample.buyer, sample.language)
    assert rendered.flaws == ()
    assert unembedded_fonts(rendered) == set()


@pytest.mark.parametrize("script", sorted(TWELVE))
def test_what_is_read_holds_no_character_that_nobody_wrote(script: str) -> None:
    sample = SAMPLES[script]
    said = text_of(named(sample.name, sample.venue, sample.buyer, sample.language))
    assert [char for char in said if unicodedata.category(char) in {"Cc", "Co", "Cn"}] == []


# Readers put marks of two storeys, and vowels that stand before their letters, where they see them.
@pytest.mark.parametrize("script", sorted(TWELVE - {"Thai", "Bengali", "Tamil", "Hebrew"}))
def test_its_name_is_read_back_as_it_was_given(script: str) -> None:
    name = SAMPLES[script].name
    assert without_spaces(name) in without_spaces(text_of(named(name)))


def test_letters_of_arabic_are_joined_and_stand_from_right_to_left() -> None:
    letters = "مهر"
    (face,) = (face for face in faces(REGULAR_WEIGHT) if all(map(face.covers, letters)))

    def glyph_ids(text: str) -> list[int]:
        return [glyph.glyph_id for cluster in face.shape(text, rtl=True) for glyph in cluster.glyphs]

    assert glyph_ids(letters) != [glyph_id for letter in reversed(letters) for glyph_id in glyph_ids(letter)]


@pytest.mark.parametrize(
    ("text", "language", "region"),
    [
        ("東京", "de", "CN"),
        ("東京", "ja", "JP"),
        ("東京の春", "de", "JP"),
        ("서울 東京", "ja", "KR"),
        ("Berlin", "de", "CN"),
    ],
)
def test_han_characters_are_drawn_as_their_country_does(text: str, language: str, region: str) -> None:
    assert region_of(text, language) == region
    if not text.isascii():
        font = {"JP": "NotoSansCJKjp", "KR": "NotoSansCJKkr", "CN": "NotoSansCJKsc"}[region]
        event = EventPage("42", text, "Hall", OPERA.starts_at, 4500, "EUR")
        drawn = fonts_of(render_ticket(TicketPage(event, "42-000001", "b", "r-1", CODE), Style(language=language)))
        assert {name for name in drawn if "CJK" in name and font in name}


@pytest.mark.parametrize("emoji", ["🎉", "👩\u200d👩\u200d👧", "🇩🇪", "👍🏽", "1\ufe0f\u20e3", "❤\ufe0f"], ids=ascii)
def test_an_emoji_is_one_sign_with_all_that_is_joined_to_it(emoji: str) -> None:
    assert named(f"Party {emoji}").flaws == ()
    (line,) = fit(emoji, Type(faces(BOLD_WEIGHT), "en"), Space(250, 98, 27)).lines
    (run,) = line.runs
    assert "NotoEmoji" in run.face.name
    assert sum(len(cluster.glyphs) for cluster in run.clusters) == 1


# Where lines end


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("เทศกาลดนตรี", ["เทศกาล", "ดนตรี"]),
        ("ງານດົນຕີ", ["ງານ", "ດົນຕີ"]),
        ("서울시립교향악단 신년", ["서울시립교향악단 ", "신년"]),
        ("東京のクラシックコンサート", ["東京の", "クラシックコンサート"]),
        ("国家大剧院", ["国", "家", "大", "剧", "院"]),
        ("Night at the Opera-House", ["Night ", "at ", "the ", "Opera-", "House"]),
        ("a\u00a0b", ["a\u00a0b"]),
    ],
)
def test_lines_end_between_words_also_where_nothing_parts_these(text: str, pieces: list[str]) -> None:
    assert pieces_of(text) == pieces


@pytest.mark.parametrize("script", sorted(TWELVE))
def test_no_line_ends_inside_a_cluster(script: str) -> None:
    text = SAMPLES[script].name.replace(" ", "")
    typeface = Type(faces(BOLD_WEIGHT), "en")
    for width in (12, 20, 35, 60):
        lines = [line.text for line in fit(text, typeface, Space(width, 600, 12)).lines]
        assert "".join(lines) == text
        assert [cluster for line in lines for cluster in clusters(line)] == clusters(text)


# What cannot be drawn, or shows nothing


def test_each_character_that_no_font_has_is_a_box_and_a_flaw_wherever_it_stands() -> None:
    rendered = named("Linear \U00010000", "ꀀ Hall", "b \U000f0000")
    assert rendered.flaws == (
        "name: no font has U+10000, a box stands instead",
        "venue: no font has U+A000, a box stands instead",
        "buyer: no font has U+F0000, a box stands instead",
    )
    text = text_of(rendered)
    assert all(char in text for char in "\U00010000ꀀ\U000f0000")


def test_a_letter_is_drawn_where_only_its_mark_is_missing() -> None:
    rendered = named("x\U00010a01")
    assert rendered.flaws == ("name: no font has U+10A01, a box stands instead",)


def test_a_page_says_something_where_a_name_shows_nothing() -> None:
    """Such a name is as old as the ledger: no command is refused for what an older release accepted."""
    rendered = named(NOTHING, NOTHING, NOTHING)
    assert rendered.flaws == (
        "name: it shows nothing, the event's number stands instead",
        "venue: it shows nothing, and is left out",
        "buyer: it shows nothing, the order stands instead",
    )
    assert text_of(rendered).startswith("TICKET 42 DATE ")
    assert "BUYER r-1 ORDER r-1" in text_of(rendered)
    metadata = PdfReader(BytesIO(rendered.pdf)).metadata
    assert metadata is not None
    assert metadata.title == "42-000001, 42"


def test_a_buyer_of_spaces_shows_nothing_either() -> None:
    page = TicketPage(OPERA, "42-000001", "   ", "r-1", CODE)
    assert render_ticket(page).flaws == ("buyer: it shows nothing, the order stands instead",)
    assert render_ticket(TICKET).flaws == ()


def test_a_font_that_was_named_comes_before_noto() -> None:
    """Whoever has a house font for a script wants to see it."""
    noto: Face = next(face for face in faces(REGULAR_WEIGHT) if "Hebrew" in face.name)
    cjk = next(face for face in faces(REGULAR_WEIGHT) if face.region == "JP")
    order = faces(REGULAR_WEIGHT, (str(cjk.path),))
    assert order[1].path == cjk.path
    assert order.index(noto) > 1
