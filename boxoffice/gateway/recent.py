"""What became of the requests that this instance took lately, for who asks again. It can be lost: Redis knows too."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from pydantic_core import from_json

from boxoffice.gateway.answering import MADE
from boxoffice.gateway.waiters import Outcome, Result, Waiter
from models.facts import ce_type

EACH_BYTES: Final = 600
"""What one takes besides its fact: its id, its place, its waiter."""

_CANCELLED: Final = ce_type("purchase_cancelled")
_OF_PURCHASES: Final = frozenset(
    ce_type(kind) for kind in ("purchase_confirmed", "purchase_held", "hold_expired", "purchase_cancelled")
)
"""What a purchase may be answered with; another one may follow. Even one that has expired may still be paid for."""
_DECISIONS: Final = MADE | {ce_type("purchase_rejected"), ce_type("command_rejected")}

_Key = tuple[str, str]
"""An event's id, and a request's."""


class Asked:
    """One request: on its way, or answered."""

    __slots__ = ("_recent", "answer", "key", "purchase", "waiter")

    def __init__(self, recent: Recent, key: _Key, purchase: str | None) -> None:
        self._recent = recent
        self.key = key
        self.purchase = purchase
        """The request of the purchase that it cancels."""
        self.answer: Result | None = None
        self.waiter: Waiter | None = None
        """Of its newest command."""

    @property
    def is_accepted(self) -> bool:
        """Whether its answer is for ever; one that was refused may be asked again."""
        return self.answer is not None and self.answer.kind in MADE

    @property
    def may_change(self) -> bool:
        """Whether it is a purchase, of which more may have become since."""
        return self.purchase is None and self.answer is not None and self.answer.kind in _OF_PURCHASES

    @property
    def has_landed(self) -> bool:
        """Whether the log holds its command, so that it will be decided."""
        return self.waiter is not None and self.waiter.landed is not None

    @property
    def size_bytes(self) -> int:
        """What it takes."""
        return EACH_BYTES + (len(self.answer.fact) if self.answer is not None else 0)

    def hear(self, result: Result) -> None:
        """What has become of its command by now; it may be told more than once."""
        if result.kind in _DECISIONS:
            self._recent.answered(self, result)
        elif result.outcome is Outcome.ACCEPTED:
            self._recent.accepted(self)
        else:
            if self.answer is None:
                self._recent.forget(self)
            self.waiter = None

    async def change(self, within_s: float) -> None:
        """Return when there is news of it, or after that time."""
        watched = self._recent.watched
        if self not in watched:
            watched[self] = asyncio.get_running_loop().create_future()
        # Others wait for the same.
        await asyncio.wait([watched[self]], timeout=within_s)


class Recent:
    """The newest requests, bounded in their number and in what they take; the oldest are forgotten first."""

    def __init__(self, most: int, most_bytes: int, give_up: Callable[[Waiter], None]) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._give_up = give_up
        self._kept: OrderedDict[_Key, Asked] = OrderedDict()
        self.size_bytes = 0
        self.watched: dict[Asked, asyncio.Future[None]] = {}
        """Those on which somebody waits for news."""

    def __len__(self) -> int:
        return len(self._kept)

    def begin(self, event_id: str, request_id: str, purchase: str | None = None) -> Asked:
        """A request is taken; one that was accepted before keeps its answer, and every other one begins anew."""
        key = (event_id, request_id)
        known = self._kept.get(key)
        if known is not None:
            if known.is_accepted:
                return known
            self.forget(known)
        asked = self._kept[key] = Asked(self, key, purchase)
        self.size_bytes += EACH_BYTES
        if len(self._kept) > self._most or self.size_bytes > self._most_bytes:
            self._make_room()
        return asked

    def find(self, event_id: str, request_id: str) -> Asked | None:
        """A request, if it is one of the newest."""
        return self._kept.get((event_id, request_id))

    def answered(self, asked: Asked, result: Result) -> None:
        """The ledger holds a request's fact; a purchase that it cancels is answered with the same from now on."""
        self._answer(asked, result)
        if asked.purchase is not None and result.kind == _CANCELLED:
            sale = self._kept.get((asked.key[0], asked.purchase))
            # An earlier one that gave some tickets back may be asked again behind the one that gave back the rest.
            if sale is not None and (sale.answer is None or seq_of(result.fact) > seq_of(sale.answer.fact)):
                self._answer(sale, result)
        if self.size_bytes > self._most_bytes:
            self._make_room()

    def accepted(self, asked: Asked) -> None:
        """The log holds a request's command, and its sender waits no longer; who was forgotten is not followed."""
        if self._kept.get(asked.key) is not asked and asked.waiter is not None:
            self._give_up(asked.waiter)
            asked.waiter = None
        self._wake(asked)

    def _answer(self, asked: Asked, result: Result) -> None:
        before, asked.answer = asked.answer, result
        if self._kept.get(asked.key) is asked:
            self.size_bytes += len(result.fact) - (len(before.fact) if before is not None else 0)
        # Each would keep the other.
        asked.waiter = None
        if self.watched:
            self._wake(asked)

    def forget(self, asked: Asked) -> None:
        """Nothing is known of a request here any more."""
        if self._kept.get(asked.key) is asked:
            del self._kept[asked.key]
            self.size_bytes -= asked.size_bytes
        self._let_go(asked)

    def _let_go(self, asked: Asked) -> None:
        # Where its sender still waits, its waiter is given up when he is told.
        if asked.waiter is not None and asked.waiter.is_followed:
            self._give_up(asked.waiter)
            asked.waiter = None
        if self.watched:
            self._wake(asked)

    def wake_all(self) -> None:
        """The process ends: nobody waits for news any longer."""
        for asked in list(self.watched):
            self._wake(asked)

    def _wake(self, asked: Asked) -> None:
        """Let go whoever waits for news of it."""
        news = self.watched.pop(asked, None)
        if news is not None:
            news.set_result(None)

    def _make_room(self) -> None:
        while len(self._kept) > self._most or (self.size_bytes > self._most_bytes and len(self._kept) > 1):
            _, oldest = self._kept.popitem(last=False)
            self.size_bytes -= oldest.size_bytes
            self._let_go(oldest)


def seq_of(fact: bytes) -> int:
    """A fact's number within its event; 0 where somebody else wrote it."""
    try:
        seq = from_json(fact).get("seq")
    except (ValueError, AttributeError):
        return 0
    return seq if isinstance(seq, int) else 0
