"""What nobody expects: an exception of Redis' client that is none of its own, a ledger that is cut while it is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from boxoffice.kafka.clients import TailLostError
from tests.simulation.broker import Broker, Reader
from tests.simulation.owner import EVENT, Owner, in_simulation
from tests.simulation.redis_server import RedisServer
from tests.simulation.test_copies import facts, on_sale
from tests.unit.records import purchase
from topics import purchase_results

TOLD = "Redis' client failed in an unknown way"
CALLS = ("decide", "probe", "settle", "positions", "rebuild")


def _failing(times: int, whole: Callable[..., Any]) -> Callable[..., Any]:
    """Raises what redis-py should not, so many times; then does what it is for."""
    left = [times]

    async def call(*arguments: Any, **named: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise KeyError("slot 17")
        return await whole(*arguments, **named)

    return call


@pytest.mark.parametrize("call", CALLS)
def test_an_unknown_exception_of_redis_client_is_told_and_sales_go_on_and_come_back_to_redis(call: str) -> None:
    async def scenario(broker: Broker, redis: RedisServer) -> None:
        owner = await on_sale(broker, redis)
        store = owner.copies._store
        setattr(store, call, _failing(1 if call == "decide" else 2, getattr(store, call)))
        if call in ("settle", "rebuild"):
            redis.crash()
            await owner.sell(purchase("r-0", EVENT))
            redis.serve()
        if call == "rebuild":
            redis.wipe()
        await asyncio.sleep(15)
        await owner.sell(purchase("r-1", EVENT))
        await asyncio.sleep(60)
        await owner.sell(purchase("r-2", EVENT))
        assert not owner.copies.breaker.is_open
        assert [fact["type"] for fact in facts(broker)[-2:]] == ["purchase_confirmed"] * 2
        assert facts(broker)[-1]["decided_by"] == "redis"

    with capture_logs() as logs:
        in_simulation(scenario)
    assert TOLD in {line["event"] for line in logs}


def test_a_take_over_does_not_wait_for_what_the_ledger_lost_meanwhile() -> None:
    async def scenario(broker: Broker, redis: RedisServer) -> None:
        first = await on_sale(broker, redis)
        for number in range(8):
            await first.sell(purchase(f"r-{number}", EVENT))
        ledger = broker.partitions[purchase_results.TOPIC.name, 0]
        asked, whole = [0], Reader.end_offsets

        async def then_cut(self: Reader, partitions: Any) -> Any:
            ends = await whole(self, partitions)
            asked[0] += 1
            if asked[0] == 1:
                ledger.cut(ledger.records[-3].offset)
            return ends

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Reader, "end_offsets", then_cut)
            with pytest.raises(TailLostError, match="lost its tail while it was read"):
                async with asyncio.timeout(600):
                    await Owner(broker, redis).take_over()

    in_simulation(scenario)
