"""What is remembered of a request that was accepted: enough to write its fact again.

A hundred thousand of these are held for one event, so each is one ``bytes`` object; it is unpacked
only when the request is repeated, cancelled, or copied to Redis.

Layout, little endian: kind (1 byte; the highest bit set where the command was forwarded), seq (8),
offset at home (8), timestamp in ms (8), for a forwarded one the source's partition (4) and offset (8);
then for a purchase the number of runs of tickets (1), each run as first (8) and length (1), the length
of the cancelling request's id (1), that id, and the buyer; for a cancellation the purchase's id; for
added tickets their count (8).
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

Run = tuple[int, int]
"""Consecutive ticket numbers, first and last."""


class Kind(IntEnum):
    """What was accepted."""

    CREATION = 1
    PURCHASE = 2
    CANCELLATION = 3
    ADDITION = 4
    CLOSING = 5


class Accepted(NamedTuple):
    """An accepted request, unpacked. ``source`` is None where it is the position at home."""

    kind: Kind
    seq: int
    offset: int
    at_ms: int
    source: tuple[int, int] | None = None
    runs: tuple[Run, ...] = ()
    buyer: str = ""
    cancelled_by: str = ""
    purchase: str = ""
    count: int = 0  # type: ignore[assignment]  # a tuple's method of this name is not needed


_FORWARDED: Final = 0x80
_HEAD: Final = Struct("<BQQQ")
_SOURCE: Final = Struct("<IQ")
_RUN: Final = Struct("<QB")
_COUNT: Final = Struct("<Q")
_USUAL_PURCHASE: Final = Struct("<BQQQBQBB")
"""At home, of one run, not cancelled; the buyer follows."""
_PURCHASE: Final = int(Kind.PURCHASE)


def pack_purchase(
    seq: int, offset: int, at_ms: int, source: tuple[int, int] | None, runs: tuple[Run, ...], buyer: str
) -> bytes:
    """What :func:`pack` makes of a purchase, without the tuple: nearly all that is packed is this."""
    if source is None and len(runs) == 1:
        first, last = runs[0]
        return _USUAL_PURCHASE.pack(_PURCHASE, seq, offset, at_ms, 1, first, last - first + 1, 0) + buyer.encode()
    return pack(Accepted(Kind.PURCHASE, seq, offset, at_ms, source, runs, buyer))


def pack(accepted: Accepted) -> bytes:
    """The request as bytes."""
    kind, seq, offset, at_ms, source, *_ = accepted
    if source is None:
        head = _HEAD.pack(kind, seq, offset, at_ms)
    else:
        head = _HEAD.pack(kind | _FORWARDED, seq, offset, at_ms) + _SOURCE.pack(*source)
    if kind == Kind.PURCHASE:
        return head + _purchase(accepted)
    if kind == Kind.CANCELLATION:
        return head + accepted.purchase.encode()
    if kind == Kind.ADDITION:
        return head + _COUNT.pack(accepted.count)
    return head


def _purchase(accepted: Accepted) -> bytes:
    runs = b"".join(_RUN.pack(first, last - first + 1) for first, last in accepted.runs)
    cancelled_by = accepted.cancelled_by.encode()
    return b"%c%b%c%b%b" % (
        len(accepted.runs),
        runs,
        len(cancelled_by),
        cancelled_by,
        accepted.buyer.encode(),
    )


def unpack(packed: bytes) -> Accepted:
    """The inverse of :func:`pack`."""
    head, seq, offset, at_ms = _HEAD.unpack_from(packed)
    kind, at = Kind(head & ~_FORWARDED), _HEAD.size
    source = None
    if head & _FORWARDED:
        source = _SOURCE.unpack_from(packed, at)
        at += _SOURCE.size
    accepted = Accepted(kind, seq, offset, at_ms, source)
    if kind == Kind.PURCHASE:
        return _unpack_purchase(accepted, packed, at)
    if kind == Kind.CANCELLATION:
        return accepted._replace(purchase=packed[at:].decode())
    if kind == Kind.ADDITION:
        return accepted._replace(count=_COUNT.unpack_from(packed, at)[0])
    return accepted


def _unpack_purchase(accepted: Accepted, packed: bytes, at: int) -> Accepted:
    runs_end = at + 1 + packed[at] * _RUN.size
    runs = tuple((first, first + length - 1) for first, length in _RUN.iter_unpack(packed[at + 1 : runs_end]))
    buyer_at = runs_end + 1 + packed[runs_end]
    return accepted._replace(
        runs=runs,
        cancelled_by=packed[runs_end + 1 : buyer_at].decode(),
        buyer=packed[buyer_at:].decode(),
    )
