"""What a ticket looks like: one page of A6, upright.

A6 fills a telephone's screen without scrolling sideways, prints true to size four to a sheet, or one to a sheet
folded twice. The paper stays white, since printing at home leaves a margin and ink costs. Above the
perforation stands the event, below it what is this ticket's own. In a language that is read from the right all of it
stands mirrored. Nothing is said in letters of less than 8 points, or with less contrast than 4.5 to 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A6
from reportlab.pdfgen.canvas import Canvas

from boxoffice.rendering.embedding import TextPainter, spoken
from boxoffice.rendering.faces import EM, Face
from boxoffice.rendering.languages import Language
from boxoffice.rendering.pages import EventPage, offset_text
from boxoffice.rendering.structure import END, Area, Element, Structure
from boxoffice.rendering.typesetting import LEADING, Block, Line, Space, Type, fit, single_line
from boxoffice.rendering.writing import number
from models.members import shows_something

WIDTH, HEIGHT = A6
MARGIN: Final = 22.0
INK: Final = HexColor(0x17181C)
_FAINT: Final = HexColor(0x6A6F7A)
_ACCENT: Final = HexColor(0xA61E34)
_EDGE: Final = HexColor(0xC9CCD3)

_ASCENT: Final = 0.78
"""From the top of a line's box to the foot of its letters."""
_LABEL_SIZE: Final = 8.0
_LABEL_SPACING: Final = 0.9
_SMALL: Final = 8.0

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
    from_right: bool = False
    """Whether any text does."""

    def mirrored(self) -> Box:
        """The box on a page that is read from the right."""
        return replace(self, x=WIDTH - self.x - self.width, from_right=True)


_INNER: Final = WIDTH - 2 * MARGIN
_RIGHT: Final = WIDTH - MARGIN - _BESIDE_QR
_GAP: Final = 10.0
"""Between a label and the value beside it."""

NAME: Final = Box(MARGIN, HEIGHT - 47, _INNER, 98, 27, bold=True, sides_with_script=True)
VENUE: Final = Box(MARGIN, 0, _INNER, 34, 12, sides_with_script=True)
DATE: Final = Box(MARGIN, 232, 152, 20, 11.5, bold=True)
TIME: Final = Box(MARGIN + 165, 232, _INNER - 165, 20, 11.5, bold=True)
TICKET: Final = Box(_BESIDE_QR, 166, _RIGHT, 24, 18, bold=True)
PRICE: Final = Box(_BESIDE_QR, 124, _RIGHT, 16, 12, bold=True)
CATEGORY: Final = Box(_BESIDE_QR, 131, _RIGHT, 20, 12, bold=True)
PRICE_BELOW_CATEGORY: Final = replace(PRICE, top=99)
LONG_CATEGORY: Final = replace(CATEGORY, height=42)
PRICE_BELOW_LONG_CATEGORY: Final = replace(PRICE, top=77)
"""Where the hint would stand, which people can do without."""
HINT: Final = Box(_BESIDE_QR, 0, _RIGHT, 26, _SMALL)
"""Its last line stands beside the code's foot."""
BUYER: Final = Box(MARGIN, 52, _INNER, 21, 9)
ORDER: Final = Box(MARGIN, 28, _INNER, 12, 9)


@dataclass(frozen=True)
class Details:
    """A ticket's own texts, where they are drawn with the event's."""

    ticket: str
    buyer: str
    order: str


@dataclass(frozen=True)
class Slot:
    """Where a ticket's own text goes, and what is drawn before it."""

    before: str
    box: Box


