"""A whole sale in memory, by the product's models: producers, forwards, workers that die, second owners.

It stands in for Kafka and the workers where the checker itself is tested.
"""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

from boxoffice.kafka.clients import home_partition
from models.commands import MAX_HEADER_BYTES, Command, UnreadableCommandError, read_command
from models.event import Position
from models.facts import RULES_VERSION, at_text, ce_id, ce_type, unreadable, write_fact
from models.inventory import decide, fold, is_second_copy
from models.ledger import Ledger
from tests.support.checker import Record
from tests.unit.strangers import WRAPPINGS
from tests.unit.strategies import KINDS, categories, command_members, opening

if TYPE_CHECKING:
    from models.shapes import Fact, Source

Headers = tuple[tuple[str, bytes | None], ...]

EVENT_IDS: tuple[str | int, ...] = ("42", "7", 7, "0", "123456789", "999999999999999999")
UNREADABLE: tuple[bytes | None, ...] = (
    None,
    b"",
    b"tickets please",
    b"\xff\xfe\x00",
    b"[1,2,3]",
    b'{"type":"refund","request_id":"r-1","event_id":"42"}',
    b'{"request_id":"r-1","event_id":"042","buyer":"b"}',
    b'{"request_id":"r-1","event_id":"42","buyer":"b","quantity":2.0}',
    b'{"request_id":"r-1","event_id":"42","buyer":"b","quantity":101}',
    b'{"request_id":"r-1","event_id":"42","buyer":"b\\u0085"}',
    b'{"request_id":"r-1","event_id":"42","buyer":"b\\ud800"}',
    b'{"request_id":"r-1","event_id":"42","buyer":"b","note":"' + b"x" * 17_000 + b'"}',
    b'{"request_id":"r 1/\\u00e4","event_id":-42,"buyer":null}',
    b'{"request_id":17,"event_id":"42\\u200b","buyer":"b",}',
    *(wrap(b'{"request_id":"r-1","event_id":"42","buyer":"b"}') for wrap in WRAPPINGS.values()),
)


BEGUN_MS = 1_795_341_600_000
ENDINGS = ("close_event", "cancel_event")
UNKNOWN_TO_RULES_1 = {"categories", "on_sale_at", "off_sale_at", "hold_s", "max_per_buyer", "actor"}
"""Members of a creation that an older release does not read."""


