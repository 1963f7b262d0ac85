"""A QR code as a PDF path: sharp at any size, and smaller than a picture that is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import zxingcpp

CORRECTION: Final = "M"
"""A seventh of the code may be creased, torn or hidden. With Q a quarter may, but modules are smaller: of bad pictures
more are read with M."""

_DARK: Final = re.compile(rb"\0+")


class QrCode(NamedTuple):
    """The dark modules as rectangles, one unit a module, and how many modules a side has."""

    path: str
    modules: int


def qr_code(text: str) -> QrCode:
    """The QR code of a text."""
    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level=CORRECTION)
    picture = code.to_image(scale=1, add_quiet_zones=False)
    modules = picture.shape[0]
    pixels = bytes(picture)  # type: ignore[call-overload]  # it is a buffer, its stub does not say so
    rows = (pixels[start : start + modules] for start in range(0, modules * modules, modules))
    return QrCode("\n".join(_rectangles(rows, modules)), modules)


def _rectangles(rows: Iterator[bytes], modules: int) -> Iterator[str]:
    # A little higher than a module: between rectangles that only touch, readers draw a hairline.
    for row, pixels in enumerate(rows, start=1):
        for run in _DARK.finditer(pixels):
            start, end = run.span()
            yield f"{start} {modules - row} {end - start} 1.02 re"
