"""Lines of text in a PDF: the operators that draw them, and the fonts that these need.

Each font goes in as a subset whose codes are given out in the order of first use, two bytes a glyph. A code says
which glyph is drawn and which text is read from it, when the page is searched or copied: so one glyph may have
several, and a box that stands for a missing character is still read as that character.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby
from typing import Any, Final, NamedTuple

from reportlab.pdfbase.pdfdoc import PDFArray, PDFDictionary, PDFName, PDFStream, PDFZCompress
from reportlab.pdfgen.canvas import Canvas

from boxoffice.rendering.faces import EM, Cluster, Face, Program
from boxoffice.rendering.typesetting import Line, Run
from boxoffice.rendering.writing import number, text_string, utf16

_SYMBOLIC: Final = 1 << 2
_NOTDEF: Final = 0
_LONGEST_READING: Final = 8
"""Poppler does not accept more characters for one code."""
_CODES_IN_A_BLOCK: Final = 100
"""The most that one ``beginbfchar`` or ``begincidchar`` may hold."""


class Subset:
    """The glyphs of one face that a document uses."""

    def __init__(self, face: Face, resource: str) -> None:
        self.face = face
        self.resource = resource
        # By the glyph and the text that is read from it.
        self._codes: dict[tuple[int, str], int] = {(_NOTDEF, ""): 0}

    def code(self, glyph_id: int, text: str) -> str:
        """The code of a glyph that stands for a text, given out when it is first used."""
        return f"{self._codes.setdefault((glyph_id, text), len(self._codes)):04X}"

    def texts(self, cluster: Cluster, *, rtl: bool) -> list[str]:
        """What each of a cluster's glyphs is read as, from left to right."""
        order = slice(None, None, -1 if rtl else 1)
        return self._texts([glyph.glyph_id for glyph in cluster.glyphs[order]], cluster.text)[order]

    def _texts(self, glyph_ids: list[int], text: str) -> list[str]:
        """What each glyph is read as, in the order of reading."""
        mirrored = unicodedata.mirrored(text[0])
        if len(glyph_ids) == 1 and not mirrored:
            return [text[:_LONGEST_READING]]
        candidates = _mirrored_characters() if mirrored else text + unicodedata.normalize("NFD", text)
        own = [self.face.character(glyph_id, candidates) for glyph_id in glyph_ids]
        # Readers turn brackets around with the text that they stand in.
        if mirrored and all(own):
            return own
        if len(own) > 1 and _same("".join(own), text):
            return own
        first = len(text) - len(own) + 1 if len(own) <= len(text) else len(text)
        rest = text[first:] or [""] * (len(own) - 1)
        return [text[:first][:_LONGEST_READING], *rest]

    def add_to(self, canvas: Canvas) -> None:
        """Embed what was used. Nothing may be drawn in this face afterwards."""
        document = canvas._doc
        program = self.face.subset([glyph_id for glyph_id, _ in self._codes])
        font = {
            "Type": "/Font",
            "Subtype": "/Type0",
            "BaseFont": PDFName(self._tagged_name),
            "Encoding": document.Reference(self._encoding(program)) if self.face.is_cff else "/Identity-H",
            "DescendantFonts": PDFArray([document.Reference(self._descendant(document, program))]),
            "ToUnicode": document.Reference(_stream(self._to_unicode())),
        }
        fonts = document.idToObject["BasicFonts"].dict
        fonts[self.resource] = document.Reference(PDFDictionary(font))

    @property
    def _tagged_name(self) -> str:
        """Six letters say that it is a subset; the resource's number tells two of a face apart."""
        return f"{int(self.resource[1:]):06d}".translate(_DIGITS_AS_LETTERS) + f"+{self.face.name}"

    def _descendant(self, document: Any, program: Program) -> PDFDictionary:
        return PDFDictionary(
            {
                "Type": "/Font",
                "Subtype": "/CIDFontType0" if self.face.is_cff else "/CIDFontType2",
                "BaseFont": PDFName(self._tagged_name),
                "CIDSystemInfo": PDFDictionary({"Registry": "(Adobe)", "Ordering": "(Identity)", "Supplement": 0}),
                "FontDescriptor": document.Reference(self._descriptor(document, program.content)),
                "W": self._widths(program),
                **({} if self.face.is_cff else {"CIDToGIDMap": document.Reference(_glyphs_by_code(program))}),
            }
        )

    def _widths(self, program: Program) -> str:
        """By code; or by the glyph's number where that is what a code stands for."""
        widths = [self.face.width(glyph_id) for glyph_id, _ in self._codes]
        if not self.face.is_cff:
            return f"[0 [{' '.join(map(str, widths))}]]"
        by_number = dict(zip(program.numbers, widths, strict=True))
        return f"[{' '.join(f'{number} [{width}]' for number, width in sorted(by_number.items()))}]"

    def _encoding(self, program: Program) -> PDFStream:
        """Which glyph each code stands for: PostScript's outlines have no map of their own for that."""
        lines = [f"<{code:04X}> {number}" for code, number in enumerate(program.numbers)]
        content = "\n".join(_cmap(_CODES, lines, "cidchar")).encode()
        return _stream(content, Type="/CMap", CMapName=f"/{_CODES}", CIDSystemInfo=_IDENTITY)

    def _descriptor(self, document: Any, program: bytes) -> PDFDictionary:
        ascent, descent, cap_height = self.face.metrics
        if self.face.is_cff:
            file = {"FontFile3": document.Reference(_stream(program, Subtype="/CIDFontType0C"))}
        else:
            file = {"FontFile2": document.Reference(_stream(program, Length1=len(program)))}
        return PDFDictionary(
            {
                "Type": "/FontDescriptor",
                "FontName": PDFName(self._tagged_name),
                "Flags": _SYMBOLIC,
                "FontBBox": PDFArray([-EM, descent, 2 * EM, ascent]),
                "ItalicAngle": 0,
                "Ascent": ascent,
                "Descent": descent,
                "CapHeight": cap_height,
                "StemV": 80,
                **file,
            }
        )

    def _to_unicode(self) -> bytes:
        pairs = [f"<{code:04X}> <{utf16(text)}>" for (_, text), code in self._codes.items() if text]
        return "\n".join(_cmap("ToUnicode", pairs, "bfchar")).encode()


