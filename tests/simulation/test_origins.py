"""What a command says of where it was forwarded from is believed where it can be true, and hides no other command."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError
from structlog.testing import capture_logs

from boxoffice import metrics
from boxoffice.batching import Outgoing
from boxoffice.kafka.clients import home_partition
from boxoffice.selling.deciding import new_partition
from boxoffice.selling.publishing import ledger_record
from boxoffice.selling.request_ends import ASK_TIMEOUT_S
from models.origins import ORIGINS_KEPT
from tests.simulation.broker import Broker, Reader
from tests.simulation.owner import TOPIC, Owner, in_simulation
from tests.simulation.redis_server import RedisServer
from tests.unit.records import creation, purchase
from topics import purchase_results
from topics.purchase_requests import ORIGIN_HEADER

LEDGER = purchase_results.TOPIC.name
EVENT = next(str(number) for number in range(1, 100) if home_partition(str(number), 2) == 0)
UNKNOWN = next(str(number) for number in range(100, 200) if home_partition(str(number), 2) == 0)
BEHIND_ALL = 2**63 - 1


def command(members: dict[str, Any], origin: int | None = None) -> Outgoing:
    """A command, and where on partition 1 it says it was found."""
    headers = [(ORIGIN_HEADER, b"1:%d" % origin)] if origin is not None else []
    return members["event_id"].encode(), json.dumps(members).encode(), headers


def forward(broker: Broker, names: Sequence[str]) -> None:
    """Commands that lie on partition 1, and were forwarded to partition 0."""
    for name in names:
        members = purchase(name, EVENT)
        at = broker.append(TOPIC, 1, [command(members)])
        broker.append(TOPIC, 0, [command(members, at)])


def answers(broker: Broker) -> dict[str, dict[str, Any]]:
    """The facts in the ledger, by request."""
    facts = [json.loads(record.value or b"") for record in broker.partitions[LEDGER, 0].records]
    return {fact["request_id"]: fact for fact in facts}


class Asking:
    """Counts the questions where partitions end, and the batches that were decided."""

    def __init__(self, owner: Owner) -> None:
        self.count = self.batches = 0
        self.before: Callable[[], object] = lambda: None
        ends, selling = owner.selling._recovery.ends, owner.selling
        self._ask, ends.ask = ends.ask, self.ask  # type: ignore[method-assign]
        self._sell, selling.sell = selling.sell, self.sell  # type: ignore[method-assign]

    async def sell(self, batch: Any) -> None:
        self.batches += 1
        await self._sell(batch)

    async def ask(self, numbers: Any) -> None:
        self.count += 1
        self.before()
        await self._ask(numbers)


async def opened(broker: Broker, redis: RedisServer) -> Owner:
    broker.append(TOPIC, 0, [command(creation(EVENT, 1_000))])
    owner = Owner(broker, redis, partitions=2)
    await owner.take_over()
    await owner.sell_all()
    return owner


async def _one_forged(broker: Broker, redis: RedisServer) -> None:
    owner = await opened(broker, redis)
    broker.append(TOPIC, 0, [command(purchase("forged", UNKNOWN), BEHIND_ALL)])
    names = [f"r-{number}" for number in range(20)]
    forward(broker, names)
    await owner.sell_all()
    found = answers(broker)
    assert [found[name]["source"] for name in names] == [{"partition": 1, "offset": at} for at in range(20)]
    assert found["forged"]["source"] == {"partition": 0, "offset": 1}
    forward(broker, ["later"])
    again = Owner(broker, redis, partitions=2)
    await again.take_over()
    await again.sell_all()
    assert answers(broker)["later"]["type"] == "purchase_confirmed"


def test_an_origin_behind_the_end_of_its_partition_silences_nobody() -> None:
    in_simulation(_one_forged)


async def _poisoned(broker: Broker, redis: RedisServer) -> None:
    """By an earlier release, which believed every origin."""
    broker.append(TOPIC, 0, [command(creation(EVENT, 1_000))])
    for number in range(2 * ORIGINS_KEPT):
        broker.append(TOPIC, 0, [command(purchase(f"forged-{number}", UNKNOWN), BEHIND_ALL - number)])
    forward(broker, ["before"])
    earlier = new_partition(0, 2)
    decided = earlier.answer(broker.partitions[TOPIC, 0].records[:-1])
    broker.append(LEDGER, 0, [ledger_record(answer, 2) for answer in decided])
    owner = Owner(broker, redis, partitions=2)
    await owner.take_over()
    await owner.sell_all()
    forward(broker, ["r-1", "r-2"])
    await owner.sell_all()
    assert {"before", "r-1", "r-2"} <= answers(broker).keys()
    records = broker.partitions[LEDGER, 0].end
    broker.append(TOPIC, 0, [command(purchase("r-1", EVENT), 1)])
    await owner.sell_all()
    assert broker.partitions[LEDGER, 0].end == records, "a second copy was answered"


def test_a_ledger_that_an_earlier_release_was_led_to_write_heals_at_the_next_take_over() -> None:
    in_simulation(_poisoned)


async def _questions(broker: Broker, redis: RedisServer) -> None:
    owner = await opened(broker, redis)
    asking = Asking(owner)
    broker.append(TOPIC, 0, [command(purchase(f"r-{number}", EVENT)) for number in range(5)])
    await owner.sell_all()
    assert asking.count == 0
    broker.append(TOPIC, 0, [command(purchase(f"f-{number}", EVENT), BEHIND_ALL - number) for number in range(100)])
    asking.batches = 0
    await owner.sell_all()
    assert asking.count == asking.batches < 100
    forward(broker, ["one", "two", "three"])
    await owner.selling._recovery.ends.ask([1])
    asked = asking.count
    await owner.sell_all()
    assert asking.count == asked


def test_nobody_asks_for_an_end_but_before_an_origin_behind_the_one_known() -> None:
    in_simulation(_questions)


async def _out_of_reach(broker: Broker, redis: RedisServer) -> None:
    owner = await opened(broker, redis)
    forward(broker, ["r-1"])
    asking = Asking(owner)

    def cut_off() -> None:
        broker.is_up = False

    asking.before = cut_off
    deciding = asyncio.create_task(owner.sell_all())
    await asyncio.sleep(60)
    assert asking.count > 1
    assert "r-1" not in answers(broker)
    asking.before = lambda: None
    broker.is_up = True
    broker.wake()
    await deciding
    assert answers(broker)["r-1"]["source"] == {"partition": 1, "offset": 0}


def test_while_the_broker_cannot_be_asked_nothing_is_decided_and_nothing_lost() -> None:
    in_simulation(_out_of_reach)


async def _counted(broker: Broker, redis: RedisServer) -> None:
    owner = await opened(broker, redis)
    copies, false = metrics.SECOND_COPIES._value.get(), metrics.FALSE_ORIGINS._value.get()
    forward(broker, ["r-1"])
    records = [command(purchase(f"f-{number}", EVENT), BEHIND_ALL - number) for number in range(3)]
    broker.append(TOPIC, 0, [*records, *[command(purchase("r-1", EVENT), 0)] * 4])
    with capture_logs() as logs:
        await owner.sell_all()
    assert metrics.SECOND_COPIES._value.get() == copies + 4
    assert metrics.FALSE_ORIGINS._value.get() == false + 3
    said = [line for line in logs if line["event"] == "origins that cannot be true"]
    assert sum(line["count"] for line in said) == 3
    passed = [line for line in logs if line["event"] == "second copies of forwards"]
    assert sum(line["count"] for line in passed) == 4


def test_second_copies_and_origins_that_cannot_be_true_are_counted_and_told() -> None:
    in_simulation(_counted)


async def _nobody_leads(broker: Broker, redis: RedisServer) -> None:
    """A forward came, and then its source has lost its leader: nobody waits for that."""
    owner = await opened(broker, redis)
    forward(broker, ["r-1", "r-2"])
    broker.left_alone.add((TOPIC, 1))
    async with asyncio.timeout(ASK_TIMEOUT_S):
        await owner.sell_all()
    assert [answers(broker)[name]["source"]["partition"] for name in ("r-1", "r-2")] == [1, 1]
    records = broker.partitions[LEDGER, 0].end
    broker.append(TOPIC, 0, [command(purchase("r-2", EVENT), 1)])
    await owner.sell_all()
    assert broker.partitions[LEDGER, 0].end == records, "a second copy was answered"


def test_what_comes_from_a_partition_without_a_leader_is_believed_and_not_waited_for() -> None:
    in_simulation(_nobody_leads)


async def _taken_over_without_a_leader(broker: Broker, redis: RedisServer) -> None:
    """A forward was rejected by another owner, behind the end that this one knew when its source lost its leader."""
    owner = await opened(broker, redis)
    other = Owner(broker, redis, partitions=2)
    await other.take_over()
    members = purchase("r-1", UNKNOWN)
    at = broker.append(TOPIC, 1, [command(members)])
    broker.append(TOPIC, 0, [command(members, at)])
    await other.sell_all()
    assert answers(broker)["r-1"]["type"] == "purchase_rejected"
    broker.left_alone.add((TOPIC, 1))
    await owner.take_over()
    broker.append(TOPIC, 0, [command(creation(UNKNOWN, 10)), command(members, at)])
    async with asyncio.timeout(ASK_TIMEOUT_S):
        await owner.sell_all()
    assert answers(broker)["r-1"]["type"] == "purchase_rejected", "a second copy was answered in another way"


def test_a_take_over_believes_its_ledger_where_nobody_can_say_how_far_a_partition_goes() -> None:
    in_simulation(_taken_over_without_a_leader)


async def _unanswered_at_a_take_over(broker: Broker, redis: RedisServer) -> None:
    """The partition has a leader, which does not answer."""
    owner = await opened(broker, redis)
    owner.selling._recovery.ends.learn(1, 1)
    asked = Reader.end_offsets

    async def end_offsets(reader: Reader, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        if [tp for tp in partitions if tp.topic == TOPIC and tp.partition == 1]:
            raise KafkaTimeoutError
        return await asked(reader, partitions)

    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(Reader, "end_offsets", end_offsets)
        await owner.take_over()
    assert 1 not in owner.selling._recovery.ends.known
    forward(broker, ["r-1"])
    await owner.sell_all()
    assert owner.selling._recovery.ends.known[1] == broker.partitions[TOPIC, 1].end


def test_an_end_that_nobody_says_is_forgotten_until_somebody_says_it() -> None:
    in_simulation(_unanswered_at_a_take_over)


async def _led_again(broker: Broker, redis: RedisServer) -> None:
    """What was believed without a leader says nothing of where the partition ends."""
    owner = await opened(broker, redis)
    broker.left_alone.add((TOPIC, 1))
    broker.append(TOPIC, 0, [command(purchase("believed", UNKNOWN), BEHIND_ALL)])
    await owner.sell_all()
    assert answers(broker)["believed"]["source"] == {"partition": 1, "offset": BEHIND_ALL}
    broker.left_alone.clear()
    forged = [command(purchase(f"f-{number}", UNKNOWN), BEHIND_ALL - number - 1) for number in range(ORIGINS_KEPT)]
    broker.append(TOPIC, 0, forged)
    await owner.sell_all()
    forward(broker, ["later"])
    await owner.sell_all()
    assert answers(broker)["later"]["type"] == "purchase_confirmed"


def test_an_origin_believed_without_a_leader_lets_no_others_be_believed_later() -> None:
    in_simulation(_led_again)
