"""What must be said and stored of an event's tickets by the ledger, and what is said and stored."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, NamedTuple

from pydantic_core import from_json

from boxoffice.audit.report import DocumentCounts, all_purchases
from boxoffice.documents.cleaning import is_over
from boxoffice.storage.store import DocumentStore, Stored
from models.accepted import Accepted, Kind, State, unpack
from models.documents import DocumentAnnouncement, document_name, former_name, page_in, purchase_in
from models.event import Event, has_tickets
from models.pages import says_the_same
from models.runs import numbers_in
from models.shapes import EventChanged, EventCreated
from models.tickets import ticket_name, ticket_number
from models.words import number_of


class _Page(NamedTuple):
    """What an event's pages say from the fact ``since`` on, which came at ``at_ms``."""

    since: int
    at_ms: float
    starts_at: str


def pages_of(event: Event) -> list[_Page]:
    """What the pages of an event's tickets have said, in order."""
    facts: list[tuple[int, EventChanged]] = []
    for packed in event.accepted.values():
        accepted = unpack(packed)
        if accepted.kind is Kind.FACT and _CHANGED in accepted.fact:
            fact = from_json(accepted.fact)
            if fact["type"] == "event_changed":
                facts.append((accepted.at_ms, fact))
    said: EventCreated | EventChanged = event.created
    pages = [_Page(1, 0, said["starts_at"])]
    for at_ms, fact in sorted(facts, key=lambda one: one[1]["seq"]):
        if not says_the_same(said, fact):
            pages.append(_Page(fact["seq"], at_ms, fact["starts_at"]))
        said = fact
    return pages


_CHANGED: Final = b'"event_changed"'


