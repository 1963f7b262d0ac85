"""Typefaces: TrueType files that HarfBuzz shapes and cuts down, and Adobe's names for what every reader brings.

HarfBuzz instead of reportlab's own fonts, since it joins Arabic and stacks Devanagari, kerns, and cuts a
subset in 50 µs where reportlab takes milliseconds. All measures are thousandths of the type's size.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cached_property, lru_cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import fontpkg_fira_sans  # type: ignore[import-untyped]
import uharfbuzz as hb  # type: ignore[import-untyped]
from reportlab.pdfbase.cidfonts import UnicodeCIDFont

from boxoffice.rendering.errors import FontError

EM: Final = 1000
REGULAR_WEIGHT: Final = 400
BOLD_WEIGHT: Final = 600

_FIRA: Final = {REGULAR_WEIGHT: "FiraSans-Regular.ttf", BOLD_WEIGHT: "FiraSans-SemiBold.ttf"}

# Ligatures would come out of a copied text as one character.
_FEATURES: Final = {"liga": False, "clig": False}

# What a reader of the PDF does not need: the page says which glyph stands where.
_DROPPED_TABLES: Final = (
    *("BASE", "CBDT", "CBLC", "COLR", "CPAL", "DSIG", "GDEF", "GPOS", "GSUB", "JSTF", "MATH", "OS/2", "STAT"),
    *("SVG ", "VDMX", "cmap", "cvt ", "fpgm", "gasp", "hdmx", "kern", "meta", "name", "post", "prep", "sbix"),
    *("VORG", "vhea", "vmtx"),
)
_INVISIBLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_NOTDEF: Final = 0
_FARTHEST_MARK: Final = EM * 3 // 10
"""Marks piled upon marks are raised by no more than this, or they would leave the page."""


class Glyph(NamedTuple):
    """A glyph of a shaped text: which one, how far it moves on, and how far from there it stands."""

    glyph_id: int
    advance: int
    x: int
    y: int


class Cluster(NamedTuple):
    """Characters that belong together, and the glyphs that show them, from left to right."""

    text: str
    glyphs: tuple[Glyph, ...]


class Face(Protocol):
    """What text is set in."""

    @property
    def name(self) -> str:
        """The face's PostScript name."""

    def covers(self, cluster: str) -> bool:
        """Whether each of the characters that belong together can be seen."""

    def shape(self, text: str, *, rtl: bool) -> tuple[Cluster, ...]:
        """The text's glyphs from left to right."""

    def width(self, glyph_id: int) -> int:
        """How far a glyph moves on by itself."""


def is_invisible(char: str) -> bool:
    """Whether nothing is to be seen of a character, in whatever font."""
    return unicodedata.category(char) in {"Cf", "Zs", "Zl", "Zp"} or char in _INVISIBLE or "\ufe00" <= char <= "\ufe0f"


class Metrics(NamedTuple):
    """What a font's descriptor says about it."""

    ascent: int
    descent: int
    cap_height: int


class EmbeddedFace:
    """A TrueType file at one weight."""

    def __init__(self, path: Path, weight: int) -> None:
        self.path = path
        self.face = _open(path)
        self.font = hb.Font(self.face)
        self.font.scale = (EM, EM)
        self.location = _location(self.face, weight)
        self.font.set_variations(self.location)
        # Many texts are set alike, and each is shaped once to measure and once to draw.
        self.shape = lru_cache(maxsize=2048)(self._shape)
        self.covers = lru_cache(maxsize=2048)(self._covers)

    @cached_property
    def name(self) -> str:
        """The face's PostScript name."""
        named = self.face.get_name(hb.OTNameIdPredefined.POSTSCRIPT_NAME) or self.path.stem
        return "".join(char for char in named if char.isascii() and (char.isalnum() or char in "-_")) or "Font"

    @cached_property
    def metrics(self) -> Metrics:
        """What the font's descriptor says."""
        extents = self.font.get_font_extents("ltr")
        cap_height = self.font.get_metric_position_with_fallback(hb.OTMetricsTag.CAP_HEIGHT)
        return Metrics(extents.ascender, extents.descender, cap_height)

    @cached_property
    def characters(self) -> dict[int, str]:
        """The character that each glyph stands for by itself; the first, where there are several."""
        glyph_ids: dict[int, str] = {}
        for code in sorted(self.face.unicodes):
            glyph_ids.setdefault(self.font.get_nominal_glyph(code), chr(code))
        return glyph_ids

    def width(self, glyph_id: int) -> int:
        """How far a glyph moves on by itself."""
        return int(self.font.get_glyph_h_advance(glyph_id))

    def _covers(self, cluster: str) -> bool:
        visible = any(not is_invisible(char) for char in cluster)
        glyph_ids = [glyph.glyph_id for part in self._shape(cluster, rtl=False) for glyph in part.glyphs]
        return not visible or (_NOTDEF not in glyph_ids and any(map(self._has_ink, glyph_ids)))

    def _has_ink(self, glyph_id: int) -> bool:
        # A colour font's glyphs may have no outline at all, which is worse than an empty box.
        extents = self.font.get_glyph_extents(glyph_id)
        return extents is not None and extents.width != 0

    def _shape(self, text: str, *, rtl: bool) -> tuple[Cluster, ...]:
        buffer = hb.Buffer()
        buffer.add_str(text)
        buffer.guess_segment_properties()
        buffer.direction = "rtl" if rtl else "ltr"
        # Neither the machine's language nor invisible characters leave a trace in the file.
        buffer.language = "en"
        buffer.flags = hb.BufferFlags.REMOVE_DEFAULT_IGNORABLES | hb.BufferFlags.BOT | hb.BufferFlags.EOT
        hb.shape(self.font, buffer, _FEATURES)
        return tuple(_clusters(text, buffer))

    def subset(self, glyph_ids: list[int]) -> tuple[bytes, list[int]]:
        """A font file with nothing but these glyphs, and each one's number in it."""
        wanted = hb.SubsetInput()
        wanted.glyph_set.update(glyph_ids)
        wanted.drop_table_tag_set.update(int.from_bytes(tag.encode(), "big") for tag in _DROPPED_TABLES)
        wanted.flags = hb.SubsetFlags.NO_HINTING | hb.SubsetFlags.NOTDEF_OUTLINE | hb.SubsetFlags.NO_LAYOUT_CLOSURE
        for tag, value in self.location.items():
            wanted.pin_axis_location(self.face, tag, value)
        plan = hb.SubsetPlan(self.face, wanted)
        numbers = plan.old_to_new_glyph_mapping
        return bytes(plan.execute().blob.data), [numbers[glyph_id] for glyph_id in glyph_ids]


