"""Lines of text in a PDF: the operators that draw them, and the fonts that these need.

Each font goes in as a subset whose codes are given out in the order of first use, two bytes a glyph. A code says
which glyph is drawn and which text is read from it, when the page is searched or copied: so one glyph may have
several, and a box that stands for a missing character is still read as that character.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.pdfdoc import PDFArray, PDFDictionary, PDFName, PDFStream, PDFZCompress
from reportlab.pdfgen.canvas import Canvas

from boxoffice.rendering.faces import EM, Cluster, EmbeddedFace, Face, NamedFace
from boxoffice.rendering.typesetting import Line, Run

_SYMBOLIC: Final = 1 << 2
_NOTDEF: Final = 0
_LONGEST_READING: Final = 8
"""Poppler does not accept more characters for one code."""
_CODES_IN_A_BLOCK: Final = 100
"""The most that one ``beginbfchar`` may hold."""


def number(value: float) -> str:
    """A number as PDF writes it, to a hundredth of a point."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def utf16(text: str) -> str:
    """A text in hexadecimal digits."""
    return text.encode("utf-16-be").hex().upper()


def text_string(text: str) -> str:
    """A text as PDF's dictionaries hold it."""
    return f"<FEFF{utf16(text)}>"


class Subset:
    """The glyphs of one face that a document uses."""

    def __init__(self, face: EmbeddedFace, resource: str) -> None:
        self.face = face
        self.resource = resource
        # By the glyph and the text that is read from it.
        self._codes: dict[tuple[int, str], int] = {(_NOTDEF, ""): 0}

    def code(self, glyph_id: int, text: str) -> str:
        """The code of a glyph that stands for a text, given out when it is first used."""
        return f"{self._codes.setdefault((glyph_id, text), len(self._codes)):04X}"

    def codes(self, cluster: Cluster, *, rtl: bool) -> list[str]:
        """The codes of a cluster's glyphs, from left to right."""
        order = slice(None, None, -1 if rtl else 1)
        glyph_ids = [glyph.glyph_id for glyph in cluster.glyphs[order]]
        return list(map(self.code, glyph_ids, self._texts(glyph_ids, cluster.text)))[order]

    def _texts(self, glyph_ids: list[int], text: str) -> list[str]:
        """What each glyph is read as, in the order of reading."""
        own = [self.face.characters.get(glyph_id, "") for glyph_id in glyph_ids]
        # Readers turn brackets around with the text that they stand in.
        if unicodedata.mirrored(text[0]) and all(own):
            return own
        if len(own) > 1 and _same("".join(own), text):
            return own
        first = max(len(text) - len(own), 0) + 1
        rest = text[first:] if len(own) <= len(text) else [""] * (len(own) - 1)
        return [text[:first][:_LONGEST_READING], *rest]

    def add_to(self, canvas: Canvas) -> None:
        """Embed what was used. Nothing may be drawn in this face afterwards."""
        document = canvas._doc
        glyph_ids = [glyph_id for glyph_id, _ in self._codes]
        file, numbers = self.face.subset(glyph_ids)
        font = {
            "Type": "/Font",
            "Subtype": "/Type0",
            "BaseFont": PDFName(self._tagged_name),
            "Encoding": "/Identity-H",
            "DescendantFonts": PDFArray([document.Reference(self._descendant(document, file, numbers))]),
            "ToUnicode": document.Reference(_stream(self._to_unicode())),
        }
        fonts = document.idToObject["BasicFonts"].dict
        fonts[self.resource] = document.Reference(PDFDictionary(font))

    @property
    def _tagged_name(self) -> str:
        """Six letters say that it is a subset; the resource's number tells two of a face apart."""
        return f"{int(self.resource[1:]):06d}".translate(_DIGITS_AS_LETTERS) + f"+{self.face.name}"

    def _descendant(self, document: Any, file: bytes, numbers: list[int]) -> PDFDictionary:
        font_file = _stream(file, Length1=len(file))
        widths = " ".join(str(self.face.width(glyph_id)) for glyph_id, _ in self._codes)
        return PDFDictionary(
            {
                "Type": "/Font",
                "Subtype": "/CIDFontType2",
                "BaseFont": PDFName(self._tagged_name),
                "CIDSystemInfo": PDFDictionary({"Registry": "(Adobe)", "Ordering": "(Identity)", "Supplement": 0}),
                "FontDescriptor": document.Reference(self._descriptor(document.Reference(font_file))),
                "W": f"[0 [{widths}]]",
                "CIDToGIDMap": document.Reference(_stream(struct.pack(f">{len(numbers)}H", *numbers))),
            }
        )

    def _descriptor(self, font_file: Any) -> PDFDictionary:
        ascent, descent, cap_height = self.face.metrics
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
                "FontFile2": font_file,
            }
        )

    def _to_unicode(self) -> bytes:
        pairs = [f"<{code:04X}> <{utf16(text)}>" for (_, text), code in self._codes.items() if text]
        return "\n".join(_cmap(pairs)).encode()


