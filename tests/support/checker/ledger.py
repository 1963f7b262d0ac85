"""The ledger, followed record by record and compared with what the rules say."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from tests.support.checker.consumer import Consumer
from tests.support.checker.homes import home_of, origin_of
from tests.support.checker.sale import Told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.checker.records import Members, Position, Problems, Record
    from tests.support.checker.sale import Sale


def told_by(results: Sequence[Record]) -> dict[Position, Told]:
    """By the request that a record of the chain answers: what the ledger says of it."""
    bookmarks: defaultdict[int, int] = defaultdict(lambda: -1)
    told: dict[Position, Told] = {}
    for record in results:
        entry = _entry(record)
        if entry is None or entry.first != bookmarks[record.partition] + 1:
            continue
        source = entry.fact.get("source")
        if isinstance(source, dict) and type(source.get("partition")) is type(source.get("offset")) is int:
            bookmarks[record.partition] = entry.last
            place = source["partition"], source["offset"]
            told[record.partition, entry.last] = Told(place, _rules_told(entry.fact))
    return told


def _rules_told(fact: Members) -> int | None:
    rules = fact.get("rules")
    return rules if fact.get("type") == "event_created" and type(rules) is int else None


class Entry(NamedTuple):
    """A ledger record as it is: its range, its fact."""

    first: int
    last: int
    fact: Members
    record: Record


def _entry(record: Record) -> Entry | None:
    """The record's range and fact; None where it is damaged."""
    match = re.fullmatch(rb"(0|[1-9][0-9]*)-(0|[1-9][0-9]*)", record.header("boxoffice-read") or b"")
    try:
        fact = json.loads((record.value or b"").decode())
    except ValueError:
        return None
    if match is None or not isinstance(fact, dict) or int(match[1]) > int(match[2]):
        return None
    return Entry(int(match[1]), int(match[2]), fact, record)


def _decision(fact: Members) -> Members:
    """What two records of one decision have in common."""
    left_out = {"decided_by"} | ({"reason"} if fact.get("type") == "command_unreadable" else set())
    return {name: value for name, value in fact.items() if name not in left_out}


def _difference(expected: Members, found: Members) -> str:
    one, other = _decision(expected), _decision(found)
    return "; ".join(
        f"{name} should be {one.get(name, 'left out')!r}, is {other.get(name, 'left out')!r}"
        for name in sorted(one.keys() | other.keys())
        if name not in one or name not in other or one[name] != other[name]
    )


