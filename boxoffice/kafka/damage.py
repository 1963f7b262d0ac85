"""Record batches that a disk has damaged: where they are, and how a reader of the ledger passes over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from boxoffice.batching import LookAtDamage, Obstacle, Record
from boxoffice.kafka.clients import read_between, reader
from boxoffice.settings import KafkaSettings

log = structlog.get_logger(__name__)

LOOKED_AT = 10_000
"""Offsets in which damage is looked for: more than a consumer takes of a partition at once."""


class Damage(NamedTuple):
    """Offsets at which records are damaged, and the records between a position and them."""

    first: int
    last: int
    before: list[Record]


async def find_damage(settings: KafkaSettings, positions: Mapping[TP, int]) -> dict[TP, Damage]:
    """Which of the partitions are damaged within a fetch of their positions, and where.

    Raises:
        UnreachableError: no broker answered.
    """
    partitions = {tp: TopicPartition(*tp) for tp in positions}
    found = {}
    async with reader(settings, partitions.values()) as consumer:
        ends = await consumer.end_offsets(partitions.values())
        for tp, partition in partitions.items():
            damage = await _damage_behind(consumer, partition, positions[tp], ends[partition])
            if damage is not None:
                found[tp] = damage
    return found


async def _damage_behind(consumer: AIOKafkaConsumer, tp: TopicPartition, position: int, end: int) -> Damage | None:
    damaged: list[tuple[int, int]] = []
    before: list[Record] = []
    end = min(end, position + LOOKED_AT)
    async with aclosing(read_between(consumer, tp, position, end, lambda *offsets: damaged.append(offsets))) as runs:
        async for records in runs:
            if damaged:
                break
            before += records
    return Damage(*damaged[0], before) if damaged else None


def passing_over(settings: KafkaSettings) -> LookAtDamage:
    """For a reader of the ledger: what is damaged there is decided and written again."""

    async def look_at_damage(positions: dict[TP, int]) -> dict[TP, Obstacle]:
        found = await find_damage(settings, positions)
        for tp, damage in found.items():
            _tell_passed_over(tp.partition, damage.first, damage.last)
        return {tp: Obstacle(damage.before, damage.last + 1) for tp, damage in found.items()}

    return look_at_damage


def tell_passed_over(partition: int) -> Callable[[int, int], None]:
    """Says in the log which records of a ledger partition a reader passes over."""
    return partial(_tell_passed_over, partition)


def _tell_passed_over(partition: int, first: int, last: int) -> None:
    log.error("passed over damaged ledger records", partition=partition, first=first, last=last)
