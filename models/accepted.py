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
from typing import Any, Final, NamedTuple

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


_FORWARDED: Final = 0x80
_IN_JSON: Final = 0x40
_HEAD: Final = Struct("<BQQQ")
_SOURCE: Final = Struct("<IQ")
_RUN: Final = Struct("<QB")
_USUAL_PURCHASE: Final = Struct("<BQQQBQBB")
"""At home, of one run, not cancelled; the buyer follows."""
_PURCHASE: Final = int(Kind.PURCHASE)
_USUAL_STATES: Final = (State.CONFIRMED, State.CANCELLED)


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
    match accepted.kind:
        case Kind.CREATION:
            return b"", 0
        case Kind.FACT:
            return accepted.fact, 0
        case Kind.PURCHASE:
            if _is_usual(accepted):
                return _usual(accepted), 0
            a = accepted
            members: tuple[Any, ...] = (a.runs, a.buyer, a.by, a.state, a.lines, a.due_ms, a.payment, a.actor)
        case _:
            a = accepted
            members = (a.purchase, a.runs, a.remaining, a.flag, a.actor)
    return to_json(members), _IN_JSON


def _is_usual(purchase: Accepted) -> bool:
    return (
        not purchase.lines
        and not purchase.actor
        and not purchase.payment
        and ((purchase.state is State.CONFIRMED and not purchase.by) or purchase.state is State.CANCELLED)
    )


def _usual(purchase: Accepted) -> bytes:
    runs = b"".join(_RUN.pack(first, last - first + 1) for first, last in purchase.runs)
    by = purchase.by.encode()
    return b"%c%b%c%b%b" % (len(purchase.runs), runs, len(by), by, purchase.buyer.encode())


def unpack(packed: bytes) -> Accepted:
    """The inverse of :func:`pack`."""
    head, seq, offset, at_ms = _HEAD.unpack_from(packed)
    kind, at = Kind(head & ~(_FORWARDED | _IN_JSON)), _HEAD.size
    source = None
    if head & _FORWARDED:
        source = _SOURCE.unpack_from(packed, at)
        at += _SOURCE.size
    accepted = Accepted(kind, seq, offset, at_ms, source)
    if kind == Kind.FACT:
        return accepted._replace(fact=packed[at:])
    if kind == Kind.PURCHASE:
        return _unpack_purchase(accepted, packed, at, is_json=bool(head & _IN_JSON))
    if kind == Kind.CREATION:
        return accepted
    purchase, runs, remaining, flag, actor = from_json(packed[at:])
    return accepted._replace(purchase=purchase, runs=_runs(runs), remaining=_runs(remaining), flag=flag, actor=actor)


def _unpack_purchase(accepted: Accepted, packed: bytes, at: int, *, is_json: bool) -> Accepted:
    if is_json:
        runs, buyer, by, state, lines, due_ms, payment, actor = from_json(packed[at:])
        return accepted._replace(
            runs=_runs(runs),
            buyer=buyer,
            by=by,
            state=State(state),
            lines=tuple((place, quantity, price) for place, quantity, price in lines),
            due_ms=due_ms,
            payment=payment,
            actor=actor,
        )
    runs_end = at + 1 + packed[at] * _RUN.size
    runs = tuple((first, first + length - 1) for first, length in _RUN.iter_unpack(packed[at + 1 : runs_end]))
    buyer_at = runs_end + 1 + packed[runs_end]
    by = packed[runs_end + 1 : buyer_at].decode()
    return accepted._replace(
        runs=runs,
        by=by,
        state=State.CANCELLED if by else State.CONFIRMED,
        buyer=packed[buyer_at:].decode(),
    )


def _runs(runs: list[list[int]]) -> Runs:
    return tuple((first, last) for first, last in runs)
