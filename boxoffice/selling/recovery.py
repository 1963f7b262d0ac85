"""Take a partition over: read its ledger to the end, and see that its commands are still the same ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, cast

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CorruptRecordException

from boxoffice import metrics
from boxoffice.errors import CommandsSkippedError, LedgerError, NewerReleaseError, PartitionsChangedError
from boxoffice.failpoints import Failpoint, passing
from boxoffice.kafka.clients import (
    KeptReader,
    OpenReader,
    header,
    home_partition,
    read_between,
    reader,
    record_at,
    without_leader,
)
from boxoffice.selling.deciding import OwnedPartition
from boxoffice.selling.request_ends import RequestEnds
from boxoffice.settings import KafkaSettings
from models.facts import at_text, read_range
from models.ledger import Taken
from models.shapes import Fact
from models.values import claimed_ids, look_at
from models.words import number_of
from topics import purchase_requests, purchase_results
from topics.purchase_requests import ORIGIN_HEADER
from topics.purchase_results import READ_HEADER

log = structlog.get_logger(__name__)

PROGRESS_INTERVAL_S = 1.0


@dataclass(frozen=True)
class Refusal:
    """Why a partition must not be decided on, in a sentence.

    ``newer``: because a newer release has decided there. ``waits``: because nobody can reach it, and only so long.
    """

    partition: int
    reason: str
    newer: bool = False
    waits: bool = False


class Recovery:
    """Reads ledgers and commands beside Faust's own consumer."""

    def __init__(
        self, settings: KafkaSettings, partitions: int, accept_loss: str = "", open_reader: OpenReader = reader
    ) -> None:
        self._settings = settings
        self.partitions = partitions
        self._open_reader = open_reader
        self._kept_reader = KeptReader(settings, open_reader)
        self._requests = purchase_requests.TOPIC.full_name(settings.topic_prefix)
        self._ledger = purchase_results.TOPIC.full_name(settings.topic_prefix)
        self._accepted_losses = _accepted_losses(accept_loss)
        self.ends = RequestEnds(settings, partitions, open_reader)

    async def recover(self, owned: Mapping[int, OwnedPartition]) -> list[Refusal]:
        """Bring partitions up to the end of their ledgers; those refused are returned with the reason.

        A partition that is new begins at offset 0, one that was kept goes on where it stood.

        Raises:
            UnreachableError: no broker answered.
            LedgerError: the ledger of one that was kept is another than the one folded.
            PartitionsChangedError: there are more partitions than this worker knows, or an event does not lie at home.
        """
        if not owned:
            return []
        if max(owned) >= self.partitions:
            raise PartitionsChangedError(
                f"Partition {max(owned)} was assigned to this worker, "
                f"which began with {number_of(self.partitions, 'partition')}."
            )
        ledgers = {number: TopicPartition(self._ledger, number) for number in owned}
        requests = {number: TopicPartition(self._requests, number) for number in owned}
        begun_s = monotonic()
        async with self._open_reader(self._settings, [*ledgers.values(), *requests.values()]) as consumer:
            left_alone = await without_leader(consumer, [*ledgers.values(), *requests.values()])
            refusals = [_waits_for_a_leader(tp) for tp in left_alone]
            for number in {tp.partition for tp in left_alone}:
                del ledgers[number], requests[number]
            owned = {number: owned[number] for number in ledgers}
            if not owned:
                return refusals
            ends = await consumer.end_offsets(list(ledgers.values()))
            # Behind the ledger's: what is true of a source in a fact before those lies before these.
            await self.ends.ask_for_all(consumer)
            facts = 0
            for number, partition in owned.items():
                facts += await self._read_ledger(consumer, ledgers[number], ends[ledgers[number]], partition)
                self._check_homes(partition)
            log.info("ledgers read", partitions=len(owned), facts=facts, seconds=round(monotonic() - begun_s, 3))
            starts = await consumer.beginning_offsets(list(requests.values()))
            request_ends = await consumer.end_offsets(list(requests.values()))
            for number, partition in owned.items():
                tp = requests[number]
                if partition.ledger.newer is not None:
                    refusals.append(_written_by_a_newer_release(ledgers[number], partition))
                    continue
                reason = await self._reason_against(consumer, tp, starts[tp], request_ends[tp], partition)
                if reason is not None:
                    refusals.append(Refusal(number, reason))
                partition.position = max(partition.ledger.bookmark + 1, starts[tp])
        return refusals

    async def _read_ledger(
        self, consumer: AIOKafkaConsumer, tp: TopicPartition, end: int, owned: OwnedPartition
    ) -> int:
        said_s = monotonic()
        read = damaged = 0
        settled_at = owned.settled_at

        def on_damage(first: int, last: int) -> None:
            nonlocal damaged
            damaged += last - first + 1

        start = (await consumer.beginning_offsets([tp]))[tp]
        await check_settled(consumer, tp, range(start, end), owned.checkpoints)
        async for records in read_between(consumer, tp, max(owned.ledger_end, start), end, on_damage):
            if owned.ledger.newer is not None:
                continue  # To the end: a reader that is left in the middle pauses the partition later.
            for record in records:
                taken = owned.ledger.read(record.value, header(record.headers, READ_HEADER))
                if taken is Taken.TAKEN:
                    settled_at = record.offset
                elif taken is Taken.DAMAGED:
                    damaged += 1
                elif taken is Taken.NEWER:
                    break
            owned.settled_at, owned.settled_bookmark = settled_at, owned.ledger.bookmark
            read += len(records)
            passing(Failpoint.RECOVERY)
            if monotonic() - said_s > PROGRESS_INTERVAL_S:
                said_s = monotonic()
                log.info("reading the ledger", partition=tp.partition, offset=records[-1].offset, end=end)
        owned.ledger_end = end
        owned.anchors = [(owned.settled_at, owned.settled_bookmark)]
        metrics.DAMAGED_RECORDS.inc(damaged)
        if damaged:
            log.error(
                "damaged ledger records: their commands are decided again",
                partition=tp.partition,
                records=damaged,
                bookmark=owned.ledger.bookmark,
            )
        return read

    def _check_homes(self, owned: OwnedPartition) -> None:
        """See that what was folded lies at home: else it was written with another number of partitions.

        Then no partition may be decided on: what its events have sold may lie on any other.
        """
        for event_id in owned.ledger.inventory.events:
            home = home_partition(event_id, self.partitions)
            if home != owned.number:
                raise PartitionsChangedError(
                    f"Event {event_id} lies on partition {owned.number} of {self._ledger}, and its home with "
                    f"{number_of(self.partitions, 'partition')} is {home}: the ledger was written with "
                    "another number of partitions."
                )

    async def _reason_against(
        self, consumer: AIOKafkaConsumer, tp: TopicPartition, start: int, end: int, owned: OwnedPartition
    ) -> str | None:
        bookmark = owned.ledger.bookmark
        if bookmark >= end:
            return (
                f"{tp.topic} partition {tp.partition} ends at {end}, but commands up to {bookmark} were decided: "
                "the topic was cut or made anew."
            )
        if start > bookmark + 1:
            lost = (tp.partition, bookmark + 1, start - 1)
            if not self.accepts_loss(*lost):
                return (
                    f"{tp.topic} partition {tp.partition} lost the commands {lost[1]}-{lost[2]} before they were "
                    f"decided; {_how_to_accept(*lost)}"
                )
            _log_accepted(*lost)
            return None
        if bookmark >= start and not await self._answers(consumer, tp, owned):
            now = (await consumer.beginning_offsets([tp]))[tp]
            if now > start:  # Retention has just removed it.
                return await self._reason_against(consumer, tp, now, end, owned)
            return (
                f"{tp.topic} partition {tp.partition} has at {bookmark} another command than the one decided: "
                "the topic was made anew."
            )
        return None

    async def _answers(self, consumer: AIOKafkaConsumer, tp: TopicPartition, owned: OwnedPartition) -> bool:
        """Whether the command at the bookmark is the one that its record answers."""
        assert owned.ledger.last is not None
        try:
            found = await record_at(consumer, tp, owned.ledger.bookmark)
        except CorruptRecordException:
            return True  # Nobody can tell.
        if owned.ledger.last["type"] == "offsets_passed":
            # A marker holds no record; what else was passed over is the second copy of a forward.
            return found is None or header(found.headers, ORIGIN_HEADER) is not None
        return found is not None and is_answered_by(found, owned.ledger.last)

    def reason_against_damage(self, number: int, first: int, last: int) -> Refusal | None:
        """Why to stop before commands that the disk has damaged; None if their loss was accepted."""
        if self.accepts_loss(number, first, last):
            _log_accepted(number, first, last)
            return None
        return Refusal(
            number,
            f"{self._requests} partition {number}: the commands {first}-{last} are damaged; "
            f"{_how_to_accept(number, first, last)}",
        )

    def accepts_loss(self, number: int, first: int, last: int) -> bool:
        """Whether operators have said that these commands are lost, or more: retention takes further ones meanwhile."""
        if first > last:
            return False
        for accepted, accepted_first, accepted_last in self._accepted_losses:
            if accepted == number and accepted_first <= first <= accepted_last:
                first = accepted_last + 1
        return first > last

    async def passable(self, idle: Sequence[OwnedPartition]) -> dict[int, int]:
        """Up to which offset each of some partitions holds nothing behind its bookmark that needs an answer.

        Only where there is something to pass over: markers of transactions, second copies, an accepted loss.

        Raises:
            UnreachableError: no broker answered.
        """
        tps = {TopicPartition(self._requests, owned.number): owned for owned in idle}
        found = {}
        async with self._open_reader(self._settings, tps) as consumer:
            for tp in await without_leader(consumer, list(tps)):
                del tps[tp]
            starts, ends = await consumer.beginning_offsets(list(tps)), await consumer.end_offsets(list(tps))
            for tp, owned in tps.items():
                first = max(owned.ledger.bookmark + 1, starts[tp])
                gone = first > owned.ledger.bookmark + 1
                if gone and not self.accepts_loss(owned.number, owned.ledger.bookmark + 1, first - 1):
                    continue  # For who takes the next run, or the partition, to see.
                if ends[tp] > first and await self._needs_no_answer(consumer, tp, first, ends[tp], owned):
                    found[owned.number] = ends[tp] - 1
        return found

    async def _needs_no_answer(
        self, consumer: AIOKafkaConsumer, tp: TopicPartition, first: int, end: int, owned: OwnedPartition
    ) -> bool:
        lost = False

        def on_damage(damaged: int, last: int) -> None:
            nonlocal lost
            lost = lost or not self.accepts_loss(owned.number, damaged, last)

        passed = True
        async for records in read_between(consumer, tp, first, end, on_damage):
            passed = passed and all(owned.is_second_copy(record) for record in records)
        return passed and not lost

    async def check_ledgers(self, owned: Sequence[OwnedPartition]) -> None:
        """See that the ledgers of some partitions have lost nothing; one without a leader is left out.

        Raises:
            UnreachableError: no broker answered.
            LedgerError: one has.
        """
        # Before the ends are asked for: what lands meanwhile is looked at the next time.
        checkpoints = {TopicPartition(self._ledger, one.number): one.checkpoints for one in owned}
        async with self._open_reader(self._settings, checkpoints) as consumer:
            for tp in await without_leader(consumer, list(checkpoints)):
                del checkpoints[tp]
            starts, ends = (
                await consumer.beginning_offsets(list(checkpoints)),
                await consumer.end_offsets(list(checkpoints)),
            )
            for tp, known in checkpoints.items():
                await check_settled(consumer, tp, range(starts[tp], ends[tp]), known)

    async def check_gaps(self, number: int, records: list[ConsumerRecord[bytes, bytes]], first: int) -> None:
        """Look whether records lie at the offsets that a run left out, from ``first`` on.

        They must not, whatever loss was accepted: what can be read is not lost.

        Raises:
            CommandsSkippedError: they do, and something dropped them; or nobody can know any more.
        """
        tp = TopicPartition(self._requests, number)
        delivered = {record.offset for record in records}
        async with self._kept_reader.reading([tp]) as consumer:
            start = (await consumer.beginning_offsets([tp]))[tp]
            if start > first:
                self._see_loss_accepted(number, first, start - 1, "gone before they were decided")
            on_damage = partial(self._see_loss_accepted, number, why="damaged")
            async for found in read_between(consumer, tp, max(first, start), records[-1].offset, on_damage):
                skipped = [record.offset for record in found if record.offset not in delivered]
                if skipped:
                    raise CommandsSkippedError(
                        f"{self._requests} partition {number}: the command at {skipped[0]} was not delivered."
                    )

    async def aclose(self) -> None:
        """Close what was kept open."""
        await self.ends.aclose()
        await self._kept_reader.aclose()

    def _see_loss_accepted(self, number: int, first: int, last: int, why: str) -> None:
        if not self.accepts_loss(number, first, last):
            raise CommandsSkippedError(f"{self._requests} partition {number}: the commands {first}-{last} are {why}.")


