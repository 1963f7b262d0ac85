"""What can go wrong with a page, as a class whose message is one sentence."""

from __future__ import annotations

from boxoffice.errors import BoxOfficeError, ExitStatus


class FontError(BoxOfficeError):
    """A font's file cannot be used."""

    exit_status = ExitStatus.USAGE
    remedy = "Name a TrueType file that may be embedded in `BOXOFFICE_DOCUMENTS_FONTS`."
