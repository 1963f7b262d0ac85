"""A Faust app that reads one topic in batches and another as Faust does, to test the batch path by itself.

It knows nothing of tickets. Of each record that it reads it writes one to an output topic, in the partition of
the same number, that says which it was. ``python -m tests.support.batch_app``, with :class:`Options` in the
environment.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import faust
from aiokafka.errors import KafkaError
from faust.types import TP

from boxoffice.batching import (
    Batch,
    BatchConductor,
    BatchConsumer,
    BatchOptions,
    BatchProducer,
    BatchStream,
    BatchTopic,
    BatchTransport,
    Outgoing,
    Run,
)

VARIABLE = "BATCH_APP"
PARTITIONS = 6
TOLD_TO_FAIL, PUBLISH_REFUSED, PUBLISH_TIMED_OUT = 3, 4, 5
TOO_LARGE = b" " * 2 * 1024 * 1024
"""More than a broker takes by default."""

Place = tuple[int, int]
"""A partition's number, and an offset."""

NOWHERE: Place = (-1, -1)


@dataclass(frozen=True)
class Options:
    """What the app is to do; a place (partition, offset) is where it does it."""

    servers: str
    prefix: str
    way: str = "awaited"
    batch_size: int = 200
    buffer_size: int = 20_000
    buffer_bytes: int = 32 * 1024 * 1024
    publish_timeout_s: float = 60
    session_timeout_s: float = 6
    """How long the group waits for a worker that died."""
    body_takes_s: float = 0
    """After publishing, before the batch is acknowledged."""
    fill_first: bool = False
    """Publish nothing before as many records wait as may, or all are there."""
    opened_by: str = ""
    """The file without which nothing is published."""
    raise_at: Place = NOWHERE
    too_large_at: Place = NOWHERE
    hold_at: Place = NOWHERE
    """Handed over, and not done from there on."""
    start_at: Sequence[Place] = ()
    withhold: Sequence[int] = ()
    """Partitions that are not read before the second assignment."""
    withdraw_every: int = 0
    """After so many batches a partition is withdrawn, and a moment later released where it stood."""

    def environment(self) -> dict[str, str]:
        """How a process is told."""
        return {VARIABLE: json.dumps(asdict(self))}

    @property
    def group(self) -> str:
        """The consumer group."""
        return f"{self.prefix}batch-app"

    @property
    def batched(self) -> tuple[str, str]:
        """The topic that is read in batches, and its output."""
        return f"{self.prefix}batched", f"{self.prefix}batched-out"

    @property
    def stock(self) -> tuple[str, str]:
        """The topic that is read as Faust does, and its output."""
        return f"{self.prefix}stock", f"{self.prefix}stock-out"


def options_from_environment() -> Options:
    """What :meth:`Options.environment` wrote."""
    given = json.loads(os.environ[VARIABLE])
    places = {name: tuple(given[name]) for name in ("raise_at", "too_large_at", "hold_at")}
    return Options(**{**given, **places})


class ToldToFailError(Exception):
    """The record at which to raise was met."""


STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (ToldToFailError, TOLD_TO_FAIL),
    (KafkaError, PUBLISH_REFUSED),
    (TimeoutError, PUBLISH_TIMED_OUT),
)
"""How a process ends of what."""


