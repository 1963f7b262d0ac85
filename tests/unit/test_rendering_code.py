"""The code on a ticket's page: scanners read it from small pictures and from paper, and nothing stands too close."""

from __future__ import annotations

from typing import Any

import pypdfium2  # type: ignore[import-untyped]
import pytest
import zxingcpp

from boxoffice.rendering import EventPage, TicketPage, render_ticket
from boxoffice.rendering.design import HEIGHT, QR_SIDE, QR_X, QR_Y
from boxoffice.rendering.qr import qr_code
from models.codes import MAX_CODE_CHARACTERS
from tests.support.codes import GOOD

CODE_WIDTH_PX = 150
"""The code's own, in a picture that a telephone has taken from some way off."""
QUIET_MODULES = 4
LEAST_MODULE_MM = 0.9
MM_PER_POINT = 25.4 / 72


def page_of(vector: dict[str, Any]) -> Any:
    event = EventPage(vector["event_id"], "Night at the Opera", "Main Hall", "2027-03-01T19:30:00+01:00", 4500, "EUR")
    ticket = TicketPage(event, vector["ticket"], "b-77", "550e8400-e29b-41d4-a716-446655440000", vector["code"])
    return pypdfium2.PdfDocument(render_ticket(ticket).pdf)[0]


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["ticket"])
def test_the_code_is_read_from_a_small_picture(vector: dict[str, Any]) -> None:
    picture = page_of(vector).render(scale=CODE_WIDTH_PX / QR_SIDE).to_pil()
    assert [code.text for code in zxingcpp.read_barcodes(picture)] == [vector["code"]]


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["ticket"])
def test_nothing_stands_within_four_modules_of_the_code(vector: dict[str, Any]) -> None:
    scale = 4
    quiet = QUIET_MODULES * QR_SIDE / qr_code(vector["code"]).modules
    picture = page_of(vector).render(scale=scale).to_pil().convert("L")
    left, top, side = QR_X, HEIGHT - QR_Y - QR_SIDE, QR_SIDE
    inside = [scale * edge for edge in (left, top, left + side, top + side)]
    outside = [scale * edge for edge in (left - quiet, top - quiet, left + side + quiet, top + side + quiet)]
    # A pixel that the code's edge runs through is half of the code's.
    picture.paste(255, (int(inside[0]) - 1, int(inside[1]) - 1, int(inside[2]) + 2, int(inside[3]) + 2))
    assert picture.crop(tuple(map(round, outside))).getextrema() == (255, 255)


def test_the_longest_code_has_modules_that_a_printer_can_draw() -> None:
    longest = max((vector["code"] for vector in GOOD), key=len)
    assert len(longest) == MAX_CODE_CHARACTERS
    modules = qr_code(longest).modules
    assert modules == 41, "more are needed only where a code does not fit the alphanumeric mode"
    assert QR_SIDE * MM_PER_POINT / modules > LEAST_MODULE_MM
    assert qr_code(GOOD[0]["code"]).modules == 37
