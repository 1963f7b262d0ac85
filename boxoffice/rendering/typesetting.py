"""Text of any script, broken into lines that fit a box: which face, which order, how large.

A character that belongs to the one before it (an accent, a vowel sign, a joined emoji) stays with it: the two
are a cluster. Where a line may end is ICU's to say, which knows Thai, Lao, Khmer and Burmese words by its
dictionaries; where nothing else helps, it ends between any two clusters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Final, NamedTuple

from bidi import get_base_level, get_display  # type: ignore[import-untyped]
from icu4py.breakers import CharacterBreaker, LineBreaker

from boxoffice.rendering.faces import BOX, EM, Cluster, Face, has_hangul, has_kana, suited

_SPACES: Final = " \u1680\u2000-\u2006\u2008-\u200b\u205f\u3000"
_SPACES_AT_END: Final = re.compile(rf"[{_SPACES}]+$")
_NOT_TEXT: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# They turn text around beyond their own end; a name that needs them is a forgery of another.
_TURNING: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
# It says in which order a file's bytes are; in a text it is nothing, and a PDF may not have it for a glyph's.
_BYTE_ORDER_MARK: Final = "\ufeff"
_NO_CHARACTER: Final = re.compile("[\ufffe\uffff]")
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})

LEADING: Final = 1.2
"""From one line to the next, in sizes."""
SHRINK: Final = 0.92
"""Each size that is tried is this much of the one before."""
_COMFORTABLE: Final = 0.45
"""Above this much of the first size, text is rather made smaller than broken inside a word."""


def clean(text: str) -> str:
    """The text without what is no text: lone surrogates, controls, marks that turn other text around."""
    readable = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    readable = _NO_CHARACTER.sub("\ufffd", readable.replace(_BYTE_ORDER_MARK, ""))
    return _TURNING.sub("", _NOT_TEXT.sub(" ", readable))


_ROOT: Final = "root"
"""The rules that all languages have in common: what a name is in, nobody says."""
_KOREAN: Final = "ko@lw=phrase"
_JAPANESE: Final = "ja@lw=phrase"
"""Lines end between phrases, as in a headline, not between any two syllables."""


def clusters(text: str) -> list[str]:
    """The text in parts that nothing may come between."""
    return list(CharacterBreaker(text, _ROOT))


def pieces_of(text: str) -> list[str]:
    """The text in parts between which a line may end."""
    rules = _KOREAN if has_hangul(text) else _JAPANESE if has_kana(text) else _ROOT
    return list(LineBreaker(text, rules))


@dataclass(frozen=True)
class Run:
    """Glyphs of one face, set from left to right."""

    face: Face
    clusters: tuple[Cluster, ...]
    rtl: bool

    @property
    def width(self) -> int:
        """In thousandths of the size."""
        return sum(glyph.advance for cluster in self.clusters for glyph in cluster.glyphs)


@dataclass(frozen=True)
class Line:
    """A line of text and its runs from left to right."""

    text: str
    runs: tuple[Run, ...]
    rtl: bool

    @property
    def width(self) -> int:
        """In thousandths of the size."""
        return sum(run.width for run in self.runs)


class Space(NamedTuple):
    """What a text has to fit into, in points, and the largest size that it may have there."""

    width: float
    height: float
    size: float


class Block(NamedTuple):
    """Lines that fit their box at a size."""

    lines: tuple[Line, ...]
    size: float
    flaws: tuple[str, ...]


class Type(NamedTuple):
    """What a text is set in: faces, in the order in which they are asked, and the language of the page around it."""

    faces: tuple[Face, ...]
    language: str


@lru_cache(maxsize=1024)
def fit(text: str, typeface: Type, space: Space) -> Block:
    """The largest lines, from the space's size down, that it holds; kept, since tickets repeat what they say."""
    return Typesetter(text, typeface).fit(space)


@lru_cache(maxsize=256)
def single_line(text: str, typeface: Type) -> Line:
    """A text on one line, however long."""
    return Typesetter(text, typeface).line(text)


