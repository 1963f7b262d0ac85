"""Somebody who believes another number of partitions, as a worker does that starts after they were raised."""

from __future__ import annotations

from contextlib import suppress
from typing import Final, cast

from boxoffice.errors import LedgerError, PartitionsChangedError, UnreachableError
from boxoffice.kafka.clients import OpenReader, header, home_partition
from boxoffice.kafka.homes import look_at_ledger
from boxoffice.selling.deciding import new_partition
from boxoffice.selling.recovery import Recovery
from boxoffice.settings import KafkaSettings
from models.ledger import Ledger
from tests.simulation.broker import Broker
from tests.simulation.processes import Process, SimulatedLoop
from topics import purchase_results
from topics.purchase_results import PARTITIONS_HEADER, READ_HEADER


class Stranger(Process):
    """Looks at the ledger, and takes all partitions over in spite of what it sees; sells nothing.

    ``let_in_by`` are those of the two that had no objection.
    """

    LOOK: Final = "the look at the start"
    TAKE_OVER: Final = "the take-over"

    def __init__(self, loop: SimulatedLoop, settings: KafkaSettings, partitions: int, broker: Broker) -> None:
        super().__init__(loop)
        self.partitions = partitions
        self.let_in_by: set[str] = set()
        self.is_done = False
        self._settings = settings
        self._broker = broker
        self._reader = cast(OpenReader, broker.reader)
        self.main = self.spawn(self._run())

    async def _run(self) -> None:
        with suppress(UnreachableError):
            if await look_at_ledger(self._settings, self.partitions, open_reader=self._reader) is None:
                self.let_in_by.add(self.LOOK)
        recovery = Recovery(self._settings, self.partitions, open_reader=self._reader)
        with suppress(UnreachableError, LedgerError, PartitionsChangedError):
            await recovery.recover(
                {number: new_partition(number, self.partitions) for number in range(self.partitions)}
            )
            self.let_in_by.add(self.TAKE_OVER)
        self.is_done = True

    def __repr__(self) -> str:
        return f"stranger-{self.partitions}"


def who_must_object(broker: Broker, settings: KafkaSettings, partitions: int) -> set[str]:
    """Which of the two have what they need to see that the ledger was written with another number."""
    topic = purchase_results.TOPIC.full_name(settings.topic_prefix)
    objecting = set()
    for number in range(partitions):
        ledger = Ledger(number)
        for record in broker.partitions[topic, number].records:
            ledger.read(record.value, header(record.headers, READ_HEADER))
            if header(record.headers, PARTITIONS_HEADER) is not None:
                objecting.add(Stranger.LOOK)
        if any(home_partition(event_id, partitions) != number for event_id in ledger.inventory.events):
            objecting.add(Stranger.TAKE_OVER)
    return objecting