def _clusters(text: str, buffer: Any) -> Iterator[Cluster]:
    infos = buffer.glyph_infos
    starts = sorted({info.cluster for info in infos})
    ends = dict(pairwise([*starts, len(text)]))
    glyphs = zip(infos, buffer.glyph_positions, strict=True)
    for start, group in groupby(glyphs, key=lambda glyph: glyph[0].cluster):
        yield Cluster(text[start : ends[start]], tuple(_glyph(info.codepoint, position) for info, position in group))


def _glyph(glyph_id: int, position: Any) -> Glyph:
    y = max(-_FARTHEST_MARK, min(_FARTHEST_MARK, position.y_offset))
    return Glyph(glyph_id, position.x_advance, position.x_offset, y)


def _open(path: Path) -> Any:
    try:
        face = hb.Face(hb.Blob(path.read_bytes()))
    except OSError as error:
        raise FontError(f"The font {path} cannot be read: {error.strerror}.") from None
    if "glyf" not in face.table_tags:
        raise FontError(f"The font {path} cannot be embedded: it has no TrueType outlines (a table named glyf).")
    return face


def _location(face: Any, weight: int) -> dict[str, float]:
    """Where a variable font stands on each of its axes."""
    return {
        axis.tag: min(max(float(weight), axis.min_value), axis.max_value)
        if axis.tag == "wght"
        else float(axis.default_value)
        for axis in face.axis_infos
    }


class NamedFace:
    """A face that the PDF only names: each reader sets it in whatever it has."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.font = UnicodeCIDFont(name)

    def covers(self, cluster: str) -> bool:
        """Whether Adobe's character collections have it; marks upon them are left out."""
        return len(cluster) == 1 and is_cjk(cluster)

    def width(self, glyph_id: int) -> int:
        """How far a glyph moves on by itself."""
        return int(self.font.stringWidth(chr(glyph_id), EM))

    def shape(self, text: str, *, rtl: bool) -> tuple[Cluster, ...]:  # noqa: ARG002
        """One glyph a character, whose id is its code point."""
        return tuple(Cluster(char, (Glyph(ord(char), self.width(ord(char)), 0, 0),)) for char in text)


_CJK: Final = (
    *(("\u3000", "\u30ff"), ("\u3131", "\u318e"), ("\u3400", "\u4db5"), ("\u4e00", "\u9fa5")),
    *(("\uac00", "\ud7a3"), ("\uff01", "\uff5e"), ("\uffe0", "\uffe6")),
)


def is_cjk(char: str) -> bool:
    """Whether a character belongs to the scripts that Adobe's CJK fonts are for."""
    return any(first <= char <= last for first, last in _CJK)


def named_face(char: str, text: str) -> NamedFace:
    """The face to name for a character of a text: Korean, Japanese where the text has kana, else Chinese."""
    if "\uac00" <= char <= "\ud7a3" or "\u3131" <= char <= "\u318e":
        return _named("HYGothic-Medium")
    return _named("HeiseiKakuGo-W5" if any("\u3041" <= each <= "\u30ff" for each in text) else "STSong-Light")


_named = lru_cache(maxsize=None)(NamedFace)


@lru_cache(maxsize=64)
def embedded_face(path: Path, weight: int) -> EmbeddedFace:
    """The face in a file, opened once in a process."""
    return EmbeddedFace(path, weight)


@lru_cache(maxsize=64)
def faces(weight: int, paths: tuple[str, ...] = ()) -> tuple[EmbeddedFace, ...]:
    """The faces to look for a character in, in order: Fira Sans, then the files named.

    Raises:
        FontError: a file cannot be read, or has no TrueType outlines.
    """
    fira = Path(fontpkg_fira_sans.ROOT) / "files" / _FIRA[weight]
    return tuple(embedded_face(path, weight) for path in (fira, *map(Path, paths)))
