"""What came of the demo, compared with what must come of it."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from boxoffice.audit import AuditReport
from boxoffice.demo.script import (
    BURST,
    CAPACITY,
    COMMANDS,
    EVENT_ID,
    PACE_PER_S,
    Kind,
    Offered,
)
from boxoffice.demo.watching import Answered, Watcher


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

    def __init__(self, commands: Sequence[Offered], watcher: Watcher, report: DemoReport) -> None:
        self._commands = commands
        self._answers = watcher.by_position
        self._watcher = watcher
        self._report = report
        self._by_source = self._facts_by_source()

    def run(self) -> None:
        """Fill the report."""
        facts: list[Any] = [answered.fact for answered in self._answers.values()]
        rejected = Counter(str(fact["reason"]) for fact in facts if fact["type"].endswith("_rejected"))
        self._report.rejected = dict(rejected.most_common())
        self._report.decided_by = dict(Counter(fact["decided_by"] for fact in facts if fact.get("decided_by")))
        self._report.outcomes = self._outcomes(facts)
        self._measure()
        self._check_counts(facts, rejected)
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
        confirmed = {fact["request_id"] for fact in facts if fact["type"] == "purchase_confirmed"}
        return {
            "commands published": len(self._commands),
            "of these over HTTP": sum(offered.over_http for offered in self._commands),
            "purchases confirmed": len(confirmed),
            "purchases cancelled": len({fact["purchase"] for fact in facts if fact["type"] == "purchase_cancelled"}),
            "commands rejected": types["purchase_rejected"] + types["command_rejected"],
            "repeats answered the same": sum(self._same(one) for one in self._of(Kind.REPEAT)),
            "forwarded to their home": types["command_forwarded"],
            "dead-lettered": self._watcher.dead_letters,
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
        """Whether a repeat got the first attempt's fact, or the cancellation that came in between."""
        first = next(one for one in self._commands if one.request_id == repeat.target and one.kind is Kind.PURCHASE)
        original, answer = self._answer(first), self._answer(repeat)
        if original is None or answer is None:
            return False
        fact = answer.fact
        # Over HTTP the caller's id stands before it.
        purchase = str(fact.get("purchase", "")).rpartition(":")[2]
        cancelled = fact["type"] == "purchase_cancelled" and purchase == repeat.target
        return cancelled or {**fact, "decided_by": None} == {**original.fact, "decided_by": None}

    def _measure(self) -> None:
        """From just before a command was handed over until a consumer, or who sent it over HTTP, had its fact."""
        groups = {f"at {PACE_PER_S} a second": self._commands[:-BURST], f"a burst of {BURST}": self._commands[-BURST:]}
        for way, over_http in (("publish to fact", False), ("POST to answer", True)):
            for name, commands in groups.items():
                answers = [(one, self._answer(one)) for one in commands if one.over_http is over_http]
                taken_ms = [(answer.seen_s - one.sent_s) * 1000 for one, answer in answers if answer]
                if len(taken_ms) > 1:
                    hundredths = statistics.quantiles(taken_ms, n=100)
                    self._report.latencies_ms[f"{way}, {name}"] = (hundredths[49], hundredths[98])

    def _check_counts(self, facts: Sequence[Any], rejected: Counter[str]) -> None:
        forwarded = self._report.outcomes["forwarded to their home"]
        misplaced = sum(offered.misplaced for offered in self._commands)
        self._expect("tickets left", self._watcher.left, 0)
        self._expect("answers", len(self._answers), 1 + len(self._commands) + misplaced)
        self._expect("dead letters", self._watcher.dead_letters, COMMANDS[Kind.MALFORMED])
        self._expect("forwarded commands", forwarded, misplaced)
        self._expect(
            "repeats answered the same", self._report.outcomes["repeats answered the same"], COMMANDS[Kind.REPEAT]
        )
        for reason, kind in _REJECTED_FOR.items():
            self._expect(f"rejections for {reason}", rejected[reason], COMMANDS[kind])
        self._expect("live tickets with one owner", len(_live_tickets(facts)), CAPACITY)

    def _check_documents(self, facts: Sequence[Any]) -> None:
        sold, cancelled = (_tickets(facts, f"purchase_{what}") for what in ("confirmed", "cancelled"))
        self._expect("documents announced", self._report.outcomes["documents announced"], sold)
        self._expect("documents removed", self._report.outcomes["documents removed"], cancelled)
        self._expect("tickets with a document", len(self._watcher.documents), CAPACITY)

    def _check_statistics(self, facts: Sequence[Any]) -> None:
        """The statistics process must have counted what a consumer has seen."""
        of_event = _distinct(facts, EVENT_ID)
        wanted = {
            "seq": len(of_event),
            "issued": CAPACITY,
            "sold": CAPACITY,
            "remaining": 0,
            "cancelled": _tickets(facts, "purchase_cancelled"),
            "purchases": sum(fact["type"] == "purchase_confirmed" for fact in of_event),
            "cancellations": COMMANDS[Kind.CANCEL],
            "rejected": Counter(fact["reason"] for fact in of_event if fact["type"] == "purchase_rejected"),
            "refused": Counter(fact["reason"] for fact in of_event if fact["type"] == "command_rejected"),
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


_REJECTED_FOR: Final = {
    "over_order_limit": Kind.OVER_LARGE,
    "unknown_event": Kind.UNKNOWN_EVENT,
    "request_id_reused": Kind.REUSED_ID,
    "already_cancelled": Kind.CANCEL_AGAIN,
    "no_such_purchase": Kind.CANCEL_NOTHING,
}
WANTED: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.PURCHASE: ("purchase_confirmed", "purchase_rejected"),
    Kind.REPEAT: ("purchase_confirmed", "purchase_cancelled"),
    Kind.REUSED_ID: ("purchase_rejected",),
    Kind.OVER_LARGE: ("purchase_rejected",),
    Kind.CANCEL: ("purchase_cancelled",),
    Kind.CANCEL_AGAIN: ("command_rejected",),
    Kind.CANCEL_NOTHING: ("command_rejected",),
    Kind.MALFORMED: ("command_unreadable",),
    Kind.UNKNOWN_EVENT: ("purchase_rejected",),
}
STATUSES: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.PURCHASE: ("201", "409"),
    Kind.REPEAT: ("201", "200"),
    Kind.REUSED_ID: ("422",),
    Kind.OVER_LARGE: ("422",),
    Kind.CANCEL: ("201",),
    Kind.CANCEL_AGAIN: ("409",),
    Kind.CANCEL_NOTHING: ("404",),
    Kind.UNKNOWN_EVENT: ("404",),
}


def _distinct(facts: Sequence[Any], event_id: str) -> list[Any]:
    """The facts that count for an event, each once."""
    return list({fact["seq"]: fact for fact in facts if fact["seq"] and fact["event_id"] == event_id}.values())


def _tickets(facts: Sequence[Any], kind: str) -> int:
    return sum(len(fact["tickets"]) for fact in _distinct(facts, EVENT_ID) if fact["type"] == kind)


def _live_tickets(facts: Sequence[Any]) -> set[str]:
    """Tickets whose last fact gave them to one buyer; one that two have at a time is not among them."""
    owners: Counter[str] = Counter()
    for fact in _distinct(facts, EVENT_ID):
        if fact["type"] == "purchase_confirmed":
            owners.update(fact["tickets"])
        elif fact["type"] == "purchase_cancelled":
            owners.subtract(fact["tickets"])
    return {ticket for ticket, count in owners.items() if count == 1}
