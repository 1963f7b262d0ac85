"""What came of the demo, compared with what must come of it."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from boxoffice.audit import AuditReport
from boxoffice.demo.paying import own_id
from boxoffice.demo.script import (
    BURST,
    CAPACITY,
    COMMANDS,
    EVENT_ID,
    GIVEN_BACK,
    PACE_PER_S,
    PAID_TWICE,
    UNDERPAID,
    Kind,
    Offered,
    Script,
)
from boxoffice.demo.watching import Answered, Watcher, is_clocks


@dataclass
class DemoReport:
    """What was offered and what came of it.

    ``key`` is the one that half of the commands came with; ``mismatches`` says what should have been otherwise;
    ``ticket_path`` is where one ticket's PDF was put.
    """

    seed: int
    key: str = ""
    outcomes: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    payments_refused: dict[str, int] = field(default_factory=dict)
    decided_by: dict[str, int] = field(default_factory=dict)
    latencies_ms: dict[str, tuple[float, float]] = field(default_factory=dict)
    mismatches: list[str] = field(default_factory=list)
    audit: AuditReport = field(default_factory=AuditReport)
    ticket_path: Path | None = None
    seconds: float = 0.0

    @property
    def succeeded(self) -> bool:
        """Whether all came as it must."""
        return not self.mismatches and self.audit.agrees


class Check:
    """Compares what came with what must come, and counts."""

    def __init__(
        self, script: Script, paid: Sequence[Offered], watcher: Watcher, report: DemoReport, asked: int
    ) -> None:
        """``paid`` is what the window has sent; ``asked`` how many commands came besides."""
        self._script = script
        self._commands = [*script.all, *paid]
        self._answers = watcher.by_position
        self._watcher = watcher
        self._report = report
        self._asked = asked
        self._by_source = self._facts_by_source()

    def run(self) -> None:
        """Fill the report."""
        facts: list[Any] = [answered.fact for answered in self._answers.values()]
        rejected = Counter(
            str(fact["reason"]) for fact in facts if fact["type"].endswith("_rejected") and not is_clocks(fact)
        )
        refused = Counter(str(fact["reason"]) for fact in facts if fact["type"] == "payment_refused")
        self._report.rejected = dict(rejected.most_common())
        self._report.payments_refused = dict(refused.most_common())
        self._report.decided_by = dict(Counter(fact["decided_by"] for fact in facts if fact.get("decided_by")))
        self._report.outcomes = self._outcomes(facts)
        self._measure()
        self._check_counts(facts, rejected)
        self._check_payments(facts)
        self._check_documents(facts)
        self._check_statistics(facts)
        for offered in self._commands:
            self._check_one(offered)

    def _facts_by_source(self) -> dict[tuple[int, int], Answered]:
        """The decisions about commands that were forwarded, by where those were found."""
        return {
            (answered.fact["source"]["partition"], answered.fact["source"]["offset"]): answered
            for position, answered in self._answers.items()
            if answered.fact["source"]["partition"] != position[0]
        }

    def _answer(self, offered: Offered) -> Answered | None:
        if offered.over_http:
            told = offered.told
            return Answered(told.fact, told.seen_s) if told is not None and told.fact is not None else None
        return self._by_source.get(offered.position) or self._answers.get(offered.position)

    def _outcomes(self, facts: Sequence[Any]) -> dict[str, int]:
        types = Counter(fact["type"] for fact in facts)
        of_event = Counter(fact["type"] for fact in _distinct(facts, EVENT_ID))
        return {
            "commands published": len(self._commands),
            "of these over HTTP": sum(offered.over_http for offered in self._commands),
            "purchases held": of_event["purchase_held"],
            "paid for": sum("payment" in fact for fact in _of_type(facts, "purchase_confirmed")),
            "left to expire": of_event["hold_expired"],
            "purchases confirmed": of_event["purchase_confirmed"],
            "purchases cancelled": len(_cancelled(facts)),
            "cancelled in part": sum(bool(fact["remaining"]) for fact in _of_type(facts, "purchase_cancelled")),
            "commands rejected": sum(self._report.rejected.values()),
            "repeats answered the same": sum(self._same(one) for one in self._of(Kind.REPEAT)),
            "payments told twice, used once": sum(self._paid_once(one) for one in self._of(Kind.PAYMENT_AGAIN)),
            "forwarded to their home": types["command_forwarded"],
            "dead-lettered": self._watcher.dead_letters,
            "tickets held": self._watcher.held,
            "tickets left": self._watcher.left,
            "documents announced": self._announced("document_made"),
            "documents removed": self._announced("document_removed"),
            "tickets with a document": len(self._watcher.documents),
            "tickets sold by statistics": self._figures.get("sold", 0),
        }

    def _announced(self, kind: str) -> int:
        return sum(announcement["type"] == kind for announcement in self._watcher.announced.values())

    @property
    def _figures(self) -> Mapping[str, Any]:
        return self._watcher.figures.get(EVENT_ID, {})

    def _of(self, kind: Kind) -> list[Offered]:
        return [offered for offered in self._commands if offered.kind is kind]

    def _same(self, repeat: Offered) -> bool:
        """Whether a repeat got the first attempt's fact, or what had become of the purchase by then."""
        first = next(one for one in self._commands if one.request_id == repeat.target and one.kind is Kind.PURCHASE)
        original, answer = self._answer(first), self._answer(repeat)
        if original is None or answer is None:
            return False
        fact: Any = answer.fact
        if fact["request_id"] != original.fact["request_id"]:
            return fact["type"] in _SINCE and own_id(fact["purchase"]) == repeat.target
        return {**fact, "decided_by": None} == {**original.fact, "decided_by": None}

    def _paid_once(self, again: Offered) -> bool:
        """Whether a payment that was told twice got the fact that it had led to."""
        first = next(one for one in self._commands if one.target == again.target and one.kind is Kind.PAYMENT)
        original, answer = self._answer(first), self._answer(again)
        if original is None or answer is None:
            return False
        return {**answer.fact, "decided_by": None} == {**original.fact, "decided_by": None}

    def _measure(self) -> None:
        """From just before a command was handed over until a consumer, or who sent it over HTTP, had its fact."""
        commands = self._script.commands
        groups = {f"at {PACE_PER_S} a second": commands[:-BURST], f"a burst of {BURST}": commands[-BURST:]}
        for way, over_http in (("publish to fact", False), ("POST to answer", True)):
            for name, commands in groups.items():
                answers = [(one, self._answer(one)) for one in commands if one.over_http is over_http]
                taken_ms = [(answer.seen_s - one.sent_s) * 1000 for one, answer in answers if answer]
                if len(taken_ms) > 1:
                    hundredths = statistics.quantiles(taken_ms, n=100)
                    self._report.latencies_ms[f"{way}, {name}"] = (hundredths[49], hundredths[98])

    def _check_counts(self, facts: Sequence[Any], rejected: Counter[str]) -> None:
        outcomes = self._report.outcomes
        misplaced = sum(offered.misplaced for offered in self._commands)
        self._expect("tickets left", self._watcher.left, 0)
        self._expect("tickets held", self._watcher.held, 0)
        self._expect("answers", self._watcher.answers, self._asked + len(self._commands) + misplaced)
        self._expect("dead letters", self._watcher.dead_letters, COMMANDS[Kind.MALFORMED])
        self._expect("forwarded commands", outcomes["forwarded to their home"], misplaced)
        self._expect("repeats answered the same", outcomes["repeats answered the same"], COMMANDS[Kind.REPEAT])
        for reason, kind in _REJECTED_FOR.items():
            self._expect(f"rejections for {reason}", rejected[reason], COMMANDS[kind])
        self._expect("live tickets with one owner", len(_live_tickets(facts)), CAPACITY)

    def _check_payments(self, facts: Sequence[Any]) -> None:
        """Who paid has tickets or gets the money back; who did not pay has none."""
        outcomes = self._report.outcomes
        self._expect("payments told twice, used once", outcomes["payments told twice, used once"], PAID_TWICE)
        self._expect("payments that are too small", self._report.payments_refused.get("amount_mismatch", 0), UNDERPAID)
        self._expect("purchases cancelled in part", outcomes["cancelled in part"], GIVEN_BACK)
        paid = {fact["payment"]: fact["amount"] for fact in _of_type(facts, "purchase_confirmed") if "payment" in fact}
        refused = {fact["payment"] for fact in _of_type(facts, "payment_refused")}
        self._expect("payments both used and refused", len(paid.keys() & refused), 0)
        self._expect("payments", len(paid) + len(refused), len(self._of(Kind.PAYMENT)) + UNDERPAID)
        held = {own_id(fact["purchase"]) for fact in _of_type(facts, "purchase_held")}
        expired = {own_id(fact["purchase"]) for fact in _of_type(facts, "hold_expired")}
        cancelled = {own_id(purchase) for purchase in _cancelled(facts)}
        unpaid = held - self._script.paying.pays - cancelled
        self._expect("expired holds of buyers who did not pay", len(unpaid & expired), len(unpaid))
        self._expect("expired holds of buyers who paid", len(expired & self._script.paying.pays), 0)

    def _check_documents(self, facts: Sequence[Any]) -> None:
        sold = sum(len(fact["tickets"]) for fact in _of_type(facts, "purchase_confirmed"))
        given_back = sum(len(fact["tickets"]) for fact in _given_back(facts, held=False))
        self._expect("documents announced", self._report.outcomes["documents announced"], sold)
        self._expect("documents removed", self._report.outcomes["documents removed"], given_back)
        self._expect("tickets with a document", len(self._watcher.documents), CAPACITY)

    def _check_statistics(self, facts: Sequence[Any]) -> None:
        """The statistics process must have counted what a consumer has seen."""
        of_event = _distinct(facts, EVENT_ID)
        confirmed, returned = _of_type(facts, "purchase_confirmed"), _given_back(facts, held=False)
        refunded = sum(fact["refund"] for fact in returned)
        wanted = {
            "seq": len(of_event),
            "issued": CAPACITY,
            "sold": CAPACITY,
            "held": 0,
            "remaining": 0,
            "cancelled": sum(len(fact["tickets"]) for fact in returned),
            "released": sum(len(fact["tickets"]) for fact in _given_back(facts, held=True)),
            "expired": sum(len(fact["tickets"]) for fact in _of_type(facts, "hold_expired")),
            "purchases": len(confirmed),
            "holds": len(_of_type(facts, "purchase_held")),
            "cancellations": len(_of_type(facts, "purchase_cancelled")),
            "rejected": Counter(fact["reason"] for fact in _of_type(facts, "purchase_rejected")),
            "refused": Counter(fact["reason"] for fact in _of_type(facts, "command_rejected")),
            "payments_refused": Counter(fact["reason"] for fact in _of_type(facts, "payment_refused")),
            "revenue": {
                "amount": sum(fact["amount"] for fact in confirmed) - refunded,
                "currency": "EUR",
                "refunded": refunded,
            },
        }
        for name, value in wanted.items():
            if self._figures.get(name) != value:
                self._report.mismatches.append(
                    f"The statistics say {name} {self._figures.get(name)}, and should say {value}."
                )

    def _check_one(self, offered: Offered) -> None:
        answer = self._answer(offered)
        wanted = WANTED[offered.kind]
        self._check_status(offered)
        if answer is None:
            self._report.mismatches.append(f"The {offered.kind} {offered.request_id} has no answer.")
        elif answer.fact["type"] not in wanted:
            self._report.mismatches.append(
                f"The {offered.kind} {offered.request_id} led to {answer.fact['type']}, not to {' or '.join(wanted)}."
            )

    def _check_status(self, offered: Offered) -> None:
        """Over HTTP the status says the same as the fact."""
        wanted = STATUSES.get(offered.kind, ())
        status = offered.told.status if offered.told is not None else "nothing"
        if offered.over_http and status not in wanted:
            self._report.mismatches.append(
                f"The {offered.kind} {offered.request_id} was told {status} over HTTP, not {' or '.join(wanted)}."
            )

    def _expect(self, what: str, found: int, wanted: int) -> None:
        if found != wanted:
            self._report.mismatches.append(f"There are {found} {what}, and should be {wanted}.")


