"""A ticket's PDF: laid out once for an event, and filled in for each of its tickets.

Laying out draws with reportlab and cuts the fonts; filling in adds a few hundred bytes to what is already there.
Nothing here remembers anything but for speed: the same ticket gives the same bytes in every process.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from html import escape
from io import BytesIO
from typing import Any, Final

from reportlab import rl_config
from reportlab.pdfgen.canvas import Canvas

from boxoffice.rendering.design import HEIGHT, QR_SIDE, QR_Y, WIDTH, Details, Page, Slot
from boxoffice.rendering.faces import BOLD_WEIGHT, REGULAR_WEIGHT, faces
from boxoffice.rendering.languages import language_of
from boxoffice.rendering.pages import EventPage, Rendered, Style, TicketPage
from boxoffice.rendering.plain import PRINTABLE, TICKET_CHARACTERS, Alphabet, alphabet
from boxoffice.rendering.qr import qr_code
from boxoffice.rendering.structure import END
from boxoffice.rendering.template import Filling, Template, leave_room, template
from boxoffice.rendering.typesetting import clean
from boxoffice.rendering.writing import number, text_string
from models.members import shows_something

AUTHOR: Final = "Box office"

# Or a page's drawing is written as ASCII, a quarter larger.
rl_config.useA85 = 0

_LAYOUTS_KEPT: Final = 128
"""Of an event there are as many as it has categories and prices."""
_PLAIN: Final = re.compile(r"[ -~]*")
_PLAIN_TICKET: Final = re.compile(r"[0-9-]*")
_PLAIN_STYLE: Final = Style()


@dataclass(frozen=True)
class Layout:
    """The page of an event and a category, ready to be filled in; plain values, so it can be pickled."""

    template: Template
    name: str
    regular: Alphabet
    bold: Alphabet
    code: Slot
    slots: tuple[Slot, ...]
    """Where a ticket's own texts go; none where they are in the template already, which is for it alone."""
    flaws: tuple[str, ...]

    def render(self, ticket: str, buyer: str, order: str, code: str) -> Rendered:
        """The PDF of one ticket; its texts must be plain, unless they are drawn already."""
        operators = [self.code.before, _qr_operators(code, self.code.box.x), END]
        for slot, text, letters in zip(
            self.slots, (ticket, buyer, order), (self.bold, self.regular, self.regular), strict=False
        ):
            operators += [slot.before, *letters.operators(text, slot.box), END]
        title = f"{clean(ticket)}, {self.name}"
        filling = Filling("\n".join(operators).encode(), _information(title), _metadata(title))
        return Rendered(self.template.fill(filling), self.flaws)


def _information(title: str) -> bytes:
    # Without dates: a ticket that is made again is the same ticket.
    return (
        f"/Title {text_string(title)} /Author {text_string(AUTHOR)} /Creator (boxoffice) /Producer (ReportLab)".encode()
    )


def _metadata(title: str) -> bytes:
    return _XMP % escape(title, quote=False).encode()


_XMP: Final = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/">
<pdfuaid:part>1</pdfuaid:part><dc:title><rdf:Alt><rdf:li xml:lang="x-default">%b</rdf:li></rdf:Alt></dc:title>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""
"""That it is PDF/UA-1, and a title: what the information dictionary says is not enough there."""


def render_ticket(page: TicketPage, style: Style = _PLAIN_STYLE) -> Rendered:
    """The PDF of a ticket, and a sentence for whatever in it does not look as it should.

    Raises:
        FontError: a font of the style cannot be read, or has no outlines.
        LanguageError: there are no words in the style's language.
    """
    buyer, flaws = (page.buyer, ()) if shows_something(page.buyer) else (page.order, _NO_BUYER)
    plain = _PLAIN_TICKET.fullmatch(page.ticket) and _PLAIN.fullmatch(buyer) and _PLAIN.fullmatch(page.order)
    details = None if plain else Details(page.ticket, buyer, page.order)
    layout = prepare(page.event, style) if details is None else _lay_out(page.event, style, details)
    rendered = layout.render(page.ticket, buyer, page.order, page.code)
    return rendered._replace(flaws=rendered.flaws + flaws) if flaws else rendered


def check_style(style: Style) -> None:
    """See that tickets can be drawn so.

    Raises:
        FontError: a font of the style cannot be read, or has no outlines.
        LanguageError: there are no words in the style's language.
    """
    faces(REGULAR_WEIGHT, style.fonts)
    language_of(style.language)


_NO_NAME: Final = ("name: it shows nothing, the event's number stands instead",)
_NO_VENUE: Final = ("venue: it shows nothing, and is left out",)
_NO_CATEGORY: Final = ("category: it shows nothing, and is left out",)
_NO_BUYER: Final = ("buyer: it shows nothing, the order stands instead",)


@lru_cache(maxsize=_LAYOUTS_KEPT)
def prepare(event: EventPage, style: Style = _PLAIN_STYLE) -> Layout:
    """The layout of an event's tickets of a category and a price, kept for the next one."""
    return _lay_out(event, style, None)


def _lay_out(event: EventPage, style: Style, details: Details | None) -> Layout:
    file = BytesIO()
    canvas = _EmptyCanvas(
        file, pagesize=(WIDTH, HEIGHT), pageCompression=1, invariant=1, lang=style.language, pdfVersion=(1, 7)
    )
    canvas.setViewerPreference("DisplayDocTitle", "true")
    regular_faces, bold_faces = (faces(weight, style.fonts) for weight in (REGULAR_WEIGHT, BOLD_WEIGHT))
    page = Page(canvas, regular_faces, bold_faces, language_of(style.language))
    event, flaws = _presentable(event)
    page.draw_event(event)
    if details is not None:
        page.draw_details(details)
    plain, plain_ticket = (PRINTABLE, TICKET_CHARACTERS) if details is None else ("", "")
    slots = page.slots() if details is None else ()
    code = page.code()
    page.draw_hint()
    regular = alphabet(page.painter.subset(page.regular.faces[0]), plain)
    bold = alphabet(page.painter.subset(page.bold.faces[0]), plain_ticket)
    page.structure.add_to(canvas)
    page.painter.embed_fonts()
    leave_room(canvas)
    canvas.save()
    found = (*flaws, *page.flaws)
    return Layout(template(file.getvalue()), clean(event.name), regular, bold, code, slots, found)


def _presentable(event: EventPage) -> tuple[EventPage, tuple[str, ...]]:
    """The event under a name that can be seen: older ones may have none, and then it is its number."""
    said = ((event.name, _NO_NAME), (event.venue, _NO_VENUE), (event.category or "-", _NO_CATEGORY))
    flaws = tuple(flaw for text, flaws in said if not shows_something(text) for flaw in flaws)
    return (replace(event, name=event.event_id) if _NO_NAME[0] in flaws else event), flaws


class _EmptyCanvas(Canvas):  # type: ignore[misc]
    """A canvas that does not begin by naming Helvetica, which is not embedded."""

    def _make_preamble(self) -> None:
        self._preamble: Any = ""


def _qr_operators(code: str, x: float) -> str:
    drawn = qr_code(code)
    scale = QR_SIDE / drawn.modules
    return f"q 0 g {scale:.4f} 0 0 {scale:.4f} {number(x)} {number(QR_Y)} cm\n{drawn.path}\nf Q"
