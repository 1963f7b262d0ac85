"""Dead letters are kept beside the sale, which goes on without them; what is owed is kept later, by any owner."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from boxoffice.kafka.clients import header
from boxoffice.selling.deciding import new_partition
from boxoffice.selling.keeping import DEADLINE_S, MOST_LETTERS, Keeper
from boxoffice.settings import KafkaSettings, load_settings
from tests.simulation.broker import LETTER_PARTITIONS, Broker, Reader
from tests.simulation.owner import EVENT, TOPIC, Owner, in_simulation
from tests.simulation.redis_server import RedisServer
from tests.simulation.test_copies import facts, on_sale
from tests.unit.records import purchase
from topics import dead_letters
from topics.dead_letters import POSITION_HEADER

LONG_S = 100.0


def letters(broker: Broker) -> list[int]:
    """The offsets of the commands whose letters are kept."""
    kept = [
        header(record.headers, POSITION_HEADER) or b""
        for number in range(LETTER_PARTITIONS)
        for record in broker.partitions[dead_letters.TOPIC.name, number].records
    ]
    return [int(position.rpartition(b":")[2]) for position in kept]


def garbage(broker: Broker, count: int = 1) -> list[int]:
    """Send what nobody can read; returns where it lies."""
    first = broker.append(TOPIC, 0, [(None, b"tickets please", [])] * count)
    return list(range(first, first + count))


async def _nobody_takes_them(broker: Broker, redis: RedisServer) -> None:
    owner = await on_sale(broker, redis)
    broker.takes_letters = False
    begun_s = asyncio.get_running_loop().time()
    sent = garbage(broker, 3)
    await owner.sell(purchase("r-1", EVENT))
    sent += garbage(broker)
    await owner.sell(purchase("r-2", EVENT))
    await owner.sell_all()
    assert [fact["type"] for fact in facts(broker)][-2:] == ["command_unreadable", "purchase_confirmed"]
    assert asyncio.get_running_loop().time() - begun_s < DEADLINE_S
    assert (letters(broker), owner.keeper.owed) == ([], 4)
    assert owner.selling.details()["dead_letters"] == {"owed": 4}
    await asyncio.sleep(LONG_S)
    assert (letters(broker), owner.keeper.owed) == ([], 4)
    broker.takes_letters = True
    broker.wake()
    await asyncio.sleep(LONG_S)
    assert sorted(set(letters(broker))) == sent
    assert owner.keeper.owed == 0


def test_sales_go_on_while_nobody_takes_dead_letters_and_they_are_kept_later() -> None:
    in_simulation(_nobody_takes_them)


async def _another_owner(broker: Broker, redis: RedisServer) -> None:
    first = await on_sale(broker, redis)
    kept = garbage(broker, 2)
    await first.sell(purchase("r-1", EVENT))
    await first.sell_all()
    await asyncio.sleep(LONG_S)
    assert letters(broker) == kept
    broker.takes_letters = False
    owed = garbage(broker, 2)
    await first.sell(purchase("r-2", EVENT))
    await first.sell_all()
    await first.selling.stop()
    broker.takes_letters = True
    second = Owner(broker, redis)
    await second.take_over()
    await asyncio.sleep(LONG_S)
    assert letters(broker) == kept + owed
    assert second.keeper.owed == 0
    third = Owner(broker, redis)
    await third.take_over()
    await asyncio.sleep(LONG_S)
    assert letters(broker) == kept + owed


def test_another_owner_keeps_what_is_owed_and_nothing_again() -> None:
    in_simulation(_another_owner)


async def _more_than_fit(broker: Broker, redis: RedisServer) -> None:
    owner = await on_sale(broker, redis)
    broker.takes_letters = False
    sent = []
    for _ in range(3):
        sent += garbage(broker, MOST_LETTERS // 2)
        await owner.sell_all()
    assert sum(len(line.letters) for line in owner.keeper._lines.values()) <= MOST_LETTERS
    broker.takes_letters = True
    broker.wake()
    await asyncio.sleep(LONG_S)
    assert letters(broker)[-len(sent) :] == sent


def test_more_letters_than_memory_holds_are_read_again() -> None:
    in_simulation(_more_than_fit)


async def _a_line_that_fails(broker: Broker, redis: RedisServer) -> None:
    """Whatever a client raises ends nothing: aiokafka asserts where it meets a partition that it does not know."""
    owner = await on_sale(broker, redis)
    opened = broker.letter_box
    raised: list[AssertionError] = []

    def open_once(settings: KafkaSettings, numbers: Iterable[int]) -> object:
        if not raised:
            raised.append(AssertionError("Unrecognized partition"))
            raise raised[0]
        return opened(settings, numbers)

    owner.keeper._open_box = open_once  # type: ignore[assignment]
    sent = garbage(broker)
    await owner.sell(purchase("r-1", EVENT))
    await asyncio.sleep(LONG_S)
    assert (letters(broker), len(raised)) == (sent, 1)


def test_nothing_that_a_client_raises_ends_the_keeping() -> None:
    in_simulation(_a_line_that_fails)


async def _one_cannot_be_read(broker: Broker, _: RedisServer) -> None:
    """One partition's commands cannot be read again: the others' letters are kept all the same."""
    keeper = Keeper(load_settings().kafka, 3, broker.letter_box)
    for number in range(3):
        broker.append(TOPIC, number, [(None, b"?", [])])
    read = Reader.beginning_offsets

    async def unless_it_is_the_first(self: Reader, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        asked = list(partitions)
        if asked[0].partition == 0:
            raise KafkaError("no leader")
        return await read(self, asked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reader, "beginning_offsets", unless_it_is_the_first)
        for number in range(3):
            owned = new_partition(number, 3)
            owned.ledger.last_unreadable = 0
            keeper.adopt(owned)
        await asyncio.sleep(LONG_S)
        assert (len(letters(broker)), keeper.owed) == (2, 1)
    await asyncio.sleep(LONG_S)
    assert (len(letters(broker)), keeper.owed) == (3, 0)


def test_a_partition_whose_commands_cannot_be_read_holds_up_no_other() -> None:
    in_simulation(_one_cannot_be_read)