_SINCE: Final = frozenset({"purchase_confirmed", "hold_expired", "purchase_cancelled"})
"""What becomes of a held purchase."""
_REJECTED_FOR: Final = {
    "not_on_sale_yet": Kind.TOO_EARLY,
    "over_order_limit": Kind.OVER_LARGE,
    "unknown_event": Kind.UNKNOWN_EVENT,
    "request_id_reused": Kind.REUSED_ID,
    "already_cancelled": Kind.CANCEL_AGAIN,
    "no_such_purchase": Kind.CANCEL_NOTHING,
}
WANTED: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.TOO_EARLY: ("purchase_rejected",),
    Kind.PURCHASE: ("purchase_held", "purchase_rejected"),
    Kind.REPEAT: ("purchase_held", *sorted(_SINCE)),
    Kind.REUSED_ID: ("purchase_rejected",),
    Kind.OVER_LARGE: ("purchase_rejected",),
    Kind.CANCEL: ("purchase_cancelled",),
    Kind.CANCEL_AGAIN: ("command_rejected",),
    Kind.CANCEL_NOTHING: ("command_rejected",),
    Kind.MALFORMED: ("command_unreadable",),
    Kind.UNKNOWN_EVENT: ("purchase_rejected",),
    Kind.RETURNED: ("purchase_confirmed", "purchase_rejected"),
    Kind.PAYMENT: ("purchase_confirmed", "payment_refused"),
    Kind.PAYMENT_AGAIN: ("purchase_confirmed",),
    Kind.UNDERPAID: ("payment_refused",),
    Kind.GIVE_BACK: ("purchase_cancelled",),
}
STATUSES: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.TOO_EARLY: ("409",),
    Kind.PURCHASE: ("201", "409"),
    Kind.REPEAT: ("201", "200"),
    Kind.REUSED_ID: ("422",),
    Kind.OVER_LARGE: ("422",),
    Kind.CANCEL: ("201",),
    Kind.CANCEL_AGAIN: ("409",),
    Kind.CANCEL_NOTHING: ("404",),
    Kind.UNKNOWN_EVENT: ("404",),
    Kind.RETURNED: ("201", "409"),
}


