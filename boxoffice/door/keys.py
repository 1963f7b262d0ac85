"""The key ring: which keys there are, which of them signs a sale's tickets, and how they are written down.

Written down it is a JSON Web Key Set (RFC 7517, RFC 8037), which every language can read. Without its seeds it is the
public keys, for who verifies. No key is ever taken out of it: its codes are on paper.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, NotRequired

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from models.codes import MAX_KEY_ID
from models.shapes import At

MAX_RING_BYTES: Final = 1024 * 1024

_KEY_BYTES: Final = 32
_Bytes32 = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]


@with_config(ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True))
class _WebKey(TypedDict):
    """One key as it is written: ``x`` is public, ``d`` the seed."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    kid: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}$")]
    x: _Bytes32
    d: NotRequired[_Bytes32 | None]
    created_at: At
    signs_from: At
    revoked_at: NotRequired[At | None]


@with_config(ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True))
class _WebKeySet(TypedDict):
    keys: list[_WebKey]


_RING: Final[TypeAdapter[_WebKeySet]] = TypeAdapter(_WebKeySet)


@dataclass(frozen=True)
class Key:
    """A key, with its seed if it can sign. Times are as in facts."""

    id: int
    public: bytes
    created_at: str
    signs_from: str
    """The time of the first sale that it signs."""
    revoked_at: str | None = None
    seed: bytes | None = field(default=None, repr=False)

    @property
    def signs(self) -> bool:
        """Whether it can and may sign."""
        return self.seed is not None and self.revoked_at is None


class WrongRingError(Exception):
    """What was read is no key ring, or what was asked for cannot be done with this one: the message says why."""


@dataclass(frozen=True)
class KeyRing:
    """All keys that there ever were, in the order of their ids."""

    keys: tuple[Key, ...] = ()

    def key(self, key_id: int) -> Key | None:
        """The key of that id."""
        return next((key for key in self.keys if key.id == key_id), None)

    def signing_key(self, at: str) -> Key | None:
        """The key that signs what was sold at that time, whoever asks and whenever; None if there is none.

        It is the newest one that was there before the sale. Where all those are revoked, or the sale is older than
        all keys, it is the oldest that is left.
        """
        signing = [key for key in self.keys if key.signs]
        before = [key for key in signing if key.signs_from <= at]
        return before[-1] if before else signing[0] if signing else None

    def with_new_key(self, now: str, signs_from: str) -> KeyRing:
        """This ring with one more key.

        Raises:
            WrongRingError: it has had all keys that it can have.
        """
        last = self.keys[-1] if self.keys else None
        if last is not None and last.id == MAX_KEY_ID:
            raise WrongRingError(f"it has had {MAX_KEY_ID} keys, more cannot be told apart")
        private = Ed25519PrivateKey.generate()
        key = Key(
            id=last.id + 1 if last else 1,
            public=private.public_key().public_bytes_raw(),
            created_at=now,
            # Whatever the clock does: who is made later signs later.
            signs_from=max(signs_from, last.signs_from) if last else signs_from,
            seed=private.private_bytes_raw(),
        )
        return KeyRing((*self.keys, key))

    def without(self, key_id: int, now: str) -> KeyRing:
        """This ring with a key revoked: its seed is gone.

        Raises:
            WrongRingError: there is no such key, it is revoked, or no other would be left to sign.
        """
        revoked = self.key(key_id)
        if revoked is None:
            raise WrongRingError(f"it has no key {key_id}")
        if revoked.revoked_at is not None:
            raise WrongRingError(f"its key {key_id} was revoked at {revoked.revoked_at}")
        if revoked.signs and not any(key.signs for key in self.keys if key.id != key_id):
            raise WrongRingError(f"key {key_id} is its only one: make another with 'boxoffice door keys rotate' first")
        gone = replace(revoked, revoked_at=now, seed=None)
        return KeyRing(tuple(gone if key.id == key_id else key for key in self.keys))

    @property
    def public(self) -> KeyRing:
        """The same keys, none of which can sign."""
        return KeyRing(tuple(replace(key, seed=None) for key in self.keys))


def write_ring(ring: KeyRing) -> dict[str, Any]:
    """The ring as a JSON object, with the seeds that it has."""
    return {"keys": [_written(key) for key in ring.keys]}


def _written(key: Key) -> dict[str, Any]:
    members = {
        "kty": "OKP",
        "crv": "Ed25519",
        "kid": str(key.id),
        "x": _text(key.public),
        "created_at": key.created_at,
        "signs_from": key.signs_from,
        "revoked_at": key.revoked_at,
    }
    return members if key.seed is None else {**members, "d": _text(key.seed)}


def read_ring(given: bytes) -> KeyRing:
    """The ring in a file's bytes; one without seeds is one of public keys.

    Raises:
        WrongRingError: it is none.
    """
    if len(given) > MAX_RING_BYTES:
        raise WrongRingError(f"it is longer than {MAX_RING_BYTES} bytes")
    try:
        found = _RING.validate_json(given)
    except ValidationError as error:
        detail = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in detail["loc"])
        # What is wrong with a member that may be a seed is not said in its own words.
        raise WrongRingError(f"{where} is not as it must be" if where else "it is no JSON") from None
    return KeyRing(tuple(_in_order(_read(key) for key in found["keys"])))


def _read(written: _WebKey) -> Key:
    key = Key(
        id=int(written["kid"]),
        public=_bytes(written["x"]),
        created_at=written["created_at"],
        signs_from=written["signs_from"],
        revoked_at=written.get("revoked_at"),
        seed=_bytes(seed) if (seed := written.get("d")) else None,
    )
    if key.id > MAX_KEY_ID:
        raise WrongRingError(f"it has a key {key.id}, and there is none above {MAX_KEY_ID}")
    if key.seed is not None and _public(key.seed) != key.public:
        raise WrongRingError(f"the two halves of key {key.id} do not belong together")
    return key


def _in_order(keys: Iterable[Key]) -> list[Key]:
    found = sorted(keys, key=lambda key: key.id)
    for one, next_one in pairwise(found):
        if one.id == next_one.id:
            raise WrongRingError(f"it has key {one.id} twice")
        if one.signs_from > next_one.signs_from:
            raise WrongRingError(f"key {next_one.id} signs from an earlier time than key {one.id}")
    return found


def _public(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def _text(given: bytes) -> str:
    return urlsafe_b64encode(given).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    given = urlsafe_b64decode(f"{text}=")
    assert len(given) == _KEY_BYTES
    return given


def ring_text(ring: KeyRing) -> str:
    """The ring as a JSON document for a file."""
    return json.dumps(write_ring(ring), indent=2) + "\n"