@cache
def _mirrored_characters() -> str:
    return "".join(char for char in map(chr, range(0x10000)) if unicodedata.mirrored(char))


def _same(one: str, other: str) -> bool:
    """Whether two texts differ by no more than the order of a letter's marks."""
    return unicodedata.normalize("NFD", one) == unicodedata.normalize("NFD", other)


_DIGITS_AS_LETTERS: Final = str.maketrans("0123456789", "ABCDEFGHIJ")


_CODES: Final = "Codes"
_IDENTITY: Final = "<</Registry (Adobe) /Ordering (Identity) /Supplement 0>>"


def _cmap(name: str, lines: list[str], kind: str) -> Iterator[str]:
    """A table of what codes stand for, as a program in PostScript."""
    yield f"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /{name} def"
    if kind == "cidchar":
        yield f"/CIDSystemInfo {_IDENTITY} def /CMapType 1 def /WMode 0 def"
    else:
        yield "/CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def /CMapType 2 def"
    yield "1 begincodespacerange <0000> <FFFF> endcodespacerange"
    for start in range(0, len(lines), _CODES_IN_A_BLOCK):
        block = lines[start : start + _CODES_IN_A_BLOCK]
        yield from (f"{len(block)} begin{kind}", *block, f"end{kind}")
    yield "endcmap CMapName currentdict /CMap defineresource pop end end"


def _glyphs_by_code(program: Program) -> PDFStream:
    return _stream(struct.pack(f">{len(program.numbers)}H", *program.numbers))


def _stream(content: bytes, **entries: int | str) -> PDFStream:
    return PDFStream(dictionary=PDFDictionary(entries), content=content, filters=[PDFZCompress])


