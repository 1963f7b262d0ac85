"""The purchases process at work: take partitions over, decide batches, publish what was decided."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from time import monotonic, time_ns
from typing import Any, NamedTuple

import structlog
from aiokafka.errors import KafkaTimeoutError
from faust.types import TP

from boxoffice import metrics
from boxoffice.batching import Batch, BatchConsumer, Obstacle, Run, Stage, has_gaps
from boxoffice.errors import CommandsSkippedError, UnreachableError
from boxoffice.failpoints import Failpoint, passing
from boxoffice.kafka.damage import find_damage
from boxoffice.kafka.side_records import read_origin
from boxoffice.selling.copies import Copies
from boxoffice.selling.deciding import Answer, OwnedPartition, new_partition
from boxoffice.selling.keeping import Keeper
from boxoffice.selling.publishing import Publisher, Sold
from boxoffice.selling.recovery import Recovery, Refusal
from boxoffice.selling.traced import TracedBatch, TracedBatches
from boxoffice.settings import KafkaSettings, SellingSettings
from boxoffice.tasks import end_tasks
from topics import purchase_requests

log = structlog.get_logger(__name__)

RETRY_RECOVERY_S = 1.0
RETRY_WAITING_S = 3.0
MOST_WAITING = 3
"""Batches that wait for Redis, and as many for the broker, before no further one is decided."""


class Taken(NamedTuple):
    """A batch on its way: what the table has decided, and since when, by ``monotonic``.

    ``batch`` is None where offsets without a command are accounted for.
    """

    sold: Sold
    batch: Batch | None
    since_s: float
    traced: TracedBatch | None = None

    @property
    def commands(self) -> int:
        """How many commands it answers."""
        return len(self.batch) if self.batch is not None else 0


class Selling:
    """Decides the commands of the partitions that this worker owns.

    A batch is decided by the table, then by Redis, then published; while one waits for the broker, the
    next is with Redis and a third being decided. What waits for the broker goes out together. What fails
    in any stage must end the process: ``ending_on_failure``.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: SellingSettings,
        recovery: Recovery,
        copies: Copies,
        publisher: Publisher,
        keeper: Keeper,
        *,
        ending_on_failure: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._recovery = recovery
        self._copies = copies
        self._publisher = publisher
        self._keeper = keeper
        self._ending_on_failure = ending_on_failure
        self.traces: TracedBatches | None = None
        self._topic = purchase_requests.TOPIC.full_name(kafka.topic_prefix)
        self._owned: dict[int, OwnedPartition] = {}
        self._consumer: BatchConsumer
        self._rebalances = 0
        self._taking_over = asyncio.Lock()
        # What is decided next waits for what is decided now.
        self._deciding = asyncio.Lock()
        self._background: list[asyncio.Task[None]] = []
        self._asking = Stage(self._ask_redis, MOST_WAITING)
        self._publishing = Stage(self._publish, MOST_WAITING)
        self.refused: set[int] = set()
        self.newer: set[int] = set()
        """Those among the refused on which a newer release has decided."""
        self.waiting: set[int] = set()
        """Those that nobody can read or write now: they are taken over as soon as somebody can."""

    @property
    def ready(self) -> list[int]:
        """The partitions that it decides."""
        return sorted(self._owned.keys() - self.refused)

    def details(self) -> dict[str, Any]:
        """What there is to know of its health."""
        breaker = self._copies.breaker
        return {
            "redis": {"connected": not breaker.is_open, "copies": dict(self._copies.measure())},
            "fallback": {
                "active": breaker.is_open,
                "reason": breaker.reason,
                "backlog_facts": self._copies.backlog_facts,
            },
            "partitions": {
                "ready": self.ready,
                "refused": sorted(self.refused),
                "newer_release": sorted(self.newer),
                "waiting": sorted(self.waiting),
            },
            "dead_letters": {"owed": self._keeper.owed},
        }

    # Taking over

    async def take_over(self, consumer: BatchConsumer) -> None:
        """Make the assigned partitions ready: fold their ledgers to the end, and go on after the bookmark.

        Runs while nothing is delivered; until it is done nothing is decided.
        """
        async with self._taking_over:
            with metrics.RECOVERY_DURATION.time():
                await self._take_over(consumer)
        if not self._background:
            repeated = (self._look_repeatedly(consumer), self._take_over_waiting_repeatedly(consumer))
            self._background = [asyncio.create_task(one) for one in repeated]

    async def _take_over(self, consumer: BatchConsumer) -> None:
        self._consumer = consumer
        self._rebalances += 1
        numbers = {tp.partition for tp in consumer.assignment() if tp.topic == self._topic}
        self._forget(set(self._owned) - numbers)
        self._forget({number for number, owned in self._owned.items() if owned.unsettled})
        late = {number for number in numbers if self._publisher.is_late(number)}
        taken = {number: self._owned.get(number) or self._new(number) for number in sorted(numbers - late)}
        bookmarks = {number: owned.ledger.bookmark for number, owned in taken.items()}
        refusals = await self._recover(taken)
        kept_away = {refusal.partition for refusal in refusals}
        for number in late:
            consumer.withhold(TP(self._topic, number))
        for number, owned in taken.items():
            tp = TP(self._topic, number)
            if number in kept_away:
                self._forget([number])
                consumer.withhold(tp)
            else:
                if owned.ledger.bookmark != bookmarks[number]:
                    # Others sold meanwhile: what was known of Redis, and missed by it, no longer adds up.
                    self._copies.drop(number)
                    self._keeper.drop([number])
                self._adopt(owned)
                consumer.start_at(tp, owned.position)
        self.refused, self.newer = set(), set()
        self._refuse([refusal for refusal in refusals if not refusal.waits])
        self._let_wait(late | {refusal.partition for refusal in refusals if refusal.waits})
        self._end_waiting(self.waiting - numbers | set(self._owned) | self.refused)
        metrics.RECOVERIES.inc()
        self._count_partitions()
        log.info(
            "partitions ready",
            partitions=sorted(self._owned),
            refused=sorted(self.refused),
            waiting=sorted(self.waiting),
        )

    def _new(self, number: int) -> OwnedPartition:
        return new_partition(number, self._recovery.partitions, self._recovery.ends.known)

    def _adopt(self, owned: OwnedPartition) -> None:
        self._owned[owned.number] = owned
        self._copies.adopt(owned)
        self._keeper.adopt(owned)
        metrics.LEDGER_RECORDS.labels(str(owned.number)).set(owned.ledger_end)

    async def _recover(self, taken: dict[int, OwnedPartition]) -> list[Refusal]:
        while True:
            try:
                return await self._recovery.recover(taken)
            except (UnreachableError, KafkaTimeoutError) as error:
                log.warning("cannot read the ledger yet", error=str(error), seldom=True)
                await asyncio.sleep(RETRY_RECOVERY_S)

    def _refuse(self, refusals: Iterable[Refusal]) -> None:
        for refusal in refusals:
            log.error("partition refused", partition=refusal.partition, reason=refusal.reason)
            self.refused.add(refusal.partition)
            if refusal.newer:
                self.newer.add(refusal.partition)

    # Partitions without a leader

    def _give_up(self, numbers: Iterable[int]) -> None:
        """Throw away what was decided on partitions, acknowledged or not, and let them wait."""
        for number in numbers:
            self._forget([number])
            self._consumer.withdraw(TP(self._topic, number))
            self.refused.discard(number)
            self.newer.discard(number)
            self._let_wait([number])
            self._count_partitions()

    def _let_wait(self, numbers: Iterable[int]) -> None:
        for number in set(numbers) - self.waiting:
            log.warning("partition waits: nobody leads it, or what it forwards to", partition=number)
            self.waiting.add(number)

    def _end_waiting(self, numbers: Iterable[int]) -> None:
        for number in self.waiting & set(numbers):
            log.info("partition waits no more", partition=number)
            self.waiting.discard(number)

    async def _take_over_waiting_repeatedly(self, consumer: BatchConsumer) -> None:
        while True:
            await asyncio.sleep(RETRY_WAITING_S)
            with self._ending_on_failure():
                await self._take_over_waiting(consumer)

    async def _take_over_waiting(self, consumer: BatchConsumer) -> None:
        """Take waiting partitions over while the others flow, as soon as what was given up of them has landed.

        A rebalance takes over all that is assigned by itself: what was read beside it counts no more.
        """
        numbers = [number for number in sorted(self.waiting) if not self._publisher.is_late(number)]
        taken = {number: self._new(number) for number in numbers}
        rebalances = self._rebalances
        if not taken or not consumer.flow_active:
            return
        try:
            refusals = await self._recovery.recover(taken)
        except (UnreachableError, KafkaTimeoutError):
            return  # It waits on, and said so when it began.
        if rebalances != self._rebalances or not consumer.flow_active:
            return
        self._refuse(refusal for refusal in refusals if not refusal.waits)
        for number in set(taken) - {refusal.partition for refusal in refusals}:
            self._adopt(taken[number])
            consumer.release(TP(self._topic, number), taken[number].position)
        self._end_waiting(set(self._owned) | self.refused)
        self._count_partitions()

    # Damage

    async def look_at_damage(self, positions: dict[TP, int]) -> dict[TP, Obstacle]:
        """Where the disk has damaged commands: their partitions are refused until the loss is accepted."""
        obstacles = {}
        for tp, damage in (await find_damage(self._kafka, positions)).items():
            refusal = self._recovery.reason_against_damage(tp.partition, damage.first, damage.last)
            if refusal is not None:
                self._refuse([refusal])
                self._count_partitions()
            obstacles[tp] = Obstacle(damage.before, damage.last + 1 if refusal is None else None)
        return obstacles

    def _count_partitions(self) -> None:
        metrics.PARTITIONS.labels("ready").set(len(self.ready))
        metrics.PARTITIONS.labels("refused").set(len(self.refused))
        metrics.PARTITIONS.labels("newer_release").set(len(self.newer))
        metrics.PARTITIONS.labels("waiting").set(len(self.waiting))

    def _forget(self, numbers: Iterable[int]) -> None:
        for number in list(numbers):
            self._owned.pop(number, None)
            self._copies.drop(number)
            self._keeper.drop([number])

    # Selling

    async def sell(self, batch: Batch) -> None:
        """Decide a batch, and send it on its way to Redis and to the ledger."""
        metrics.BATCH_COMMANDS.observe(len(batch))
        since_s = monotonic()
        async with self._deciding:
            sold = await self._answer(batch)
            traced = self.traces.decided(sold, since_s) if self.traces is not None else None
            await self._asking.put(Taken(sold, batch, since_s, traced))

    async def _answer(self, batch: Batch) -> Sold:
        answers: defaultdict[int, list[Answer]] = defaultdict(list)
        asked: set[int] = set()
        owners = {run.tp.partition: self._owned[run.tp.partition] for run in batch.runs}
        for run in batch.runs:
            self._recovery.ends.learn(run.tp.partition, run.next)
        for run in batch.runs:
            owned = owners[run.tp.partition]
            # A partition may be given up meanwhile, and even taken over again: its runs here are then of the past.
            if self._is_owned(owned):
                await self._check_run(owned, run)
            if not self._is_owned(owned):
                continue
            answers[owned.number] += owned.answer(run.records, asked)
            if owned.position <= run.records[-1].offset:
                # Once for all of the batch: its records were there before, so that what it says of them holds.
                asked = await self._ask_for_ends(batch)
                if self._is_owned(owned):
                    rest = [record for record in run.records if record.offset >= owned.position]
                    answers[owned.number] += owned.answer(rest, asked)
        sold = [(owners[number], decided) for number, decided in answers.items()]
        self._log_unreadable(sold)
        self._log_copies([owned for owned, _ in sold])
        return sold

    async def _ask_for_ends(self, batch: Batch) -> set[int]:
        """Ask where the partitions end from which commands of a batch say they come; returns which those are.

        Nobody can decide without it: another owner would decide otherwise. So this waits for the broker, without
        which nothing could be published either. But nobody waits for a partition without a leader: what is said to
        come from there is believed.
        """
        partitions = self._recovery.partitions
        claimed = {
            origin["partition"]
            for run in batch.runs
            for record in run.records
            if (origin := read_origin(record.headers, run.tp.partition, partitions)) is not None
        }
        while True:
            try:
                await self._recovery.ends.ask(claimed)
            except UnreachableError as error:
                log.warning(
                    "cannot ask where partitions end yet", partitions=sorted(claimed), error=str(error), seldom=True
                )
                await asyncio.sleep(RETRY_RECOVERY_S)
            else:
                return claimed

    def _is_owned(self, owned: OwnedPartition) -> bool:
        return self._owned.get(owned.number) is owned

    def _together(self, waiting: Sequence[Taken]) -> Sold:
        """The answers of several batches, by partition, in order; without those of partitions given up since."""
        owned: dict[int, OwnedPartition] = {}
        answers: defaultdict[int, list[Answer]] = defaultdict(list)
        for taken in waiting:
            for of_batch, some in taken.sold:
                if self._is_owned(of_batch):
                    owned[of_batch.number] = of_batch
                    answers[of_batch.number] += some
        return [(owned[number], of_partition) for number, of_partition in answers.items()]

    async def _ask_redis(self, waiting: Sequence[Taken]) -> None:
        """Together, up to a full batch: a script that decides more would keep everybody else waiting."""
        with self._ending_on_failure():
            for together in portions(waiting, self._settings.batch_size):
                began_ns = time_ns()
                asked = await self._copies.decide(self._together(together))
                for taken in together:
                    if taken.traced is not None:
                        taken.traced.asked(asked, began_ns)
                    metrics.BATCH_DURATION.observe(monotonic() - taken.since_s)
                    await self._publishing.put(taken)

    async def _publish(self, waiting: Sequence[Taken]) -> None:
        with self._ending_on_failure():
            together = self._together(waiting)
            began_ns = time_ns()
            self._give_up(await self._publisher.publish(together))
            for owned, answers in together:
                if self._is_owned(owned):
                    self._keeper.keep(owned, answers)
            passing(Failpoint.BEFORE_ACK)
            for taken in waiting:
                if taken.batch is not None:
                    taken.batch.ack()
                if taken.traced is not None:
                    taken.traced.published({owned.number for owned, _ in together if self._is_owned(owned)}, began_ns)

    async def _check_run(self, owned: OwnedPartition, run: Run) -> None:
        if run.first != owned.position and not self._recovery.accepts_loss(owned.number, owned.position, run.first - 1):
            raise CommandsSkippedError(
                f"{self._topic} partition {owned.number}: {run.first} came next, {owned.position} was expected."
            )
        if run.has_gaps or run.first != owned.position:
            # What was passed over before is accounted for, and may be gone.
            first = max(owned.position, owned.ledger.bookmark + 1)
            if has_gaps(run.records, first):
                await self._recovery.check_gaps(owned.number, run.records, first)

    # Passing over what needs no answer

    async def _look_repeatedly(self, consumer: BatchConsumer) -> None:
        stood: dict[int, tuple[int, int]] = {}
        while True:
            await asyncio.sleep(self._settings.tail_interval_s)
            with self._ending_on_failure():
                await self._see_ledgers_whole()
                stands = {owned.number: (owned.position, owned.ledger.bookmark) for owned in self._owned.values()}
                idle = [number for number in self.ready if stands[number] == stood.get(number)]
                stood = stands
                if idle and consumer.flow_active:
                    # Mostly nothing lies behind the bookmark, as each fetch says by the way.
                    ends = {tp.partition: end for tp, (_, end) in consumer.positions().items()}
                    behind = [self._owned[number] for number in idle if ends.get(number, 0) > stands[number][1] + 1]
                    if behind:
                        await self._pass_over(behind)

    async def _see_ledgers_whole(self) -> None:
        """See that no ledger has lost what this worker wrote, or read, and was filled up by a replaced owner.

        Raises:
            LedgerError: one has.
        """
        try:
            await self._recovery.check_ledgers(list(self._owned.values()))
        except (UnreachableError, KafkaTimeoutError) as error:
            log.warning("cannot look at the ledgers yet", error=str(error), seldom=True)

    async def _pass_over(self, idle: Sequence[OwnedPartition]) -> None:
        """Account for what lies behind the bookmarks of partitions on which nothing comes."""
        idle = [owned for owned in idle if not owned.unsettled]
        bookmarks = {owned.number: owned.ledger.bookmark for owned in idle}
        try:
            passable = await self._recovery.passable(idle)
        except (UnreachableError, KafkaTimeoutError) as error:
            log.warning("cannot look behind the bookmarks yet", error=str(error), seldom=True)
            return
        async with self._taking_over, self._deciding:
            passed = [
                owned
                for owned in idle
                if owned.number in passable
                and self._is_owned(owned)
                and not owned.unsettled
                and owned.ledger.bookmark == bookmarks[owned.number]
            ]
            sold = [(owned, [owned.pass_over(passable[owned.number])]) for owned in passed]
            if sold:
                await self._asking.put(Taken(sold, None, monotonic()))
        for owned in passed:
            log.info("offsets passed over", partition=owned.number, up_to=owned.ledger.bookmark)

    async def stop(self) -> None:
        """End what is done in the background."""
        await end_tasks(self._background)
        await self._publisher.stop()
        await self._keeper.stop()
        await self._recovery.aclose()

    def _log_copies(self, answering: Sequence[OwnedPartition]) -> None:
        """Second copies of forwards, which get no answer, and origins that were not believed: each once a batch."""
        if copied := [owned for owned in answering if owned.second_copies]:
            count = sum(owned.second_copies for owned in copied)
            metrics.SECOND_COPIES.inc(count)
            log.info("second copies of forwards", count=count, partitions=[owned.number for owned in copied])
        for owned in answering:
            owned.second_copies = 0
            if owned.not_believed:
                metrics.FALSE_ORIGINS.inc(len(owned.not_believed))
                log.warning(
                    "origins that cannot be true",
                    partition=owned.number,
                    count=len(owned.not_believed),
                    origin=owned.not_believed[0],
                )
                owned.not_believed.clear()

    def _log_unreadable(self, sold: Sold) -> None:
        unreadable = [
            answer.fact for _, answers in sold for answer in answers if answer.fact["type"] == "command_unreadable"
        ]
        if unreadable and unreadable[0]["type"] == "command_unreadable":
            log.warning(
                "unreadable commands",
                count=len(unreadable),
                partition=unreadable[0]["source"]["partition"],
                offset=unreadable[0]["source"]["offset"],
                reason=unreadable[0]["reason"],
            )


def portions(waiting: Sequence[Taken], most_commands: int) -> Iterator[list[Taken]]:
    """Batches in order, as many together as hold at most so many commands; one that holds more goes alone."""
    portion: list[Taken] = []
    commands = 0
    for taken in waiting:
        if portion and commands + taken.commands > most_commands:
            yield portion
            portion, commands = [], 0
        portion.append(taken)
        commands += taken.commands
    if portion:
        yield portion