class _Sales:
    """What an event's purchases were confirmed by, and what took tickets from them again."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self._seq = 0
        self._confirmed: dict[str, Accepted] = {}
        self._cancelled: defaultdict[str, list[Accepted]] = defaultdict(list)

    def sale(self, purchase: str, accepted: Accepted) -> Accepted | None:
        """What confirmed a purchase; None if it was only held."""
        if not accepted.due_ms:
            return accepted
        self._read()
        return self._confirmed.get(purchase)

    def cancellation(self, purchase: str, number: int) -> Accepted | None:
        """What took a ticket from a purchase that had bought it."""
        self._read()
        return next((one for one in self._cancelled.get(purchase, ()) if _has(one, number)), None)

    @property
    def cancellations(self) -> Iterator[Accepted]:
        """All of tickets that were bought."""
        self._read()
        return (one for of_purchase in self._cancelled.values() for one in of_purchase)

    def _read(self) -> None:
        if self._seq == self._event.seq:
            return
        self._confirmed.clear()
        self._cancelled.clear()
        for packed in self._event.accepted.values():
            accepted = unpack(packed)
            if accepted.kind is Kind.CONFIRMATION:
                self._confirmed[accepted.purchase] = accepted
            elif accepted.kind is Kind.CANCELLATION and not accepted.flag:
                self._cancelled[accepted.purchase].append(accepted)
        self._seq = self._event.seq


class Papers:
    """An event's tickets by their numbers: what was said of each last, and what is stored of its purchase.

    What the event does after this was made is not judged. While its tickets are drawn again (``renewing``), what they
    were before is right as well.
    """

    def __init__(self, event: Event) -> None:
        self.event = event
        self.problems = Problems()
        self.renewing = False
        self._judged_seq = event.seq
        self._pages = pages_of(event)
        self._sales = _Sales(event)
        # The seq of the fact that a document was made for, or less than 0 that of the cancellation it was removed
        # for; and its size, 0 where it could not be drawn. Arrays, since there are as many as tickets.
        self._said, self._said_bytes = array("q"), array("Q")
        # What is stored of the newest page, and since when that says what it says.
        self._stored_bytes, self._stored_since = array("Q"), array("q")
        self._flawed = array("B")

    # Taking

    def take(self, announcement: DocumentAnnouncement) -> None:
        """Take an announcement of the event."""
        number = ticket_number(announcement["ticket"])
        if announcement["type"] == "document_made":
            self._say(number, announcement["seq"], announcement["size_bytes"], flawed="flaws" in announcement)
        else:
            self._say(number, -announcement["seq"], 0)

    def failed(self, ticket: str, seq: int) -> None:
        """Take a dead letter: the ticket could not be drawn because of the fact ``seq``."""
        self._say(ticket_number(ticket), seq, 0)

    def _say(self, number: int, said: int, size_bytes: int, *, flawed: bool = False) -> None:
        # What there is no ticket of was sold after the moment, or is nothing of ours.
        if number > self.event.issued:
            return
        _make_room(self._said, number)
        _make_room(self._said_bytes, number)
        _make_room(self._flawed, number)
        # Drawn in the end counts more than given up before, or after; drawn again, with another code, more than before.
        drawn, drawn_before = bool(size_bytes), bool(self._said_bytes[number])
        if (abs(said), drawn) >= (abs(self._said[number]), drawn_before):
            self._said[number], self._said_bytes[number], self._flawed[number] = said, size_bytes, flawed

    def stored(self, document: Stored) -> bool:
        """Take a document; returns False if no purchase that is known accounts for it."""
        purchase, since = purchase_in(document.name), page_in(document.name)
        packed = self.event.accepted.get(purchase)
        accepted = unpack(packed) if packed is not None else None
        number = self._number_of(document, purchase, since)
        if accepted is None or number is None or accepted.kind is not Kind.PURCHASE or not self._knows_page(since):
            return False
        if self._sales.sale(purchase, accepted) is None:
            return False
        cancellation = self._sales.cancellation(purchase, number)
        if cancellation is not None:
            return cancellation.seq > self._judged_seq
        if not _has(accepted, number) or not has_tickets(accepted):
            return False
        self._store(number, since, document)
        return True

    def _store(self, number: int, since: int, document: Stored) -> None:
        _make_room(self._stored_bytes, number)
        _make_room(self._stored_since, number)
        older = self._stored_since[number]
        if older and not self.renewing and max(since, older) <= self._judged_seq:
            self.problems.add("document", "that should be gone since a newer one is there", document.name)
        if since >= older:
            self._stored_bytes[number], self._stored_since[number] = document.size_bytes, since

    def _knows_page(self, since: int) -> bool:
        """Whether the event's pages have changed with that fact, since the moment too."""
        return any(page.since == since for page in self._pages) or since > self._judged_seq

    def strays(self, documents: Iterable[Stored]) -> None:
        """Take documents that no sale accounts for."""
        for document in documents:
            self.problems.add("document", "that no sale accounts for", document.name)

    def _number_of(self, document: Stored, purchase: str, since: int) -> int | None:
        """The ticket in a document's name; None where nobody makes such a name."""
        digits = document.name.rpartition("/")[2].partition(".")[0].rpartition("-")[2]
        number = int(digits) if digits.isdecimal() else 0
        former = former_name(self.event.event_id, self._ticket(number), purchase)
        return number if document.name in (self._name(number, purchase, since), former) else None

    # Judging

    def may_be_over(self, kept_days: float, now: datetime) -> bool:
        """Whether the event was over at some time, for who cleans up so many days after it began."""
        return any(is_over(page.starts_at, kept_days, now) for page in self._pages)

    def judge(self, store: DocumentStore, kept_from_ms: float, *, may_be_gone: bool) -> DocumentCounts:
        """Judge every ticket, once the ledger was read so far that whatever was taken follows from it.

        Announcements of before ``kept_from_ms`` have expired; documents ``may_be_gone`` where the event is over.
        """
        counts = DocumentCounts()
        for purchase, accepted in all_purchases(self.event):
            sale = self._sales.sale(purchase, accepted)
            if accepted.state is State.CONFIRMED and sale is not None and sale.seq <= self._judged_seq:
                self._judge_sale(purchase, accepted, sale, _Judging(store, kept_from_ms, may_be_gone, counts))
        for cancellation in self._sales.cancellations:
            self._judge_cancellation(cancellation, kept_from_ms)
        return counts

    def _judge_sale(self, purchase: str, accepted: Accepted, sale: Accepted, judging: _Judging) -> None:
        first = next(page for page in reversed(self._pages) if page.since <= sale.seq)
        newest = self._pages[-1]
        again = newest.since > sale.seq
        expected = (newest.since, newest.at_ms) if again else (sale.seq, sale.at_ms)
        for number in numbers_in(accepted.runs):
            said = _at(self._said, number)
            if abs(said) > self._judged_seq:
                expected_seq = said  # It was changed again since, or it was given back.
            elif self.renewing and again and sale.seq <= said < newest.since:
                judging.counts.renewing += 1
                expected_seq = said
            else:
                expected_seq = expected[0]
                self._judge_announcement(number, expected[0], expected[1], judging)
            page = first.since if expected_seq == sale.seq else expected_seq
            self._judge_document(number, purchase, _Expected(expected_seq, page), judging)

    def _judge_announcement(self, number: int, seq: int, at_ms: float, judging: _Judging) -> None:
        said = _at(self._said, number)
        if said != seq and (said or at_ms >= judging.kept_from_ms):
            self.problems.add("ticket", "whose document is not announced", self._ticket(number))

    def _judge_document(self, number: int, purchase: str, expected: _Expected, judging: _Judging) -> None:
        counts, stored_bytes = judging.counts, _at(self._stored_bytes, number)
        is_said = _at(self._said, number) == expected.seq
        said_bytes = _at(self._said_bytes, number)
        if is_said and not said_bytes:
            counts.failed += 1
        elif not stored_bytes and judging.may_be_gone:
            counts.expired += 1
        elif not stored_bytes:
            where = f"{self._ticket(number)} (at {judging.store.location(self._name(number, purchase, expected.page))})"
            self.problems.add("ticket", "without a document", where)
        elif _at(self._stored_since, number) < expected.page and not self.renewing:
            self.problems.add("ticket", "whose document was not drawn again", self._ticket(number))
        else:
            counts.made += 1
            counts.flawed += is_said and _at(self._flawed, number)
            if is_said and _at(self._stored_since, number) == expected.page and stored_bytes != said_bytes:
                name = self._name(number, purchase, expected.page)
                sizes = f"{name} ({stored_bytes} bytes, announced {said_bytes})"
                self.problems.add("document", "of another size than announced", sizes)

    def _judge_cancellation(self, cancellation: Accepted, kept_from_ms: float) -> None:
        if cancellation.seq > self._judged_seq:
            return
        for number in numbers_in(cancellation.runs):
            said = _at(self._said, number)
            # Whatever the event did with it later is judged with the later sale.
            later = abs(said) > cancellation.seq
            expired = not said and cancellation.at_ms < kept_from_ms
            if said != -cancellation.seq and not later and not expired:
                self.problems.add("cancelled ticket", "whose document's removal is not announced", self._ticket(number))

    def _ticket(self, number: int) -> str:
        return ticket_name(self.event.event_id, number)

    def _name(self, number: int, purchase: str, since: int) -> str:
        return document_name(self.event.event_id, self._ticket(number), purchase, since)


class _Judging(NamedTuple):
    """By what tickets are judged, and what is counted."""

    store: DocumentStore
    kept_from_ms: float
    may_be_gone: bool
    counts: DocumentCounts


class _Expected(NamedTuple):
    """The seq that a ticket's document should be announced with, and since when its page says what it says."""

    seq: int
    page: int


class Problems:
    """What is wrong: of each kind how many there are, and the first."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], str] = {}

    def add(self, noun: str, kind: str, which: str) -> None:
        """One more of a kind."""
        self._counts[noun, kind] += 1
        self._first.setdefault((noun, kind), which)

    @property
    def sentences(self) -> list[str]:
        """A sentence for each kind."""
        return [
            f"{number_of(count, noun)} {kind}, the first {self._first[noun, kind]}."
            for (noun, kind), count in self._counts.items()
        ]


def _has(accepted: Accepted, number: int) -> bool:
    return any(first <= number <= last for first, last in accepted.runs)


def _at(numbers: array[int], number: int) -> int:
    return numbers[number] if number < len(numbers) else 0


def _make_room(numbers: array[int], number: int) -> None:
    if number >= len(numbers):
        numbers.frombytes(bytes(numbers.itemsize * (number + 1 - len(numbers))))
