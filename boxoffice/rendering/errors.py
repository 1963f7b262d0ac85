"""What can go wrong with a page, as a class whose message is one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from boxoffice.errors import BoxOfficeError, ExitStatus


class FontError(BoxOfficeError):
    """A font's file cannot be used."""

    exit_status = ExitStatus.USAGE
    remedy = "Name a font file that may be embedded in `BOXOFFICE_DOCUMENTS_FONTS`."


class LanguageError(BoxOfficeError):
    """There are no words in a language."""

    exit_status = ExitStatus.USAGE
    remedy = "Name a language that tickets are written in, and a country if you like: `de`, `de-AT`."

    def __init__(self, tag: str, languages: Sequence[str]) -> None:
        super().__init__(f"Tickets cannot be written in {tag!r}: the languages are {', '.join(languages)}.")