def _distinct(facts: Sequence[Any], event_id: str) -> list[Any]:
    """The facts that count for an event, each once, in their order."""
    by_seq = {fact["seq"]: fact for fact in facts if fact["seq"] and fact["event_id"] == event_id}
    return [by_seq[seq] for seq in sorted(by_seq)]


def _of_type(facts: Sequence[Any], kind: str) -> list[Any]:
    return [fact for fact in _distinct(facts, EVENT_ID) if fact["type"] == kind]


def _given_back(facts: Sequence[Any], *, held: bool) -> list[Any]:
    """Cancellations of what was held, or of what was bought."""
    return [fact for fact in _of_type(facts, "purchase_cancelled") if bool(fact.get("held")) is held]


def _cancelled(facts: Sequence[Any]) -> set[str]:
    """The purchases that have no ticket any more because they were cancelled."""
    return {fact["purchase"] for fact in _of_type(facts, "purchase_cancelled") if not fact["remaining"]}


def _live_tickets(facts: Sequence[Any]) -> set[str]:
    """Tickets that one purchase has in the end; one that two had at a time is not among them."""
    owners: dict[str, str] = {}
    taken_twice: set[str] = set()
    for fact in _distinct(facts, EVENT_ID):
        for ticket in fact.get("tickets", ()):
            if fact["type"] in {"purchase_held", "purchase_confirmed"}:
                if owners.setdefault(ticket, fact["purchase"]) != fact["purchase"]:
                    taken_twice.add(ticket)
            elif owners.pop(ticket, None) != fact["purchase"]:
                taken_twice.add(ticket)
    return owners.keys() - taken_twice
