"""A ledger that lost its tail, and that replaced owners filled up again so far that nothing lands elsewhere."""

from __future__ import annotations

import asyncio

import pytest

from boxoffice.errors import LedgerError
from boxoffice.settings import SellingSettings
from tests.simulation.broker import Broker
from tests.simulation.owner import EVENT, Owner, in_simulation
from tests.simulation.redis_server import RedisServer
from tests.simulation.test_copies import facts, on_sale
from tests.unit.records import purchase
from topics import purchase_results

LEDGER = purchase_results.TOPIC.name
LONG_S = 2 * SellingSettings().tail_interval_s


async def _replaced(broker: Broker, redis: RedisServer) -> tuple[Owner, Owner]:
    """An owner, and one that it has replaced and that does not know it; a third wrote the last record."""
    third = await on_sale(broker, redis)
    await third.sell(purchase("r-1", EVENT))
    replaced, owner = Owner(broker, redis), Owner(broker, redis)
    await replaced.take_over()
    await owner.take_over()
    return replaced, owner


async def _fill_up(broker: Broker, replaced: Owner, owner: Owner) -> None:
    """Lose the last record, and let the replaced owner write in its place what it decides next."""
    ledger, end = broker.partitions[LEDGER, 0], owner.selling._owned[0].ledger_end
    ledger.cut(ledger.records[-1].offset)
    with pytest.raises(LedgerError, match="a record landed at"):
        await replaced.sell(purchase("r-2", EVENT))
    # Markers of transactions, if there are any, do not matter here: what the owner writes lands where it expects it.
    ledger.end = end


async def _ended(owner: Owner) -> BaseException | None:
    """What the owner notices by itself, without another take-over."""
    assert owner.ended_by is None
    await asyncio.sleep(LONG_S)
    return owner.ended_by


async def _what_was_read_is_lost(broker: Broker, redis: RedisServer) -> None:
    replaced, owner = await _replaced(broker, redis)
    await _fill_up(broker, replaced, owner)
    await owner.sell_all()
    assert isinstance(await _ended(owner), LedgerError)
    with pytest.raises(LedgerError, match="lost its tail"):
        await owner.take_over()
    await _heals(broker, redis)


async def _the_first_that_was_written_is_lost(broker: Broker, redis: RedisServer) -> None:
    """The broker knows nothing of the producer any more, and takes what it sends."""
    replaced, owner = await _replaced(broker, redis)
    await owner.sell(purchase("r-3", EVENT))
    await replaced.take_over()
    await _fill_up(broker, replaced, owner)
    await owner.sell_all()
    assert isinstance(await _ended(owner), LedgerError)
    await _heals(broker, redis)


async def _heals(broker: Broker, redis: RedisServer) -> None:
    """Whoever reads the ledger anew decides what was lost again."""
    again = Owner(broker, redis)
    await again.take_over()
    await again.sell_all()
    assert again.selling._owned[0].ledger.bookmark == again.selling._owned[0].position - 1
    sold = [ticket for fact in again_facts(broker) for ticket in fact["tickets"]]
    assert len(sold) == len(set(sold))


def again_facts(broker: Broker) -> list[dict[str, list[str]]]:
    """The sales that count: each request's first."""
    confirmed = {fact["request_id"]: fact for fact in facts(broker) if fact["type"] == "purchase_confirmed"}
    return list(confirmed.values())


@pytest.mark.parametrize("scenario", [_what_was_read_is_lost, _the_first_that_was_written_is_lost])
def test_an_owner_notices_that_its_ledger_was_filled_up_by_another(scenario: object) -> None:
    in_simulation(scenario)  # type: ignore[arg-type]


async def _a_later_one_is_lost(broker: Broker, redis: RedisServer) -> None:
    replaced, owner = await _replaced(broker, redis)
    await owner.sell(purchase("r-3", EVENT))
    await owner.sell(purchase("r-4", EVENT))
    await replaced.take_over()
    await _fill_up(broker, replaced, owner)
    with pytest.raises(LedgerError, match="Kafka has lost records"):
        await owner.sell(purchase("r-5", EVENT))


def test_the_broker_takes_nothing_more_of_a_producer_whose_records_it_has_lost() -> None:
    in_simulation(_a_later_one_is_lost)


async def _nothing_is_lost(broker: Broker, redis: RedisServer) -> None:
    replaced, owner = await _replaced(broker, redis)
    await owner.sell(purchase("r-3", EVENT))
    await replaced.take_over()
    await replaced.sell(purchase("r-4", EVENT))
    assert await _ended(owner) is None
    await owner.take_over()


def test_a_whole_ledger_ends_nobody() -> None:
    in_simulation(_nothing_is_lost)
