"""What a ticket looks like: one page of A6, upright.

A6 fills a telephone's screen without scrolling sideways, prints true to size four to a sheet, or one to a sheet
folded twice. The paper stays white, since printing at home leaves a margin and ink costs. Above the
perforation stands the event, below it what is this ticket's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A6
from reportlab.pdfgen.canvas import Canvas

from boxoffice.rendering.embedding import TextPainter, number, spoken
from boxoffice.rendering.faces import EM, EmbeddedFace
from boxoffice.rendering.pages import EventPage, date_text, offset_text, price_text, time_text
from boxoffice.rendering.typesetting import LEADING, Block, Line, Space, fit, single_line

WIDTH, HEIGHT = A6
MARGIN: Final = 22.0
INK: Final = HexColor(0x17181C)
_FAINT: Final = HexColor(0x6A6F7A)
_ACCENT: Final = HexColor(0xA61E34)
_EDGE: Final = HexColor(0xC9CCD3)

_ASCENT: Final = 0.78
"""From the top of a line's box to the foot of its letters."""
_LABEL_SIZE: Final = 6.2
_LABEL_SPACING: Final = 0.9
_HINT: Final = "Show this code at the door."

_BAR: Final = 7.0
_PERFORATION: Final = 195.0
_NOTCH: Final = 7.0

QR_SIDE: Final = 108.0
QR_X: Final = MARGIN
QR_Y: Final = 67.0
_BESIDE_QR: Final = QR_X + QR_SIDE + 21
"""Further from the code than the four modules that must stay white around it."""


@dataclass(frozen=True)
class Box:
    """Where a text may stand; its lines begin at the top."""

    x: float
    top: float
    width: float
    height: float
    size: float
    bold: bool = False
    sides_with_script: bool = False
    """Whether text that is read from right to left stands on the right."""


_INNER: Final = WIDTH - 2 * MARGIN
_RIGHT: Final = WIDTH - MARGIN - _BESIDE_QR
_LABELLED: Final = 42.0
"""From a label to the value beside it."""

NAME: Final = Box(MARGIN, HEIGHT - 45, _INNER, 98, 27, bold=True, sides_with_script=True)
VENUE: Final = Box(MARGIN, 0, _INNER, 34, 12, sides_with_script=True)
DATE: Final = Box(MARGIN, 232, 150, 20, 11.5, bold=True)
TIME: Final = Box(MARGIN + 165, 232, _INNER - 165, 20, 11.5, bold=True)
TICKET: Final = Box(_BESIDE_QR, 167.7, _RIGHT, 24, 18, bold=True)
PRICE: Final = Box(_BESIDE_QR, 125, _RIGHT, 16, 12, bold=True)
HINT: Final = Box(_BESIDE_QR, 72.9, _RIGHT, 10, 7.5)
BUYER: Final = Box(MARGIN + _LABELLED, 50, _INNER - _LABELLED, 20, 9)
ORDER: Final = Box(MARGIN + _LABELLED, 28, _INNER - _LABELLED, 12, 9)


@dataclass(frozen=True)
class Details:
    """A ticket's own texts, where they are drawn with the event's."""

    ticket: str
    buyer: str
    order: str


