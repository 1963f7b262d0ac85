"""A second opinion on what callers were told over HTTP: the front door's rules once more, from the text.

:func:`check_http` takes every exchange of every caller, and every record of ``purchase-requests`` and
``purchase-results``, and says in sentences where a caller was not told the truth. Only the standard library is imported
here, and nothing of the product ever is. Whether the ledger itself is right, :mod:`tests.support.checker` judges.

The log is taken when all is over: what it holds is decided.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.support.checker import Record

Members = dict[str, Any]

SHOWN_OF_A_KIND = 5
MADE = {
    "events": ("event_created",),
    "change": ("event_changed",),
    "tickets": ("tickets_added",),
    "removal": ("tickets_removed",),
    "closing": ("event_closed",),
    "cancellation": ("event_cancelled",),
    "archiving": ("event_archived",),
    "purchases": ("purchase_confirmed", "purchase_held"),
    "purchases/cancellation": ("purchase_cancelled",),
}
"""What the fact of a 201 says, by what the path asks for. It is the fact about this very request."""
SINCE = ("purchase_confirmed", "hold_expired", "purchase_cancelled")
"""What the fact of a 200 says: another request has made it of the purchase since."""
REASONS = {
    "sold_out": 409,
    "all_held": 409,
    "not_enough_left": 409,
    "not_on_sale_yet": 409,
    "sale_ended": 409,
    "event_closed": 409,
    "event_cancelled": 409,
    "event_open": 409,
    "event_exists": 409,
    "over_buyer_limit": 409,
    "earlier_rules": 409,
    "already_cancelled": 409,
    "not_held": 409,
    "event_archived": 410,
    "over_order_limit": 422,
    "unknown_category": 422,
    "request_id_reused": 422,
    "unknown_event": 404,
    "no_such_purchase": 404,
    "no_such_ticket": 404,
}
FORGOTTEN = {"unknown_event", "event_archived", "request_id_reused"}
"""What a purchase is refused for without being remembered."""
REMEMBERS = 2
"""From this version of the rules on an event remembers which purchases it has refused."""
NOT_TAKEN, UNKNOWN = "not-taken", "outcome-unknown"
MOST_COPIES = 2
"""A command whose home has moved is published there once more."""
COMES_AGAIN = frozenset({202, 429, 503})
"""What a caller is told to come again after."""


@dataclass
class Exchange:
    """One request, and what came back: no ``status`` where nothing did."""

    caller: str
    """The id of whose key it came with."""
    path: str
    key: str
    sent: Members
    begun_s: float
    ended_s: float = 0.0
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    instance: str = ""

    @property
    def request_id(self) -> str:
        """As it stands in the command: nobody but this caller can have it."""
        return f"{self.caller}:{self.key}"

    @property
    def event_id(self) -> str:
        """As the path says; of an event that is created, as the body does."""
        parts = self.path.split("/")
        return parts[3] if len(parts) > 3 else str(self.sent.get("event_id"))

    @property
    def asks_for(self) -> str:
        """What the path asks for."""
        parts = self.path.split("/")
        return "purchases/cancellation" if parts[4:5] == ["purchases"] and len(parts) > 5 else parts[-1]

    def __str__(self) -> str:
        return f"{self.path} with {self.request_id} at {self.instance or 'somewhere'}: {self.status}"


def check_http(exchanges: Iterable[Exchange], requests: Iterable[Record], results: Iterable[Record]) -> list[str]:
    """What is wrong, in sentences; nothing, if all is well."""
    judge = _Judge(list(requests), list(results))
    by_request: defaultdict[tuple[str, str], list[Exchange]] = defaultdict(list)
    for exchange in exchanges:
        judge.one(exchange)
        by_request[exchange.request_id, exchange.event_id].append(exchange)
    for of_request in by_request.values():
        judge.all_of_request(sorted(of_request, key=lambda one: one.begun_s))
    return list(judge.sentences())


class _Judge:
    """Holds each exchange against the log."""

    def __init__(self, requests: list[Record], results: list[Record]) -> None:
        self._commands: Counter[str] = Counter()
        """How often each request id lies in the log, but for what a worker has forwarded."""
        self._facts: set[bytes] = set()
        self._decided: defaultdict[str, list[Members]] = defaultdict(list)
        self._problems: defaultdict[str, list[str]] = defaultdict(list)
        self._remembers: dict[str, int] = {}
        """By event, the seq from which on it remembers refusals."""
        for record in requests:
            command = _object(record.value)
            if command is not None and record.header("boxoffice-origin") is None:
                self._commands[str(command.get("request_id"))] += 1
        for record in results:
            fact = _object(record.value)
            if fact is not None and record.value is not None:
                self._facts.add(record.value)
                self._decided[str(fact.get("request_id"))].append(fact)
                self._decided[str(fact.get("purchase"))].append(fact)
                if fact.get("type") in ("event_created", "event_changed") and fact.get("rules", 0) >= REMEMBERS:
                    event_id, seq = str(fact["event_id"]), int(fact["seq"])
                    self._remembers[event_id] = min(self._remembers.get(event_id, seq), seq)

    def sentences(self) -> Iterator[str]:
        """Some of each kind."""
        for kind, found in self._problems.items():
            yield from (f"{kind}: {one}" for one in found[:SHOWN_OF_A_KIND])
            if len(found) > SHOWN_OF_A_KIND:
                yield f"{kind}: and {len(found) - SHOWN_OF_A_KIND} more"

    def _wrong(self, kind: str, exchange: Exchange) -> None:
        self._problems[kind].append(str(exchange))

    # One exchange

    def one(self, exchange: Exchange) -> None:
        """What must hold of each for itself."""
        match exchange.status:
            case None:
                pass
            case 200 | 201:
                self._made(exchange)
            case 202:
                self._accepted(exchange)
            case status if 400 <= status < 500 or status == 503:
                self._refused(exchange)
            case _:
                self._wrong("an answer that nobody should get", exchange)

    def _made(self, exchange: Exchange) -> None:
        fact = _object(exchange.body)
        if fact is None or exchange.body not in self._facts:
            self._wrong("a 201 without a fact in the ledger", exchange)
            return
        if not _is_about(fact, exchange):
            self._wrong("somebody else's fact", exchange)
        is_own, kind = fact.get("request_id") == exchange.request_id, fact.get("type")
        if exchange.status == 201:
            is_told = is_own and kind in MADE[exchange.asks_for]
        else:
            is_told = not is_own and exchange.asks_for == "purchases" and kind in SINCE
        if not is_told:
            self._wrong("201 for what was not made, or 200 for what was", exchange)
        elif is_own and exchange.asks_for == "purchases" and not _is_what_was_asked_for(fact, exchange.sent):
            self._wrong("other tickets than were asked for", exchange)
        self._located(exchange)

    def _accepted(self, exchange: Exchange) -> None:
        if not self._commands[exchange.request_id]:
            self._wrong("a 202 that the log does not hold", exchange)
        elif not self._decided[exchange.request_id]:
            self._wrong("lost after a 202", exchange)
        if exchange.body:
            self._wrong("a 202 with an answer in it", exchange)
        if not re.fullmatch("[0-9]+", exchange.headers.get("retry-after", "")):
            self._wrong("no word of when to come again", exchange)
        self._located(exchange)

    def _refused(self, exchange: Exchange) -> None:
        problem = _object(exchange.body)
        if problem is None or not exchange.headers.get("content-type", "").startswith("application/problem+json"):
            self._wrong("a refusal that is no problem+json", exchange)
            return
        if problem.get("status") != exchange.status:
            self._wrong("a problem of another status", exchange)
        if exchange.status in (429, 503):
            if problem.get("outcome") not in (NOT_TAKEN, UNKNOWN):
                self._wrong("no word of whether it was taken", exchange)
            if not re.fullmatch("[0-9]+", exchange.headers.get("retry-after", "")):
                self._wrong("no word of when to come again", exchange)
        elif exchange.status in (404, 409, 410, 422) and "reason" in problem:
            self._refused_by_fact(exchange, problem)

    def _refused_by_fact(self, exchange: Exchange, problem: Members) -> None:
        fact = problem.get("fact")
        if not isinstance(fact, dict) or fact.get("request_id") != exchange.request_id:
            self._wrong("a refusal without its own fact", exchange)
        elif fact not in self._decided[exchange.request_id]:
            self._wrong("a refusal without a fact in the ledger", exchange)
        elif REASONS.get(str(fact.get("reason"))) != exchange.status:
            self._wrong("a refusal with another reason's status", exchange)

    def _located(self, exchange: Exchange) -> None:
        location = exchange.headers.get("location", "").partition("?")[0]
        if location != f"/v1/events/{exchange.event_id}/requests/{exchange.key}":
            self._wrong("no word of where to ask", exchange)

    # All exchanges of one request

    def all_of_request(self, exchanges: list[Exchange]) -> None:
        """What must hold of all that were sent with one key of one caller, in order."""
        self._bought_once(exchanges)
        self._nothing_lost(exchanges)
        self._not_taken(exchanges)

    def _bought_once(self, exchanges: list[Exchange]) -> None:
        answers = [(one, fact) for one in exchanges if (fact := self._answer(one)) is not None]
        for exchange, fact in answers[1:]:
            if not _same(fact, answers[0][1]):
                self._wrong("two answers", exchange)
        if not answers:
            return
        told_s = min(exchange.ended_s for exchange, _ in answers)
        first = answers[0][0]
        allowed = {None, 410, *COMES_AGAIN, *((200, 201) if first.status == 201 else (first.status,))}
        for exchange in exchanges:
            is_another = exchange.sent != first.sent
            if exchange.begun_s > told_s and not is_another and exchange.status not in allowed:
                self._wrong("another answer after the first", exchange)

    def _answer(self, exchange: Exchange) -> Members | None:
        """The fact that a request is answered with for ever; None where that is not what was told."""
        told = _object(exchange.body) or {}
        if exchange.status == 201:
            return told or None
        fact = told.get("fact")
        if not isinstance(fact, dict) or fact.get("type") != "purchase_rejected" or fact.get("reason") in FORGOTTEN:
            return None
        return fact if 0 < self._remembers.get(exchange.event_id, 0) <= int(fact["seq"]) else None

    def _nothing_lost(self, exchanges: list[Exchange]) -> None:
        for exchange in exchanges:
            if exchange.status in (200, 201) and not self._decided[exchange.request_id]:
                self._wrong("lost after a 201", exchange)

    def _not_taken(self, exchanges: list[Exchange]) -> None:
        """The log holds no more of them than those that were, or may have been, taken."""
        may_be = sum(not _says_not_taken(exchange) for exchange in exchanges)
        if self._commands[exchanges[0].request_id] > may_be * MOST_COPIES:
            self._wrong("taken, though it was told that it was not", exchanges[0])


def _says_not_taken(exchange: Exchange) -> bool:
    if exchange.status is None or exchange.status < 400:
        return False
    problem = _object(exchange.body) or {}
    if exchange.status in (429, 503):
        return problem.get("outcome") == NOT_TAKEN
    # Who is refused by a fact was taken; any other refusal came before anything was published.
    return "fact" not in problem and problem.get("outcome") != UNKNOWN


def _is_about(fact: Members, exchange: Exchange) -> bool:
    return exchange.request_id in (fact.get("request_id"), fact.get("purchase")) and (
        fact.get("event_id") == exchange.event_id
    )


def _is_what_was_asked_for(fact: Members, sent: Members) -> bool:
    """Whether a sale is of the tickets that were asked for, and says what they cost."""
    asked = sent.get("lines") or [{"category": sent.get("category") or "general", "quantity": sent.get("quantity", 1)}]
    quantity = sum(line["quantity"] for line in asked)
    if (fact.get("buyer"), fact.get("quantity"), len(fact.get("tickets", ()))) != (
        sent.get("buyer"), quantity, quantity,
    ):  # fmt: skip
        return False
    lines = fact.get("lines")
    if lines is None:
        return bool(fact["type"] == "purchase_confirmed")
    bought = [{"category": line["category"], "quantity": line["quantity"]} for line in lines]
    tickets = [ticket for line in lines for ticket in line["tickets"]]
    costs = sum(line["quantity"] * line["price"] for line in lines)
    return bool(bought == asked and tickets == fact["tickets"] and fact.get("amount") == costs)


def _same(one: Members, other: Members) -> bool:
    """Facts that differ in nothing but who decided."""
    return {**one, "decided_by": None} == {**other, "decided_by": None}


def _object(value: bytes | None) -> Members | None:
    try:
        found = json.loads(value or b"")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