class _Part(NamedTuple):
    """A cluster and the face that it is set in; a box stands for one that no face has."""

    face: Face
    script: str
    text: str
    is_box: bool = False


class Typesetter:
    """Sets one text, in the first of the faces that has each of its clusters."""

    def __init__(self, text: str, typeface: Type) -> None:
        self.text = clean(text)
        self.faces = suited(typeface.faces, self.text, typeface.language)
        self.base = "R" if self.text and get_base_level(self.text) else "L"
        self.missing: dict[str, None] = {}

    def fit(self, space: Space) -> Block:
        """The largest lines that the space holds."""
        pieces = pieces_of(self.text)
        size = space.size
        while True:
            lines = self._wrap(pieces, space.width * EM / size, may_split=size < space.size * _COMFORTABLE)
            if lines is not None and len(lines) * LEADING * size <= space.height:
                return Block(lines, size, tuple(self._flaws()))
            size *= SHRINK

    def _flaws(self) -> Iterator[str]:
        """What is amiss with the text as it was set."""
        if self.missing:
            codes = [f"U+{ord(char):04X}" for char in self.missing]
            more = f" and {len(codes) - _NAMED_CODES} more" if len(codes) > _NAMED_CODES else ""
            yield f"no font has {', '.join(codes[:_NAMED_CODES])}{more}, a box stands instead"

    def _wrap(self, pieces: list[str], width: float, *, may_split: bool) -> tuple[Line, ...] | None:
        """The text in lines that are no wider, as even as they can be; None where a piece is too wide."""
        if may_split:
            pieces = list(self._split(pieces, width))
        widths = [(self._width(piece), self._width(_SPACES_AT_END.sub("", piece))) for piece in pieces]
        if any(bare > width for _, bare in widths):
            return None
        lines = [self.line(text) for text in _texts(pieces, _breaks(widths, _evenest(widths, width)))]
        # Letters at a line's end may have other forms than those that were measured.
        return tuple(lines) if all(line.width <= width for line in lines) else None

    def _split(self, pieces: list[str], width: float) -> Iterator[str]:
        for piece in pieces:
            if self._width(piece) <= width:
                yield piece
            else:
                yield from clusters(piece)

    def _width(self, text: str) -> int:
        return sum(run.width for run in self._runs(text, rtl=False)) if text else 0

    def line(self, text: str) -> Line:
        """One line, its runs in the order in which they are seen."""
        text = _SPACES_AT_END.sub("", text)
        if self.base == "L" and not any(map(_is_rtl, text)):
            return Line(text, tuple(self._runs(text, rtl=False)), rtl=False)
        runs = [
            run
            for rtl, group in groupby(seen_order(clusters(text), self.base), key=lambda part: part.rtl)
            for run in self._runs_of([part.text for part in group], rtl=rtl)
        ]
        return Line(text, tuple(runs), rtl=self.base == "R")

    def _runs_of(self, seen: list[str], *, rtl: bool) -> Iterable[Run]:
        if not rtl:
            return self._runs("".join(seen), rtl=False)
        # HarfBuzz takes text as it is read, and returns glyphs as they are seen.
        return reversed(list(self._runs("".join(reversed(seen)), rtl=True)))

    def _runs(self, text: str, *, rtl: bool) -> Iterator[Run]:
        for (face, _, is_box), parts in groupby(
            self._parts(text), key=lambda part: (part.face, part.script, part.is_box)
        ):
            texts = [part.text for part in parts]
            if is_box:
                yield Run(face, tuple(_boxes(face, texts[::-1] if rtl else texts)), rtl)
            else:
                yield Run(face, face.shape("".join(texts), rtl=rtl), rtl)

    def _parts(self, text: str) -> Iterator[_Part]:
        script = next(filter(None, map(_script, text)), "")
        for cluster in clusters(text):
            script = _script(cluster[0]) or script
            face = self._face(cluster)
            if face is not None:
                yield _Part(face, script, cluster)
            else:
                yield from self._patched(cluster, script)

    def _face(self, cluster: str) -> Face | None:
        return next((face for face in self.faces if face.covers(cluster)), None)

    def _patched(self, cluster: str, script: str) -> Iterator[_Part]:
        """The characters that some face has, each by itself, and a box for each that none has."""
        for char in cluster:
            face = self._face(char)
            if face is None:
                self.missing[char] = None
            yield _Part(face or self._box_face, script, char, is_box=face is None)

    @property
    def _box_face(self) -> Face:
        face = self._face(BOX)
        assert face is not None
        return face


