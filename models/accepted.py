"""What is remembered of a request that was accepted: enough to write its fact again.

A hundred thousand of these are held for one event, so each is one ``bytes`` object; it is unpacked
only when the request is repeated, cancelled, paid for, or copied to Redis.

Layout, little endian: kind (1 byte; the highest bit set where the command was forwarded, the next one where
what follows is JSON), seq (8), offset at home (8), timestamp in ms (8), for a forwarded one the source's
partition (4) and offset (8). Then for a purchase of the only category, at the price that the event began with,
that was confirmed at once: the number of runs of tickets (1), each run as first (8) and length (1), the length of
the id of the request that cancelled it (1), that id, and the buyer. Everything else is a JSON array.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from pydantic_core import from_json, to_json

Run = tuple[int, int]
"""Consecutive ticket numbers, first and last."""
Runs = tuple[Run, ...]


class Kind(IntEnum):
    """What was accepted."""

    CREATION = 1
    PURCHASE = 2
    CANCELLATION = 3
    CONFIRMATION = 6
    EXPIRY = 7
    FACT = 8
    """What is rare, or has members of its own: the fact itself is kept."""


class State(IntEnum):
    """What a purchase is."""

    CONFIRMED = 0
    CANCELLED = 1
    HELD = 2
    EXPIRED = 3


PricedLine = tuple[int, int, int]
"""What was asked for of one category: its place among the event's, how many, and what each costs."""


class Accepted(NamedTuple):
    """An accepted request, unpacked. ``source`` is None where it is the position at home.

    Of a purchase ``runs`` are the tickets that it has, or had last; ``lines`` are empty where it is of the only
    category, at the price that the event began with; ``due_ms`` until when it is held; ``by`` is the newest request
    that has changed it. Of what changes a purchase ``runs`` are the tickets that it is about and ``remaining`` what
    the purchase has then.
    """

    kind: Kind
    seq: int
    offset: int
    at_ms: int
    source: tuple[int, int] | None = None
    runs: Runs = ()
    buyer: str = ""
    by: str = ""
    state: State = State.CONFIRMED
    lines: tuple[PricedLine, ...] = ()
    due_ms: int = 0
    payment: str = ""
    purchase: str = ""
    remaining: Runs = ()
    flag: bool = False
    """Of a confirmation: it came late. Of a cancellation: the tickets were held."""
    actor: str = ""
    fact: bytes = b""

    def changed(
        self, by: str, state: State, runs: Runs, lines: tuple[PricedLine, ...] = (), payment: str = ""
    ) -> Accepted:
        """A purchase as it is after another request; a tuple's own ``_replace`` takes five times as long."""
        return Accepted(
            self.kind,
            self.seq,
            self.offset,
            self.at_ms,
            self.source,
            runs,
            self.buyer,
            by,
            state,
            lines or self.lines,
            self.due_ms,
            payment or self.payment,
            actor=self.actor,
        )


_FORWARDED: Final = 0x80
_IN_JSON: Final = 0x40
_HEAD: Final = Struct("<BQQQ")
_SOURCE: Final = Struct("<IQ")
_RUN: Final = Struct("<QB")
_USUAL_PURCHASE: Final = Struct("<BQQQBQBB")
"""At home, of one run, not cancelled; the buyer follows."""
_PURCHASE: Final = int(Kind.PURCHASE)
# An enumeration's members cost more to look up, by their names or numbers, than a request costs to unpack.
_A_CREATION, _A_PURCHASE, _A_FACT = Kind.CREATION, Kind.PURCHASE, Kind.FACT
_CONFIRMED, _CANCELLED = State.CONFIRMED, State.CANCELLED
_KINDS: Final = {int(kind): kind for kind in Kind}
_STATES: Final = tuple(State)


