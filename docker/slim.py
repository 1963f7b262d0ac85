"""Take out of an installation what no process of ours ever opens: it would be a third of the image.

The installation's own Python runs it, in the first stage of the Dockerfile. What is left draws the same tickets, which
``make containers`` compares. Each entry says why nobody misses it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

# Glob patterns below site-packages.
NEVER_OPENED = (
    # Pillow comes with reportlab, for pictures in PDFs, and there are none on a ticket. It has to be importable.
    "PIL/*ImagePlugin.py",
    *(f"PIL/_{part}.*.so" for part in ("avif", "imagingcms", "imagingft", "imagingtk", "webp")),
    *(
        f"pillow.libs/lib{part}*"
        for part in ("avif", "brotli", "freetype", "harfbuzz", "lcms2", "png", "sharpyuv", "webp")
    ),
    # reportlab's charts, its layout engine and the fonts of old printers: pages are drawn on its canvas.
    "reportlab/graphics/**/*",
    "reportlab/platypus/**/*",
    "reportlab/fonts/**/*",
    "manimgx_fonts/NotoSans-Italic*.ttf",
    # Where others still ask for the API of years ago.
    "pydantic/v1/**/*",
    # Lists of what a package was built from; its licence stays.
    "*.dist-info/sboms/*",
    # Sources of what is compiled, and what is for editors and compilers.
    *(f"**/*.{suffix}" for suffix in ("c", "cpp", "h", "pxd", "pyi", "pyx")),
    "**/tests/**/*",
)
LOCALES = "babel/locale-data/*.dat"
FIRA = "fontpkg_fira_sans/files/*.ttf"
LEXERS = "pygments/lexers/*.py"
# Of what somebody may be shown only stack traces are in colours.
COLOURED = ("__init__.py", "_mapping.py", "python.py", "special.py")
WEIGHTS = ("FiraSans-Regular.ttf", "FiraSans-SemiBold.ttf")


def useless(folder: Path, kept_languages: Sequence[str]) -> Iterator[Path]:
    """What goes."""
    for pattern in NEVER_OPENED:
        yield from folder.glob(pattern)
    kept = re.compile(rf"(root|({'|'.join(kept_languages)})(_.*)?)\.dat")
    yield from (path for path in folder.glob(LOCALES) if not kept.fullmatch(path.name))
    yield from (path for path in folder.glob(FIRA) if path.name not in WEIGHTS)
    yield from (path for path in folder.glob(LEXERS) if path.name not in COLOURED)


def strip(folder: Path) -> None:
    """Take out what only a debugger reads of compiled modules."""
    for path in folder.rglob("*.so*"):
        subprocess.run(["strip", "--strip-unneeded", path], check=True)


def languages() -> Sequence[str]:
    """Those of tickets; asked in another process, since this one is to have nothing open that it changes."""
    ask = "from boxoffice.rendering.languages import WORDS; print(*WORDS)"
    return subprocess.run([sys.executable, "-B", "-c", ask], capture_output=True, text=True, check=True).stdout.split()


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main(folder: Path) -> None:
    """Do it, and say what has become of it."""
    before = _bytes(folder)
    for path in set(useless(folder, languages())):
        if path.is_file():
            path.unlink()
    strip(folder)
    print(f"{before / 1e6:.0f} MB have become {_bytes(folder) / 1e6:.0f} MB")


if __name__ == "__main__":
    main(Path(sysconfig.get_paths()["purelib"]))
