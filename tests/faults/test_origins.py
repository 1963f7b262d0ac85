"""Clients that say their commands were forwarded, as a forger does, and a mirror that keeps the headers."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from boxoffice.kafka import clients
from tests.support.office import Office
from tests.support.workload import Sent, creations, order
from topics.purchase_requests import ORIGIN_HEADER

EVENT = "4242"
BEHIND_ALL = 2**63 - 1


async def send_forged(office: Office, record: Sent, event_id: str, origin: int) -> None:
    """At home, as one that was found on the partition behind."""
    home, away = homes(office, event_id)
    async with clients.producer(office.settings.kafka) as producer:
        header = (ORIGIN_HEADER, f"{away}:{origin}".encode())
        await producer.send_and_wait(office.requests, record.value, key=record.key, headers=[header], partition=home)


async def send_astray(office: Office, records: list[Sent]) -> None:
    _, away = homes(office, EVENT)
    async with clients.producer(office.settings.kafka) as producer:
        for record in records:
            await producer.send_and_wait(office.requests, record.value, key=record.key, partition=away)


def homes(office: Office, event_id: str) -> tuple[int, int]:
    partitions = office.settings.kafka.partitions
    home = clients.home_partition(event_id, partitions)
    return home, (home + 1) % partitions


def at_the_home_of(office: Office, event_id: str) -> str:
    """An event that is not there, with the same home."""
    home, partitions = (
        clients.home_partition(event_id, office.settings.kafka.partitions),
        office.settings.kafka.partitions,
    )
    return next(
        str(number) for number in range(9_000, 9_999) if clients.home_partition(str(number), partitions) == home
    )


async def outcomes(office: Office) -> Counter[str]:
    facts: list[dict[str, Any]] = [json.loads(record.value or b"{}") for record in await office.read(office.ledger)]
    return Counter(f"{fact['type']} {fact['request_id']}" for fact in facts)


async def agrees(office: Office) -> None:
    assert (await office.verdict(forged=True)).problems == []
    audit = await office.run("audit", "--wait", "30")
    assert audit.returncode == 0, audit.stdout + audit.stderr


async def test_one_forged_origin_silences_no_forward_neither_now_nor_after_a_restart(office: Office) -> None:
    worker = office.start()
    await office.ready(worker)
    await office.send(creations([EVENT], 1_000))
    unknown = at_the_home_of(office, EVENT)
    await send_forged(office, order(unknown, "forged"), EVENT, BEHIND_ALL)
    await send_astray(office, [order(EVENT, f"r-{number}") for number in range(20)])
    await office.answered()
    assert "origins that cannot be true" in worker.log_text()
    assert await worker.stop() == 0
    again = office.start()
    await office.ready(again)
    await send_astray(office, [order(EVENT, f"later-{number}") for number in range(20)])
    await office.answered()
    found = await outcomes(office)
    for name in ("r", "later"):
        assert [found[f"purchase_confirmed {name}-{number}"] for number in range(20)] == [1] * 20
    assert found["purchase_rejected forged"] == 1
    await agrees(office)
    assert await again.stop() == 0


async def test_two_workers_ask_each_others_ends_and_believe_what_was_forwarded(office: Office) -> None:
    """Forged ones behind the end and before it among them: each honest command is answered once, as forwarded."""
    workers = [office.start(), office.start()]
    for worker in workers:
        await office.ready(worker)
    await office.send(creations([EVENT], 1_000))
    for number in range(40):
        await send_astray(office, [order(EVENT, f"r-{number}")])
        if number % 4 == 0:
            await send_forged(office, order(EVENT, f"f-{number}"), EVENT, BEHIND_ALL - number)
            await send_forged(office, order(EVENT, f"g-{number}"), EVENT, number)
    await office.answered()
    facts = [json.loads(record.value or b"{}") for record in await office.read(office.ledger)]
    _, away = homes(office, EVENT)
    sold = {fact["request_id"]: fact for fact in facts if fact["type"] == "purchase_confirmed"}
    assert {sold[f"r-{number}"]["source"]["partition"] for number in range(40)} == {away}
    assert {sold[f"f-{number}"]["source"]["partition"] for number in range(0, 40, 4)} == {homes(office, EVENT)[0]}
    await agrees(office)
    for worker in workers:
        assert await worker.stop() == 0
