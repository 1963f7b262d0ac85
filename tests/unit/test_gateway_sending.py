"""The producer's numbers, on aiokafka's own accumulator: they are pinned to this release of it."""

from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.transaction_manager import TransactionManager

from boxoffice.gateway.sending import Sender
from models.commands import MAX_COMMAND_BYTES

TOPIC = "purchase-requests"


class Producer:
    """As much of AIOKafkaProducer as is used, without a broker."""

    def __init__(self) -> None:
        self._txn_manager = TransactionManager(None, 1)
        cluster: Any = SimpleNamespace(leader_for_partition=lambda _: 1)
        self._message_accumulator = MessageAccumulator(cluster, 16_384, 0, 30, txn_manager=self._txn_manager)
        self._txn_manager.set_pid_and_epoch(7, 0)

    def create_batch(self) -> Any:
        return self._message_accumulator.create_builder()

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
        return await self._message_accumulator.add_batch(batch, TopicPartition(topic, partition), 1)

    def drain(self, partition: int = 0) -> Any:
        nodes, _ = self._message_accumulator.drain_by_nodes(set())
        return nodes[1][TopicPartition(TOPIC, partition)]


def filled(sender: Sender) -> Any:
    batch = sender.create_batch()
    assert batch.append(timestamp=None, key=b"1", value=b"{}", headers=[]) is not None
    return batch


async def test_a_batch_is_never_given_up_and_says_where_it_landed() -> None:
    producer: Any = Producer()
    sender = Sender(producer, TOPIC)
    assert producer._message_accumulator._batch_ttl == math.inf
    sent = await sender.send(filled(sender), 0)
    batch = producer.drain()
    batch.done(41, 0)
    assert (await sent.acknowledged).offset == 41
    assert not sent.was_repeated


async def test_a_batch_that_went_out_twice_says_so() -> None:
    producer: Any = Producer()
    sender = Sender(producer, TOPIC)
    sent = await sender.send(filled(sender), 0)
    producer._message_accumulator.reenqueue(producer.drain())
    assert not sent.was_repeated
    producer.drain()
    assert sent.was_repeated


async def test_a_command_as_large_as_one_may_be_fits_into_an_empty_batch() -> None:
    producer: Any = Producer()
    batch = Sender(producer, TOPIC).create_batch()
    headers = [("traceparent", b"t" * 256)]
    assert batch.append(timestamp=None, key=b"1" * 18, value=b"x" * MAX_COMMAND_BYTES, headers=headers) is not None
    assert batch.append(timestamp=None, key=b"1", value=b"{}", headers=[]) is None


async def test_begun_anew_it_asks_for_another_id_and_counts_from_nothing() -> None:
    producer: Any = Producer()
    sender = Sender(producer, TOPIC)
    for _ in range(3):
        await sender.send(filled(sender), 0)
        producer.drain().done(0, 0)
        await asyncio.sleep(0)
    numbers = producer._txn_manager
    assert numbers.sequence_number(TopicPartition(TOPIC, 0)) == 3
    sender.begin_anew()
    assert not numbers.has_pid()
    numbers.set_pid_and_epoch(8, 0)
    await sender.send(filled(sender), 0)
    producer.drain()
    assert numbers.sequence_number(TopicPartition(TOPIC, 0)) == 1
    assert numbers.producer_id == 8
