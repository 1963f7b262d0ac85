"""Signing: the code of a ticket that was sold, the same whoever draws the ticket and however often."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from boxoffice.door.errors import NoSigningKeyError
from boxoffice.door.keys import Key
from boxoffice.door.ring_file import KeptRing
from boxoffice.settings import DoorSettings
from models.codes import Code, claim_of, signed_bytes, write_code
from models.shapes import PurchaseConfirmed


class TicketCodes:
    """The codes of tickets, signed by the keys of the settings."""

    def __init__(self, settings: DoorSettings) -> None:
        self._kept = KeptRing(settings.ring_path)

    def check(self) -> None:
        """See that there is a key to sign with.

        Raises:
            KeyRingError: there is none.
        """
        if not any(key.signs for key in self._kept.ring().keys):
            raise NoSigningKeyError(self._kept.path)

    def code(self, sale: PurchaseConfirmed, ticket: str) -> str:
        """The code of a ticket that was sold with this fact.

        Raises:
            CodeError: no code can say it.
            KeyRingError: there is no key to sign with.
        """
        key = self._kept.ring().signing_key(sale["at"])
        if key is None:
            raise NoSigningKeyError(self._kept.path)
        return sign(key, sale["event_id"], ticket, sale["seq"])


def sign(key: Key, event_id: str, ticket: str, seq: int) -> str:
    """A ticket's code by a key that signs.

    Raises:
        CodeError: no code can say it.
    """
    assert key.seed is not None
    claim = claim_of(key.id, event_id, ticket, seq)
    signature = Ed25519PrivateKey.from_private_bytes(key.seed).sign(signed_bytes(claim))
    return write_code(Code(claim, signature))
