"""The gateway's follower on the simulated log: what is wrong with one partition holds up no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from structlog.testing import capture_logs

from boxoffice.gateway.desk import Order
from boxoffice.gateway.waiters import Outcome
from tests.simulation.broker import Broker
from tests.simulation.gateway import LEDGER, REQUESTS, SimulatedGateway, Troubles
from tests.simulation.network import Network
from tests.simulation.processes import SimulatedLoop, simulate
from tests.support.asking import reply_to
from topics.purchase_results import READ_HEADER

OF_PARTITION_0, OF_PARTITION_1 = "2", "3"
"""Events of two partitions, of two."""
FACT = b'{"request_id":"c:k"}'

Scenario = Callable[[Broker, SimulatedGateway], Coroutine[Any, Any, None]]


def in_simulation(scenario: Scenario, troubles: Troubles | None = None) -> list[Any]:
    """Run a scenario with a gateway of two partitions; returns what was logged."""
    loop = SimulatedLoop()
    broker = Broker(Network(loop, Random(1)))
    failures: list[BaseException] = []

    async def main() -> None:
        gateway = SimulatedGateway(broker, 2, troubles or Troubles(), failures.append)
        await gateway.begin()
        await gateway.spawn(scenario(broker, gateway))

    with capture_logs() as logged:
        simulate(main(), loop)
    assert not failures
    assert not loop.failures
    return logged


def written(broker: Broker, number: int, offset: int, *headers: tuple[str, bytes | None], value: bytes = FACT) -> None:
    """A ledger record about the command at an offset."""
    accounted = (READ_HEADER, b"%d-%d" % (offset, offset))
    record: Any = (b"", value, [accounted, *headers])
    broker.append(LEDGER, number, [record])


def asked(gateway: SimulatedGateway, event_id: str) -> asyncio.Task[Any]:
    return gateway.spawn(reply_to(gateway.desk, Order(event_id, "c:k", b"{}", []), 5.0))


def test_a_ledger_that_lost_its_tail_is_followed_from_its_new_end() -> None:
    async def scenario(broker: Broker, gateway: SimulatedGateway) -> None:
        for number in range(40):
            written(broker, 0, number)
        await asyncio.sleep(1)
        broker.partitions[LEDGER, 0].cut(10)
        await asyncio.sleep(1)
        [(at, end)] = [where for tp, where in gateway.desk.positions().items() if tp.partition == 0]
        assert (at, end) == (10, 10)
        asking = asked(gateway, OF_PARTITION_0)
        await asyncio.sleep(0.1)
        written(broker, 0, 0)
        assert (await asking).result.outcome is Outcome.ANSWERED

    logged = in_simulation(scenario)
    assert [line["reason"] for line in logged] == ["OffsetOutOfRangeError"]


def test_a_partition_that_cannot_be_read_is_named_once_and_holds_up_no_other() -> None:
    async def scenario(broker: Broker, gateway: SimulatedGateway) -> None:
        client: Any = gateway.follower._client
        fetched = client._fetched

        def fetched_or_not(broker_id: int, topic: str, number: int, offset: int) -> Any:
            client._troubles.fetch_failed = 1.0 if number == 0 else 0.0
            return fetched(broker_id, topic, number, offset)

        client._fetched = fetched_or_not
        client.leader_for_partition = lambda _: 1
        await asyncio.sleep(2)
        asking = asked(gateway, OF_PARTITION_1)
        await asyncio.sleep(0.05)
        begun_s = broker.network.loop.time()
        written(broker, 1, 0)
        assert (await asking).result.outcome is Outcome.ANSWERED
        assert broker.network.loop.time() - begun_s < 0.1

    logged = in_simulation(scenario)
    assert [line["event"] for line in logged] == ["a partition of the ledger cannot be followed"]


def test_what_somebody_else_has_written_to_the_ledger_stops_nobody() -> None:
    async def scenario(broker: Broker, gateway: SimulatedGateway) -> None:
        asking = asked(gateway, OF_PARTITION_0)
        await asyncio.sleep(0.1)
        strange: list[Any] = [
            (None, None, []),
            (b"", b"what", [(READ_HEADER, b"9-1"), ("ce_type", b"\xff")]),
            (b"", b"", [(READ_HEADER, None)]),
        ]
        broker.append(LEDGER, 0, strange, markers=2)
        written(broker, 0, 0, ("ce_type", None))
        reply = await asking
        assert (reply.result.outcome, reply.result.fact) == (Outcome.ANSWERED, FACT)

    in_simulation(scenario)


def test_a_fact_of_another_request_at_the_place_of_a_command_is_handed_to_nobody() -> None:
    async def scenario(broker: Broker, gateway: SimulatedGateway) -> None:
        asking = asked(gateway, OF_PARTITION_0)
        await asyncio.sleep(0.1)
        written(broker, 0, 0, value=b'{"request_id":"somebody:k"}')
        assert (await asking).result.outcome is Outcome.UNKNOWN

    in_simulation(scenario)


def test_a_partition_without_a_leader_fails_alone_and_what_was_sent_there_lands_later() -> None:
    async def scenario(broker: Broker, gateway: SimulatedGateway) -> None:
        broker.left_alone.add((REQUESTS, 0))
        alone, other = asked(gateway, OF_PARTITION_0), asked(gateway, OF_PARTITION_1)
        await asyncio.sleep(0.1)
        written(broker, 1, 0)
        assert (await other).result.outcome is Outcome.ANSWERED
        assert gateway.desk.waiting_s(OF_PARTITION_0) > 0.05
        assert gateway.desk.waiting_s(OF_PARTITION_1) == 0.0
        assert (await alone).result.outcome is Outcome.UNKNOWN
        assert broker.partitions[REQUESTS, 0].records == []
        broker.left_alone.clear()
        broker.wake()
        await asyncio.sleep(1)
        assert len(broker.partitions[REQUESTS, 0].records) == 1
        assert gateway.left_behind == []

    in_simulation(scenario)


def test_what_waits_behind_a_batch_that_failed_leaves_after_it() -> None:
    async def scenario(broker: Broker, gateway: SimulatedGateway) -> None:
        broker.left_alone.add((REQUESTS, 0))
        fails = asked(gateway, OF_PARTITION_0)
        await asyncio.sleep(0.1)
        behind = asked(gateway, OF_PARTITION_0)
        sender: Any = gateway.lanes._sender
        sender._gaps.add(0)
        broker.left_alone.clear()
        broker.wake()
        assert (await fails).result.outcome is Outcome.UNKNOWN
        assert (await behind).result.outcome is Outcome.ACCEPTED
        assert len(broker.partitions[REQUESTS, 0].records) == 1

    in_simulation(scenario)


def test_what_has_not_left_when_the_gateway_ends_never_leaves_and_was_not_taken() -> None:
    async def scenario(broker: Broker, gateway: SimulatedGateway) -> None:
        broker.left_alone.add((REQUESTS, 0))
        flying = asked(gateway, OF_PARTITION_0)
        await asyncio.sleep(0.1)
        stayed = asked(gateway, OF_PARTITION_0)
        await asyncio.sleep(0.1)
        gateway.desk.end()
        assert (await flying).result.outcome is Outcome.UNKNOWN
        assert (await stayed).result.outcome is Outcome.REFUSED
        assert (await asked(gateway, OF_PARTITION_0)).result.outcome is Outcome.REFUSED
        broker.left_alone.clear()
        broker.wake()
        await asyncio.sleep(1)
        assert len(broker.partitions[REQUESTS, 0].records) == 1

    in_simulation(scenario)
