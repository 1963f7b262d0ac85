"""Record batches that unpack to far more than they are: whoever sends them, workers sell on, in bounded memory."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from boxoffice.errors import ExitStatus
from boxoffice.kafka import clients
from boxoffice.kafka.record_batches import MAX_HEADERS, NOT_UNPACKED, TOO_MANY_HEADERS
from boxoffice.kafka.unpacking import MAX_UNPACKED_BYTES
from tests.support.office import Office
from tests.support.packed import GZIP, LZ4, SNAPPY, ZSTD, made, record, send
from tests.support.workload import creations, order

MIB: Final = 1024 * 1024
MOST_MEMORY_BYTES: Final = 256 * MIB
"""As docs/operations.md says of six partitions."""
EVENTS: Final = [str(number) for number in range(4_300, 4_340)]

UNPACKED: Final = {
    "zstd": made((record(n, bytes(MIB)) for n in range(64)), ZSTD),
    "gzip": made((record(n, bytes(MIB)) for n in range(64)), GZIP),
    "lz4": made((record(n, bytes(MIB)) for n in range(64)), LZ4),
    "snappy": made((record(n, bytes(MIB)) for n in range(12)), SNAPPY),
}
TOO_MANY: Final = {
    "headers by the million": made([record(0, b"x", b"\0\0" * 2_000_000, 2_000_000)], ZSTD),
    "headers by the thousand that are not packed": made([record(0, b"x", b"\0\0" * 500_000, 500_000)]),
    "odd names by the million": made([record(0, b"x", b"\x02\xff\0" * 1_300_000, 1_300_000)], ZSTD),
}
WITHIN: Final = {
    "one value of all that may be": made([record(0, bytes(MAX_UNPACKED_BYTES - 100))], ZSTD),
    "as many headers as a reader makes": made(
        (record(n, b"x", b"\x02h\0" * MAX_HEADERS, MAX_HEADERS) for n in range(60)), ZSTD
    ),
    "many small records": made((record(n) for n in range(500)), ZSTD),
}
HOSTILE: Final = {**UNPACKED, **TOO_MANY, **WITHIN}

AGAIN: Final = (
    "zstd",
    "gzip",
    "headers by the thousand that are not packed",
    "odd names by the million",
    "one value of all that may be",
) * 2


@pytest.mark.timeout(300)
async def test_workers_sell_on_in_bounded_memory_whatever_batches_unpack_to(office: Office) -> None:
    """Each partition has some of every kind, at once; commands with as many headers as may be are forwarded whole."""
    partitions = range(office.settings.kafka.partitions)
    await office.send(creations(EVENTS, 100))
    async with AIOKafkaProducer(**clients.client_options(office.settings.kafka)) as producer:
        sent = [(name, await send(producer, office.requests, n, HOSTILE[name])) for n in partitions for name in HOSTILE]
        await office.send(order(event_id, "behind") for event_id in EVENTS)
        for number in partitions:
            buying = order(EVENTS[number], "many-headers").value
            await send(producer, office.requests, number, made([record(0, buying, b"\0\0" * 1_024, 1_024)]))
        sent += [(name, await send(producer, office.requests, n, HOSTILE[name])) for n in partitions for name in AGAIN]
    worker = office.start()
    await office.ready(worker)
    await office.send(order(event_id, "last") for event_id in EVENTS)
    await office.answered(timeout_s=240)
    assert worker.most_memory_bytes() < MOST_MEMORY_BYTES
    facts = [json.loads(record.value or b"{}") for record in await office.read(office.ledger)]
    confirmed = {(fact["event_id"], fact["request_id"]) for fact in facts if fact["type"] == "purchase_confirmed"}
    expected = {(event_id, request_id) for event_id in EVENTS for request_id in ("behind", "last")}
    assert confirmed == expected | {(EVENTS[number], "many-headers") for number in partitions}
    assert_reasons(facts, sent)
    await office.agrees(deadline_s=60)
    assert await worker.stop() == ExitStatus.OK


def assert_reasons(facts: list[dict[str, Any]], sent: list[tuple[str, RecordMetadata]]) -> None:
    """Every record of every hostile batch is answered, and its answer says why."""
    reasons = {
        (fact["source"]["partition"], fact["source"]["offset"]): fact["reason"]
        for fact in facts
        if fact["type"] == "command_unreadable"
    }
    expected = dict.fromkeys(UNPACKED, NOT_UNPACKED.decode()) | dict.fromkeys(TOO_MANY, TOO_MANY_HEADERS.decode())
    for name, at in sent:
        told = {reasons.pop((at.partition, at.offset + n)) for n in range(HOSTILE[name].records)}
        assert name not in expected or told == {expected[name]}
    assert not reasons
