"""The holds of a ledger partition that have not ended, and what was asked about them: a fold of the ledger.

A hold ends once, and for ever: whoever tells of it, a replaced owner too, tells the truth, however often and however
late. And to ask about one that has ended costs an answer, and nothing else. So records are taken as they come; the
chain is followed only to tell a newer release's fact that stands in the next one's place.

A hold takes about 270 bytes of memory where there are many, with ids of usual length: a key, two numbers packed into
one integer, and its places in a dictionary and in a bucket. Where each has a bucket of its own it is twice as much.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from boxoffice.clock.buckets import Buckets
from models.clock_places import ClockPlace
from models.derived_ids import EXPIRY, first_id, next_id
from models.facts import NewerFactError, UnreadableFactError, at_ms, at_text, purchase_of, read_fact, read_range
from models.reasons import Reason
from models.shapes import CommandRejected, Fact, HoldExpired, PurchaseHeld

AGAIN_MS: Final = 1_000
"""No hold is asked about twice within this time."""

_SEPARATOR: Final = "/"
"""In no event's id, and in no request's."""
_OFFSET_BITS: Final = 64
"""Of a hold's integer: at which offset it lies. Above them stands when it is due, in ms."""
_OFFSET: Final = (1 << _OFFSET_BITS) - 1
_DUE_WIDTH_MS: Final = 500
_AGAIN_WIDTH_MS: Final = 100
_EXPIRED: Final = "expired"
_COMMAND: Final = "expire_hold"


class Question(NamedTuple):
    """Whether a purchase is due, to be asked under this request id."""

    request_id: str
    event_id: str
    purchase: str


class _Asked(NamedTuple):
    key: str
    landed: int | None
    """The offset of the command; None until the broker has acknowledged it."""