def pack_purchase(seq: int, offset: int, at_ms: int, source: tuple[int, int] | None, runs: Runs, buyer: str) -> bytes:
    """What :func:`pack` makes of a usual purchase, without the tuple: nearly all that is packed is this."""
    if source is None and len(runs) == 1:
        first, last = runs[0]
        return _USUAL_PURCHASE.pack(_PURCHASE, seq, offset, at_ms, 1, first, last - first + 1, 0) + buyer.encode()
    return pack(Accepted(Kind.PURCHASE, seq, offset, at_ms, source, runs, buyer))


def pack(accepted: Accepted) -> bytes:
    """The request as bytes."""
    kind, seq, offset, at_ms, source, *_ = accepted
    rest, flags = _rest(accepted)
    if source is None:
        return _HEAD.pack(kind | flags, seq, offset, at_ms) + rest
    return _HEAD.pack(kind | flags | _FORWARDED, seq, offset, at_ms) + _SOURCE.pack(*source) + rest


def _rest(accepted: Accepted) -> tuple[bytes, int]:
    _, _, _, _, _, runs, buyer, by, state, lines, due_ms, payment, purchase, remaining, flag, actor, fact = accepted
    kind = accepted.kind
    if kind is _A_PURCHASE:
        if not (lines or actor or payment) and (state is _CANCELLED or (state is _CONFIRMED and not by)):
            return _usual(runs, buyer, by), 0
        # As a number: what an enumeration's member is written as has to be looked up.
        return to_json((runs, buyer, by, int(state), lines, due_ms, payment, actor)), _IN_JSON
    if kind is _A_FACT:
        return fact, 0
    if kind is _A_CREATION:
        return b"", 0
    return to_json((purchase, runs, remaining, flag, actor)), _IN_JSON


def _usual(runs: Runs, buyer: str, by: str) -> bytes:
    packed = b"".join(_RUN.pack(first, last - first + 1) for first, last in runs)
    changed_by = by.encode()
    return b"%c%b%c%b%b" % (len(runs), packed, len(changed_by), changed_by, buyer.encode())


def unpack(packed: bytes) -> Accepted:
    """The inverse of :func:`pack`."""
    head, seq, offset, at_ms = _HEAD.unpack_from(packed)
    kind, at = _KINDS[head & ~(_FORWARDED | _IN_JSON)], _HEAD.size
    source = None
    if head & _FORWARDED:
        source = _SOURCE.unpack_from(packed, at)
        at += _SOURCE.size
    if kind is _A_PURCHASE:
        if not head & _IN_JSON:
            return _unpack_usual(seq, offset, at_ms, source, packed[at:])
        runs, buyer, by, state, lines, due_ms, payment, actor = from_json(packed[at:])
        lines = tuple(map(tuple, lines))
        purchase = _runs(runs), buyer, by, _STATES[state], lines, due_ms, payment
        return Accepted(kind, seq, offset, at_ms, source, *purchase, actor=actor)
    if kind is _A_FACT:
        return Accepted(kind, seq, offset, at_ms, source, fact=packed[at:])
    if kind is _A_CREATION:
        return Accepted(kind, seq, offset, at_ms, source)
    about, runs, remaining, flag, actor = from_json(packed[at:])
    return Accepted(
        kind,
        seq,
        offset,
        at_ms,
        source,
        _runs(runs),
        purchase=about,
        remaining=_runs(remaining),
        flag=flag,
        actor=actor,
    )


def _unpack_usual(seq: int, offset: int, at_ms: int, source: tuple[int, int] | None, packed: bytes) -> Accepted:
    runs_end = 1 + packed[0] * _RUN.size
    runs = tuple((first, first + length - 1) for first, length in _RUN.iter_unpack(packed[1:runs_end]))
    buyer_at = runs_end + 1 + packed[runs_end]
    by, buyer = packed[runs_end + 1 : buyer_at].decode(), packed[buyer_at:].decode()
    state = _CANCELLED if by else _CONFIRMED
    return Accepted(_A_PURCHASE, seq, offset, at_ms, source, runs, buyer, by, state)


def _runs(runs: list[list[int]]) -> Runs:
    return tuple(map(tuple, runs))  # type: ignore[arg-type]  # each has two