class Sale:
    """All topics of one box office, and the workers of its partitions.

    ``rules`` are the versions by which its workers create events: each worker is of one of the releases.
    """

    def __init__(self, seed: int, partitions: int = 3, rules: tuple[int, ...] = (RULES_VERSION,)) -> None:
        self.random = Random(seed)
        self.partitions = partitions
        self.rules = rules
        self.now_ms = BEGUN_MS
        self.requests: list[list[Record]] = [[] for _ in range(partitions)]
        self.results: list[list[Record]] = [[] for _ in range(partitions)]
        self.dead_letters: list[Record] = []

    @property
    def all_requests(self) -> list[Record]:
        """Every record of the commands' topic."""
        return [record for records in self.requests for record in records]

    @property
    def all_results(self) -> list[Record]:
        """Every record of the ledger."""
        return [record for records in self.results for record in records]

    # Producing

    def produce(self, value: bytes | None, partition: int, key: bytes | None, headers: Headers = ()) -> None:
        """Append a command; now and then an offset is taken by a transaction's marker."""
        records = self.requests[partition]
        offset = (records[-1].offset if records else -1) + self.random.choice((1, 1, 1, 2))
        self.now_ms += self.random.choice((0, 1, 999, 5_000, 30_000, -5_000))
        odd = (2**60, -(2**60)) if self.random.random() < 0.1 else (0,)
        records.append(Record(partition, offset, key, value, headers, self.now_ms + self.random.choice(odd)))

    def ask(self, count: int) -> None:
        """Publish random commands, as outside producers do: most at home, some anywhere, some unreadable."""
        for event_id in ("42", "7") if not any(self.requests) else ():
            members = self._opening(event_id)
            self.produce(json.dumps(members).encode(), home_partition(event_id, self.partitions), event_id.encode())
        sold = [fact for fact in self._facts() if fact["type"] in ("purchase_confirmed", "purchase_held")]
        asked: list[dict[str, Any]] = []
        for _ in range(count):
            if self.random.random() < 0.1:
                self._ask_unreadable()
                continue
            again = asked and self.random.random() < 0.2
            aims = sold and not again and self.random.random() < 0.4
            members = self._about(self.random.choice(sold[-12:])) if aims else self._members()
            if again:
                members = self.random.choice(asked)
            asked.append(members)
            home = home_partition(str(members["event_id"]), self.partitions)
            partition = home if self.random.random() < 0.6 else self.random.randrange(self.partitions)
            key = self.random.choice((None, b"", str(members["event_id"]).encode()))
            nulls = dict.fromkeys(("note", "quantity", "count")) if self.random.random() < 0.2 else {}
            value = json.dumps(nulls | members, ensure_ascii=self.random.random() < 0.5).encode()
            self.produce(value, partition, key, self._headers(at_home=partition == home))

    def _opening(self, event_id: str) -> dict[str, Any]:
        terms: dict[str, Any] = self.random.choice(({}, {"hold_s": 60}, {"hold_s": 60, "max_per_buyer": 5}))
        if self.random.random() < 0.5:
            stalls, balcony = self.random.randint(1, 15), self.random.randint(1, 15)
            terms = {**terms, "capacity": None, "price": None, "categories": categories(stalls, balcony)}
        else:
            terms = {**terms, "capacity": self.random.randint(1, 30)}
        return opening(event_id, **terms).model_dump(exclude_none=True)

    def _members(self) -> dict[str, Any]:
        kind = self.random.choice(KINDS)
        if kind in ENDINGS and self.random.random() < 0.6:
            kind = "purchase"
        members = command_members(kind, self.random.getrandbits(48))
        members["event_id"] = self.random.choice(EVENT_IDS[: self.random.choice((2, 2, 2, 6))])
        return members

    def _about(self, sold: dict[str, Any]) -> dict[str, Any]:
        """A command about a purchase that got tickets: once more, paid for, looked at whether it is due, given back."""
        choose, event_id, purchase = self.random.choice, sold["event_id"], sold.get("purchase", sold["request_id"])
        about = {"event_id": event_id, "purchase": purchase, "request_id": f"{choose('xyz')}-{choose(range(90))}"}
        match choose(("pay", "pay", "pay", "expire", "expire", "cancel")):
            case "pay":
                amount = sold.get("amount", 4500) + choose((0, 0, 0, 0, 1))
                paid = {"payment": f"pay-{choose(range(60))}", "amount": amount, "currency": "EUR"}
                return {"type": "confirm_purchase", **about, **paid}
            case "expire":
                return {"type": "expire_hold", **about}
        tickets = self.random.sample(sold["tickets"], self.random.randint(1, len(sold["tickets"])))
        return {"type": "cancel_purchase", **about, **choose(({}, {"tickets": tickets}))}

    def _facts(self) -> list[dict[str, Any]]:
        return [json.loads(record.value or b"") for record in self.all_results]

    def _headers(self, *, at_home: bool) -> Headers:
        headers: list[tuple[str, bytes | None]] = []
        if self.random.random() < 0.3:
            headers.append(("traceparent", b"00-%032x-%016x-01" % (self.random.getrandbits(128), 7)))
        if self.random.random() < 0.1:
            headers.append(("client", None))
        if self.random.random() < 0.1:
            # From outside: it counts for nothing, wherever it lies.
            bad = [b"x", b"99:1", b"", None, b"1:%d" % (2**63 - 1), b"2:1000000"] if at_home else [b"0:0", b"1:5", b"x"]
            headers.append(("boxoffice-origin", self.random.choice(bad)))
        return tuple(headers)

    def _ask_unreadable(self) -> None:
        headers: Headers = (("huge", b"x" * 17_000),) if self.random.random() < 0.1 else self._headers(at_home=True)
        value = self.random.choice(UNREADABLE)
        if headers and len(headers[0][1] or b"") > MAX_HEADER_BYTES:
            value = b'{"request_id":"r-1","event_id":"42","buyer":"b"}'
        key = self.random.choice((None, b"42", b"k" * 2_000))
        self.produce(value, self.random.randrange(self.partitions), key, headers)

    # Working

    def work(self) -> None:
        """Answer everything, by workers that die and are replaced by ones that read the ledger first."""
        workers = [self.worker(number) for number in range(self.partitions)]
        while behind := [worker for worker in workers if worker.next_records()]:
            worker = self.random.choice(behind)
            if not worker.sell(self.random.randint(1, 8)):
                workers[worker.number] = self.worker(worker.number)

    def worker(self, number: int, records: int | None = None) -> Worker:
        """A worker of a partition that has read its ledger, or so many of its records."""
        worker = Worker(self, number)
        for record in self.results[number][:records]:
            worker.ledger.read(record.value, record.header("boxoffice-read"))
        worker.position = worker.ledger.bookmark + 1
        return worker

    def stale_worker_repeats(self) -> None:
        """A worker that does not know that it was replaced goes on from where it stood."""
        number = self.random.randrange(self.partitions)
        stale = self.worker(number, self.random.randint(0, len(self.results[number])))
        stale.sell(self.random.randint(1, 8))


