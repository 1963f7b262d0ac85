"""API keys: what a caller shows at the front door, and what is kept of it.

A key reads ``bo_ID_SECRET``. The id names the caller: it stands in logs and before the caller's request ids, and
stays the same when the secret is changed. The secret holds 256 random bits, which nobody can guess, so one SHA-256
is enough at rest. A slow hash protects secrets that people choose, and each check would cost a fifth of a second.
The last six characters are a checksum: what was cut or mistyped is told from what is unknown, and a scanner for
leaked secrets finds keys without asking anybody.

Each caller has an *order secret* too, which he never sees and which stays when his key is changed. Out of it every
request gets a proof of its own, that stands in the ``Location`` of its answer: whoever has that may see what became
of this request and fetch its tickets, and of no other.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from models.members import EventIdText

PREFIX: Final = "bo"
SECRET_BYTES: Final = 32
ID_LENGTH: Final = 10
MOST_SECRETS: Final = 2
"""Of one caller, at once: the one before goes on while clients take the new one."""
MOST_EVENTS: Final = 1_000
PROOF_BYTES: Final = 24
"""192 bits: nobody guesses them, and the address that they stand in stays short."""

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_LENGTH: Final = 43
_CHECKSUM_LENGTH: Final = 6
_FORM: Final = re.compile(
    rf"{PREFIX}_([0-9A-Za-z]{{{ID_LENGTH}}})_([0-9A-Za-z]{{{_SECRET_LENGTH + _CHECKSUM_LENGTH}}})"
)

Scope = Literal["buy", "read", "events", "admin"]
SCOPES: Final[dict[Scope, str]] = {
    "buy": "buy tickets, cancel what the same key bought, see what became of its requests",
    "read": "see what became of the requests of any key",
    "events": "create, change, call off and archive events, add and remove tickets, end sales",
    "admin": "rebuild events in Redis, begin and end drills, see the operator's page",
}


def _a_moment_that_exists(text: str) -> str:
    datetime.fromisoformat(text)
    return text


Moment = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"),
    AfterValidator(_a_moment_that_exists),
]
OrderSecret = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Kept(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class KeptSecret(_Kept):
    """What is kept of a secret, and until when it is good."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    expires_at: Moment | None = None


class ApiKey(_Kept):
    """A caller, as the topic keeps it."""

    id: Annotated[str, Field(pattern=rf"^[0-9A-Za-z]{{{ID_LENGTH}}}$")]
    name: Annotated[str, Field(min_length=1, max_length=100)]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=len(SCOPES))]
    secrets: Annotated[tuple[KeptSecret, ...], Field(min_length=1, max_length=MOST_SECRETS)]
    created_at: Moment
    events: Annotated[tuple[EventIdText, ...], Field(min_length=1, max_length=MOST_EVENTS)] | None = None
    """The only events that it may name; all, where it is left out."""
    per_second: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    """Requests, on the average; what the gateway's setting says, where it is left out."""
    order_secret: Annotated[OrderSecret | None, Field(repr=False)] = None
    """256 random bits. Without it a request has no proof, and only the caller himself may look at it."""

    def may(self, scope: Scope, event_id: str | None = None) -> bool:
        """Whether the caller may do what needs a scope, to an event."""
        return scope in self.scopes and (event_id is None or self.events is None or event_id in self.events)

    def proof(self, event_id: str, request_id: str) -> str | None:
        """What shows that its bearer may see one request; the same on every instance."""
        if self.order_secret is None:
            return None
        proof = _keyed(self.order_secret).copy()
        proof.update(f"{event_id} {request_id}".encode())
        return proof.hexdigest()

    def proves(self, proof: str, event_id: str, request_id: str) -> bool:
        """Whether it is the proof of that request."""
        expected = self.proof(event_id, request_id)
        return expected is not None and hmac.compare_digest(expected.encode(), proof.encode(errors="replace"))


@lru_cache(maxsize=1_024)
def _keyed(order_secret: str) -> hashlib.blake2b:
    """The keyed hash of a proof (BLAKE2b, RFC 7693), with the key in it, to be copied for each.

    Every purchase has one. HMAC of a hash that knows no keys takes two of it, and five times as long; with
    :mod:`hmac` fifteen times.
    """
    return hashlib.blake2b(key=bytes.fromhex(order_secret), digest_size=PROOF_BYTES)


class BadKeyError(Exception):
    """A text that is no key: cut, mistyped, or something else."""


def new_id() -> str:
    """A caller's id."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(ID_LENGTH))


def new_key(key_id: str) -> str:
    """A key with a new secret. It is shown once, and kept nowhere."""
    secret = _base62(int.from_bytes(secrets.token_bytes(SECRET_BYTES)), _SECRET_LENGTH)
    return f"{PREFIX}_{key_id}_{secret}{_checksum(key_id, secret)}"


def new_order_secret() -> str:
    """A caller's order secret."""
    return secrets.token_hex(SECRET_BYTES)


def digest(key: str) -> str:
    """What is kept of a key's secret."""
    return hashlib.sha256(key.encode()).hexdigest()


def moment(at: datetime) -> str:
    """A time, as keys have it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def id_of(key: str) -> str:
    """The id in a key.

    Raises:
        BadKeyError: it is no key, or not a whole one.
    """
    match = _FORM.fullmatch(key)
    if match is None:
        raise BadKeyError(f"a key reads {PREFIX}_ID_SECRET")
    key_id, rest = match.groups()
    secret, checksum = rest[:_SECRET_LENGTH], rest[_SECRET_LENGTH:]
    if checksum != _checksum(key_id, secret):
        raise BadKeyError("a character of the key is wrong")
    return key_id


class UnreadableKeyError(Exception):
    """A record that is no caller."""


_KEPT: Final[TypeAdapter[ApiKey]] = TypeAdapter(ApiKey)


def read_api_key(record_key: bytes | None, value: bytes) -> ApiKey:
    """The caller in a record.

    Raises:
        UnreadableKeyError: it is none, or lies under another's key.
    """
    try:
        found = _KEPT.validate_json(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise UnreadableKeyError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if record_key != found.id.encode():
        raise UnreadableKeyError("it lies under another key")
    return found


def _checksum(key_id: str, secret: str) -> str:
    return _base62(zlib.crc32(f"{key_id}_{secret}".encode()), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    assert not number
    return "".join(reversed(digits))