class TextPainter:
    """Draws lines on a canvas, and embeds the fonts of what it drew."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self._subsets: dict[Face, Subset] = {}

    def subset(self, face: Face) -> Subset:
        """The glyphs of a face that this document uses."""
        return self._subsets.setdefault(face, Subset(face, f"T{len(self._subsets) + 1}"))

    def draw(self, line: Line, x: float, y: float, size: float) -> None:
        """Draw a line from ``x`` on, its letters standing on ``y``."""
        self.canvas.addLiteral(self.operators(line, x, y, size))

    def operators(self, line: Line, x: float, y: float, size: float) -> str:
        """What draws a line from ``x`` on, its letters standing on ``y``."""
        operators = ["BT", f"1 0 0 1 {number(x)} {number(y)} Tm"]
        parts: list[str] = []
        for run in line.runs:
            subset = self.subset(run.face)
            operators += [f"/{subset.resource} {number(size)} Tf", *_shown(run, subset, size)]
            parts += _parts(run, subset, Place(x, y, size))
            x += run.width * size / EM
        operators += ["ET", *parts]
        return "\n".join(operators)

    def embed_fonts(self) -> None:
        """Put the fonts in. Nothing may be drawn afterwards."""
        for subset in self._subsets.values():
            subset.add_to(self.canvas)


def _shown(run: Run, subset: Subset, size: float) -> Iterator[str]:
    """A run's glyphs; where there are more of them than characters, with the text that some readers need then."""
    # Readers turn text from right to left around, but not such a text.
    for needed, group in groupby(run.clusters, key=lambda cluster: _has_more_glyphs(cluster) and not run.rtl):
        clusters = list(group)
        operators = _glyphs(clusters, subset, size, rtl=run.rtl)
        yield from spoken("".join(cluster.text for cluster in clusters), operators) if needed else operators


def _has_more_glyphs(cluster: Cluster) -> bool:
    return len(cluster.glyphs) > len(cluster.text)


def _glyphs(clusters: list[Cluster], subset: Subset, size: float, *, rtl: bool) -> Iterator[str]:
    """Glyphs one after the other, moved where they do not stand where the one before them ends."""
    rise, shown = 0, ""
    for cluster in clusters:
        for glyph, text in zip(cluster.glyphs, subset.texts(cluster, rtl=rtl), strict=True):
            if not text:
                shown += _move(-glyph.advance)
                continue
            if glyph.y != rise:
                yield f"[{shown}] TJ {number(glyph.y * size / EM)} Ts"
                rise, shown = glyph.y, ""
            # TJ's numbers move to the left.
            after = subset.face.width(glyph.glyph_id) + glyph.x - glyph.advance
            shown += f"{_move(-glyph.x)}<{subset.code(glyph.glyph_id, text)}>{_move(after)}"
    yield f"[{shown}] TJ" + (" 0 Ts" if rise else "")


class Place(NamedTuple):
    """Where text begins, and how large it is."""

    x: float
    y: float
    size: float


def _parts(run: Run, subset: Subset, place: Place) -> Iterator[str]:
    """The glyphs that are no text, as paths: the dots of an Arabic letter, which its other glyph is read as.

    As glyphs they would have to be read as something, and what is copied would hold characters that nobody wrote.
    """
    x, scale = place.x, place.size / EM
    for cluster in run.clusters:
        if len(cluster.glyphs) == 1:
            x += cluster.glyphs[0].advance * scale
            continue
        for glyph, text in zip(cluster.glyphs, subset.texts(cluster, rtl=run.rtl), strict=True):
            if not text and (path := subset.face.outline(glyph.glyph_id)):
                left, foot = number(x + glyph.x * scale), number(place.y + glyph.y * scale)
                yield f"q {scale:.5f} 0 0 {scale:.5f} {left} {foot} cm {path} f Q"
            x += glyph.advance * scale


def _move(left: int) -> str:
    return f"{left} " if left else ""


def spoken(text: str, operators: Iterable[str]) -> Iterator[str]:
    """What is drawn, with the text that it stands for."""
    yield f"/Span <</ActualText {text_string(text)}>> BDC"
    yield from operators
    yield "EMC"