class Worker:
    """Answers the commands of one partition, by the rules on reading and publishing."""

    def __init__(self, sale: Sale, number: int) -> None:
        self.sale = sale
        self.number = number
        self.rules = sale.random.choice(sale.rules)
        self.ledger = Ledger(number)
        self.position = 0

    def next_records(self) -> list[Record]:
        """The commands that were not looked at yet."""
        return [record for record in self.sale.requests[self.number] if record.offset >= self.position]

    def sell(self, count: int) -> bool:
        """Answer the next commands; False where the worker died before all of it was published."""
        chance = self.sale.random.random
        decided_by = self.sale.random.choice(("redis", "local"))
        batch = self.next_records()[:count]
        answers = [answer for record in batch if (answer := self._answer(record)) is not None]
        dies_after = int(chance() * len(answers)) if chance() < 0.2 else len(answers)
        for record, fact, _ in answers:
            # They go out before the records of their own and later commands.
            if fact["type"] == "command_forwarded":
                self._forward(record, fact["event_id"], fact["home"])
            elif fact["type"] == "command_unreadable":
                self._bury(record, fact["reason"])
        for record, fact, first in answers[:dies_after]:
            self._publish(record, fact, first, decided_by)
        return dies_after == len(answers) and chance() > 0.1

    def _answer(self, record: Record) -> tuple[Record, Fact, int] | None:
        self.position = record.offset + 1
        own: Source = {"partition": self.number, "offset": record.offset}
        fact = self._unreadable(record, own)
        if fact is None:
            command = read_command(record.value)
            home = home_partition(command.event_id, self.sale.partitions)
            source = self._origin(record) or own
            if home != self.number:
                fact = {
                    "type": "command_forwarded",
                    "event_id": command.event_id,
                    "seq": 0,
                    "request_id": command.request_id,
                    "source": own,
                    "at": at_text(record.timestamp_ms),
                    "home": home,
                }
            elif source is not own and is_second_copy(self.ledger.inventory, source, command):
                return None
            else:
                position = Position(record.offset, record.timestamp_ms, source)
                fact = self._decide(command, position)
        first = self.ledger.bookmark + 1
        fold(self.ledger.inventory, fact, record.offset)
        self.ledger.bookmark = record.offset
        return record, fact, first

    def _decide(self, command: Command, position: Position) -> Fact:
        """As the worker's own release does: an event is sold by the rules of who creates it."""
        is_known = command.event_id in self.ledger.inventory.events
        fact = decide(self.ledger.inventory, command, position)
        if not is_known and fact["type"] == "event_created" and not fact.keys() & UNKNOWN_TO_RULES_1:
            fact["rules"] = self.rules
        return fact

    def _unreadable(self, record: Record, own: Source) -> Fact | None:
        try:
            if _headers_bytes(record) > MAX_HEADER_BYTES:
                raise UnreadableCommandError("headers")
            read_command(record.value)
        except UnreadableCommandError as error:
            return unreadable(record.value, str(error), own, at_text(record.timestamp_ms))
        return None

    def _origin(self, record: Record) -> Source | None:
        partition, _, offset = (record.header("boxoffice-origin") or b"").decode().partition(":")
        if not partition.isdigit() or not offset.isdigit() or int(partition) >= self.sale.partitions:
            return None
        records = self.sale.requests[int(partition)]
        if int(partition) == self.number or not records or int(offset) > records[-1].offset:
            return None
        return {"partition": int(partition), "offset": int(offset)}

    def _forward(self, record: Record, event_id: str, home: int) -> None:
        headers = tuple(header for header in record.headers if header[0] != "boxoffice-origin")
        origin = b"%d:%d" % (record.partition, record.offset)
        self.sale.produce(record.value, home, event_id.encode(), (*headers, ("boxoffice-origin", origin)))

    def _bury(self, record: Record, reason: str) -> None:
        letters, value, key = self.sale.dead_letters, record.value or b"", record.key
        position = b"t1-purchase-requests:%d:%d" % (record.partition, record.offset)
        headers: Headers = (("boxoffice-reason", reason.encode()), ("boxoffice-position", position))
        huge = _headers_bytes(record) > MAX_HEADER_BYTES
        if huge or len(value) > 64 * 1024 or len(key or b"") > 1024:
            headers = (*headers, ("boxoffice-cut", b"%d" % len(value)))
        kept = () if huge else tuple(record.headers)
        letters.append(Record(0, len(letters), key[:1024] if key else key, value[: 64 * 1024], (*kept, *headers)))

    def _publish(self, record: Record, fact: Fact, first: int, decided_by: str) -> None:
        results = self.sale.results[self.number]
        headers: Headers = (
            ("ce_specversion", b"1.0"),
            ("ce_source", b"boxoffice"),
            ("ce_type", ce_type(fact["type"]).encode()),
            ("ce_id", ce_id(fact).encode()),
            ("ce_time", fact["at"].encode()),
            ("content-type", b"application/json"),
            ("boxoffice-read", b"%d-%d" % (first, record.offset)),
            ("boxoffice-partitions", b"%d" % len(self.sale.results)),
        )
        trace = record.header("traceparent")
        if trace is not None:
            headers = (*headers, ("traceparent", trace))
        told = json.loads(write_fact(fact))
        if "decided_by" in told:
            told["decided_by"] = decided_by
        offset = (results[-1].offset if results else -1) + self.sale.random.choice((1, 1, 2))
        key = (fact["event_id"] or "").encode()
        results.append(Record(self.number, offset, key, json.dumps(told).encode(), headers, record.timestamp_ms + 7))


def _headers_bytes(record: Record) -> int:
    return sum(max(16, len(name) + len(value or b"")) for name, value in record.headers if name != "boxoffice-origin")
