"""Typefaces: font files that HarfBuzz shapes and cuts down.

HarfBuzz instead of reportlab's own fonts, since it joins Arabic and stacks Devanagari, kerns, and cuts a
subset in 50 µs where reportlab takes milliseconds. All measures are thousandths of the type's size.

Fira Sans sets what it has. Noto, which comes with the product, has the rest of what people write in. A file is
not read but mapped into memory, which all processes share: of 40 MB of fonts a ticket touches a few kilobytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import fontpkg_fira_sans  # type: ignore[import-untyped]
import manimgx_fonts  # type: ignore[import-untyped]
import manimgx_fonts_cjk  # type: ignore[import-untyped]
import uharfbuzz as hb  # type: ignore[import-untyped]

from boxoffice.rendering.errors import FontError
from boxoffice.rendering.writing import number
from models.members import shows_something

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
    *("HVAR", "MVAR", "VORG", "VVAR", "vhea", "vmtx"),
)
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


class Metrics(NamedTuple):
    """What a font's descriptor says about it."""

    ascent: int
    descent: int
    cap_height: int


class Program(NamedTuple):
    """What of a face goes into a document, and the number there of each glyph that was asked for."""

    content: bytes
    numbers: list[int]


class Face:
    """A font file at one weight; of a collection the font at ``index``."""

    def __init__(self, path: Path, weight: int, index: int = 0, region: str | None = None) -> None:
        self.path = path
        self.region = region
        """The country whose way of writing Han characters this is."""
        self.face = _open(path, index)
        self.is_cff = "glyf" not in self.face.table_tags
        """Whether its outlines are PostScript's instead of TrueType's."""
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

    def character(self, glyph_id: int, candidates: Iterable[str]) -> str:
        """Which of the candidates a glyph stands for by itself; nothing, if it is none of them."""
        return next((char for char in candidates if self.font.get_nominal_glyph(ord(char)) == glyph_id), "")

    def width(self, glyph_id: int) -> int:
        """How far a glyph moves on by itself."""
        return int(self.font.get_glyph_h_advance(glyph_id))

    def outline(self, glyph_id: int) -> str:
        """A glyph as a PDF path, in thousandths of the size."""
        pen = _Pen()
        self.font.draw_glyph_with_pen(glyph_id, pen)
        return " ".join(pen.operators)

    def _covers(self, cluster: str) -> bool:
        if not shows_something(cluster):
            return True
        # Nearly every face lacks nearly every character; to shape it would be the slow way to find out.
        if self.font.get_nominal_glyph(ord(cluster[0])) is None:
            return False
        glyph_ids = [glyph.glyph_id for part in self._shape(cluster, rtl=False) for glyph in part.glyphs]
        return _NOTDEF not in glyph_ids and any(map(self._has_ink, glyph_ids))

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

    def subset(self, glyph_ids: list[int]) -> Program:
        """What a document needs to show these glyphs."""
        wanted = hb.SubsetInput()
        wanted.glyph_set.update(glyph_ids)
        wanted.drop_table_tag_set.update(int.from_bytes(tag.encode(), "big") for tag in _DROPPED_TABLES)
        wanted.flags = _SUBSET_FLAGS
        for tag, value in self.location.items():
            wanted.pin_axis_location(self.face, tag, value)
        plan = hb.SubsetPlan(self.face, wanted)
        numbers = plan.old_to_new_glyph_mapping
        font = plan.execute()
        content = font.reference_table("CFF ") if self.is_cff else font.blob
        return Program(bytes(content.data), [numbers[glyph_id] for glyph_id in glyph_ids])


class _Pen:
    """Writes what HarfBuzz draws as PDF does, which has cubic curves alone."""

    def __init__(self) -> None:
        self.operators: list[str] = []
        self._at: _Point = (0.0, 0.0)

    def moveTo(self, point: _Point) -> None:  # noqa: N802  # HarfBuzz calls them so
        self._add("m", point)

    def lineTo(self, point: _Point) -> None:  # noqa: N802
        self._add("l", point)

    def curveTo(self, *points: _Point) -> None:  # noqa: N802
        self._add("c", *points)

    def qCurveTo(self, control: _Point, end: _Point) -> None:  # noqa: N802
        first, second = (
            tuple(here + (there - here) * 2 / 3 for here, there in zip(point, control, strict=True))
            for point in (self._at, end)
        )
        self._add("c", first, second, end)

    def closePath(self) -> None:  # noqa: N802
        self._add("h")

    def _add(self, operator: str, *points: tuple[float, ...]) -> None:
        self.operators += [number(value) for point in points for value in point]
        self.operators.append(operator)
        if points:
            x, y = points[-1]
            self._at = (x, y)


