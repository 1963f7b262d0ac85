"""How runs come from the broker to the agents, and how far each partition was read and is done."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Final, NamedTuple, cast

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import ConsumerStoppedError, CorruptRecordException
from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.futures import notify

from boxoffice.batching.records import RUN_SIZE, Batch, BatchOptions, LookAtDamage, Record, Run, size_in_memory
from boxoffice.batching.stream import BatchConductor

FETCH_MAX_WAIT_MS = 50
"""A fetch without data blocks its broker's other partitions for so long (aiokafka sends one at a time)."""

FETCH_MAX_BYTES = 16 * 1024 * 1024
"""What a broker answers to one fetch at most, as it lies there; of a partition it answers a mebibyte."""
TAKEN_AT_ONCE_BYTES = 4 * 1024 * 1024
"""When records that were fetched take so much memory they are delivered, before more is unpacked."""


class Fetched(NamedTuple):
    """What was taken of a partition, and about how much memory it takes."""

    records: Sequence[Record] = ()
    size_bytes: int = 0


class CommittedReads(driver.AIOKafkaConsumerThread):
    """Faust has no setting for the isolation level, nor for how long a fetch waits."""

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer: Any = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        consumer._fetch_min_bytes = cast(BatchConsumer, self.consumer).options.fetch_min_bytes
        consumer._fetch_max_bytes = FETCH_MAX_BYTES
        return cast(AIOKafkaConsumer, consumer)

    async def seek_there(self, tp: TP, offset: int) -> None:
        """Seek in this thread, between two steps of a fetch."""
        await self.call_thread(self._seek_there, tp, offset)

    async def _seek_there(self, tp: TP, offset: int) -> None:
        self.seek(tp, offset)

    async def fetch(self, active: set[TP], epoch: int) -> dict[TP, Fetched]:
        """What is there of the active partitions; nothing if the flow was stopped since ``epoch``."""
        return cast("dict[TP, Fetched]", await self.call_thread(self._fetch, active, epoch))

    async def _fetch(self, active: set[TP], epoch: int) -> dict[TP, Fetched]:
        """Fetch in this thread, and put back what a stop of the flow overtook.

        A fetch that waits goes on through a rebalance, and takes what it finds at the new positions. Seeks are
        made in this thread as well: none comes between the taking and the putting back.
        """
        consumer: Any = self._ensure_consumer()
        fetched: defaultdict[TP, Fetched] = defaultdict(Fetched)
        await self._take_what_is_there(consumer, active, fetched)
        if not fetched:
            # Who waits takes of all partitions what has come by then: one record, and then as above.
            await self._take(consumer, active, fetched, timeout=1.0, max_records=1)
            await self._take_what_is_there(consumer, active, fetched)
        if epoch == cast(BatchConsumer, self.consumer).epoch:
            return fetched
        for tp, (records, _) in fetched.items():
            consumer._fetcher.seek_to(tp, records[0].offset)
        return {}

    async def _take_what_is_there(self, consumer: Any, active: set[TP], fetched: defaultdict[TP, Fetched]) -> None:
        """Of one partition after the other, until it is much; those that were not reached come first the next time."""
        there: OrderedDict[TP, Any] = consumer._fetcher._records
        taken_bytes = 0
        for tp in [tp for tp in there if tp in active]:
            taken_bytes += await self._take(consumer, {tp}, fetched, timeout=0)
            if tp in there:
                there.move_to_end(tp)
            if taken_bytes >= TAKEN_AT_ONCE_BYTES:
                return

    async def _take(self, consumer: Any, active: set[TP], fetched: defaultdict[TP, Fetched], **options: Any) -> int:
        taken_bytes = 0
        for fetched_tp, records in (await self._fetch_records(consumer, active, **options)).items():
            tp = ensure_TP(fetched_tp)  # Faust insists on its own kind of tuple where it meets a partition again.
            before, before_bytes = fetched[tp]
            size_bytes = size_in_memory(records)
            fetched[tp] = Fetched([*before, *records], before_bytes + size_bytes)
            taken_bytes += size_bytes
        return taken_bytes


