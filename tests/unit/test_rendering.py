"""A ticket's PDF: what is read from it, what it looks like to a scanner, and that nothing can break it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import Any

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader

from boxoffice.rendering import EventPage, FontError, Rendered, Style, TicketPage, prepare, render_ticket
from boxoffice.rendering.design import HEIGHT, WIDTH
from boxoffice.rendering.languages import WORDS

MAX_PDF_BYTES = 20_000
MAX_BYTES_IN_ALL_SCRIPTS = 45_000

OPERA = EventPage("42", "Night at the Opera", "Main Hall", "2027-03-01T19:30:00+01:00", 4500, "EUR")
CODE = "BX1:W50/D5D0OEB6333YQ5S6779%LA4RA-560:JY4TNX97SQ$G5 K1TAJW+5-YD++0$RITSE.HVI1V0HFIOQD435LHSO0V*6YT7LTT9:340"
TICKET = TicketPage(OPERA, "42-000001", "b-77", "550e8400-e29b-41d4-a716-446655440000", CODE)

LATIN = "The Extraordinary and Possibly Never-Ending Žluťoučký Festival of Chamber Music and Expérimental Théâtre "
GREEK = "Φεστιβάλ Κλασικής Μουσικής της Αθήνας στο Ωδείο Ηρώδου του Αττικού "
CYRILLIC = "Ночь в опере: «Евгений Онегин» на исторической сцене, Ґанок, Ђорђе "
CJK = "東京交響楽団第九特別演奏会「歓喜の歌」国家大剧院서울시립교향악단"
ARABIC = "مهرجان الموسيقى الكلاسيكية (2027) في دار الأوبرا "
HEBREW = "פסטיבל הג'אז (2027) בתל אביב שָׁלוֹם "
DEVANAGARI = "शास्त्रीय संगीत महोत्सव क्षत्रिय कृष्णा "
EMOJI = "🎉👩‍👩‍👧🇩🇪👍🏽1️⃣ "
MIXED = "Opera опера όπερα 東京 أوبرا אופרה ओपेरा 🎭 "
MARKS = "a" + "\u0301\u0323" * 10
WIDE = "\ufdfd"
SCRIPTS = [LATIN, GREEK, CYRILLIC, CJK, ARABIC, HEBREW, DEVANAGARI, EMOJI, MIXED, MARKS, WIDE, "W", "-", "("]


def named(name: str, buyer: str = "b-77") -> TicketPage:
    return TicketPage(EventPage("42", name, name[::-1], OPERA.starts_at, 4500, "EUR"), "42-000001", buyer, "r-1", CODE)


def page_of(rendered: Rendered) -> Any:
    document = pypdfium2.PdfDocument(rendered.pdf)
    assert len(document) == 1
    return document[0]


def text_of(rendered: Rendered) -> str:
    return " ".join(page_of(rendered).get_textpage().get_text_range().split())


def scanned(rendered: Rendered) -> list[str]:
    return [code.text for code in zxingcpp.read_barcodes(page_of(rendered).render(scale=2).to_pil())]


def characters(rendered: Rendered) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    """Each character and its box, but those that the reader added: spaces and ends of lines."""
    text = page_of(rendered).get_textpage()
    for index in range(text.count_chars()):
        if pdfium.FPDFText_IsGenerated(text, index) == 0:
            yield chr(pdfium.FPDFText_GetUnicode(text, index)), text.get_charbox(index)


def boxes(rendered: Rendered) -> Iterator[tuple[float, float, float, float]]:
    return (box for _, box in characters(rendered))


def unembedded_fonts(rendered: Rendered) -> set[str]:
    (page,) = PdfReader(BytesIO(rendered.pdf), strict=True).pages
    fonts = [font.get_object() for font in page["/Resources"]["/Font"].values()]  # type: ignore[index]
    descriptors = [font["/DescendantFonts"][0].get_object()["/FontDescriptor"] for font in fonts]
    return {
        descriptor["/FontName"] for descriptor in descriptors if not {"/FontFile2", "/FontFile3"} & descriptor.keys()
    }


def test_the_page_says_what_a_visitor_and_the_door_need() -> None:
    text = text_of(render_ticket(TICKET))
    for said in (
        *("Night at the Opera", "Main Hall", "DATE Monday, 1 March 2027", "TIME 19:30 UTC+01:00"),
        *("PRICE €45.00", "NUMBER 42-000001", "BUYER b-77", "ORDER 550e8400-e29b-41d4-a716-446655440000"),
    ):
        assert said in text


LONG_CATEGORY = "Balcony, first row, with a restricted view of the stage behind the second pillar, no late admission"


@pytest.mark.parametrize("language", ["en", "de", "ar", "ja"])
@pytest.mark.parametrize("category", ["Stalls", "Parkett, Reihen 1 bis 10 (ermäßigt)", LONG_CATEGORY, "W" * 100])
def test_a_ticket_says_its_category_in_letters_that_stand_on_no_others(language: str, category: str) -> None:
    event = replace(OPERA, category=category)
    rendered = render_ticket(replace(TICKET, event=event), Style(language=language))
    assert category.replace(" ", "") in text_of(rendered).replace(" ", "")
    assert rendered.flaws == ()
    assert scanned(rendered) == [CODE]
    if language != "ar":  # whose letters have marks of their own above and below them
        assert not list(met(rendered))


def met(rendered: Rendered) -> Iterator[tuple[str, str]]:
    """Letters below the perforation that stand on letters of another line."""
    below = [(char, box) for char, box in characters(rendered) if box[3] < 180 and box[3] > box[1]]
    for (one, (left, bottom, right, top)), (other, box) in combinations(below, 2):
        apart = abs((top + bottom) - (box[1] + box[3])) > 12
        if apart and min(right, box[2]) > max(left, box[0]) and min(top, box[3]) > max(bottom, box[1]):
            yield one, other


def test_a_long_category_takes_the_place_of_the_hint_and_a_short_one_does_not() -> None:
    said = {
        category: text_of(render_ticket(replace(TICKET, event=replace(OPERA, category=category))))
        for category in ("", "Stalls", LONG_CATEGORY)
    }
    assert ["CATEGORY" in text for text in said.values()] == [False, True, True]
    assert ["Show this code at the door." in text for text in said.values()] == [True, True, False]
    assert all("PRICE €45.00" in text for text in said.values())


def test_letters_of_a_long_category_are_not_much_smaller_than_all_others() -> None:
    plain, long = (render_ticket(replace(TICKET, event=replace(OPERA, category=one))) for one in ("", LONG_CATEGORY))
    heights = [min(box[3] - box[1] for char, box in characters(page) if char == "e") for page in (plain, long)]
    assert heights[1] > 0.9 * heights[0]


def test_a_category_that_shows_nothing_is_left_out_and_that_is_told() -> None:
    rendered = render_ticket(replace(TICKET, event=replace(OPERA, category="\u200b")))
    assert "CATEGORY" not in text_of(rendered)
    assert rendered.flaws == ("category: it shows nothing, and is left out",)


def test_tickets_of_one_event_with_other_categories_and_prices_are_other_pages() -> None:
    pages = {
        render_ticket(replace(TICKET, event=replace(OPERA, category=category, amount=amount))).pdf
        for category in ("", "Stalls", "Balcony")
        for amount in (0, 4500, 9900)
    }
    assert len(pages) == 9


def test_the_number_that_is_not_the_code_stands_beside_it() -> None:
    rendered = render_ticket(TICKET)
    assert scanned(rendered) == [CODE]
    assert "NUMBER 42-000001" in text_of(rendered)


def test_every_font_is_embedded_and_title_and_language_are_set() -> None:
    rendered = render_ticket(TICKET)
    pdf = PdfReader(BytesIO(rendered.pdf), strict=True)
    assert unembedded_fonts(rendered) == set()
    assert b"Helvetica" not in rendered.pdf
    assert str(pdf.root_object["/Lang"]) == "en"
    assert pdf.metadata is not None
    assert pdf.metadata.title == "42-000001, Night at the Opera"
    assert pdf.metadata.author == "Box office"
    assert pdf.metadata.creation_date is None
    assert pdf.metadata.modification_date is None


@pytest.mark.parametrize("name", [LATIN, GREEK, CYRILLIC, DEVANAGARI], ids=["Latin", "Greek", "Cyrillic", "Devanagari"])
def test_names_are_read_back_as_they_were_given(name: str) -> None:
    rendered = render_ticket(named(name, buyer=name))
    # Readers see spaces where there are none, beside vowel signs.
    assert text_of(rendered).replace(" ", "").count(name.replace(" ", "")) == 2
    assert rendered.flaws == ()
    assert unembedded_fonts(rendered) == set()


def test_letters_given_with_their_accents_apart_are_read_back_so() -> None:
    assert "Cafe\u0301" in text_of(render_ticket(named("Cafe\u0301")))


@pytest.mark.parametrize("spaces", ["spaced", "unbroken"])
@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("language", ["en", "ar"])
def test_names_of_200_characters_stay_on_the_page(script: str, spaces: str, language: str) -> None:
    text = script if spaces == "spaced" else script.replace(" ", "")
    name = (text * 200)[:200]
    rendered = render_ticket(named(name, buyer=name[:128]), Style(language=language))
    for left, bottom, right, top in boxes(rendered):
        assert left >= 0
        assert bottom >= 0
        assert right <= WIDTH
        assert top <= HEIGHT
    assert scanned(rendered) == [CODE]
    assert len(rendered.pdf) <= MAX_BYTES_IN_ALL_SCRIPTS


def test_a_long_plain_buyer_and_order_stay_on_the_page() -> None:
    rendered = render_ticket(TicketPage(OPERA, "999999999999999999-1000000", "W" * 128, "W" * 64, CODE))
    assert max(right for _, _, right, _ in boxes(rendered)) <= WIDTH
    assert "W" * 64 in text_of(rendered).replace(" ", "")


def test_right_to_left_text_is_set_in_the_order_in_which_it_is_seen() -> None:
    event = EventPage("7", "שגד (89)", "Main Hall", OPERA.starts_at, 4500, "EUR")
    rendered = render_ticket(TicketPage(event, "7-000001", "b-2", "r-1", CODE))
    left_of = {char: box[0] for char, box in characters(rendered)}
    assert sorted("שגד89", key=left_of.__getitem__) == ["8", "9", "ד", "ג", "ש"]


def test_a_missing_glyph_is_a_flaw_and_still_read() -> None:
    rendered = render_ticket(named("Party \U00010000 night"))
    assert "name: no font has U+10000, a box stands instead" in rendered.flaws
    assert "Party \U00010000 night" in text_of(rendered)


def test_many_missing_glyphs_make_one_short_sentence() -> None:
    (flaw,) = (each for each in render_ticket(named("ꀀꀁꀂꀃꀄꀅꀆ")).flaws if each.startswith("name"))
    assert "and 2 more" in flaw
    assert len(flaw) < 120


def test_marks_that_turn_text_around_are_left_out() -> None:
    assert "Nightevil" in text_of(render_ticket(named("Night\u202eevil")))


def test_tickets_are_small() -> None:
    assert len(render_ticket(TICKET).pdf) < MAX_PDF_BYTES


def test_a_layout_can_be_sent_to_another_process() -> None:
    layout = pickle.loads(pickle.dumps(prepare(OPERA)))  # noqa: S301 - made here
    assert layout.render(TICKET.ticket, TICKET.buyer, TICKET.order, TICKET.code) == render_ticket(TICKET)


_DIGESTS = """
import hashlib, sys
from tests.unit.test_rendering import LATIN, MIXED, TICKET, Style, named, render_ticket
pages = [TICKET, named(MIXED * 3), named(LATIN, buyer=MIXED), named("東京 서울 👍"), named("東京の春")]
styles = [Style(language=language) for language in ("en", "ar", "ja")]
drawn = [(page, style) for page in pages for style in styles]
for page, style in drawn if sys.argv[1] == "forwards" else drawn[::-1]:
    print(hashlib.sha256(render_ticket(page, style).pdf).hexdigest())
