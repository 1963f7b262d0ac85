"""Verifying: whether a code was signed by a key that counts, which needs the public keys and no server."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from boxoffice.door.errors import MalformedCodeError, RevokedKeyError, UnknownKeyError, WrongSignatureError
from boxoffice.door.keys import KeyRing
from models.codes import Claim, CodeError, read_code, signed_bytes


def verify(text: str, ring: KeyRing) -> Claim:
    """What a code says, which is so, unless the ticket was cancelled or the key stolen.

    Raises:
        BadCodeError: it is no code, or its key is unknown or revoked, or its signature is wrong.
    """
    try:
        claim, signature = read_code(text)
    except CodeError as error:
        raise MalformedCodeError(str(error)) from None
    key = ring.key(claim.key_id)
    if key is None:
        raise UnknownKeyError(claim)
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, signed_bytes(claim))
    except InvalidSignature:
        raise WrongSignatureError(claim) from None
    if key.revoked_at is not None:
        raise RevokedKeyError(claim, key.revoked_at)
    return claim
