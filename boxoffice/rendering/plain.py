"""Plain text, set without shaping: what differs from ticket to ticket is mostly ASCII, and there are many.

A face's plain characters lie in every subset, whether an event's page needs them or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from boxoffice.rendering.design import Box, baselines
from boxoffice.rendering.embedding import Subset
from boxoffice.rendering.faces import EM
from boxoffice.rendering.typesetting import LEADING, SHRINK
from boxoffice.rendering.writing import number

PRINTABLE: Final = "".join(map(chr, range(0x20, 0x7F)))
TICKET_CHARACTERS: Final = "0123456789-"

_BREAK_AFTER: Final = frozenset(" -._:/@,;")


@dataclass(frozen=True)
class Alphabet:
    """A face's characters by their codes and widths."""

    resource: str
    codes: dict[str, str]
    widths: dict[str, int]

    def operators(self, text: str, box: Box) -> Iterator[str]:
        """What draws a text as large as its box allows."""
        lines, size = self._fit(text, box)
        yield f"BT /{self.resource} {number(size)} Tf"
        for line, y in zip(lines, baselines(box, size, len(lines)), strict=True):
            codes = "".join(map(self.codes.__getitem__, line))
            x = box.x if not box.from_right else box.x + box.width - self._width(line) * size / EM
            yield f"1 0 0 1 {number(x)} {number(y)} Tm <{codes}> Tj"
        yield "ET"

    def _fit(self, text: str, box: Box) -> tuple[list[str], float]:
        size = box.size
        if self._width(text) * size <= box.width * EM:
            return [text], size
        while True:
            lines = list(self._lines(text, box.width * EM / size))
            if len(lines) * LEADING * size <= box.height:
                return lines, size
            size *= SHRINK

    def _width(self, text: str) -> int:
        return sum(map(self.widths.__getitem__, text))

    def _lines(self, text: str, width: float) -> Iterator[str]:
        start = end = used = 0
        for at, char in enumerate(text):
            used += self.widths[char]
            if used > width and at > start:
                cut = end if end > start else at
                yield text[start:cut]
                start, used = cut, self._width(text[cut : at + 1])
            if char in _BREAK_AFTER:
                end = at + 1
        yield text[start:]


def alphabet(subset: Subset, characters: str) -> Alphabet:
    """The characters as a document's subset of a face has them, put in if they were not there."""
    glyph_ids = {char: subset.face.shape(char, rtl=False)[0].glyphs[0].glyph_id for char in characters}
    return Alphabet(
        subset.resource,
        {char: subset.code(glyph_id, char) for char, glyph_id in glyph_ids.items()},
        {char: subset.face.width(glyph_id) for char, glyph_id in glyph_ids.items()},
    )
