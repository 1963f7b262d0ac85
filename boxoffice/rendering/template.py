"""A finished PDF as a template: everything but three objects is written once, and again as it is.

The three come last, so that only the file's end differs from ticket to ticket.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Final, NamedTuple

from reportlab.pdfbase.pdfdoc import PDFDictionary, PDFStream
from reportlab.pdfgen.canvas import Canvas

_ENTRY = re.compile(rb"(\d{10}) \d{5} ([nf])")
_COMPRESSION = 6
_END = b"%%EOF\n"
_OWN_DRAWING: Final = "TicketsOwnDrawing"


class Filling(NamedTuple):
    """What differs from ticket to ticket."""

    drawing: bytes
    """What is drawn after what is on the page already."""
    information: bytes
    """The entries of the information dictionary."""
    metadata: bytes
    """The same as XMP, which newer readers ask for."""


def leave_room(canvas: Canvas) -> None:
    """Put in a place for each object that differs from ticket to ticket."""
    document = canvas._doc
    document.Reference(PDFStream(PDFDictionary({"Type": f"/{_OWN_DRAWING}"}), b"", filters=[]))
    document.Catalog.Metadata = PDFStream(content=b"", filters=[])


@dataclass(frozen=True)
class Template:
    """The bytes of a PDF around what a ticket draws on its page, and what is said of the ticket."""

    head: bytes
    numbers: tuple[int, int, int]
    """The objects of a ticket's own: its drawing, its metadata, its information dictionary."""
    tail: bytes
    """The cross-reference table and the trailer, with places for offsets and an identity."""

    def fill(self, filling: Filling) -> bytes:
        """The PDF of one ticket."""
        drawing_number, metadata_number, info_number = self.numbers
        stream = zlib.compress(filling.drawing, _COMPRESSION)
        drawing = b"%d 0 obj\n<</Filter /FlateDecode /Length %d>>\nstream\n%b\nendstream\nendobj\n" % (
            *(drawing_number, len(stream), stream),
        )
        metadata = b"%d 0 obj\n<</Type /Metadata /Subtype /XML /Length %d>>\nstream\n%b\nendstream\nendobj\n" % (
            *(metadata_number, len(filling.metadata), filling.metadata),
        )
        info = b"%d 0 obj\n<<%b>>\nendobj\n" % (info_number, filling.information)
        metadata_offset = len(self.head) + len(drawing)
        info_offset = metadata_offset + len(metadata)
        tail = self.tail % {
            b"metadata": metadata_offset,
            b"info": info_offset,
            b"xref": info_offset + len(info),
            b"identity": blake2b(self.tail + drawing + info, digest_size=16).hexdigest().encode(),
        }
        return b"".join((self.head, drawing, metadata, info, tail, _END))


def template(pdf: bytes) -> Template:
    """The template that a PDF with places left for what differs makes."""
    objects, trailer = _objects(pdf)
    drawing = next(number for number, content in objects.items() if b"/Type /%b" % _OWN_DRAWING.encode() in content)
    root, info = _reference(trailer, b"Root"), _reference(trailer, b"Info")
    metadata = _reference(objects[root], b"Metadata")
    numbers = (drawing, metadata, info)
    fixed = {number: _page_too(content, drawing) for number, content in objects.items() if number not in numbers}
    head, offsets = _head(pdf, fixed)
    offsets |= {drawing: b"%010d" % len(head), metadata: b"%(metadata)010d", info: b"%(info)010d"}
    return Template(head, numbers, _tail(offsets, root, info))


def _page_too(content: bytes, drawing: int) -> bytes:
    """An object; the page draws a ticket's own drawing as well, and says whose elements its contents are."""
    return _CONTENTS.sub(rb"/Contents [\1 0 R %d 0 R] /StructParents 0 /Tabs /S" % drawing, content, count=1)


_CONTENTS: Final = re.compile(rb"/Contents (\d+) 0 R")


def _objects(pdf: bytes) -> tuple[dict[int, bytes], bytes]:
    """Each object by its number, and the trailer."""
    xref = int(pdf[pdf.rindex(b"startxref") + len(b"startxref") : pdf.rindex(b"%%EOF")])
    entries = _ENTRY.findall(pdf[xref:])
    offsets = {number: int(offset) for number, (offset, kind) in enumerate(entries) if kind == b"n"}
    starts = sorted([*offsets.values(), xref])
    ends = dict(pairwise(starts))
    return {number: pdf[offset : ends[offset]] for number, offset in offsets.items()}, pdf[xref:]


def _reference(content: bytes, name: bytes) -> int:
    match = re.search(rb"/%b (\d+) 0 R" % name, content)
    assert match is not None
    return int(match[1])


def _head(pdf: bytes, objects: dict[int, bytes]) -> tuple[bytes, dict[int, bytes]]:
    """The file up to the objects that are not among these, and the offset of each that is."""
    parts = [pdf[: pdf.index(b"1 0 obj")]]
    offsets, length = {}, len(parts[0])
    for number, content in objects.items():
        offsets[number] = b"%010d" % length
        parts.append(content)
        length += len(content)
    return b"".join(parts), offsets


def _tail(offsets: dict[int, bytes], root: int, info: int) -> bytes:
    entries = b"".join(b"%b 00000 n \n" % offsets[number] for number in sorted(offsets))
    size = len(offsets) + 1
    return (
        b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n"
        b"<</Size %d /Root %d 0 R /Info %d 0 R /ID [<%%(identity)b> <%%(identity)b>]>>\n"
        b"startxref\n%%(xref)d\n" % (size, entries, size, root, info)
    )
