"""Who does not see a ticket is told what it says: by the structure that PDF/UA-1 asks for."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pypdf import PdfReader
from pypdf.generic import ByteStringObject, ContentStream, DictionaryObject, TextStringObject
from reportlab.lib.colors import Color

from boxoffice.rendering import EventPage, Rendered, Style, TicketPage, design, render_ticket
from boxoffice.rendering.languages import WORDS
from tests.unit.test_rendering import CODE, LATIN, MIXED, OPERA, TICKET, named
from tests.unit.test_rendering_scripts import NOTHING, SAMPLES

VERAPDF = shutil.which("verapdf")
SMALLEST_LABEL = 8
LEAST_CONTRAST = 4.5
UNREADABLE = named("Linear \U00010000", buyer="\U000f0000")
PAGES = {
    "plain": (TICKET, Style()),
    "a buyer in another script": (named("Opera", buyer="Ρένα"), Style()),
    "many scripts": (named(MIXED * 3, buyer=MIXED), Style()),
    "a long name": (named(LATIN * 2), Style()),
    "what no font has": (UNREADABLE, Style()),
    "names that show nothing": (named(NOTHING, buyer=NOTHING), Style()),
    "marks of XML": (named("<Night> & \ufffe\ud800\ufeff ]]>"), Style()),
    **{f"a page in {language}": (named("Opera"), Style(language=language)) for language in WORDS},
    **{
        script: (
            TicketPage(
                EventPage("42", one.name, one.venue, OPERA.starts_at, *one.price), "42-000001", one.buyer, "r-1", CODE
            ),
            Style(language=one.language),
        )
        for script, one in SAMPLES.items()
    },
}
every_page = pytest.mark.parametrize("page", PAGES.values(), ids=PAGES.keys())


class Shown(NamedTuple):
    """A text that is drawn: by which marked content, how large, and in which colour."""

    tag: str
    number: int | None
    size: float
    colour: tuple[float, ...]


def reader(rendered: Rendered) -> PdfReader:
    return PdfReader(BytesIO(rendered.pdf), strict=True)


def elements(tree: Any) -> Iterator[Any]:
    """The elements of a structure tree in reading order."""
    for kid in tree["/K"] if isinstance(tree["/K"], list) else [tree["/K"]]:
        if not isinstance(kid, int):
            yield kid.get_object()
            yield from elements(kid.get_object())


def roles(pdf: PdfReader) -> list[str]:
    return [str(element["/S"])[1:] for element in elements(pdf.root_object["/StructTreeRoot"])]


def numbers(element: Any) -> list[int]:
    return [int(kid) for kid in element["/K"] if isinstance(kid, int)]


def operations(pdf: PdfReader) -> Iterator[tuple[list[Any], str]]:
    (page,) = pdf.pages
    for operands, operator in ContentStream(page["/Contents"].get_object(), pdf).operations:
        yield operands, operator.decode()


def drawn(pdf: PdfReader) -> Iterator[tuple[str, list[Shown]]]:
    """Each operator that draws, and the marked contents around it, the innermost last."""
    around: list[Shown] = []
    size = 0.0
    colour: tuple[float, ...] = (0.0,)
    for operands, operator in operations(pdf):
        if operator in ("BDC", "BMC"):
            properties = operands[1] if operator == "BDC" else DictionaryObject()
            around.append(Shown(operands[0], properties.get("/MCID"), 0, ()))
        elif operator == "EMC":
            around.pop()
        elif operator == "Tf":
            size = float(operands[1])
        elif operator in ("rg", "g"):
            colour = tuple(map(float, operands))
        elif operator in ("Tj", "TJ", "f", "F", "f*", "S", "B", "b", "s"):
            yield operator, [one._replace(size=size, colour=colour) for one in around]
    assert around == []


@every_page
def test_all_that_is_drawn_belongs_to_an_element_or_means_nothing(page: tuple[TicketPage, Style]) -> None:
    pdf = reader(render_ticket(*page))
    seen = set()
    for operator, around in drawn(pdf):
        own = [one for one in around if one.number is not None]
        assert len(own) == (0 if around[0].tag == "/Artifact" else 1), (operator, around)
        seen |= {one.number for one in own}
    (sheet,) = pdf.pages
    tree: Any = pdf.root_object["/StructTreeRoot"]
    by_number = tree["/ParentTree"]["/Nums"][
        tree["/ParentTree"]["/Nums"].index(sheet["/StructParents"]) + 1
    ].get_object()
    assert seen == set(range(len(by_number)))
    owned = [(number, element) for element in elements(tree) for number in numbers(element)]
    assert sorted(number for number, _ in owned) == list(range(len(by_number)))
    assert all(by_number[number].get_object() == element for number, element in owned)


@every_page
def test_a_ticket_is_a_heading_what_is_labelled_and_a_picture_that_is_described(page: tuple[TicketPage, Style]) -> None:
    rendered = render_ticket(*page)
    pdf = reader(rendered)
    found = roles(pdf)
    assert found[0] == "Document"
    assert found.count("H1") == 1
    assert found.count("LI") == found.count("Lbl") == found.count("LBody") == 6
    assert found.index("H1") < found.index("L") < found.index("Figure") < len(found)
    (figure,) = (one for one in elements(pdf.root_object["/StructTreeRoot"]) if one["/S"] == "/Figure")
    assert figure["/Alt"] == WORDS[page[1].language].code
    left, bottom, right, top = figure["/A"]["/BBox"]
    assert 0 <= left < right <= design.WIDTH
    assert 0 <= bottom < top <= design.HEIGHT


@every_page
def test_the_document_says_what_it_is(page: tuple[TicketPage, Style]) -> None:
    pdf = reader(render_ticket(*page))
    root: Any = pdf.root_object
    assert root["/MarkInfo"]["/Marked"]
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert root["/Lang"] == page[1].language
    assert str(pdf.pages[0]["/Tabs"]) == "/S"
    assert pdf.metadata is not None
    xmp = pdf.xmp_metadata
    assert xmp is not None
    assert xmp.dc_title is not None
    title = pdf.metadata.title or ""
    assert xmp.dc_title["x-default"] == title
    assert b"<pdfuaid:part>1</pdfuaid:part>" in root["/Metadata"].get_data()


def codes_in(texts: list[Any]) -> Iterator[str]:
    for text in texts:
        if isinstance(text, (ByteStringObject, TextStringObject)):
            codes = text.original_bytes.hex().upper()
            yield from (codes[at : at + 4] for at in range(0, len(codes), 4))


@every_page
def test_each_glyph_has_a_text_and_none_is_the_one_for_no_glyph(page: tuple[TicketPage, Style]) -> None:
    pdf = reader(render_ticket(*page))
    fonts: Any = pdf.pages[0]["/Resources"]
    named_fonts = {name: font.get_object() for name, font in fonts["/Font"].items()}
    font: Any = None
    for operands, operator in operations(pdf):
        if operator == "Tf":
            font = named_fonts[operands[0]]["/ToUnicode"].get_data().decode()
        if operator in ("Tj", "TJ"):
            for code in codes_in(operands[0] if operator == "TJ" else operands):
                assert code != "0000"
                assert re.search(rf"<{code}> <[0-9A-F]{{4}}", font)


@every_page
def test_labels_are_large_enough_and_everything_has_contrast(page: tuple[TicketPage, Style]) -> None:
    pdf = reader(render_ticket(*page))
    labels = {
        number for one in elements(pdf.root_object["/StructTreeRoot"]) if one["/S"] == "/Lbl" for number in numbers(one)
    }
    sizes = []
    for operator, around in drawn(pdf):
        shown = next((one for one in around if one.number is not None), None)
        if shown is not None:
            assert contrast(shown.colour) >= LEAST_CONTRAST
            if operator in ("Tj", "TJ") and shown.number in labels:
                sizes.append(shown.size)
    assert len(labels) == 6
    assert min(sizes) >= SMALLEST_LABEL


def contrast(colour: tuple[float, ...]) -> float:
    """To white, as WCAG 2 computes it."""
    red, green, blue = (colour * 3)[:3]
    light = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    return 1.05 / (0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2] + 0.05)


def test_contrast_is_computed_as_it_is_defined() -> None:
    assert round(contrast((0.0,)), 2) == 21
    assert round(contrast(tuple(Color(0.4627, 0.4627, 0.4627).rgb())), 1) == 4.5


def test_the_codes_of_two_tickets_are_described_alike_and_their_titles_differ() -> None:
    first, second = (render_ticket(TicketPage(OPERA, f"42-00000{n}", "b", "r", CODE)) for n in (1, 2))
    assert roles(reader(first)) == roles(reader(second))
    titles = [reader(one).xmp_metadata for one in (first, second)]
    assert [title.dc_title["x-default"] for title in titles if title is not None and title.dc_title] == [
        "42-000001, Night at the Opera",
        "42-000002, Night at the Opera",
    ]


@pytest.mark.verapdf
@pytest.mark.skipif(VERAPDF is None, reason="veraPDF is not installed")
def test_verapdf_finds_every_page_accessible(tmp_path: Path) -> None:
    for name, page in PAGES.items():
        (tmp_path / f"{name}.pdf").write_bytes(render_ticket(*page).pdf)
    done = subprocess.run(
        [VERAPDF or "", "--flavour", "ua1", "--format", "text", "-v", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    judged = [line for line in done.stdout.splitlines() if line.startswith(("PASS", "FAIL", "  FAIL"))]
    assert [line for line in judged if not line.startswith("PASS")] == []
    assert len(judged) == len(PAGES)


def test_names_of_standard_types_alone_are_used() -> None:
    """Others would need a map that says what they stand for."""
    standard = {"Document", "P", "H1", "L", "LI", "Lbl", "LBody", "Figure"}
    for page in PAGES.values():
        assert set(roles(reader(render_ticket(*page)))) <= standard
