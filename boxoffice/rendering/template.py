"""A finished PDF as a template: everything but two objects is written once, and again as it is.

The two come last, so that only the file's end differs from ticket to ticket.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise

_ENTRY = re.compile(rb"(\d{10}) \d{5} ([nf])")
_COMPRESSION = 6
_END = b"%%EOF\n"


@dataclass(frozen=True)
class Template:
    """The bytes of a PDF around a form (a drawing on its page) and its information dictionary."""

    head: bytes
    form: bytes
    """The form's beginning, with a place for its length."""
    info: bytes
    """The information dictionary's beginning."""
    tail: bytes
    """The cross-reference table and the trailer, with places for an offset, an identity twice, and an offset."""

    def fill(self, drawing: bytes, information: bytes) -> bytes:
        """The PDF with this drawing in its form, and this in its information dictionary."""
        stream = zlib.compress(drawing, _COMPRESSION)
        form = b"%b%b\nendstream\nendobj\n" % (self.form % len(stream), stream)
        info = b"%b<<%b>>\nendobj\n" % (self.info, information)
        info_offset = len(self.head) + len(form)
        identity = blake2b(self.tail + form + info, digest_size=16).hexdigest().encode()
        tail = self.tail % (info_offset, identity, identity, info_offset + len(info))
        return b"".join((self.head, form, info, tail, _END))


def template(pdf: bytes) -> Template:
    """The template that a PDF with one empty form makes."""
    objects, trailer = _objects(pdf)
    form = next(number for number, content in objects.items() if b"/Subtype /Form" in content)
    root, info = _reference(trailer, b"Root"), _reference(trailer, b"Info")
    head, offsets = _head(pdf, {number: content for number, content in objects.items() if number not in (form, info)})
    offsets |= {form: b"%010d" % len(head), info: b"%010d"}
    return Template(
        head,
        _form(objects[form], form),
        b"%d 0 obj\n" % info,
        _tail(offsets, root, info),
    )


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


def _form(empty: bytes, number: int) -> bytes:
    box = re.search(rb"/BBox \[[^]]*\]", empty)
    assert box is not None
    return (
        b"%d 0 obj\n<</Type /XObject /Subtype /Form %b /Resources <</Font %d 0 R>> "
        b"/Filter /FlateDecode /Length %%d>>\nstream\n" % (number, box[0], _reference(empty, b"Font"))
    )


def _tail(offsets: dict[int, bytes], root: int, info: int) -> bytes:
    entries = b"".join(b"%b 00000 n \n" % offsets[number] for number in sorted(offsets))
    size = len(offsets) + 1
    return (
        b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<</Size %d /Root %d 0 R /Info %d 0 R /ID [<%%b> <%%b>]>>\n"
        b"startxref\n%%d\n" % (size, entries, size, root, info)
    )