@dataclass
class BatchApp:
    """The app's bodies: the ways in which a batch can be dealt with."""

    app: faust.App
    options: Options
    late: asyncio.Queue[Batch] = field(default_factory=lambda: asyncio.Queue(3))
    pair: list[Batch] = field(default_factory=list)
    published: int = 0
    stands_at: dict[TP, int] = field(default_factory=dict)

    @property
    def consumer(self) -> BatchConsumer:
        """Faust's consumer."""
        return cast(BatchConsumer, self.app.consumer)

    async def take(self, batch: Batch) -> None:
        """The agent's body."""
        if self.options.way == "awaited":
            await self.publish(batch)
            batch.ack()
        elif self.options.way == "backwards":
            await self.acknowledge_backwards(batch)
        else:
            if self.options.way == "handed_over":
                batch.hand_over()
            await self.late.put(batch)

    async def acknowledge_backwards(self, batch: Batch) -> None:
        """Of two batches, try the second first."""
        await self.publish(batch)
        self.pair.append(batch)
        if len(self.pair) == 2:
            try:
                self.pair[1].ack()
            except RuntimeError as error:
                say(f"refused: {error}")
            while self.pair:
                self.pair.pop(0).ack()

    async def work_off(self) -> None:
        """Deal with batches that the agent has left behind."""
        while True:
            batch = await self.late.get()
            with ending_on_failure():
                if self.options.way == "overlapped":
                    await self.publish(batch)
                    batch.ack()
                else:
                    await self.do_what_was_handed_over(batch)

    async def do_what_was_handed_over(self, batch: Batch) -> None:
        partition, offset = self.options.hold_at
        for run in batch.runs:
            held = run.tp.partition == partition
            records = [record for record in run.records if not held or record.offset < offset]
            done = run._replace(records=records, next=min(run.next, offset) if held else run.next)
            await self.publish(Batch([done], batch._stream))
            self.consumer.done_until(run.tp, done.next)

    async def publish(self, batch: Batch) -> None:
        """Write what was read."""
        await self.fill()
        while self.options.opened_by and not Path(self.options.opened_by).exists():  # noqa: ASYNC240  # a moment
            say("waits to be let publish")
            await asyncio.sleep(0.1)
        self.published += 1
        for run in batch.runs:
            self.stands_at.setdefault(run.tp, run.first)
        if self.options.withdraw_every and self.published % self.options.withdraw_every == 0 and batch.runs:
            self.withdraw(batch.runs[self.published % len(batch.runs)].tp)
        held = self.held()
        runs = batch.runs
        outgoing: defaultdict[int, list[Outgoing]] = defaultdict(list)
        for run in runs:
            outgoing[run.tp.partition] += [self.output(run, record.offset, held[run.tp]) for record in run.records]
        producer = cast(BatchProducer, self.app.producer)
        async with asyncio.timeout(self.options.publish_timeout_s):
            await asyncio.gather(
                *(producer.publish(self.options.batched[1], number, records) for number, records in outgoing.items())
            )
        for run in runs:
            self.stands_at[run.tp] = run.next
        await asyncio.sleep(self.options.body_takes_s)

    def withdraw(self, tp: TP) -> None:
        """Give up what was read of a partition, and read it again a moment later."""
        self.consumer.withdraw(tp)
        conductor = cast(BatchConductor, self.app.topics)
        queued = cast(Any, conductor.batch_queue(tp))._queue
        assert not any(run.tp == tp for run in queued)
        assert self.consumer._waiting_bytes == sum(run.size_bytes for run in queued)
        unacked = [one for one in cast(Any, self.consumer._unacked_messages) if isinstance(one, Batch)]
        assert self.consumer._taken_bytes == sum(batch.size_bytes for batch in unacked)
        say(f"withdrawn {tp.partition}")
        delay_s = (0.0, 0.02, 0.2, 1.0)[self.published % 4]
        asyncio.get_running_loop().call_later(delay_s, self.release, tp)

    def release(self, tp: TP) -> None:
        """Unless a rebalance has come in between."""
        if tp in self.stands_at:
            self.consumer.release(tp, self.stands_at[tp])

    def output(self, run: Run, offset: int, held: int) -> Outgoing:
        """One record's output."""
        place = (run.tp.partition, offset)
        if place == self.options.raise_at:
            raise ToldToFailError(f"at {place}")
        padding = TOO_LARGE if place == self.options.too_large_at else b""
        said = {"offset": offset, "first": run.first, "next": run.next, "held": held}
        return b"%d" % run.tp.partition, json.dumps(said).encode() + padding, []

    async def fill(self) -> None:
        """Wait until fetching pauses, or there is nothing more to fetch."""
        consumer = self.consumer
        while self.options.fill_first and not consumer._buffered_partitions and not consumer.is_full:
            if all(position >= (consumer.highwater(tp) or 0) for tp, position in consumer._next.items()):
                return
            await asyncio.sleep(0.01)

    def held(self) -> Counter[TP]:
        """The records that wait, by partition."""
        held: Counter[TP] = Counter()
        conductor = cast(BatchConductor, self.app.topics)
        queues = {conductor.batch_queue(tp) for tp in self.consumer._next} - {None}
        for queue in queues:
            for run in cast(Any, queue)._queue:
                held[run.tp] += len(run.records)
        return held

    async def place_partitions(self) -> None:
        """Say where to start, and what not to read."""
        self.stands_at.clear()
        for number, offset in self.options.start_at:
            tp = TP(self.options.batched[0], number)
            if tp in self.consumer.assignment():
                self.consumer.start_at(tp, offset)
        if self.app.rebalancing_count <= 1:
            for number in self.options.withhold:
                self.consumer.withhold(TP(self.options.batched[0], number))
        numbers = sorted(tp.partition for tp in self.consumer.assignment() if tp.topic == self.options.batched[0])
        say(f"partitions {numbers}")


def make_app(options: Options) -> faust.App:
    """The app: one agent on the batch path, one as Faust has it."""
    app = faust.App(
        options.group,
        broker=f"kafka://{options.servers}",
        broker_session_timeout=options.session_timeout_s,
        broker_heartbeat_interval=0.3,
        broker_request_timeout=30.0,
        broker_commit_interval=0.3,
        producer_request_timeout=2 * options.publish_timeout_s,
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=True,
        web_enabled=False,
        store="memory://",
        Stream=BatchStream,
    )
    app.transport = app.producer_transport = BatchTransport(
        app.conf.broker, app, BatchOptions(options.buffer_size, buffer_bytes=options.buffer_bytes)
    )
    bodies = BatchApp(app, options)

    @app.agent(BatchTopic(app, topics=[options.batched[0]]))
    async def take(stream: faust.StreamT[bytes]) -> None:
        async for batch in cast(BatchStream, stream).batches(options.batch_size):
            with ending_on_failure():
                await bodies.take(batch)

    @app.agent(app.topic(options.stock[0], value_serializer="raw"))
    async def repeat(stream: faust.StreamT[bytes]) -> None:
        output = app.topic(options.stock[1], value_serializer="raw")
        async for event in stream.events():
            said = json.dumps({"offset": event.message.offset}).encode()
            await (await output.send(value=said, partition=event.message.partition))

    app.task(bodies.work_off)

    @app.on_rebalance_complete.connect
    async def place_partitions(*_: Any, **__: Any) -> None:
        await bodies.place_partitions()

    return app


@contextmanager
def ending_on_failure() -> Iterator[None]:
    """End at once, without committing: Faust would restart the agent, past what was not done."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # whatever it is
        say(f"ends of {error!r}")
        os._exit(next((status for kind, status in STATUSES if isinstance(error, kind)), 1))


def say(line: str) -> None:
    """Log for the test that waits for it."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main() -> None:
    """Run until told to stop."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    app = make_app(options_from_environment())
    worker = faust.Worker(app, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
