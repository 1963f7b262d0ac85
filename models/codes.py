"""A ticket's code: what the QR code on its page says. ``docs/codes.md`` describes it byte by byte.

A code names the key that signed it, the event, the ticket's number and the seq of its sale, so a ticket that was
cancelled and sold again has another code. There is one way to write each: whatever could be written in a second way
is refused, or somebody could make a text that is as good and looks new.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from models.members import EVENT_ID_PATTERN, MAX_EVENT_ID
from models.tickets import ticket_name

PREFIX: Final = "BX1:"
VERSION: Final = 1
SIGNED_PREFIX: Final = b"boxoffice-ticket-v1\0"
"""Goes before what is signed, so that nothing else that a key may ever sign is taken for a code."""
SIGNATURE_BYTES: Final = 64
MAX_KEY_ID: Final = 255
MAX_NUMBER: Final = 2**63 - 1
"""Of a ticket, and of a seq."""
MAX_CODE_CHARACTERS: Final = 144

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_EVENT_ID: Final = re.compile(EVENT_ID_PATTERN)
_MORE: Final = 0x80
_LONGEST_VARINT: Final = 9


class CodeError(Exception):
    """What is no code, or what no code can say: the message says why."""


class Claim(NamedTuple):
    """What a code says, and what is signed."""

    key_id: int
    event_id: str
    number: int
    """The ticket's, within its event."""
    seq: int
    """The seq of the fact that made the ticket its owner's."""

    @property
    def ticket(self) -> str:
        """The ticket's name."""
        return ticket_name(self.event_id, self.number)


class Code(NamedTuple):
    """A claim, and a signature that may be right or wrong."""

    claim: Claim
    signature: bytes


def claim_of(key_id: int, event_id: str, ticket: str, seq: int) -> Claim:
    """What the code of a ticket says that was sold with the fact ``seq``.

    Raises:
        CodeError: no code can say it: the ticket's name is none of this event's, or a number has no room.
    """
    digits = ticket.rpartition("-")[2]
    claim = Claim(key_id, event_id, int(digits) if digits.isdecimal() else 0, seq)
    if not _EVENT_ID.fullmatch(event_id) or claim.ticket != ticket:
        raise CodeError(f"no code can say that {ticket} is a ticket of event {event_id}")
    _check(claim)
    return claim


def signed_bytes(claim: Claim) -> bytes:
    """What the signature of a claim is made over."""
    return SIGNED_PREFIX + _claim_bytes(claim)


def write_code(code: Code) -> str:
    """The code as a text that fits a QR code's alphanumeric mode."""
    return PREFIX + to_base45(_claim_bytes(code.claim) + code.signature)


def read_code(text: str) -> Code:
    """The code in a text; its signature is not looked at.

    Raises:
        CodeError: it is none, or none that this release knows.
    """
    if len(text) > MAX_CODE_CHARACTERS:
        raise CodeError(f"it is longer than {MAX_CODE_CHARACTERS} characters")
    if not text.startswith(PREFIX):
        raise CodeError(f"it does not begin with {PREFIX}")
    read = _Bytes(from_base45(text.removeprefix(PREFIX)))
    version = read.byte()
    if version != VERSION:
        raise CodeError(f"its version is {version}, and only {VERSION} is known")
    claim = Claim(read.byte(), str(read.varint()), read.varint(), read.varint())
    _check(claim)
    signature = read.rest()
    if len(signature) != SIGNATURE_BYTES:
        raise CodeError(f"its signature has {len(signature)} bytes, not {SIGNATURE_BYTES}")
    return Code(claim, signature)


def _claim_bytes(claim: Claim) -> bytes:
    numbers = (int(claim.event_id), claim.number, claim.seq)
    return bytes([VERSION, claim.key_id, *(byte for number in numbers for byte in _varint(number))])


def _check(claim: Claim) -> None:
    bounds = {
        "key id": (claim.key_id, 1, MAX_KEY_ID),
        "event": (int(claim.event_id), 0, MAX_EVENT_ID),
        "ticket number": (claim.number, 1, MAX_NUMBER),
        "seq": (claim.seq, 1, MAX_NUMBER),
    }
    for name, (number, least, most) in bounds.items():
        if not least <= number <= most:
            raise CodeError(f"its {name} is {number}, which is not from {least} to {most}")


def _varint(number: int) -> Iterator[int]:
    """The number in groups of seven bits, the lowest first; all but the last group have the highest bit set."""
    while number >= _MORE:
        yield number % _MORE | _MORE
        number //= _MORE
    yield number


class _Bytes:
    """What is left to read."""

    def __init__(self, given: bytes) -> None:
        self._left = given

    def byte(self) -> int:
        if not self._left:
            raise CodeError("it is cut off")
        first, self._left = self._left[0], self._left[1:]
        return first

    def varint(self) -> int:
        number = 0
        for place in range(_LONGEST_VARINT):
            group = self.byte()
            number += (group % _MORE) << (7 * place)
            if group < _MORE:
                if place and not group:
                    raise CodeError("a number in it is longer than it needs to be")
                return number
        raise CodeError("a number in it is too large")

    def rest(self) -> bytes:
        return self._left


# The package base45 was released last in 2022, and drops line ends at the end of a text: a second way to write a code.


def to_base45(given: bytes) -> str:
    """Bytes as RFC 9285 writes them: two as three characters, a last one alone as two."""
    characters = []
    for at in range(0, len(given), 2):
        some = given[at : at + 2]
        number = int.from_bytes(some, "big")
        for _ in range(len(some) + 1):
            number, value = divmod(number, len(_ALPHABET))
            characters.append(_ALPHABET[value])
    return "".join(characters)


def from_base45(text: str) -> bytes:
    """The inverse of :func:`to_base45`.

    Raises:
        CodeError: no bytes are written so.
    """
    given = bytearray()
    for at in range(0, len(text), 3):
        some = text[at : at + 3]
        number = 0
        for character in reversed(some):
            value = _VALUES.get(character)
            if value is None:
                raise CodeError("it has a character that base45 does not have")
            number = number * len(_ALPHABET) + value
        size = len(some) - 1
        if not size or number >= 1 << (8 * size):
            raise CodeError("it is no base45")
        given += number.to_bytes(size, "big")
    return bytes(given)