async def check_settled(
    consumer: AIOKafkaConsumer, tp: TopicPartition, kept: range, checkpoints: Sequence[tuple[int, int]]
) -> None:
    """See that the records that this worker knows of are still in the ledger, which holds the offsets ``kept``.

    A ledger that lost its tail may have grown beyond that place again, by what a replaced owner still wrote; then
    what lands where it was expected to says nothing. But three records tell of all: the last that was read
    at the take-over, the first that was written since, and the last. For as long as the first is there, the broker
    knows the producer's sequence, and takes nothing more if it has lost what came later (KIP-98).

    Raises:
        LedgerError: one is not, and what follows cannot be folded on top.
    """
    for offset, bookmark in dict.fromkeys(checkpoints):
        # Of what has expired, or was never there, nothing can be compared.
        if offset < kept.start:
            continue
        if offset not in kept or not await _accounts_for(consumer, tp, offset, bookmark):
            raise LedgerError(
                f"{tp.topic} partition {tp.partition} lost its tail: at offset {offset} is not the record any "
                f"more that accounted for the command at {bookmark}."
            )


async def _accounts_for(consumer: AIOKafkaConsumer, tp: TopicPartition, offset: int, bookmark: int) -> bool:
    try:
        found = await record_at(consumer, tp, offset)
    except CorruptRecordException:
        return False
    offsets = read_range(header(found.headers, READ_HEADER)) if found is not None else None
    return offsets is not None and offsets[1] == bookmark