_Point = tuple[float, float]

_SUBSET_FLAGS: Final = (
    hb.SubsetFlags.NO_HINTING
    | hb.SubsetFlags.NOTDEF_OUTLINE
    | hb.SubsetFlags.NO_LAYOUT_CLOSURE
    # A PDF takes the older form of PostScript's outlines only, and finds a glyph there by its number.
    | hb.SubsetFlags.DOWNGRADE_CFF2
    | hb.SubsetFlags.CFF_IDENTITY_CHARSET
)


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


def _open(path: Path, index: int) -> Any:
    try:
        path.stat()
        face = hb.Face(hb.Blob.from_file_path(str(path)), index)
    except OSError as error:
        raise FontError(f"The font {path} cannot be read: {error.strerror}.") from None
    except hb.HarfBuzzError:
        raise FontError(f"The font {path} cannot be read.") from None
    if not _OUTLINES.intersection(face.table_tags):
        raise FontError(f"The font {path} cannot be embedded: it has no outlines (a table named glyf, CFF or CFF2).")
    return face


_OUTLINES: Final = frozenset({"glyf", "CFF ", "CFF2"})


def _location(face: Any, weight: int) -> dict[str, float]:
    """Where a variable font stands on each of its axes."""
    return {
        axis.tag: min(max(float(weight), axis.min_value), axis.max_value)
        if axis.tag == "wght"
        else float(axis.default_value)
        for axis in face.axis_infos
    }


# Those of whole alphabets first; a symbol or an emoji is looked for where nothing else has it.
_NOTO: Final = (
    *("NotoSans", "NotoSansArabic", "NotoSansHebrew", "NotoSansDevanagari", "NotoSansBengali", "NotoSansTamil"),
    *("NotoSansThai", "NotoSansArmenian", "NotoSansEthiopic", "NotoSansGeorgian", "NotoSansGujarati"),
    *("NotoSansGurmukhi", "NotoSansKannada", "NotoSansKhmer", "NotoSansLao", "NotoSansMalayalam", "NotoSansMyanmar"),
    *("NotoSansOriya", "NotoSansSinhala", "NotoSansTelugu"),
)
_NOTO_PICTURES: Final = ("NotoEmoji", "NotoSansSymbols")
_NOTO_CJK: Final = "NotoSansCJK-VF.otf.ttc"
_REGIONS: Final = ("JP", "KR", "CN")
"""The first fonts in Noto's file: Japan's, Korea's and China's."""


def has_hangul(text: str) -> bool:
    """Whether a text is Korean: nobody else has these letters."""
    return any("\uac00" <= char <= "\ud7a3" or "\u3131" <= char <= "\u318e" for char in text)


def has_kana(text: str) -> bool:
    """Whether a text is Japanese."""
    return any("\u3041" <= char <= "\u30ff" for char in text)


def region_of(text: str, language: str) -> str:
    """Whose Han characters a text is in: Korea's, Japan's, else those of the language around it, else China's."""
    if has_hangul(text):
        return "KR"
    if has_kana(text):
        return "JP"
    return {"ja": "JP", "ko": "KR"}.get(language, "CN")


def suited(faces: Sequence[Face], text: str, language: str) -> list[Face]:
    """The faces in the order in which they are asked for the characters of a text."""
    region = region_of(text, language)
    return sorted(faces, key=lambda face: face.region not in (None, region))


@lru_cache(maxsize=64)
def face_in(path: Path, weight: int, index: int = 0, region: str | None = None) -> Face:
    """The face in a file, opened once in a process."""
    return Face(path, weight, index, region)


@lru_cache(maxsize=64)
def faces(weight: int, paths: tuple[str, ...] = ()) -> tuple[Face, ...]:
    """The faces to look for a character in, in order: Fira Sans, then the files named, then Noto.

    Raises:
        FontError: a file cannot be read, or has no outlines.
    """
    fira = Path(fontpkg_fira_sans.ROOT) / "files" / _FIRA[weight]
    noto, cjk = Path(manimgx_fonts.__file__).parent, Path(manimgx_fonts_cjk.__file__).parent / _NOTO_CJK
    alphabets, pictures = ([noto / f"{name}[wght].ttf" for name in names] for names in (_NOTO, _NOTO_PICTURES))
    return (
        *(face_in(path, weight) for path in (fira, *map(Path, paths), *alphabets)),
        *(face_in(cjk, weight, index, region) for index, region in enumerate(_REGIONS)),
        *(face_in(path, weight) for path in pictures),
    )


BOX: Final = "\u25a1"
"""What stands for a character that no face has."""
