"""Grow: move a box office that rests to topics with another number of partitions, under a prefix of its own.

Every fact is published again at its event's new home, behind a command that the rules answer with just this fact. So
what is there afterwards is a box office like any other: the audit decides each command again and finds the same.

While it is being filled, the new ``purchase-requests`` takes its records' times from who writes them, which no worker
accepts: nobody can sell from what is not whole. That changes last, when the new ledger was read and compared.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, NamedTuple, cast

from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from pydantic_core import from_json, to_json

from boxoffice.errors import BoxOfficeError, NewerReleaseError, TopicsError
from boxoffice.kafka.asking import as_sent
from boxoffice.kafka.clients import (
    admin,
    group_id,
    header,
    home_partition,
    producer,
    read_between,
    reader,
    topic_partitions,
)
from boxoffice.kafka.groups import member_count
from boxoffice.kafka.homes import look_at_ledger
from boxoffice.kafka.side_records import read_origin
from boxoffice.kafka.topics import SALE, TopicReport, create_topics, describe_topics, most_batch_bytes, wait_until_gone
from boxoffice.operating.replaying import command_for
from boxoffice.selling.deciding import Answer
from boxoffice.selling.publishing import ledger_record
from boxoffice.settings import KafkaSettings
from models.accepted import Kind, unpack
from models.commands import Command, UnreadableCommandError, read_command
from models.event import Event
from models.facts import UnreadableFactError, at_ms, read_fact, read_range
from models.inventory import Inventory
from models.ledger import Ledger, Taken
from models.origins import Answered, Origins
from models.shapes import DecisionFact, Source
from models.words import number_of
from topics import purchase_requests, purchase_results
from topics.purchase_requests import PRIVATE_HEADER_PREFIX, TRACE_HEADER
from topics.purchase_results import READ_HEADER

FACTS_AT_ONCE: Final = 5_000
_BATCH_BYTES: Final = 512 * 1024
_TIMES: Final = "message.timestamp.type"
_WRITERS_TIMES: Final = "CreateTime"

Record = ConsumerRecord[bytes, bytes]


class NotGrownError(BoxOfficeError):
    """A box office cannot be moved to more partitions as it is; what it sold stays where it is."""

    remedy = "Do what the sentence says, and ask again; the topics that are sold from were not touched."


@dataclass
class Growth:
    """What was moved: events and their facts, and commands that nobody had decided yet."""

    events: int = 0
    facts: int = 0
    undecided: int = 0
    seconds: float = 0.0


class _Moved(NamedTuple):
    """A fact at its new home, and the command in front of it."""

    command: bytes
    at_ms: int
    fact: DecisionFact
    trace: bytes | None


@dataclass
class _Old:
    """What is kept of an old partition once its facts were moved."""

    bookmark: int
    origins: dict[int, Origins]


@dataclass
class _New:
    """How far a new partition was written."""

    commands: int = 0
    facts: int = 0


@dataclass
class Growing:
    """One move, from the topics of ``old`` settings to those of ``new`` ones."""

    old: KafkaSettings
    new: KafkaSettings
    progress: Callable[[str], None] = lambda _: None
    _growth: Growth = field(default_factory=Growth)
    _digests: dict[str, bytes] = field(default_factory=dict)
    _olds: dict[int, _Old] = field(default_factory=dict)
    _news: list[_New] = field(default_factory=list)

    async def run(self, *, start_over: bool = False) -> Growth:
        """Move everything, and see that it arrived; ``start_over`` deletes first what an interrupted move left.

        Raises:
            NotGrownError: workers run, commands were lost or came meanwhile, or the new topics are not empty.
            NewerReleaseError: a newer release has decided.
            TopicsError: the topics cannot be used.
            UnreachableError: no broker answered.
        """
        begun_s = monotonic()
        if self.old.topic_prefix == self.new.topic_prefix:
            raise NotGrownError("The new topics need another prefix than those that are sold from.")
        ledgers, requests = await self._count_old()
        written = await self._written_with(ledgers)
        await self._see_that_nobody_sells()
        await self._make_room(start_over)
        self._news = [_New() for _ in range(self.new.partitions)]
        ends = await self._ends(self._requests(self.old), requests)
        by_number = {tp.partition: end for tp, end in ends.items()}
        batch_bytes = min(_BATCH_BYTES, await most_batch_bytes(self.new, SALE))
        async with producer(self.new, max_batch_size=batch_bytes, linger_ms=0) as sender:
            for number in range(ledgers):
                self.progress(f"partition {number} of {ledgers}")
                await self._move_partition(sender, number, by_number)
            await self._move_undecided(sender, requests, written)
        await self._compare()
        await self._see_that_nobody_sells()
        if await self._ends(self._requests(self.old), requests) != ends:
            raise NotGrownError(
                "Commands came while the box office was moved: stop who sends them, and begin again with --start-over."
            )
        await self._open()
        self._growth.seconds = monotonic() - begun_s
        return self._growth

    # What is there

    async def _count_old(self) -> tuple[int, int]:
        """The partitions of the old ledger and of the old commands: somebody may have raised one of them."""
        reports = {report.definition.name: report for report in await describe_topics(self.old)}
        found = [reports[definition.name].existing for definition in (purchase_results.TOPIC, purchase_requests.TOPIC)]
        ledger, requests = found
        if ledger is None or requests is None:
            raise TopicsError(f"There is no box office under the prefix {self.old.topic_prefix!r}.")
        return ledger.partitions, requests.partitions

    async def _written_with(self, ledgers: int) -> int | None:
        """The number of partitions that the old ledger was written with; None where nobody can tell."""
        otherwise = await look_at_ledger(self.old, ledgers)
        return ledgers if otherwise is None else otherwise.written

    async def _see_that_nobody_sells(self) -> None:
        async with admin(self.old) as client:
            workers = await member_count(client, group_id(self.old, "purchases"))
        if workers:
            raise NotGrownError(f"{workers} of the old box office's workers run: stop them first.")

    async def _ends(self, topic: str, count: int) -> dict[TopicPartition, int]:
        partitions = topic_partitions(topic, count)
        async with reader(self.old, partitions) as consumer:
            return dict(await consumer.end_offsets(partitions))

    async def _make_room(self, start_over: bool) -> None:
        """Create the new topics; those that an interrupted move left are deleted if that is asked for."""
        there = [report for report in await describe_topics(self.new) if report.existing is not None]
        if there:
            names = ", ".join(report.name for report in there)
            if not _is_unfinished(there):
                raise NotGrownError(f"There are topics already that are used, or may be: {names}. Take another prefix.")
            if not start_over:
                raise NotGrownError(f"An interrupted move left {names}: '--start-over' deletes them and begins again.")
            async with admin(self.new) as client:
                await client.delete_topics([report.name for report in there])
            await wait_until_gone(self.new, [report.name for report in there])
        await create_topics(self.new, {purchase_requests.TOPIC.name: {_TIMES: _WRITERS_TIMES}})

    async def _open(self) -> None:
        """Let workers use the new topics."""
        resource = ConfigResource(
            ConfigResourceType.TOPIC, self._requests(self.new), configs=dict(purchase_requests.TOPIC.config)
        )
        async with admin(self.new) as client:
            await client.alter_configs([resource])
        deadline_s = monotonic() + self.new.request_timeout_ms / 1000
        while any(
            difference.stops_sale for report in await describe_topics(self.new) for difference in report.differences
        ):
            if monotonic() > deadline_s:
                raise NotGrownError(f"The broker did not alter {self._requests(self.new)}; see 'topics show'.")
            await asyncio.sleep(0.1)

    # Facts

    async def _move_partition(self, sender: AIOKafkaProducer, number: int, ends: Mapping[int, int]) -> None:
        ledger = Ledger(number, ends=ends)
        moved: defaultdict[int, list[_Moved]] = defaultdict(list)
        count = 0
        digests = _Digests()
        async for record in self._records(self.old, self._results(self.old), number):
            digests.before(ledger.inventory, record.value)
            fact = self._take(ledger, record)
            if fact is not None:
                moved[home_partition(fact.fact["event_id"], self.new.partitions)].append(fact)
                count += 1
                if count >= FACTS_AT_ONCE:
                    await self._publish(sender, moved)
                    moved.clear()
                    count = 0
        await self._publish(sender, moved)
        for event_id, digest in digests.of(ledger.inventory):
            if event_id in self._digests:
                raise NotGrownError(
                    f"Event {event_id} lies on two partitions of {self._results(self.old)}: it was sold twice, "
                    "and somebody has to decide which sale counts."
                )
            self._digests[event_id] = digest
            self._growth.events += 1
        self._olds[number] = _Old(ledger.bookmark, ledger.inventory.origins)

    def _take(self, ledger: Ledger, record: Record) -> _Moved | None:
        """Fold a record, if it is the chain's next; returns it if it is new to its event."""
        read_header = header(record.headers, READ_HEADER)
        accounted = read_range(read_header)
        decision = _next_decision(ledger, record.value, accounted)
        command = command_for(ledger.inventory, decision, accounted[1]) if decision and accounted else None
        taken = ledger.read(record.value, read_header)
        if taken is Taken.NEWER:
            raise NewerReleaseError(self._results(self.old), record.partition, ledger.newer or "")
        if taken is not Taken.TAKEN or decision is None:
            return None
        if command is None:
            raise NotGrownError(
                f"{self._results(self.old)} {record.partition}:{record.offset}: no command is answered so by the rules "
                "of this release."
            )
        value = as_sent(command)
        return _Moved(value, at_ms(decision["at"]), decision, header(record.headers, TRACE_HEADER))

    async def _publish(self, sender: AIOKafkaProducer, moved: Mapping[int, Sequence[_Moved]]) -> None:
        """The commands first: a ledger never accounts for what is not there."""
        await asyncio.gather(*(self._publish_at(sender, number, facts) for number, facts in moved.items()))
        self._growth.facts += sum(map(len, moved.values()))

    async def _publish_at(self, sender: AIOKafkaProducer, number: int, facts: Sequence[_Moved]) -> None:
        new = self._news[number]
        begin = new.commands
        commands = [
            _Outgoing(
                one.fact["event_id"].encode(), one.command, one.at_ms, [(TRACE_HEADER, one.trace)] if one.trace else []
            )
            for one in facts
        ]
        new.commands = await self._send(sender, self._requests(self.new), number, commands, new.commands)
        records = []
        for offset, one in enumerate(facts, begin):
            source: Source = {"partition": number, "offset": offset}
            fact = cast(DecisionFact, {**one.fact, "source": source})
            key, value, headers = ledger_record(Answer(fact, offset, offset, one.trace), self.new.partitions)
            records.append(_Outgoing(key, value, None, list(headers)))
        new.facts = await self._send(sender, self._results(self.new), number, records, new.facts)

    async def _send(
        self, sender: AIOKafkaProducer, topic: str, number: int, records: Sequence[_Outgoing], expected: int
    ) -> int:
        """Publish in order, one record batch in flight; returns the offset behind them."""
        at = 0
        while at < len(records):
            builder = sender.create_batch()
            begun = at
            while at < len(records):
                key, value, timestamp_ms, headers = records[at]
                if builder.append(key=key, value=value, timestamp=timestamp_ms, headers=headers) is None:
                    break
                at += 1
            builder.close()
            landed = await (await sender.send_batch(builder, topic, partition=number))
            if landed.offset != expected:
                raise NotGrownError(f"Somebody else writes to {topic}: take another prefix, and move again.")
            expected += at - begun
        return expected

    # Commands that nobody decided

    async def _move_undecided(self, sender: AIOKafkaProducer, requests: int, written: int | None) -> None:
        """Each goes behind the facts of its new home, for a worker to decide, once and in the order found."""
        found = [one for number in range(requests) async for one in self._undecided(number)]
        if found and written is None:
            raise NotGrownError(
                f"{number_of(len(found), 'undecided command')} cannot be moved: nobody can tell with how many "
                "partitions the ledger was written."
            )
        outgoing: defaultdict[int, list[_Outgoing]] = defaultdict(list)
        for one in _without_second_copies(found, self._olds, written or 1):
            headers = [(name, value) for name, value in one.headers if not name.startswith(PRIVATE_HEADER_PREFIX)]
            command = _command(one)
            number, key = one.partition % self.new.partitions, one.key
            if command is not None:
                number, key = home_partition(command.event_id, self.new.partitions), command.event_id.encode()
            outgoing[number].append(_Outgoing(key, one.value, one.timestamp, headers))
        for number, records in outgoing.items():
            await self._send(sender, self._requests(self.new), number, records, self._news[number].commands)
            self._growth.undecided += len(records)

    async def _undecided(self, number: int) -> AsyncIterator[Record]:
        bookmark = self._olds[number].bookmark if number in self._olds else -1
        first = bookmark + 1
        tp = TopicPartition(self._requests(self.old), number)
        async with reader(self.old, [tp]) as consumer:
            start = (await consumer.beginning_offsets([tp]))[tp]
            end = (await consumer.end_offsets([tp]))[tp]
            if start > first and end > first:
                raise NotGrownError(
                    f"{tp.topic} partition {number} lost the commands {first}-{start - 1} before they were decided."
                )
            async with aclosing(read_between(consumer, tp, max(first, start), end)) as runs:
                async for records in runs:
                    for record in records:
                        yield record

    # The comparison

    async def _compare(self) -> None:
        """Fold the new ledger, one partition after the other, and compare each event with what it was."""
        missing = set(self._digests)
        for number in range(self.new.partitions):
            self.progress(f"comparing partition {number} of {self.new.partitions}")
            ledger, digests = Ledger(number), _Digests()
            async for record in self._records(self.new, self._results(self.new), number):
                digests.before(ledger.inventory, record.value)
                if ledger.read(record.value, header(record.headers, READ_HEADER)) is not Taken.TAKEN:
                    raise NotGrownError(f"{self._results(self.new)} {number}:{record.offset} does not follow.")
            for event_id, digest in digests.of(ledger.inventory):
                if self._digests.get(event_id) != digest:
                    raise NotGrownError(f"Event {event_id} did not arrive as it was.")
                missing.discard(event_id)
        if missing:
            raise NotGrownError(f"Event {min(missing)} did not arrive under the prefix {self.new.topic_prefix!r}.")

    # Topics

    @staticmethod
    def _requests(settings: KafkaSettings) -> str:
        return purchase_requests.TOPIC.full_name(settings.topic_prefix)

    @staticmethod
    def _results(settings: KafkaSettings) -> str:
        return purchase_results.TOPIC.full_name(settings.topic_prefix)

    async def _records(self, settings: KafkaSettings, topic: str, number: int) -> AsyncIterator[Record]:
        """All that a partition holds now; damaged record batches are passed over, as by every reader of a chain."""
        tp = TopicPartition(topic, number)
        async with reader(settings, [tp]) as consumer:
            start = (await consumer.beginning_offsets([tp]))[tp]
            end = (await consumer.end_offsets([tp]))[tp]
            async with aclosing(read_between(consumer, tp, start, end, lambda *_: None)) as runs:
                async for records in runs:
                    for record in records:
                        yield record


