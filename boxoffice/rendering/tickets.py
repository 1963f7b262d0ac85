"""A ticket's PDF: laid out once for an event, and filled in for each of its tickets.

Laying out draws with reportlab and cuts the fonts; filling in adds a few hundred bytes to what is already there.
Nothing here remembers anything but for speed: the same ticket gives the same bytes in every process.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

from reportlab import rl_config
from reportlab.pdfgen.canvas import Canvas

from boxoffice.rendering.design import BUYER, HEIGHT, ORDER, QR_SIDE, QR_X, QR_Y, TICKET, WIDTH, Details, Page
from boxoffice.rendering.embedding import number, text_string
from boxoffice.rendering.faces import BOLD_WEIGHT, REGULAR_WEIGHT, faces
from boxoffice.rendering.pages import EventPage, Rendered, TicketPage
from boxoffice.rendering.plain import PRINTABLE, TICKET_CHARACTERS, Alphabet, alphabet
from boxoffice.rendering.qr import qr_code
from boxoffice.rendering.template import Template, template
from boxoffice.rendering.typesetting import clean

LANGUAGE: Final = "en"
"""Of the labels, the date and the hint."""
AUTHOR: Final = "Box office"

# Or a page's drawing is written as ASCII, a quarter larger.
rl_config.useA85 = 0

_LAYOUTS_KEPT: Final = 64
_PLAIN: Final = re.compile(r"[ -~]*")
_PLAIN_TICKET: Final = re.compile(r"[0-9-]*")
_FORM: Final = "ticket"


@dataclass(frozen=True)
class Layout:
    """An event's page, ready to be filled in for its tickets; plain values, so it can be pickled."""

    template: Template
    name: str
    regular: Alphabet
    bold: Alphabet
    labels: tuple[str, ...]
    """What draws a ticket's labels; none where its own texts are in the template already, which is for it alone."""
    warnings: tuple[str, ...]

    def render(self, ticket: str, buyer: str, order: str, code: str) -> Rendered:
        """The PDF of one ticket; its texts must be plain, unless they are drawn already."""
        operators = [_qr_operators(code)]
        if self.labels:
            number_label, buyer_label, order_label = self.labels
            operators += [number_label, *self.bold.operators(ticket, TICKET)]
            operators += [buyer_label, *self.regular.operators(buyer, BUYER)]
            operators += [order_label, *self.regular.operators(order, ORDER)]
        return Rendered(self.template.fill("\n".join(operators).encode(), self._information(ticket)), self.warnings)

    def _information(self, ticket: str) -> bytes:
        # Without dates: a ticket that is made again is the same ticket.
        title = text_string(f"{clean(ticket)}, {self.name}")
        author = text_string(AUTHOR)
        return f"/Title {title} /Author {author} /Creator (boxoffice) /Producer (ReportLab)".encode()


def render_ticket(page: TicketPage, fonts: tuple[str, ...] = ()) -> Rendered:
    """The PDF of a ticket, and a sentence for whatever in it does not look as it should.

    ``fonts`` are TrueType files to take characters from that Fira Sans does not have, in order.

    Raises:
        FontError: one of them cannot be read, or has no TrueType outlines.
    """
    plain = _PLAIN_TICKET.fullmatch(page.ticket) and _PLAIN.fullmatch(page.buyer) and _PLAIN.fullmatch(page.order)
    layout = prepare(page.event, fonts) if plain else _lay_out(page.event, fonts, _details(page))
    return layout.render(page.ticket, page.buyer, page.order, page.code)


@lru_cache(maxsize=_LAYOUTS_KEPT)
def prepare(event: EventPage, fonts: tuple[str, ...] = ()) -> Layout:
    """The layout of an event's tickets, kept for the next one."""
    return _lay_out(event, fonts, None)


def _details(page: TicketPage) -> Details:
    return Details(page.ticket, page.buyer, page.order)


def _lay_out(event: EventPage, fonts: tuple[str, ...], details: Details | None) -> Layout:
    file = BytesIO()
    canvas = _EmptyCanvas(
        file, pagesize=(WIDTH, HEIGHT), pageCompression=1, invariant=1, lang=LANGUAGE, pdfVersion=(1, 7)
    )
    canvas.setViewerPreference("DisplayDocTitle", "true")
    page = Page(canvas, faces(REGULAR_WEIGHT, fonts), faces(BOLD_WEIGHT, fonts))
    page.draw_event(event)
    if details is not None:
        page.draw_details(details)
    plain, plain_ticket = (PRINTABLE, TICKET_CHARACTERS) if details is None else ("", "")
    labels = page.detail_labels() if details is None else ()
    regular = alphabet(page.painter.subset(page.regular[0]), plain)
    bold = alphabet(page.painter.subset(page.bold[0]), plain_ticket)
    _add_form(canvas)
    page.painter.embed_fonts()
    canvas.save()
    return Layout(template(file.getvalue()), clean(event.name), regular, bold, labels, tuple(page.warnings))


class _EmptyCanvas(Canvas):  # type: ignore[misc]
    """A canvas that does not begin by naming Helvetica, which is not embedded."""

    def _make_preamble(self) -> None:
        self._preamble: Any = ""


def _add_form(canvas: Canvas) -> None:
    canvas.beginForm(_FORM, 0, 0, WIDTH, HEIGHT)
    canvas.endForm()
    canvas.doForm(_FORM)


def _qr_operators(code: str) -> str:
    drawn = qr_code(code)
    scale = QR_SIDE / drawn.modules
    return f"q 0 g {scale:.4f} 0 0 {scale:.4f} {number(QR_X)} {number(QR_Y)} cm\n{drawn.path}\nf Q"
