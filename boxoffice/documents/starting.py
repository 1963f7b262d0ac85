"""What must be there before tickets can be drawn; whoever starts without it would fail at each of them."""

from __future__ import annotations

from boxoffice.documents.making import style_of
from boxoffice.door.signing import TicketCodes
from boxoffice.rendering import check_style
from boxoffice.settings import DocumentsSettings, DoorSettings


def check_before_start(documents: DocumentsSettings, door: DoorSettings) -> None:
    """See that the fonts can be used, and that there is a key to sign codes with.

    Raises:
        FontError: a font of the settings cannot be used.
        LanguageError: there are no words in the settings' language.
        KeyRingError: there is no key.
    """
    check_style(style_of(documents))
    TicketCodes(door).check()