class BatchConsumer(driver.Consumer):
    """Puts runs on the agents' queues, and knows how far each partition was read and acknowledged."""

    look_at_damage: LookAtDamage | None = None
    """Asked when a fetch meets a damaged record batch; without it, that ends the consumer."""

    def __init__(self, transport: Any, *args: Any, **kwargs: Any) -> None:
        self.options: Final[BatchOptions] = transport.options
        # Counts the times that the flow was stopped: a fetch that began before belongs to the past.
        self.epoch = 0
        self._starts: dict[TP, int] = {}
        self._withheld: set[TP] = set()
        self._withdrawn: set[TP] = set()
        self._releases: dict[TP, int] = {}
        self._next: dict[TP, int] = {}
        self._waiting: Counter[TP] = Counter()
        self._waiting_bytes = 0
        self._taken_bytes = 0
        self._behind_acked: dict[TP, int] = {}
        self._read_to: dict[TP, int] = {}
        self._room = asyncio.Event()
        super().__init__(transport, *args, **kwargs)

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return CommittedReads(self, loop=self.loop, beacon=self.beacon)

    # Where partitions start

    def start_at(self, tp: TP, offset: int) -> None:
        """Read an assigned partition from ``offset`` on; to be called before its flow resumes."""
        self._starts[tp] = offset
        self._withheld.discard(tp)
        self._behind_acked[tp] = offset

    def withhold(self, tp: TP) -> None:
        """Do not read an assigned partition, or read no further, as long as it stays assigned.

        What was fetched of it may still come.
        """
        self._withheld.add(tp)
        if self.flow_active:
            self.pause_partitions([tp])
            self._buffered_partitions.discard(tp)

    def withdraw(self, tp: TP) -> None:
        """Withhold an assigned partition at once: what was read of it and is not acknowledged is thrown away.

        Nothing of it comes any more: not from the queue, nor from a fetch that is under way. Batches that were taken
        lose their runs of it, so that no revocation waits for those, and no offset behind them is committed.
        """
        self._withdrawn.add(tp)
        self._releases.pop(tp, None)
        self.withhold(tp)
        queue = cast(BatchConductor, self.app.topics).batch_queue(tp)
        if queue is not None:
            kept = [run for run in queue._queue if run.tp != tp]
            self._waiting_bytes -= sum(run.size_bytes for run in queue._queue if run.tp == tp)
            queue._queue.clear()
            queue._queue.extend(kept)
        self._waiting.pop(tp, None)
        for taken in set(cast(Any, self._unacked_messages)):
            if isinstance(taken, Batch):
                self._taken_bytes -= taken.drop(tp)
        self._room.set()

    def release(self, tp: TP, offset: int) -> None:
        """Read a partition that is withheld again, from ``offset`` on, while the others flow; not at once.

        A rebalance that comes before it is done undoes it.
        """
        if tp in self._withheld:
            self._releases[tp] = offset

    async def _release(self) -> None:
        """Between two fetches: so no record comes that one read before it."""
        for tp, offset in list(self._releases.items()):
            epoch = self.epoch
            await self.seek(tp, offset)
            if epoch != self.epoch or self._releases.pop(tp, None) is None:
                return
            self._withdrawn.discard(tp)
            self.start_at(tp, offset)
            self._next[tp] = offset
            self._read_to.pop(tp, None)
            self._committed_offset[tp] = None
            self.resume_partitions([tp])

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Resume fetching, except of what is withheld."""
        super().resume_partitions({tp for tp in tps if tp not in self._withheld})

    async def perform_seek(self) -> None:
        """Go to where the application starts, in a batch topic; elsewhere to the committed offsets.

        With tables the fetcher runs already, and Faust resumes partitions before it seeks; and it clears all
        queues when it resumes the flow after it. So nothing may flow in between.
        """
        self.stop_flow()
        self.app.flow_control.suspend()
        await super().perform_seek()
        for tp in self.assignment():
            if self._is_batch_topic(tp):
                await self._seek_batch(tp)

    async def _seek_batch(self, tp: TP) -> None:
        start = self._starts.get(tp)
        if start is None:
            start = await self.position(tp) or 0
            if tp not in self._withheld:
                self._behind_acked[tp] = start
        else:
            # The group's offset may have been set by anyone: let the next commit correct it.
            self._committed_offset[tp] = None
        await self.seek(tp, start)
        self._next[tp] = start
        self._read_to.pop(tp, None)

    async def _seek(self, partition: TP, offset: int) -> None:
        """In the thread of the fetches, one of which may be at work on these very records; Faust does it here."""
        await cast(CommittedReads, self._thread).seek_there(partition, offset)

    def _is_batch_topic(self, tp: TP) -> bool:
        return cast(BatchConductor, self.app.topics).is_batch_topic(tp.topic)

    # Fetching

    def stop_flow(self) -> None:
        """Stop, and let what is being fetched be thrown away."""
        self.epoch += 1
        super().stop_flow()

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await self._drain_once()
        except (ConsumerStoppedError, asyncio.CancelledError):
            if not self.app.should_stop:
                raise

    async def _drain_once(self) -> None:
        if not self.flow_active:
            await self.wait(cast(Any, self.can_resume_flow))
        await self._release()
        epoch = self.epoch
        active = set(self._get_active_partitions())
        if not active or self.is_full:
            await self._wait_for_room()
            return
        try:
            fetched = await cast(CommittedReads, self._thread).fetch(active, epoch)
        except CorruptRecordException:
            if not await self._go_round_damage(active, epoch):
                raise
            return
        if self.should_stop:
            await asyncio.sleep(0)
        elif epoch == self.epoch:
            await self._deliver(fetched)
            self._note_read_to()

    async def _go_round_damage(self, active: set[TP], epoch: int) -> bool:
        """Deliver what lies before the damage, and go on behind it or leave the partition; False if none is found."""
        positions = {tp: self._next[tp] for tp in active if tp in self._next}
        obstacles = await self.look_at_damage(positions) if self.look_at_damage is not None else {}
        if epoch != self.epoch:
            return True
        if not obstacles:
            return False
        for tp, (before, go_on_at) in obstacles.items():
            if tp in self._withdrawn:
                continue
            if before:
                queue = cast(BatchConductor, self.app.topics).batch_queue(tp)
                self._deliver_runs(tp, queue, before, size_in_memory(before))
            if go_on_at is None:
                self.withhold(tp)
            else:
                self._next[tp] = go_on_at
        # What the same fetch had taken of other partitions is lost with the exception: it is read again.
        for tp in positions:
            if epoch != self.epoch:
                break
            await self.seek(tp, self._next[tp])
        return True

    @property
    def is_full(self) -> bool:
        """Whether so much waits, or is not acknowledged, that nothing is fetched."""
        return self._waiting_bytes + self._taken_bytes >= self.options.buffer_bytes

    async def _wait_for_room(self) -> None:
        self._room.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await self._room.wait()

    async def _deliver(self, fetched: dict[TP, Fetched]) -> None:
        ordinary: dict[TP, list[Record]] = {}
        conductor = cast(BatchConductor, self.app.topics)
        for tp, (records, size_bytes) in fetched.items():
            queue = conductor.batch_queue(tp)
            if queue is None:
                ordinary[tp] = list(records)
            else:
                self._deliver_runs(tp, queue, records, size_bytes)
        if ordinary:
            await self._deliver_messages(ordinary)

    def _deliver_runs(self, tp: TP, queue: Any, records: Sequence[Record], size_bytes: int) -> None:
        """Put a fetch's records on the queue, with no await between them."""
        expected = self._next.get(tp)
        if expected is None or tp in self._withdrawn:
            return
        # A topic made anew begins again; whoever takes the run is to see that it does not follow.
        expected = min(expected, records[0].offset)
        for at in range(0, len(records), RUN_SIZE):
            part = list(records[at : at + RUN_SIZE])
            of_part_bytes = size_bytes * len(part) // len(records)
            run = Run(tp, self.app.consumer_generation_id, expected, part[-1].offset + 1, part, of_part_bytes)
            queue.force_put_nowait(run)
            self._waiting_bytes += of_part_bytes
            expected = run.next
        self._next[tp] = expected
        self._waiting[tp] += len(records)
        if self._waiting[tp] >= self.options.buffer_size:
            self.on_buffer_full(tp)
        self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))

    async def _deliver_messages(self, fetched: dict[TP, list[Record]]) -> None:
        """Faust's ordinary way, for the app's other topics."""
        epoch = self.epoch
        for tp, record in self.scheduler.iterate(cast(Any, fetched)):
            if epoch != self.epoch:
                return
            message = self._to_message(tp, record)
            expected = self._read_offset[tp]
            if expected is not None and message.offset < expected:
                continue
            if expected and message.offset > expected + 1 and self.app.topics.acks_enabled_for(tp.topic):
                await self._add_gap(tp, expected + 1, message.offset)
            await self.wait_first(self.callback(message), self.suspend_flow.wait())
            self._read_offset[tp] = message.offset

    # Taking and acknowledging

    def on_batch_taken(self, batch: Batch) -> None:
        """A batch left the queue: a revocation waits for it from now on."""
        self._unacked_messages.add(cast(Any, batch))
        now = monotonic()
        for run in batch.runs:
            self.app.monitor.stream_inbound_time[run.tp] = now
            self._waiting[run.tp] -= len(run.records)
            self._waiting_bytes -= run.size_bytes
            self._taken_bytes += run.size_bytes
            if self._waiting[run.tp] < self.options.buffer_size // 2 and run.tp in self._buffered_partitions:
                self.on_buffer_drop(run.tp)
                self._room.set()

    def on_batch_acked(self, batch: Batch) -> None:
        """A batch is done: the offsets behind its runs may be committed."""
        self._let_go(batch)
        for run in batch.runs:
            if run.tp in self._behind_acked or run.tp in self._next:
                self._behind_acked[run.tp] = run.next

    def on_batch_handed_over(self, batch: Batch) -> None:
        """A batch is somebody else's: no revocation waits for it, and its memory is not ours to count."""
        self._let_go(batch)

    def _let_go(self, batch: Batch) -> None:
        self._unacked_messages.discard(cast(Any, batch))
        self._taken_bytes -= batch.size_bytes
        if not self.is_full:
            self._room.set()
        notify(self._waiting_for_ack)

    def done_until(self, tp: TP, offset: int) -> None:
        """Of what was handed over, all before ``offset`` is done: it may be committed while the partition is ours."""
        if tp in self._behind_acked:
            self._behind_acked[tp] = offset

    def committed_until(self, tp: TP) -> int | None:
        """The offset that the group has committed of an assigned partition; None as long as it has committed none."""
        return self._committed_offset[tp]

    @property
    def is_cut_off(self) -> bool:
        """Whether it has begun, and is connected to no broker now."""
        consumer = self._thread._consumer
        return consumer is not None and not any(
            connection.connected() for connection in list(consumer._client._conns.values())
        )

    @property
    def withheld(self) -> frozenset[TP]:
        """The assigned partitions that are not read."""
        return frozenset(self._withheld)

    def positions(self) -> dict[TP, tuple[int, int]]:
        """Of each batch partition: the offset behind what was dealt with, and the partition's end."""
        dealt_with = {tp: self._dealt_with(tp) for tp in self._next}
        return {tp: (offset, self.highwater(tp) or offset) for tp, offset in dealt_with.items()}

    def _dealt_with(self, tp: TP) -> int:
        """The offset behind what was acknowledged; markers that follow hold no record to wait for."""
        delivered_to = self._next.get(tp, 0)
        acked_to = self._behind_acked.get(tp, delivered_to)
        return max(acked_to, self._read_to.get(tp, 0)) if acked_to == delivered_to else acked_to

    def _note_read_to(self) -> None:
        """Remember how far was read, at a moment when nothing is on its way from the fetcher's thread."""
        assignment = self._thread._ensure_consumer()._subscription.subscription.assignment
        for tp in self._next:
            state = assignment.state_value(tp) if assignment is not None else None
            if state is not None and state.has_valid_position:
                self._read_to[tp] = state.position

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        yield from super()._filter_tps_with_pending_acks(topics)
        for tp in list(self._behind_acked):
            if topics is None or tp in topics or tp.topic in topics:
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        if tp in self._behind_acked:
            return self._dealt_with(tp)
        return super()._new_offset(tp)

    # Rebalances

    async def commit_and_end_transactions(self) -> None:
        """Commit what is acknowledged by now: Faust would be content with a commit that began before."""
        while await self.maybe_wait_for_commit_to_finish():
            pass
        await super().commit_and_end_transactions()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Settle and commit what was taken before Faust forgets what was acknowledged."""
        self.stop_flow()
        self.app.flow_control.suspend()
        self.app.flow_control.clear()
        self._waiting.clear()
        self._waiting_bytes = 0
        await self.wait_empty()
        for tp in revoked:
            self._withdrawn.discard(tp)
            self._releases.pop(tp, None)
            self._behind_acked.pop(tp, None)
            self._starts.pop(tp, None)
            self._withheld.discard(tp)
            self._next.pop(tp, None)
            self._read_to.pop(tp, None)
        await super().on_partitions_revoked(revoked)
