"""What must be there before tickets can be drawn; whoever starts without it would fail at each of them."""

from __future__ import annotations

from boxoffice.documents.making import fonts_of
from boxoffice.door.signing import TicketCodes
from boxoffice.rendering.faces import REGULAR_WEIGHT, faces
from boxoffice.settings import DocumentsSettings, DoorSettings


def check_before_start(documents: DocumentsSettings, door: DoorSettings) -> None:
    """See that the fonts can be used, and that there is a key to sign codes with.

    Raises:
        FontError: a font of the settings cannot be used.
        KeyRingError: there is no key.
    """
    faces(REGULAR_WEIGHT, fonts_of(documents))
    TicketCodes(door).check()