class Ledger:
    """The results, followed record by record and compared with what was decided here."""

    def __init__(self, sale: Sale, problems: Problems, harmed: bool) -> None:
        self.sale, self.problems, self.harmed = sale, problems, harmed
        self.chains: list[list[Entry]] = [[] for _ in sale.partitions]
        self.ignored: list[Entry] = []
        self.records = self.damaged = self.repeats = 0
        self.deciders: Counter[str] = Counter()
        self.new: defaultdict[str, list[Members]] = defaultdict(list)
        self.consumers: defaultdict[str, Consumer] = defaultdict(lambda: Consumer(problems))

    def take(self, record: Record) -> None:
        """The next record of its ledger partition."""
        self.records += 1
        entry = _entry(record)
        if entry is None:
            self.damaged += 1
            if not self.harmed:
                self.problems.add("damaged", f"The ledger record at {record.position} is damaged.")
            return
        chain = self.chains[record.partition]
        if entry.first != (chain[-1].last + 1 if chain else 0):
            self.ignored.append(entry)
            return
        difference = self._difference_from_the_rules(entry)
        if difference and self.harmed:
            self.damaged += 1
            return
        if difference:
            self.problems.add("differs from the rules", difference)
        chain.append(entry)
        self._check_headers(entry)
        self._consume(entry)

    def _difference_from_the_rules(self, entry: Entry) -> str | None:
        partition = self.sale.partitions[entry.record.partition]
        answer = partition.answers.get(entry.last)
        where = f"The ledger record at {entry.record.position}"
        passes = entry.fact.get("type") == "offsets_passed"
        if passed_over := partition.needing_an_answer(entry.first, entry.last + passes):
            return f"{where} accounts for {entry.first}-{entry.last} and passes over {passed_over}."
        if passes:
            return self._wrongly_passed(entry, where)
        if answer is None:
            return f"{where} answers the request at offset {entry.last}, where nothing is to be answered."
        if _decision(answer.fact) != _decision(entry.fact):
            return f"{where}, for offset {entry.last}: {_difference(answer.fact, entry.fact)}."
        return None

    def _wrongly_passed(self, entry: Entry, where: str) -> str | None:
        source = {"partition": entry.record.partition, "offset": entry.last}
        expected = {"type": "offsets_passed", "event_id": None, "seq": 0, "request_id": None, "source": source}
        found = {name: member for name, member in entry.fact.items() if name != "at"}
        return None if found == expected else f"{where}, for offset {entry.last}: {_difference(expected, found)}."

    def _check_headers(self, entry: Entry) -> None:
        fact, record = entry.fact, entry.record
        source = fact.get("source") or {}
        ce_id = f"{fact.get('event_id')}-{fact.get('seq')}"
        if not fact.get("seq"):
            ce_id = f"{source.get('partition')}-{source.get('offset')}"
        expected = {
            "ce_specversion": "1.0",
            "ce_type": f"boxoffice.{fact.get('type')}.v1",
            "ce_id": ce_id,
            "ce_time": str(fact.get("at")),
            "content-type": "application/json",
            "boxoffice-partitions": str(len(self.chains)),
        }
        for name, value in expected.items():
            if record.header(name) != value.encode():
                told = f"The ledger record at {record.position} has {name} {record.header(name)!r}, not {value!r}."
                self.problems.add(f"wrong {name}", told)
        if not record.header("ce_source"):
            self.problems.add("no ce_source", f"The ledger record at {record.position} has no ce_source.")
        if (record.key or b"") != (fact.get("event_id") or "").encode():
            self.problems.add("wrong key", f"The ledger record at {record.position} has the key {record.key!r}.")
        if b"\n" in (record.value or b""):
            self.problems.add("lines", f"The ledger record at {record.position} is not one line.")
        self._check_trace(entry)

    def _check_trace(self, entry: Entry) -> None:
        answer = self.sale.partitions[entry.record.partition].answers.get(entry.last)
        if answer is None or answer.command is None:
            return
        came = answer.record.header("traceparent")
        if came is not None and len(came) <= 256 and entry.record.header("traceparent") != came:
            told = f"The ledger record at {entry.record.position} does not pass on the traceparent {came!r}."
            self.problems.add("traceparent lost", told)

    def _consume(self, entry: Entry) -> None:
        """As a consumer: exactly seq + 1 of an event counts, and what is behind is a repeat."""
        fact, where = entry.fact, f"the ledger record at {entry.record.position}"
        if "decided_by" in fact:
            self.deciders[fact["decided_by"]] += 1
            if fact["decided_by"] not in {"redis", "local"}:
                self.problems.add("decided_by", f"In {where} decided_by is {fact['decided_by']!r}.")
        seq, event_id = fact.get("seq"), fact.get("event_id")
        if not isinstance(seq, int) or seq <= 0 or not isinstance(event_id, str):
            return
        if home_of(event_id, len(self.chains)) != entry.record.partition:
            self.problems.add("not at home", f"Event {event_id} is decided away from home in {where}.")
        taken = self.new[event_id]
        if seq > len(taken) + 1:
            self.problems.add("gap in seq", f"Event {event_id} goes from seq {len(taken)} to {seq} in {where}.")
        elif seq <= len(taken):
            self.repeats += 1
            if _decision(taken[seq - 1]) != _decision(fact):
                difference = _difference(taken[seq - 1], fact)
                told = f"Event {event_id}, seq {seq} is repeated otherwise in {where}: {difference}."
                self.problems.add("repeated otherwise", told)
        else:
            taken.append(fact)
            self.consumers[event_id].take(fact, where)

    def close(self) -> None:
        """After the last record: what has no answer, and what was said beside the chain."""
        for partition, chain in zip(self.sale.partitions, self.chains, strict=True):
            answered = {entry.last for entry in chain}
            for offset, answer in partition.answers.items():
                if offset not in answered:
                    kind = (answer.command or {"type": "unreadable record"})["type"]
                    self.problems.add("no answer", f"The {kind} at {answer.record.position} has no answer.")
        if not self.harmed:
            self._check_ignored()

    def _check_ignored(self) -> None:
        """Records beside the chain may only repeat it."""
        chained = {(entry.record.partition, entry.last): entry for chain in self.chains for entry in chain}
        contested = self._created_by_other_rules()
        for entry in self.ignored:
            if entry.fact.get("event_id") in contested:
                continue
            where = f"The ledger record at {entry.record.position}"
            taken = chained.get((entry.record.partition, entry.last))
            if entry.fact.get("type") == "offsets_passed" or (taken and taken.fact.get("type") == "offsets_passed"):
                if difference := self._difference_from_the_rules(entry):
                    self.problems.add("beside the chain", difference)
            elif taken is None:
                self.problems.add("beside the chain", f"{where}, for {entry.first}-{entry.last}, is not in the chain.")
            elif passed_over := self.sale.partitions[entry.record.partition].needing_an_answer(entry.first, entry.last):
                told = f"{where} accounts for {entry.first}-{entry.last} and passes over {passed_over}."
                self.problems.add("other range", told)
            elif _decision(taken.fact) != _decision(entry.fact) and not self._believed_otherwise(taken, entry):
                told = f"{where} repeats another otherwise: {_difference(taken.fact, entry.fact)}."
                self.problems.add("repeated otherwise", told)

    def _created_by_other_rules(self) -> set[str]:
        """The events that owners of two releases created, of which one had been replaced and did not know it."""
        if len(self.sale.rules) < 2:
            return set()
        created = [entry.fact for entry in self.ignored if entry.fact.get("type") == "event_created"]
        return {fact["event_id"] for fact in created if self._differs_in_rules(fact)}

    def _differs_in_rules(self, fact: Members) -> bool:
        chain = self.new[fact["event_id"]]
        return bool(chain) and chain[0].get("rules") != fact.get("rules")

    def _believed_otherwise(self, taken: Entry, entry: Entry) -> bool:
        """Whether one owner believed a command to be forwarded, and another did not, before that could be true."""
        answer = self.sale.partitions[entry.record.partition].answers.get(entry.last)
        if answer is None:
            return False
        claimed = origin_of(answer.record, len(self.sale.partitions))
        places = [{"partition": place[0], "offset": place[1]} for place in (answer.record.position, claimed) if place]
        sources = [one.fact.get("source") for one in (taken, entry)]
        alike = _decision({**taken.fact, "source": None}) == _decision({**entry.fact, "source": None})
        return alike and all(source in places for source in sources)
