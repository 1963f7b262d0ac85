"""The producer of commands: what is needed of aiokafka's, and what has to be said to it that it does not ask."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.producer.transaction_manager import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, PidAndEpoch


@dataclass(frozen=True, slots=True)
class Sent:
    """A batch that was handed over."""

    acknowledged: asyncio.Future[Any]
    """Says at which offset it begins; below 0, where the broker has it and does not know any more where."""
    _batch: Any

    @property
    def was_repeated(self) -> bool:
        """Whether it went out more than once: what the broker says of it last may not be true of what went before."""
        return bool(self._batch.retry_count > 1)


class Sender:
    """Sends record batches to the partitions of one topic."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer: Any = producer
        self._topic = topic
        # A batch that the client gives up takes its sequence numbers along: what is sent after it would be refused.
        self._producer._message_accumulator._batch_ttl = math.inf

    def create_batch(self) -> Any:
        """A record batch to be filled."""
        return self._producer.create_batch()

    async def send(self, batch: Any, partition: int) -> Sent:
        """Hand a batch over, to a partition for which the producer has no other.

        Raises:
            KafkaError: it was not handed over, and will not be sent.
        """
        acknowledged = await self._producer.send_batch(batch, self._topic, partition=partition)
        [sent] = self._producer._message_accumulator._batches[TopicPartition(self._topic, partition)]
        return Sent(acknowledged, sent)

    def begin_anew(self) -> None:
        """Forget the numbers of what was sent: the broker has not counted a batch that it refused, but the client has.

        All that would be sent to that partition later would be refused for the gap. A producer that asks for a new id
        begins with 0 everywhere; what is on its way to other partitions keeps its own numbers.
        """
        numbers = self._producer._txn_manager
        numbers._pid_and_epoch = PidAndEpoch(NO_PRODUCER_ID, NO_PRODUCER_EPOCH)
        numbers._pid_waiter = asyncio.get_running_loop().create_future()
        numbers._sequence_numbers.clear()
