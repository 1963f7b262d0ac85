"""A TLS context that is made anew when its files have changed.

Certificates are made for days, and are exchanged under the same names while processes run. A context reads its files
once; so for each new connection somebody looks whether they are still the same, which takes a few microseconds. What
is connected stays so. To load the new files into the old context would not do: an authority that was taken out of a
file would go on being trusted.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger(__name__)

File = str | PathLike[str] | None
_Stamp = tuple[int, int, int] | None


class RereadContext:
    """Makes a context of files, and another when they have changed; until these can be read, the old one holds."""

    def __init__(self, make: Callable[[], ssl.SSLContext], files: Sequence[File]) -> None:
        self._make: Final = make
        self._files: Final = [file for file in files if file is not None]
        self._stamps: list[_Stamp] = []
        self._refused: list[_Stamp] = []
        self._made: ssl.SSLContext | None = None

    def newest(self) -> ssl.SSLContext:
        """The context of the files as they are now.

        Raises:
            OSError: one cannot be read, and never could.
            ssl.SSLError: one is no certificate or key, and none was before.
        """
        stamps = [_stamp(file) for file in self._files]
        if self._made is not None and stamps == self._stamps:
            return self._made
        try:
            made = self._make()
        except (OSError, ssl.SSLError) as error:
            if self._made is None:
                raise
            # A key may be there before its certificate: the next connection looks again.
            if stamps != self._refused:
                self._refused = stamps
                log.warning("changed certificates cannot be used yet, the old ones are", error=str(error))
            return self._made
        if self._made is not None:
            log.info("certificates were read again", files=[str(file) for file in self._files])
        self._made, self._stamps = made, stamps
        return made


def _stamp(file: str | PathLike[str]) -> _Stamp:
    """What differs when a file is written anew, replaced, or a link to it leads elsewhere; None where none is."""
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
