"""An owner of a newer release decides on a partition, and older ones, whatever dies, decide nothing there any more."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from boxoffice.errors import ExitStatus, NewerReleaseError
from boxoffice.settings import RedisSettings
from lua.keys import event_keys
from tests.simulation.broker import Broker
from tests.simulation.owner import EVENT, Owner, in_simulation
from tests.simulation.processes import SimulatedLoop, State, simulate
from tests.simulation.redis_server import RedisServer
from tests.simulation.releases import FIRST_RULES, by_rules, side_by_side
from tests.simulation.schedule import LEDGER, PARTITIONS, Schedule, ScheduleError
from tests.simulation.test_copies import facts, on_sale
from tests.unit.records import creation, purchase
from topics.purchase_results import READ_HEADER

SEEDS = range(40)
UNKNOWN: tuple[dict[str, Any], ...] = (
    {"type": "ticket_admitted", "ticket": "42-000001"},
    {"type": "purchase_rejected", "reason": "seat_taken", "buyer": "b", "quantity": 1},
    {"type": "payment_refused", "reason": "too_old", "purchase": "r-1", "payment": "p", "amount": 1, "currency": "EUR"},
    {"type": "purchase_rejected", "reason": "sold_out", "decided_by": "replica", "buyer": "b", "quantity": 1},
    {"type": "event_created", "rules": 3},
    {"type": "event_changed", "rules": 3},
    {"type": "event_created", "rules": 2, "seats": "A1"},
    {"type": "event_created", "rules": 1, "starts_at": "2027-W09", "starts_at_form": "week"},
)


class _Releases(Schedule):
    """A schedule in which a newer release writes once, on one partition, in the place of the next fact."""

    chance_of_two_releases = 0.0

    def __init__(self, seed: int, loop: SimulatedLoop) -> None:
        super().__init__(seed, loop)
        self.harm = replace(self.harm, ledger_cut=False, ledger_damaged=False)
        self.newer_on = self.random.randrange(PARTITIONS)
        self.newer_at: int | None = None
        self.written_after_s = self.random.uniform(0, 5)

    async def _step(self) -> None:
        if self.newer_at is None and self.loop.time() > self.written_after_s:
            self.write_newer()
        await super()._step()

    async def _calm_down(self) -> None:
        if self.newer_at is None:
            self.write_newer()
        await super()._calm_down()

    def write_newer(self) -> None:
        """As an owner of a newer release does that took the partition over; then it is killed."""
        self.truth.catch_up(self.broker)
        offset = self._folded(self.newer_on).bookmark + 1
        fact = {
            "event_id": "42",
            "seq": 7,
            "request_id": "r-newer",
            "source": {"partition": self.newer_on, "offset": offset},
            "at": "2026-11-22T10:00:00.123Z",
            "decided_by": "local",
            **self.random.choice(UNKNOWN),
        }
        header = (READ_HEADER, b"%d-%d" % (offset, offset))
        self.newer_at = self.broker.append(LEDGER, self.newer_on, [(b"42", json.dumps(fact).encode(), [header])])
        self.trace.add("", "a newer release writes", partition=self.newer_on, offset=self.newer_at, fact=fact)

    def check_meanwhile(self) -> None:
        """Nothing follows what the newer release wrote."""
        self.truth.catch_up(self.broker)  # A worker may have ended after it published, and before it acknowledged.
        for worker in self._selling():
            owned = worker.selling._owned.get(self.newer_on)
            if not worker.consumer.flows or owned is None or self.newer_at is None:
                continue
            if owned.ledger_end > self.newer_at:
                raise ScheduleError(f"{worker} decides on {self.newer_on}, and read to {owned.ledger_end}")
        if self._folded(self.newer_on).bookmark >= 0 and self.newer_at is not None and not self._stands():
            raise ScheduleError("the chain goes on behind what a newer release wrote")

    def _stands(self) -> bool:
        return self._folded(self.newer_on).newer is not None

    def _what_is_wrong(self) -> str | None:
        owned = sorted(partition.number for partition in self._owned())
        others = [number for number in range(PARTITIONS) if number != self.newer_on]
        if not all(worker.consumer.flows for worker in self._selling()):
            return "a worker is taking partitions over"
        if owned != others:
            return f"owned are {owned}"
        if not any(self.newer_on in worker.selling.newer for worker in self._selling()):
            return "nobody says that a newer release has decided"
        for number in others:
            found, asked = self._folded(number).bookmark, self.truth.partitions[number].ledger.bookmark
            if found < asked:  # It is further where second copies or markers at the end were passed over.
                return f"the ledger of partition {number} accounts for what was asked up to {found}, of {asked}"
        return None

    def _ask_once_more(self) -> None:
        pass

    def _check_end(self) -> None:
        if not self._stands():
            raise ScheduleError("somebody decided on")


@pytest.mark.parametrize("seed", SEEDS)
def test_an_older_release_refuses_what_a_newer_one_wrote_and_sells_on_elsewhere(seed: int) -> None:
    loop = SimulatedLoop()
    schedule = _Releases(seed, loop)
    with schedule.surroundings():
        try:
            simulate(schedule.run(), loop)
        except ScheduleError as error:
            raise AssertionError("\n".join([*schedule.trace.lines[-60:], str(error)])) from error
    ended = [worker.ended_by for worker in schedule.workers if worker.state is State.DEAD and worker.ended_by]
    assert all(getattr(error, "exit_status", None) is not ExitStatus.AGENT_FAILED for error in ended)


async def _meets_the_present_release(broker: Broker, redis: RedisServer) -> None:
    older, newer = Owner(broker, redis), Owner(broker, redis)
    with by_rules(FIRST_RULES):
        await older.take_over()
        await older.sell(creation(EVENT))
        await older.sell(purchase("r-1", EVENT))
    await newer.take_over()
    await newer.sell(purchase("r-2", EVENT))
    with by_rules(FIRST_RULES):
        await older.take_over()
        await older.sell(purchase("r-3", EVENT))
    assert facts(broker)[0]["rules"] == FIRST_RULES
    assert not any({"lines", "amount"} & fact.keys() for fact in facts(broker)), "both sell it by the first rules"
    await newer.take_over()
    await newer.sell(creation("7"))
    before = len(facts(broker))
    with by_rules(FIRST_RULES):
        with pytest.raises(NewerReleaseError):
            await older.sell(purchase("r-4", EVENT))
        again = Owner(broker, redis)
        await again.take_over()
        assert again.selling.newer == {0}
    await newer.take_over()
    await newer.sell_all()
    told = {fact["request_id"]: fact for fact in facts(broker)[before:]}
    assert told["r-4"]["type"] == "purchase_confirmed"
    assert "lines" not in told["r-4"]


def test_an_owner_of_the_first_rules_sells_on_until_an_event_is_of_the_present_ones() -> None:
    """Both decide alike what both know; the older one stops at the first fact that it does not know."""
    with side_by_side():
        in_simulation(_meets_the_present_release)


async def _is_moved_by_a_change(broker: Broker, redis: RedisServer) -> None:
    older, newer = Owner(broker, redis), Owner(broker, redis)
    with by_rules(FIRST_RULES):
        await older.take_over()
        await older.sell(creation(EVENT, 2))
        await older.in_step()
        for number in range(3):
            await older.sell(purchase(f"r-{number}", EVENT))
    await newer.take_over()
    await newer.sell({"type": "change_event", "request_id": "h-1", "event_id": EVENT, "hold_s": 60})
    await newer.sell({"type": "cancel_purchase", "request_id": "x-1", "event_id": EVENT, "purchase": "r-0"})
    await newer.sell(purchase("r-2", EVENT))
    held = facts(broker)[-1]
    assert (held["type"], held["tickets"]) == ("purchase_held", [f"{EVENT}-000001"]), "it was not remembered by rules 1"
    await newer.sell(purchase("r-3", EVENT))
    await newer.sell({"type": "cancel_purchase", "request_id": "x-2", "event_id": EVENT, "purchase": "r-2"})
    await newer.sell(purchase("r-3", EVENT))
    refused, _, again = facts(broker)[-3:]
    assert refused | {"decided_by": "local"} == again, "by the present rules who was refused is refused for ever"
    assert refused["reason"] == "all_held"
    await newer.in_step()


def test_an_event_of_the_first_rules_is_sold_by_the_present_ones_from_its_first_change_on() -> None:
    with side_by_side():
        in_simulation(_is_moved_by_a_change)


async def _is_left_by_an_older_one(broker: Broker, redis: RedisServer) -> None:
    owner = await on_sale(broker, redis)
    fields: Any = redis.memory.data[event_keys("", EVENT).meta.encode()]
    del fields[b"rules_since"]
    await asyncio.sleep(2 * RedisSettings().check_interval_s)
    await owner.in_step()
    fields = redis.memory.data[event_keys("", EVENT).meta.encode()]
    assert fields[b"rules_since"] == b"1"


def test_a_copy_that_is_of_other_rules_than_the_ledger_says_is_loaded_anew() -> None:
    """An older owner loaded it and ended before the ledger had it, and a newer one created the event by its rules."""
    in_simulation(_is_left_by_an_older_one)