class Page:
    """Draws a ticket's page on a canvas."""

    def __init__(self, canvas: Canvas, regular: tuple[Face, ...], bold: tuple[Face, ...], language: Language) -> None:
        self.canvas = canvas
        self.painter = TextPainter(canvas)
        self.regular = Type(regular, language.name)
        self.bold = Type(bold, language.name)
        self.language = language
        self.words = language.words
        self.structure = Structure()
        self.flaws: list[str] = []
        self._has_hint = True
        self._document = self.structure.document

    def draw_event(self, event: EventPage) -> None:
        """Everything that many tickets of an event have in common, in the order in which it is read."""
        self._draw_ornaments()
        head = self._placed(Box(MARGIN, HEIGHT - 33 + 6, _INNER, 10, _LABEL_SIZE))
        self._draw(self._document.add("P"), self._label(self.words.ticket, head, _ACCENT))
        name_ends = self._draw_text("name", event.name, self._placed(NAME), self._document.add("H1"))
        if shows_something(event.venue):
            venue = self._placed(replace(VENUE, top=name_ends - 4))
            self._draw_text("venue", event.venue, venue, self._document.add("P"))
        self._labelled = self._document.add("L")
        date, time = map(self._placed, (DATE, TIME))
        self._draw_text("date", self.language.date(event.starts_at), date, self._item(self.words.date, date))
        value = self._item(self.words.time, time)
        time_ends = self._draw_text("time", self.language.time(event.starts_at), time, value)
        offset = replace(time, top=time_ends, height=12, size=_SMALL, bold=False)
        self._draw_text("offset", offset_text(event.starts_at), offset, value, _FAINT)
        price = self._placed(self._draw_category(event.category) if shows_something(event.category) else PRICE)
        written = self.language.price(event.amount, event.currency)
        self._draw_text("price", written, price, self._item(self.words.price, price))

    def _draw_category(self, category: str) -> Box:
        """Draw a category's name, which may be long; returns where the price stands then."""
        self._has_hint = self._fitted(category, CATEGORY).size >= _SMALL
        box = self._placed(CATEGORY if self._has_hint else LONG_CATEGORY)
        self._draw_text("category", category, box, self._item(self.words.category, box))
        return PRICE_BELOW_CATEGORY if self._has_hint else PRICE_BELOW_LONG_CATEGORY

    def draw_details(self, details: Details) -> None:
        """A ticket's own texts, in whatever script."""
        texts = (details.ticket, details.buyer, details.order)
        for field, text, (label, value, box) in zip(_DETAILS, texts, self._details(), strict=True):
            self.canvas.addLiteral(label)
            self._draw_text(field, text, box, value)

    def slots(self) -> tuple[Slot, ...]:
        """Where a ticket's number, its buyer and its order go, where these are not drawn yet."""
        return tuple(Slot(f"{label}\n{self.structure.begin(value)}", box) for label, value, box in self._details())

    def code(self) -> Slot:
        """Where the QR code goes."""
        box = self._placed(Box(QR_X, QR_Y + QR_SIDE, QR_SIDE, QR_SIDE, 0))
        area = Area(box.x, QR_Y, box.x + QR_SIDE, QR_Y + QR_SIDE)
        figure = self._document.add("Figure", alternative=self.words.code, area=area)
        return Slot(self.structure.begin(figure), box)

    def draw_hint(self) -> None:
        """What to do with the code, if there is room to say it."""
        if not self._has_hint:
            return
        box = self._placed(HINT)
        lines = len(self._fitted(self.words.hint, box).lines)
        box = replace(box, top=QR_Y + box.size * (_ASCENT + (lines - 1) * LEADING))
        self._draw_text("hint", self.words.hint, box, self._document.add("P"), _FAINT)

    def _details(self) -> Iterator[tuple[str, Element, Box]]:
        """What draws each label, the element of its value, and where that stands."""
        ticket, buyer, order = map(self._placed, (TICKET, BUYER, ORDER))
        label, value = self._item_parts()
        yield self._marked_label(label, self.words.number, self._above(ticket)), value, ticket
        names = (self.words.buyer, self.words.order)
        beside = max(self._label_width(name) for name in names) + _GAP
        for name, box in zip(names, (buyer, order), strict=True):
            label, value = self._item_parts()
            free = replace(box, x=box.x + (0 if box.from_right else beside), width=box.width - beside)
            yield self._marked_label(label, name, box), value, free

    def _item(self, name: str, box: Box) -> Element:
        """Draw a label above a box, and return the element of what stands there."""
        label, value = self._item_parts()
        self.canvas.addLiteral(self._marked_label(label, name, self._above(box)))
        return value

    def _above(self, box: Box) -> Box:
        """Where the label above a box stands; letters that are no capitals reach further down."""
        gap = 3 if self.language.has_capitals else 5
        return replace(box, top=box.top + gap + _LABEL_SIZE * _ASCENT, size=_LABEL_SIZE)

    def _item_parts(self) -> tuple[Element, Element]:
        item = self._labelled.add("LI")
        return item.add("Lbl"), item.add("LBody")

    def _placed(self, box: Box) -> Box:
        return box.mirrored() if self.language.is_rtl else box

    def _draw(self, element: Element, operators: str) -> None:
        self.canvas.addLiteral(self.structure.marked(element, operators))

    def _marked_label(self, element: Element, text: str, box: Box) -> str:
        return self.structure.marked(element, self._label(text, box))

    def _label(self, text: str, box: Box, colour: Color = _FAINT) -> str:
        line, spacing = self._label_line(text)
        x = box.x if not box.from_right else box.x + box.width - self._label_width(text)
        operators = self.painter.operators(line, x, next(baselines(box, box.size, 1)), _LABEL_SIZE)
        if spacing:
            # Letters that stand so far apart are taken for words.
            operators = "\n".join([f"{number(spacing)} Tc", *spoken(line.text, [operators]), "0 Tc"])
        return f"{fill(colour)}\n{operators}\n{fill(INK)}"

    def _label_line(self, text: str) -> tuple[Line, float]:
        """A label's letters, and the space between them: none where letters are joined, or have no capitals."""
        if self.language.has_capitals:
            return single_line(text.upper(), self.bold), _LABEL_SPACING
        return single_line(text, self.bold), 0

    def _label_width(self, text: str) -> float:
        line, spacing = self._label_line(text)
        return line.width * _LABEL_SIZE / EM + spacing * len(text)

    def _draw_ornaments(self) -> None:
        self.canvas.addLiteral("/Artifact BMC")
        self.canvas.setFillColor(_ACCENT)
        self.canvas.rect(0, HEIGHT - _BAR, WIDTH, _BAR, stroke=0, fill=1)
        self.canvas.setStrokeColor(_EDGE)
        self.canvas.setLineWidth(0.8)
        self.canvas.setDash(2.4, 3)
        self.canvas.line(2 * _NOTCH, _PERFORATION, WIDTH - 2 * _NOTCH, _PERFORATION)
        self.canvas.setDash()
        for x in (0, WIDTH):
            self.canvas.circle(x, _PERFORATION, _NOTCH, stroke=1, fill=0)
        self.canvas.addLiteral(END)

    def _fitted(self, text: str, box: Box) -> Block:
        return fit(text, self.bold if box.bold else self.regular, Space(box.width, box.height, box.size))

    def _draw_text(self, field: str, text: str, box: Box, element: Element, colour: Color = INK) -> float:
        """Draw a text, and return where it ends below."""
        block = self._fitted(text, box)
        self.flaws += (f"{field}: {flaw}" for flaw in block.flaws)
        lines = (self.painter.operators(line, x, y, block.size) for x, y, line in _positions(block, box))
        self._draw(element, "\n".join([fill(colour), *lines]))
        return box.top - len(block.lines) * block.size * LEADING


_DETAILS: Final = ("ticket", "buyer", "order")


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
        yield box.x + (free if box.from_right or (line.rtl and box.sides_with_script) else 0), y, line