class _Outgoing(NamedTuple):
    key: bytes | None
    value: bytes | None
    timestamp_ms: int | None
    headers: list[tuple[str, bytes]]


def _next_decision(ledger: Ledger, value: bytes | None, accounted: tuple[int, int] | None) -> DecisionFact | None:
    """The fact in a record, if the record is the chain's next and the fact the next of its event."""
    if accounted is None or accounted[0] != ledger.bookmark + 1:
        return None
    try:
        fact = read_fact(value)
    except UnreadableFactError:
        return None
    is_next = fact["seq"] and fact["seq"] == ledger.inventory.seq_of(fact["event_id"] or "") + 1
    return cast(DecisionFact, fact) if is_next else None


def _is_unfinished(reports: Iterable[TopicReport]) -> bool:
    """Whether topics are those of a move that did not come to its end."""
    return any(
        report.definition is purchase_requests.TOPIC
        and report.existing is not None
        and report.existing.config.get(_TIMES) == _WRITERS_TIMES
        for report in reports
    )


def _command(record: Record) -> Command | None:
    try:
        return read_command(record.value)
    except UnreadableCommandError:
        return None


def _without_second_copies(found: Sequence[Record], olds: Mapping[int, _Old], written: int) -> list[Record]:
    """Commands that nobody has decided, each once, though it was forwarded, or even twice."""
    arrived: set[tuple[int, int, Answered]] = set()

    def is_known(home: int, source: int, answered: Answered) -> bool:
        decided = olds[home].origins.get(source, ()) if home in olds else ()
        return answered in decided or (home, source, answered) in arrived

    kept, away = [], []
    for record in found:
        command, origin = _command(record), read_origin(record.headers, record.partition, written)
        if command is None:
            kept.append(record)
            continue
        home = home_partition(command.event_id, written)
        if home != record.partition:
            away.append((record, home, (record.offset, command.event_id, command.request_id)))
        elif origin is not None:
            answered = origin["offset"], command.event_id, command.request_id
            if is_known(home, origin["partition"], answered):
                continue
            arrived.add((home, origin["partition"], answered))
        kept.append(record)
    forwarded = {id(record) for record, home, answered in away if is_known(home, record.partition, answered)}
    return [record for record in kept if id(record) not in forwarded]