def _written_by_a_newer_release(tp: TopicPartition, owned: OwnedPartition) -> Refusal:
    error = NewerReleaseError(tp.topic, tp.partition, owned.ledger.newer or "")
    return Refusal(tp.partition, str(error), newer=True)


def _waits_for_a_leader(tp: TopicPartition) -> Refusal:
    return Refusal(tp.partition, f"{tp.topic} partition {tp.partition} has no leader.", waits=True)


def _log_accepted(number: int, first: int, last: int) -> None:
    log.error("commands lost, as accepted", partition=number, first=first, last=last)


def _how_to_accept(number: int, first: int, last: int) -> str:
    return f"to go on without them, set BOXOFFICE_ACCEPT_LOSS={number}:{first}-{last}."


def is_answered_by(record: ConsumerRecord[bytes, bytes], fact: Fact) -> bool:
    """Whether ``fact`` can be the answer to the command in ``record``."""
    if fact["type"] == "command_unreadable":
        return fact["at"] == at_text(record.timestamp)
    # Not read_command: another release may have read what this one cannot, or the other way round.
    asked, told = claimed_ids(record.value), cast(Any, fact)
    if "request_id" not in asked or asked.get("event_id") != fact["event_id"]:
        return False
    if asked["request_id"] == fact["request_id"]:
        return True
    if asked["request_id"] == told.get("purchase") and fact["type"] != "payment_refused":
        return True  # A purchase that was asked again is answered by what has become of it.
    # A payment that came again is answered by what was made of it, whichever request brought it.
    payment = told.get("payment")
    return payment is not None and (look_at(record.value or b"").members or {}).get("payment") == payment


def _accepted_losses(text: str) -> list[tuple[int, int, int]]:
    """In order, so that of those that adjoin or overlap one leads to the next."""
    return sorted((int(match[1]), int(match[2]), int(match[3])) for match in re.finditer(r"(\d+):(\d+)-(\d+)", text))
