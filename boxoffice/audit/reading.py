"""A partition's records, read as far as somebody asks."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from boxoffice.audit.ledger_check import LedgerCheck
from boxoffice.kafka.clients import header, read_between
from models.event import Event
from models.facts import read_range
from models.ledger import Ledger
from topics.purchase_results import READ_HEADER

Record = ConsumerRecord[bytes, bytes]


class Tape:
    """One partition of a topic, read on from ``position`` as far as somebody asks.

    ``offsets`` is asked where the topic ends: a question to ``consumer`` would wait until its fetch is over.
    What the disk has damaged is passed over, and ``on_damage`` told of its first and last offset.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        partition: TopicPartition,
        position: int,
        offsets: AIOKafkaConsumer | None = None,
        on_damage: Callable[[int, int], object] = lambda *_: None,
    ) -> None:
        self.position = position
        self._consumer = consumer
        self._offsets = offsets or consumer
        self._partition = partition
        self._on_damage = on_damage
        self._runs: AsyncIterator[list[Record]] | None = None

    async def next_run(self) -> list[Record] | None:
        """The next records; None at the end that the topic has now."""
        while True:
            if self._runs is None and not await self._begin():
                return None
            assert self._runs is not None
            if run := await anext(self._runs, None):
                self.position = run[-1].offset + 1
                return run
            self._runs, self.position = None, self._end

    async def through(self, offset: int) -> list[Record]:
        """The records not given yet, at least up to ``offset`` or to the end."""
        records: list[Record] = []
        while self.position <= offset and (run := await self.next_run()):
            records += run
        return records

    async def _begin(self) -> bool:
        self._end = (await self._offsets.end_offsets([self._partition]))[self._partition]
        if self._end <= self.position:
            return False
        self._runs = read_between(self._consumer, self._partition, self.position, self._end, self._on_damage)
        return True


class PartitionAudit:
    """One partition: its ledger and its commands, read and judged as far as is needed.

    The ledger's records before ``judged_until`` are judged.
    """

    def __init__(self, check: LedgerCheck, ledger: Tape, commands: Tape) -> None:
        self.check = check
        self._ledger = ledger
        self._commands = commands
        self._records: deque[Record] = deque()
        self.judged_until = ledger.position

    @property
    def ledger(self) -> Ledger:
        """The ledger's fold, as far as it was judged."""
        return self.check.ledger

    async def read_to_end(self, end: int) -> None:
        """Judge all that the ledger holds now, and read the commands before ``end``."""
        await self.read_ledger()
        self.check.commands.extend(await self._commands.through(end - 1))

    async def read_ledger(self) -> None:
        """Judge all that the ledger holds now."""
        while self._records or await self._read_on():
            self._judge_next()

    async def read_to_offset(self, offset: int) -> None:
        """Judge the ledger's records before ``offset``, and not one more."""
        while (self._records or await self._read_on()) and self._records[0].offset < offset:
            self._judge_next()

    async def read_to_seq(self, event: Event, seq: int) -> None:
        """Judge records until the event has reached ``seq``, and not one more."""
        while event.seq < seq and (self._records or await self._read_on()):
            self._judge_next()

    def _judge_next(self) -> None:
        record = self._records.popleft()
        self.check.take(record)
        self.judged_until = record.offset + 1

    async def _read_on(self) -> bool:
        run = await self._ledger.next_run()
        if run is None:
            return False
        self._records.extend(run)
        accounted = (read_range(header(record.headers, READ_HEADER)) for record in run)
        last = max((offsets[1] for offsets in accounted if offsets), default=-1)
        self.check.commands.extend(await self._commands.through(last))
        return True