def _same(one: str, other: str) -> bool:
    """Whether two texts differ by no more than the order of a letter's marks."""
    return unicodedata.normalize("NFD", one) == unicodedata.normalize("NFD", other)


_DIGITS_AS_LETTERS: Final = str.maketrans("0123456789", "ABCDEFGHIJ")


def _cmap(pairs: list[str]) -> Iterator[str]:
    yield "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /ToUnicode def /CMapType 2 def"
    yield "/CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def"
    yield "1 begincodespacerange <0000> <FFFF> endcodespacerange"
    for start in range(0, len(pairs), _CODES_IN_A_BLOCK):
        block = pairs[start : start + _CODES_IN_A_BLOCK]
        yield from (f"{len(block)} beginbfchar", *block, "endbfchar")
    yield "endcmap CMapName currentdict /CMap defineresource pop end end"


def _stream(content: bytes, **entries: int) -> PDFStream:
    return PDFStream(dictionary=PDFDictionary(entries), content=content, filters=[PDFZCompress])


class TextPainter:
    """Draws lines on a canvas, and embeds the fonts of what it drew."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self._subsets: dict[EmbeddedFace, Subset] = {}

    def subset(self, face: EmbeddedFace) -> Subset:
        """The glyphs of a face that this document uses."""
        return self._subsets.setdefault(face, Subset(face, f"T{len(self._subsets) + 1}"))

    def draw(self, line: Line, x: float, y: float, size: float) -> None:
        """Draw a line from ``x`` on, its letters standing on ``y``."""
        self.canvas.addLiteral(self.operators(line, x, y, size))

    def operators(self, line: Line, x: float, y: float, size: float) -> str:
        """What draws a line from ``x`` on, its letters standing on ``y``."""
        operators = ["BT", f"1 0 0 1 {number(x)} {number(y)} Tm"]
        for run in line.runs:
            operators += self._run(run, size)
        operators.append("ET")
        return "\n".join(operators)

    def embed_fonts(self) -> None:
        """Put the fonts in. Nothing may be drawn afterwards."""
        for subset in self._subsets.values():
            subset.add_to(self.canvas)

    def _run(self, run: Run, size: float) -> list[str]:
        if isinstance(run.face, EmbeddedFace):
            subset = self.subset(run.face)
            return [f"/{subset.resource} {number(size)} Tf", *_shown(run, subset, size)]
        resource = self._named_resource(run.face)
        return [f"{resource} {number(size)} Tf", f"<{utf16(''.join(cluster.text for cluster in run.clusters))}> Tj"]

    def _named_resource(self, face: Face) -> str:
        assert isinstance(face, NamedFace)
        pdfmetrics.registerFont(face.font)
        return str(self.canvas._doc.getInternalFontName(face.name))


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
        for glyph, code in zip(cluster.glyphs, subset.codes(cluster, rtl=rtl), strict=True):
            if glyph.y != rise:
                yield f"[{shown}] TJ {number(glyph.y * size / EM)} Ts"
                rise, shown = glyph.y, ""
            # TJ's numbers move to the left.
            after = subset.face.width(glyph.glyph_id) + glyph.x - glyph.advance
            shown += f"{_move(-glyph.x)}<{code}>{_move(after)}"
    yield f"[{shown}] TJ" + (" 0 Ts" if rise else "")


def _move(left: int) -> str:
    return f"{left} " if left else ""


def spoken(text: str, operators: Iterable[str]) -> Iterator[str]:
    """What is drawn, with the text that it stands for."""
    yield f"/Span <</ActualText {text_string(text)}>> BDC"
    yield from operators
    yield "EMC"