class Page:
    """Draws a ticket's page on a canvas."""

    def __init__(self, canvas: Canvas, regular: tuple[EmbeddedFace, ...], bold: tuple[EmbeddedFace, ...]) -> None:
        self.canvas = canvas
        self.painter = TextPainter(canvas)
        self.regular = regular
        self.bold = bold
        self.warnings: list[str] = []

    def draw_event(self, event: EventPage) -> None:
        """Everything that all tickets of an event have in common, in the order in which it is read."""
        self._draw_ornaments()
        self.canvas.addLiteral(self._label("TICKET", MARGIN, HEIGHT - 33, _ACCENT))
        name_ends = self._draw_text("name", event.name, NAME)
        self._draw_text("venue", event.venue, _moved(VENUE, name_ends - 4))
        self.canvas.addLiteral(self.label_above("DATE", DATE))
        self._draw_text("date", date_text(event.starts_at), DATE)
        self.canvas.addLiteral(self.label_above("TIME", TIME))
        time_ends = self._draw_text("time", time_text(event.starts_at), TIME)
        self._draw_text("offset", offset_text(event.starts_at), Box(TIME.x, time_ends, TIME.width, 12, 7.5), _FAINT)
        self.canvas.addLiteral(self.label_above("PRICE", PRICE))
        self._draw_text("price", price_text(event.amount, event.currency), PRICE)
        self._draw_text("hint", _HINT, HINT, _FAINT)

    def draw_details(self, details: Details) -> None:
        """A ticket's own texts, in whatever script."""
        texts = (("ticket", details.ticket, TICKET), ("buyer", details.buyer, BUYER), ("order", details.order, ORDER))
        for label, (field, text, box) in zip(self.detail_labels(), texts, strict=True):
            self.canvas.addLiteral(label)
            self._draw_text(field, text, box)

    def detail_labels(self) -> tuple[str, str, str]:
        """What draws the labels of a ticket's number, its buyer and its order."""
        return (
            self.label_above("NUMBER", TICKET),
            self._label_beside("BUYER", BUYER),
            self._label_beside("ORDER", ORDER),
        )

    def label_above(self, text: str, box: Box) -> str:
        """What draws a label above a text."""
        return self._label(text, box.x, box.top + 3)

    def _label_beside(self, text: str, box: Box) -> str:
        return self._label(text, MARGIN, next(baselines(box, box.size, 1)))

    def _label(self, text: str, x: float, y: float, colour: Color = _FAINT) -> str:
        # Letters that stand so far apart are taken for words.
        line = spoken(text, [self.painter.operators(single_line(text, self.bold[:1]), x, y, _LABEL_SIZE)])
        return "\n".join([f"{fill(colour)} {_LABEL_SPACING} Tc", *line, f"0 Tc {fill(INK)}"])

    def _draw_ornaments(self) -> None:
        self.canvas.setFillColor(_ACCENT)
        self.canvas.rect(0, HEIGHT - _BAR, WIDTH, _BAR, stroke=0, fill=1)
        self.canvas.setStrokeColor(_EDGE)
        self.canvas.setLineWidth(0.8)
        self.canvas.setDash(2.4, 3)
        self.canvas.line(2 * _NOTCH, _PERFORATION, WIDTH - 2 * _NOTCH, _PERFORATION)
        self.canvas.setDash()
        for x in (0, WIDTH):
            self.canvas.circle(x, _PERFORATION, _NOTCH, stroke=1, fill=0)

    def _draw_text(self, field: str, text: str, box: Box, colour: Color = INK) -> float:
        """Draw a text, and return where it ends below."""
        block = fit(text, self.bold if box.bold else self.regular, Space(box.width, box.height, box.size))
        self.warnings += (f"{field}: {warning}" for warning in block.warnings)
        self.canvas.addLiteral(fill(colour))
        for x, y, line in _positions(block, box):
            self.painter.draw(line, x, y, block.size)
        return box.top - len(block.lines) * block.size * LEADING


def fill(colour: Color) -> str:
    """What makes the next drawing be in a colour."""
    return " ".join(number(part) for part in colour.rgb()) + " rg"


def baselines(box: Box, size: float, lines: int) -> Iterator[float]:
    """Where the letters of each line stand."""
    for line in range(lines):
        yield box.top - size * (_ASCENT + line * LEADING)


def _positions(block: Block, box: Box) -> Iterator[tuple[float, float, Line]]:
    for y, line in zip(baselines(box, block.size, len(block.lines)), block.lines, strict=True):
        free = box.width - line.width * block.size / EM
        yield box.x + (free if line.rtl and box.sides_with_script else 0), y, line


def _moved(box: Box, top: float) -> Box:
    return replace(box, top=top)