def _boxes(face: Face, texts: Iterable[str]) -> Iterator[Cluster]:
    """A box for each text, which is still what is read there."""
    ((_, glyphs),) = face.shape(BOX, rtl=False)
    return (Cluster(text, glyphs) for text in texts)


_NAMED_CODES: Final = 5


def _is_rtl(char: str) -> bool:
    return unicodedata.bidirectional(char) in _RIGHT_TO_LEFT


class Seen(NamedTuple):
    """A cluster as it is seen in a line, and whether it is shaped from right to left."""

    text: str
    rtl: bool


def seen_order(parts: Sequence[str], base: str) -> Iterator[Seen]:
    """Clusters as they are seen from left to right, in a paragraph that begins at ``base``, L or R.

    The library reorders characters, and would part a letter from its marks. So each letter with marks is
    stood in for by one character of the same direction. Nor does it mirror brackets, or say which ones it
    turned around: a mark set after each of them tells, since it is then seen before it.
    """
    stand_ins: dict[str, str] = {}
    for part in parts:
        if len(part) > 1 and part not in stand_ins:
            stand_ins[part] = chr(_STAND_INS.get(unicodedata.bidirectional(part[0]), _NEUTRAL) + len(stand_ins))
    originals = {stand_in: part for part, stand_in in stand_ins.items()}
    seen = get_display(
        "".join(stand_ins[part] if part in stand_ins else _marked(part) for part in parts), base_dir=base
    )
    for char, turned in _turned(seen):
        yield Seen(originals.get(char, char), turned or _is_rtl(char))


def _marked(part: str) -> str:
    return part + _MARK if unicodedata.mirrored(part) else part


_MARK: Final = "\U000e01ef"
"""The last of the variation selectors, which stands for nothing."""


def _turned(seen: str) -> Iterator[tuple[str, bool]]:
    """Each character but the marks, and whether its mark stood before it."""
    mark_follows = turned = False
    for char in seen:
        if char != _MARK:
            yield char, turned
            mark_follows, turned = unicodedata.mirrored(char) != 0 and not turned, False
        elif mark_follows:
            mark_follows = False
        else:
            turned = True


_STAND_INS: Final = {"L": 0xF0000, "R": 0x1E800, "AL": 0xFBD3}
"""Where a hundred characters of one direction begin: private use, Mende Kikakui, Arabic forms."""
_NEUTRAL: Final = 0x1F030


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    """The first word of a letter's name, which is its script; nothing for what belongs to any."""
    return unicodedata.name(char, "").partition(" ")[0] if unicodedata.category(char)[0] == "L" else ""


Widths = Sequence[tuple[int, int]]


def _breaks(widths: Widths, width: float) -> list[int]:
    """The index of each line's first piece, filling one line after the other."""
    starts, used = [0], 0
    for index, (whole, bare) in enumerate(widths):
        if used + bare > width and index > starts[-1]:
            starts.append(index)
            used = 0
        used += whole
    return starts


def _evenest(widths: Widths, width: float) -> float:
    """The narrowest width that needs no more lines: a last line of one word looks like a slip."""
    lines = len(_breaks(widths, width))
    if lines == 1:
        return width
    low, high = width / 2, width
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        fits = max(bare for _, bare in widths) <= middle and len(_breaks(widths, middle)) == lines
        low, high = (low, middle) if fits else (middle, high)
    return high


_HALVINGS: Final = 6


def _texts(pieces: list[str], starts: list[int]) -> Iterator[str]:
    for start, end in zip(starts, [*starts[1:], len(pieces)], strict=True):
        yield "".join(pieces[start:end])
