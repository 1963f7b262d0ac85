"""What the demo offers: made from a seed, so that what must come of it is known beforehand."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any, Final

from pydantic_core import to_json

from boxoffice.kafka.clients import home_partition

EVENT_ID: Final = "42"
UNKNOWN_EVENT_ID: Final = "404"
STALLS: Final = "stalls"
BALCONY: Final = "balcony"
CATEGORIES: Final = (
    {"id": STALLS, "name": "Stalls", "capacity": 600, "price": {"amount": 4500, "currency": "EUR"}},
    {"id": BALCONY, "name": "Balcony", "capacity": 400, "price": {"amount": 3000, "currency": "EUR"}},
)
CAPACITY: Final = 1_000
MAX_PER_ORDER: Final = 8
HOLD_S: Final = 60
"""As short as a hold can be: nobody likes to wait for those that are left to expire."""
EVENT: Final[Mapping[str, Any]] = {
    "type": "create_event",
    "request_id": "demo",
    "event_id": EVENT_ID,
    "name": "Night at the Opera",
    "venue": "Main Hall",
    "starts_at": "2027-03-01T19:30:00+01:00",
    "categories": list(CATEGORIES),
    "on_sale_at": "2027-02-01T10:00:00+01:00",
    "hold_s": HOLD_S,
    "max_per_order": MAX_PER_ORDER,
}
AT_ONCE: Final[Mapping[str, Any]] = {
    "type": "change_event",
    "request_id": "at-once",
    "event_id": EVENT_ID,
    "hold_s": 0,
    "prices": [{"category": BALCONY, "amount": 2500}],
}
"""What came back is paid at once, and the balcony is cheaper."""
PACE_PER_S: Final = 250
BURST: Final = 300
_EARLY: Final = 0.4
_QUANTITIES: Final = (1, 1, 1, 1, 1, 1, 2, 2, 3, 4)
_SHARES: Final = (STALLS, STALLS, STALLS, BALCONY, BALCONY)
_MALFORMED: Final = (
    b"hello",
    b"{",
    b"\xff\xfe\x00",
    b"[]",
    b'{"event_id": "42"}',
    b'{"type": "refund", "request_id": "r", "event_id": "42"}',
    b'{"request_id": "r", "event_id": "42", "buyer": "b", "quantity": "2"}',
    b'{"request_id": "r", "event_id": "042", "buyer": "b"}',
    b'{"request_id": "r", "event_id": "42", "buyer": ""}',
    b'{"request_id": "r r", "event_id": "42", "buyer": "b"}',
)


class Kind(StrEnum):
    """What a command of the demo is there to show."""

    TOO_EARLY = auto()
    PURCHASE = auto()
    REPEAT = auto()
    REUSED_ID = auto()
    OVER_LARGE = auto()
    CANCEL = auto()
    CANCEL_AGAIN = auto()
    CANCEL_NOTHING = auto()
    MALFORMED = auto()
    UNKNOWN_EVENT = auto()
    RETURNED = auto()
    """A purchase of what came back when its hold had expired."""
    PAYMENT = auto()
    PAYMENT_AGAIN = auto()
    UNDERPAID = auto()
    GIVE_BACK = auto()
    """One ticket of several."""


COMMANDS: Final[Mapping[Kind, int]] = {
    Kind.TOO_EARLY: 20,
    Kind.PURCHASE: 1_010,
    Kind.REPEAT: 130,
    Kind.REUSED_ID: 10,
    Kind.OVER_LARGE: 50,
    Kind.CANCEL: 40,
    Kind.CANCEL_AGAIN: 5,
    Kind.CANCEL_NOTHING: 5,
    Kind.MALFORMED: 25,
    Kind.UNKNOWN_EVENT: 25,
    Kind.RETURNED: 500,
}
"""The commands that stand in the script. What is paid, and given back piece by piece, depends on who gets tickets."""
MISPLACED: Final = 100
"""Purchases that are sent to another partition than their event's home."""
OVER_HTTP: Final = sum(COMMANDS.values()) // 2
"""Commands that come through the gateway."""
UNDERPAID: Final = 5
PAID_TWICE: Final = 20
GIVEN_BACK: Final = 10


@dataclass(frozen=True)
class Told:
    """What came back over HTTP: a status, or the error that came instead; the fact in it; and when."""

    status: str
    fact: Any
    seen_s: float