class _Digests:
    """What events have been, in few bytes each: equal for events of one history, wherever that lies.

    Of an event that is archived the digest is of what it was then, and of the seq that it has reached since.
    """

    def __init__(self) -> None:
        self._archived: dict[str, bytes] = {}

    def before(self, inventory: Inventory, value: bytes | None) -> None:
        """Look at a record before it is folded: what it archives is gone then."""
        if _ARCHIVED not in (value or b""):
            return
        with suppress(UnreadableFactError):
            fact = read_fact(value)
            if fact["type"] == "event_archived" and (event := inventory.events.get(fact["event_id"])) is not None:
                self._archived[event.event_id] = _digest(event)

    def of(self, inventory: Inventory) -> Iterator[tuple[str, bytes]]:
        """Each event of a partition's fold."""
        for event in inventory.events.values():
            yield event.event_id, _digest(event)
        for event_id, seq in inventory.archived.items():
            yield event_id, hashlib.sha256(self._archived[event_id] + b"%d" % seq).digest()


_ARCHIVED: Final = b'"event_archived"'


def _digest(event: Event) -> bytes:
    """Of all that is kept of an event, but where its commands lie and who decided."""
    digest = hashlib.sha256()
    given = [_without_place(fact) for fact in (event.created, event.now)]
    digest.update(to_json([given, event.seq, event.rules_since, event.page_since, event.closed, event.cancelled]))
    for category in event.categories:
        figures = (category.issued, category.removed, category.sold, category.held)
        digest.update(to_json([category.id, category.name, category.price, *figures, list(category.queue)]))
    digest.update(to_json([event.payments, sorted((event.bought or {}).items())]))
    for request_id, packed in event.accepted.items():
        accepted = unpack(packed)._replace(offset=0, source=None)
        if accepted.kind is Kind.FACT:
            accepted = accepted._replace(fact=to_json(_without_place(from_json(accepted.fact))))
        digest.update(to_json([request_id, *accepted]))
    for request_id, refused in event.refusals.items():
        digest.update(to_json([request_id, *refused._replace(offset=0, source=None)]))
    return digest.digest()


def _without_place(fact: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fact.items() if name not in ("source", "decided_by")}
