"""Whoever follows the figures of events has read all of them or says that he has not, whatever the topic is like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from boxoffice.kafka import clients
from boxoffice.kafka.clients import home_partition
from boxoffice.settings import KafkaSettings
from boxoffice.statistics.following import StatesFollower, following
from boxoffice.statistics.states import EventStates
from tests.faults.brokers import OwnBroker, flip_byte
from tests.support.figures import publish, row
from tests.support.office import Office, until
from tests.support.settings import changed
from topics import event_stats

EVENT = "42"
MOST_EVENTS = 1_000


@asynccontextmanager
async def followed(
    settings: KafkaSettings, on_change: Callable[[], None] = lambda: None
) -> AsyncIterator[tuple[StatesFollower, EventStates]]:
    """States, and whoever reads them; what ends him is the test's failure."""
    failures: list[BaseException] = []
    states = EventStates(MOST_EVENTS)
    async with following(settings, states, failures.append, on_change) as follower:
        yield follower, states
        assert failures == []


async def whole(follower: StatesFollower) -> None:
    async with asyncio.timeout(30):
        await follower.whole()


def has_no_lag(follower: StatesFollower) -> bool:
    return all(read == end for read, end in follower.positions().values())


def seq_of(states: EventStates) -> int:
    state = states.get(EVENT)
    return 0 if state is None else state.seq


def topic(office: Office) -> str:
    return event_stats.TOPIC.full_name(office.settings.kafka.topic_prefix)


async def test_a_broker_that_hangs_in_the_middle_leaves_nobody_to_believe_that_he_has_read_all(
    broker: OwnBroker, suffering: Office
) -> None:
    # More than two fetches, on one partition.
    await publish(suffering, *(row(EVENT, seq) for seq in range(1, 20_001)))
    settings = changed(suffering.settings, kafka_bootstrap_servers=broker.proxy.address).kafka
    hung = asyncio.Event()

    def hang() -> None:
        if not hung.is_set():
            broker.proxy.hang()
            hung.set()

    async with followed(settings, hang) as (follower, states):
        await asyncio.wait_for(hung.wait(), 30)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(6):
                await follower.whole()
        assert 0 < seq_of(states) < 20_000
        broker.proxy.restore()
        await whole(follower)
        assert seq_of(states) == 20_000
        assert has_no_lag(follower)


async def test_nobody_waits_for_a_transaction_that_a_stranger_leaves_open(suffering: Office) -> None:
    await publish(suffering, row(EVENT, 1))
    kafka = suffering.settings.kafka
    async with clients.producer(kafka, transactional_id=f"{topic(suffering)}-stranger") as stranger:
        await stranger.begin_transaction()
        home = home_partition(EVENT, kafka.partitions)
        await stranger.send_and_wait(topic(suffering), b"tickets please", key=EVENT.encode(), partition=home)
        async with followed(kafka) as (follower, states):
            await whole(follower)
            assert (seq_of(states), has_no_lag(follower)) == (1, True)
            await publish(suffering, row(EVENT, 2))
            await stranger.abort_transaction()
            await until(lambda: seq_of(states) == 2, 30, "what comes behind it to be read")
            # The marker at its end is no record, and nothing waits there either.
            await until(lambda: has_no_lag(follower), 30, "it to be at the end")
            assert states.strange == 0


async def test_what_the_disk_has_damaged_is_passed_over_and_all_else_is_read(
    broker: OwnBroker, suffering: Office
) -> None:
    for seq in range(1, 6):
        await publish(suffering, row(EVENT, seq), *(row(str(event), seq) for event in range(100, 130)))
    home = home_partition(EVENT, suffering.settings.kafka.partitions)
    # A broker that ended in order does not look at its files when it begins.
    await broker.kafka.stop()
    flip_byte(broker.segment(topic(suffering), home), 2)
    await broker.kafka.launch()
    async with followed(suffering.settings.kafka) as (follower, states):
        await whole(follower)
        assert len(states) == 31
        assert {state.seq for state in states.newest(31)} == {5}
        await until(lambda: has_no_lag(follower), 30, "it to be at the end")
        await publish(suffering, row(EVENT, 6))
        await until(lambda: seq_of(states) == 6, 30, "it to be read on")