class Holds:
    """One partition's holds.

    ``next_offset`` is where it is read on; ``newer_at`` the offset of a newer release's fact, from which on nothing is
    taken or asked; ``damaged`` counts records that are no facts. ``answers`` counts what came of the questions, and
    ``late_ms`` says of each hold that has expired how long after it was due, by the broker's time: both are for
    whoever measures to empty.
    """

    def __init__(self, partition: int, next_offset: int, bookmark: int | None = -1) -> None:
        """Begin at an offset; ``bookmark`` is None where it is not known what command comes next there."""
        self.partition = partition
        self.next_offset = next_offset
        self.newer_at: int | None = None
        self.damaged = 0
        self.answers: Counter[str] = Counter()
        self.late_ms: list[int] = []
        self._bookmark = bookmark
        self._at_ms = 0
        self._held: dict[str, int] = {}
        """In the order of the ledger."""
        self._due = Buckets(_DUE_WIDTH_MS)
        self._again = Buckets(_AGAIN_WIDTH_MS)
        """By the time that has passed, not by the clock: what came of a question does not depend on that."""
        self._again_ms: dict[str, int] = {}
        """When those are asked about again that wait for it."""
        self._asked: dict[str, _Asked] = {}
        """By the questions' own events and ids, in the order of asking."""
        self._ids: dict[str, str] = {}
        """The next request id of those whose first was taken."""
        self._last: tuple[int, str | None, str | None] | None = None
        """Of the last record its offset, event and request."""

    def __len__(self) -> int:
        """How many have not ended."""
        return len(self._held)

    @property
    def unanswered(self) -> int:
        """How many questions are not answered yet."""
        return len(self._asked)

    # Folding

    def take(self, offset: int, value: bytes | None, read_header: bytes | None, passed_ms: int) -> None:
        """Take the ledger's next record; ``passed_ms`` is the time by a clock that nobody sets."""
        if self.newer_at is not None:
            return
        self.next_offset = offset + 1
        accounted = read_range(read_header)
        if accounted is None:
            self.damaged += 1
            return
        first, last = accounted
        follows = self._bookmark is None or first == self._bookmark + 1
        try:
            fact = read_fact(value)
            fact_at_ms = at_ms(fact["at"])
            if fact["type"] == "purchase_held":
                self._hold(fact, offset, passed_ms, is_repeat=self._bookmark is not None and last <= self._bookmark)
        except NewerFactError:
            if follows:
                self.newer_at = self.next_offset = offset
            return
        except (UnreadableFactError, ValueError):  # or a day that no calendar has
            self.damaged += 1
            return
        if follows:
            self._bookmark = last
            self._at_ms = fact_at_ms
        self._last = offset, fact["event_id"], fact["request_id"]
        self._fold(fact, fact_at_ms, passed_ms)

    def _hold(self, fact: PurchaseHeld, offset: int, passed_ms: int, *, is_repeat: bool) -> None:
        key, due_ms = _key(fact["event_id"], fact["purchase"]), max(0, at_ms(fact["due"]))
        if key in self._held:
            return
        self._held[key] = due_ms << _OFFSET_BITS | offset
        if is_repeat:
            # It may have ended, and have been asked about just now.
            self._ask_again(key, passed_ms + max(AGAIN_MS, due_ms - self._at_ms))
        else:
            self._due.add(key, due_ms)

    def _fold(self, fact: Fact, fact_at_ms: int, passed_ms: int) -> None:
        match fact["type"]:
            case "purchase_confirmed":
                self._end(_key(fact["event_id"], purchase_of(fact)))
            case "purchase_cancelled":
                if not fact.get("remaining"):
                    self._end(_key(fact["event_id"], fact["purchase"]))
            case "hold_expired":
                self._expire(fact, fact_at_ms)
            case "command_rejected":
                if fact["command"] == _COMMAND:
                    self._refused(fact, fact_at_ms, passed_ms)

    def _expire(self, fact: HoldExpired, fact_at_ms: int) -> None:
        key = _key(fact["event_id"], fact["purchase"])
        if self._asked.pop(_key(fact["event_id"], fact["request_id"]), None) is not None:
            self.answers[_EXPIRED] += 1
        packed = self._held.get(key)
        if packed is not None:
            self.late_ms.append(fact_at_ms - _due_ms(packed))
            self._end(key)

    def _refused(self, fact: CommandRejected, fact_at_ms: int, passed_ms: int) -> None:
        asked = self._asked.pop(_key(fact["event_id"], fact["request_id"]), None)
        if asked is None:
            return
        self.answers[str(fact["reason"])] += 1
        packed = self._held.get(asked.key)
        if packed is None:
            return
        match fact["reason"]:
            case Reason.NOT_DUE:
                # By the broker's time, which has so long to go, whatever the time is here.
                self._ask_again(asked.key, passed_ms + max(AGAIN_MS, _due_ms(packed) - fact_at_ms))
            case Reason.REQUEST_ID_REUSED:
                self._ids[asked.key] = next_id(fact["request_id"])
                self._ask_again(asked.key, passed_ms + AGAIN_MS)
            case _:
                self._end(asked.key)

    def _end(self, key: str) -> None:
        packed = self._held.pop(key, None)
        if packed is not None:
            self._due.discard(key, _due_ms(packed))
            self._ids.pop(key, None)
            self._not_again(key)

    def _ask_again(self, key: str, passed_ms: int) -> None:
        """Ask about a hold at that time, and at no other."""
        self._not_again(key)
        self._again_ms[key] = passed_ms
        self._again.add(key, passed_ms)

    def _not_again(self, key: str) -> None:
        passed_ms = self._again_ms.pop(key, None)
        if passed_ms is not None:
            self._again.discard(key, passed_ms)

    # Asking

    def due(self, now_ms: int, passed_ms: int, most: int) -> list[Question]:
        """What to ask now, at most so much. It counts as asked from now on."""
        if self.newer_at is not None:
            return []
        self._ask_lost_again(passed_ms)
        again = self._again.take(passed_ms, most)
        for key in again:
            del self._again_ms[key]
        # The broker's own time is the one that counts, where it is known to be so late.
        due = self._due.take(max(now_ms, self._at_ms), most - len(again))
        return [question for key in (*again, *due) if (question := self._question(key)) is not None]

    def landed(self, question: Question, offset: int) -> None:
        """The broker has acknowledged the question, at that offset."""
        own = _key(question.event_id, question.request_id)
        asked = self._asked.get(own)
        if asked is not None:
            self._asked[own] = asked._replace(landed=offset)

    def _question(self, key: str) -> Question | None:
        """None if it is asked already: a repeat of a hold that ended meanwhile."""
        event_id, _, purchase = key.partition(_SEPARATOR)
        request_id = self._ids.get(key) or first_id(EXPIRY, purchase)
        own = _key(event_id, request_id)
        if own in self._asked:
            return None
        self._asked[own] = _Asked(key, None)
        return Question(request_id, event_id, purchase)

    def _ask_lost_again(self, passed_ms: int) -> None:
        """Each command is answered in its turn: one that was passed without an answer is lost."""
        while self._asked and self._bookmark is not None:
            own, asked = next(iter(self._asked.items()))
            if asked.landed is None or asked.landed > self._bookmark:
                return
            del self._asked[own]
            if asked.key in self._held:
                self._ask_again(asked.key, passed_ms + AGAIN_MS)

    # What there is to say

    @property
    def first_due_ms(self) -> int | None:
        """When the first hold is due, of those that are asked about or will be; None while there is none.

        One that is not due yet by the broker's time, whatever the time is here, is left out.
        """
        asked = (self._held.get(asked.key) for asked in self._asked.values())
        due_ms = [_due_ms(packed) for packed in asked if packed is not None]
        if (first_ms := self._due.first_ms) is not None:
            due_ms.append(first_ms)
        return min(due_ms, default=None)

    def place(self) -> ClockPlace | None:
        """Where to begin another time: at the oldest hold, else at the last record; None before there was any."""
        oldest = next(iter(self._held.items()), None)
        if oldest is None:
            return ClockPlace(self.partition, *self._last) if self._last is not None else None
        key, packed = oldest
        event_id, _, purchase = key.partition(_SEPARATOR)
        due_ms = self.first_due_ms
        due = at_text(due_ms) if due_ms is not None else None
        return ClockPlace(self.partition, packed & _OFFSET, event_id, purchase, due)


def _key(event_id: str, request_id: str) -> str:
    return f"{event_id}{_SEPARATOR}{request_id}"


def _due_ms(packed: int) -> int:
    return packed >> _OFFSET_BITS