"""


def test_the_same_ticket_gives_the_same_bytes_in_every_process() -> None:
    """Whatever the hash seed, and whatever the process rendered before."""

    def digests(seed: str, order: str) -> list[str]:
        command = [sys.executable, "-c", _DIGESTS, order]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()

    first = digests("0", "forwards")
    assert len(set(first)) == len(first)
    assert digests("1", "backwards") == first[::-1]
    assert digests("4242", "forwards") == first


def test_a_font_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    with pytest.raises(FontError, match=r"broken\.ttf cannot be embedded"):
        render_ticket(TICKET, Style((str(broken),)))
    with pytest.raises(FontError, match=r"absent\.ttf cannot be read: No such file"):
        render_ticket(TICKET, Style((str(tmp_path / "absent.ttf"),)))


texts = st.text(st.characters(exclude_categories=["Cc"]), max_size=60)


@given(name=texts, venue=texts, buyer=texts, language=st.sampled_from(sorted(WORDS)))
def test_no_text_breaks_it(name: str, venue: str, buyer: str, language: str) -> None:
    event = EventPage("42", name, venue, OPERA.starts_at, 0, "XXX")
    rendered = render_ticket(TicketPage(event, "42-000001", buyer, "r-1", CODE), Style(language=language))
    assert all(left >= 0 and right <= WIDTH and top <= HEIGHT for left, _, right, top in boxes(rendered))