@dataclass
class Offered:
    """A command of the demo: when it comes (0 to 1), what it is, and, once it was sent, where it went.

    What goes ``over_http`` has what it was ``told`` in the place of a position.
    """

    kind: Kind
    comes_at: float
    value: bytes
    request_id: str = ""
    target: str = ""
    misplaced: bool = False
    keyed: bool = True
    over_http: bool = False
    sent_s: float = 0.0
    position: tuple[int, int] = (-1, -1)
    told: Told | None = None

    @property
    def about(self) -> str:
        """The purchase that it makes, repeats or cancels."""
        return self.target or self.request_id


@dataclass(frozen=True)
class Paying:
    """What buyers do whose purchases are held, by their purchases' ids: ``pays`` pay, all others do not.

    ``underpaid`` try it with too little; ``paid_twice`` are told twice by who took the money; ``gives_back`` give one
    ticket of several back.
    """

    pays: frozenset[str]
    underpaid: frozenset[str]
    paid_twice: frozenset[str]
    gives_back: frozenset[str]


class Script:
    """All commands of a demo, in order; the same for the same seed.

    ``early`` come before the sale opens, ``commands`` when it is open, ``returned`` when the holds have ended that
    nobody has paid for.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a schedule that can be had again
        purchases = [self._purchase(number) for number in range(COMMANDS[Kind.PURCHASE])]
        # Bought while there were tickets for certain, and not misplaced: so they come first, and are sold.
        early = [offered for offered in purchases if offered.comes_at < _EARLY]
        cancelled = self._random.sample(early, COMMANDS[Kind.CANCEL])
        for offered in self._random.sample([one for one in purchases if one.comes_at >= _EARLY], MISPLACED):
            offered.misplaced = True
        self.paying = self._paying(purchases, [one for one in early if one not in cancelled])
        self.early = [self._too_early(number) for number in range(COMMANDS[Kind.TOO_EARLY])]
        self.commands = sorted(
            [
                *purchases,
                *(self._repeat(self._random.choice(early), number) for number in range(COMMANDS[Kind.REPEAT])),
                *(self._reused(self._random.choice(early)) for _ in range(COMMANDS[Kind.REUSED_ID])),
                *(self._over_large(number) for number in range(COMMANDS[Kind.OVER_LARGE])),
                *(self._cancel(one) for one in cancelled),
                *(self._cancel_again(one) for one in self._random.sample(cancelled, COMMANDS[Kind.CANCEL_AGAIN])),
                *(self._cancel_nothing(number) for number in range(COMMANDS[Kind.CANCEL_NOTHING])),
                *(self._malformed(number) for number in range(COMMANDS[Kind.MALFORMED])),
                *(self._unknown_event(number) for number in range(COMMANDS[Kind.UNKNOWN_EVENT])),
            ],
            key=lambda offered: offered.comes_at,
        )
        self.returned = [self._returned(number) for number in range(COMMANDS[Kind.RETURNED])]
        self._choose_for_http()

    @property
    def all(self) -> list[Offered]:
        """Every command that stands in it."""
        return [*self.early, *self.commands, *self.returned]

    def _choose_for_http(self) -> None:
        """Half of them; all that is about one purchase goes the same way, since a caller's requests are his own."""
        together: defaultdict[str, list[Offered]] = defaultdict(list)
        for offered in self.all:
            if offered.kind is not Kind.MALFORMED and not offered.misplaced:
                together[offered.about].append(offered)
        families = list(together.values())
        self._random.shuffle(families)
        left = OVER_HTTP
        for family in families:
            if len(family) <= left:
                left -= len(family)
                for offered in family:
                    offered.over_http = True

    def partition_for(self, offered: Offered, partitions: int) -> int | None:
        """Where to send it: a wrong partition, or None for what the client's partitioner says."""
        if not offered.misplaced:
            return None
        home = home_partition(EVENT_ID, partitions)
        return (home + self._random.randrange(1, partitions)) % partitions

    def _paying(self, purchases: Sequence[Offered], certain: Sequence[Offered]) -> Paying:
        """A third of the buyers does not pay; what is counted on is done by some who get tickets for certain."""
        pays = {offered.request_id for offered in purchases if self._random.random() * 3 >= 1}
        paying = [offered for offered in certain if offered.request_id in pays]
        several = [offered for offered in paying if b'"quantity":1' not in offered.value]
        not_paying = [offered for offered in certain if offered.request_id not in pays]
        return Paying(
            frozenset(pays),
            self._ids(not_paying, UNDERPAID),
            self._ids(paying, PAID_TWICE),
            self._ids(several, GIVEN_BACK),
        )

    def _ids(self, some: Sequence[Offered], count: int) -> frozenset[str]:
        return frozenset(offered.request_id for offered in self._random.sample(some, count))

    def _too_early(self, number: int) -> Offered:
        value = _purchase(f"e-{number}", f"b-{number}", **self._wanted())
        return Offered(Kind.TOO_EARLY, 0, value, f"e-{number}")

    def _purchase(self, number: int) -> Offered:
        members = _purchase(f"r-{number}", f"b-{number}", **self._wanted())
        return Offered(Kind.PURCHASE, self._random.random(), members, f"r-{number}")

    def _wanted(self) -> dict[str, Any]:
        """Tickets of one category, or now and then of both."""
        quantity = self._random.choice(_QUANTITIES)
        if quantity == 1 or self._random.random() < 0.8:  # noqa: PLR2004 - a fifth of those who want several
            return {"category": self._random.choice(_SHARES), "quantity": quantity}
        lines = ({"category": STALLS, "quantity": quantity - 1}, {"category": BALCONY, "quantity": 1})
        return {"lines": list(lines)}

    def _repeat(self, one: Offered, number: int) -> Offered:
        # Half of them in a hurry, right behind the first attempt.
        later = self._random.random() * (0.01 if number % 2 else 1 - one.comes_at)
        return Offered(Kind.REPEAT, one.comes_at + max(later, 1e-9), one.value, one.request_id, one.request_id)

    def _reused(self, one: Offered) -> Offered:
        value = _purchase(one.request_id, "b-other", category=STALLS, quantity=1)
        return Offered(Kind.REUSED_ID, self._random.uniform(one.comes_at, 1), value, one.request_id)

    def _over_large(self, number: int) -> Offered:
        quantity = self._random.randint(MAX_PER_ORDER + 1, 100)
        value = _purchase(f"o-{number}", f"b-{number}", category=STALLS, quantity=quantity)
        return Offered(Kind.OVER_LARGE, self._random.random(), value, f"o-{number}")

    def _cancel(self, one: Offered) -> Offered:
        return self._cancellation(Kind.CANCEL, f"x-{one.request_id}", one.request_id, (_EARLY, 0.7))

    def _cancel_again(self, one: Offered) -> Offered:
        return self._cancellation(Kind.CANCEL_AGAIN, f"y-{one.request_id}", one.request_id, (0.7, 1))

    def _cancel_nothing(self, number: int) -> Offered:
        return self._cancellation(Kind.CANCEL_NOTHING, f"n-{number}", "nobody", (0, 1))

    def _cancellation(self, kind: Kind, request_id: str, purchase: str, between: tuple[float, float]) -> Offered:
        members = {
            "type": "cancel_purchase",
            "request_id": request_id,
            "event_id": EVENT_ID,
            "purchase": purchase,
        }
        return Offered(kind, self._random.uniform(*between), to_json(members), request_id, purchase)

    def _malformed(self, number: int) -> Offered:
        value = _MALFORMED[number % len(_MALFORMED)]
        return Offered(Kind.MALFORMED, self._random.random(), value, keyed=bool(number % 3))

    def _unknown_event(self, number: int) -> Offered:
        value = _purchase(f"u-{number}", f"b-{number}", UNKNOWN_EVENT_ID, quantity=1)
        return Offered(Kind.UNKNOWN_EVENT, self._random.random(), value, f"u-{number}")

    def _returned(self, number: int) -> Offered:
        """The last ones want one ticket each, and of both categories in turn: so nothing is left."""
        if number < COMMANDS[Kind.RETURNED] - BURST // 2:
            wanted = self._wanted()
        else:
            wanted = {"category": (STALLS, BALCONY)[number % 2], "quantity": 1}
        return Offered(Kind.RETURNED, 1, _purchase(f"s-{number}", f"b-{number}", **wanted), f"s-{number}")


def _purchase(request_id: str, buyer: str, event_id: str = EVENT_ID, **wanted: Any) -> bytes:
    return to_json({"request_id": request_id, "event_id": event_id, "buyer": buyer, **wanted})
