"""In whatever order acknowledgements and facts come, whatever fails: everybody gets his own fact, or the truth.

The gateway's desk, its lanes, its answers and its follower are driven on the simulated log, two instances at once, by
buyers who come again elsewhere. ``BOXOFFICE_TEST_SEED=123`` replays one schedule.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from boxoffice.gateway import answers as answers_module
from boxoffice.gateway.desk import ACKNOWLEDGED_WITHIN_S, Order, Reply
from boxoffice.gateway.waiters import SWEEP_S, Outcome
from boxoffice.kafka.clients import header, home_partition
from models.facts import read_range
from tests.simulation.broker import Broker
from tests.simulation.gateway import LEDGER, REQUESTS, Deciders, SimulatedGateway, Troubles
from tests.simulation.network import Faults, Network
from tests.simulation.processes import NOBODY, SimulatedLoop, State, simulate
from tests.support.asking import reply_to
from tests.support.seeds import new_seeds, seeds
from tests.unit.records import creation
from topics.purchase_requests import ORIGIN_HEADER
from topics.purchase_results import READ_HEADER

PARTITIONS: Final = 3
EVENTS: Final = ("42", "7", "1", "9")
HELD_EVENT: Final = "7"
"""What is bought of it is held."""
HOLD_S: Final = 60
ATTEMPT: Final = "attempt"
TRIES: Final = 6
SLACK_S: Final = 3 * SWEEP_S
REFUSALS: Final = frozenset({"purchase_rejected", "command_rejected"})


@dataclass
class Asked:
    """One attempt of a buyer, and what he was told; None where his gateway died."""

    number: int
    gateway: SimulatedGateway
    event_id: str
    request_id: str
    wait_s: float
    begun_s: float
    ended_s: float = 0.0
    reply: Reply | None = None


class Schedule:
    """One schedule: who asks, what fails, and what must hold in the end."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.loop = SimulatedLoop()
        self.network = Network(self.loop, self.random)
        self.broker = Broker(self.network)
        self.troubles = Troubles()
        self.failures: list[BaseException] = []
        self.asked: list[Asked] = []
        self.deciders = Deciders(self.broker, PARTITIONS, self.troubles)
        self.gateways: list[SimulatedGateway] = []
        self.has_troubles = False
        self.was_stopped = False
        """Whether a gateway stood still, and so everybody at it."""

    async def run(self) -> None:
        """All of it."""
        for event_id in EVENTS:
            await self._create(event_id)
        for number in range(PARTITIONS):
            self.loop.create_task(self.deciders.decide(number), context=NOBODY)
        for _ in range(2):
            await self._start()
        self._begin_troubles()
        buyers = [asyncio.create_task(self._buy(number)) for number in range(self.random.choice((5, 20, 60)))]
        for _ in range(self.random.choice((5, 15, 30))):
            await asyncio.sleep(self.random.choice((0.0, 0.01, 0.1, 1.0, 4.0)))
            self._disturb()
            for gateway in [one for one in self.gateways if one.state is State.DEAD]:
                self.gateways.remove(gateway)
                await self._start()
        self._end_troubles()
        await asyncio.gather(*buyers)
        await asyncio.sleep(2 * ACKNOWLEDGED_WITHIN_S)
        await self._sell_again()
        await self._settle()
        self._check()

    async def _create(self, event_id: str) -> None:
        members = creation(event_id, self.random.choice((3, 40)))
        if event_id == HELD_EVENT:
            members["hold_s"] = HOLD_S
        self._tell(members)

    def _tell(self, command: dict[str, Any]) -> None:
        """Put somebody else's command on the log."""
        event_id, value = command["event_id"], json.dumps(command).encode()
        self.broker.append(REQUESTS, home_partition(event_id, PARTITIONS), [(event_id.encode(), value, [])])

    async def _start(self) -> None:
        # One that was started before the topics grew believes fewer partitions.
        partitions = PARTITIONS if self.random.random() < 0.8 else PARTITIONS - 1
        gateway = SimulatedGateway(self.broker, partitions, self.troubles, self.failures.append)
        while not self.broker.is_up or self.broker.left_alone:
            self._mend()
        await gateway.begin()
        self.gateways.append(gateway)

    # What goes wrong

    def _begin_troubles(self) -> None:
        chance = self.random.choice
        self.network.faults = Faults(slow=chance((0.0, 0.05, 0.4)), slowest_s=chance((0.1, 1.0, 6.0)))
        drawn = Troubles(
            reply_lost=chance((0.0, 0.1, 0.4)),
            forgotten=chance((0.0, 0.3)),
            refused=chance((0.0, 0.0, 0.1)),
            failed=chance((0.0, 0.0, 0.1)),
            not_handed_over=chance((0.0, 0.0, 0.1)),
            fetch_failed=chance((0.0, 0.0, 0.2)),
            decided_twice=chance((0.0, 0.3)),
        )
        self._trouble(drawn)
        self.has_troubles = True

    def _trouble(self, drawn: Troubles) -> None:
        for name, value in vars(drawn).items():
            setattr(self.troubles, name, value)

    def _disturb(self) -> None:
        number = self.random.randrange(PARTITIONS)
        match self.random.randrange(10):
            case 0:
                self.broker.is_up = False
            case 1:
                self.broker.left_alone.add((self.random.choice((REQUESTS, LEDGER)), number))
            case 2:
                self.deciders.away.add(number)
            case 3:
                self.random.choice(self.gateways).kill()
            case 4 if self.gateways[0].state is State.RUNNING:
                self.gateways[0].stop()
                self.was_stopped = True
            case _:
                self._mend()

    def _mend(self) -> None:
        self.broker.is_up = True
        self.broker.left_alone.clear()
        self.deciders.away.clear()
        for gateway in self.gateways:
            gateway.go_on()
        self.broker.wake()

    def _end_troubles(self) -> None:
        self.network.faults = Faults()
        self._trouble(Troubles())
        self._mend()
        self.has_troubles = False

    async def _sell_again(self) -> None:
        """Once nothing fails any more, everybody is answered at once, whatever has failed before."""
        for number, gateway in enumerate(self.gateways):
            for event_id in EVENTS if gateway.partitions == PARTITIONS else ():
                asked = await self._ask_at(gateway, event_id, f"caller:again-{number}-{event_id}", 10.0)
                assert asked.reply is not None
                assert asked.reply.result.outcome is Outcome.ANSWERED, f"{asked} is not answered"

    async def _settle(self) -> None:
        """Of what was held some is paid for, some expires, some is given back; then all who asked ask once more."""
        await asyncio.sleep(HOLD_S)
        asked = sorted({asked.request_id for asked in self.asked if asked.event_id == HELD_EVENT})
        for request_id in asked:
            command = {"event_id": HELD_EVENT, "request_id": f"{request_id}-settled", "purchase": request_id}
            match self.random.randrange(4):
                case 0:
                    payment = {"payment": f"pay-{request_id}", "amount": 4500, "currency": "EUR"}
                    self._tell({"type": "confirm_purchase", **command, **payment})
                case 1:
                    self._tell({"type": "expire_hold", **command})
                case 2:
                    self._tell({"type": "cancel_purchase", **command})
        for gateway in [gateway for gateway in self.gateways if gateway.partitions == PARTITIONS][:1]:
            for request_id in asked:
                again = await self._ask_at(gateway, HELD_EVENT, request_id, 10.0)
                assert again.reply is not None
                assert again.reply.result.outcome is Outcome.ANSWERED, f"{again} is not answered"

    # Who asks

    async def _buy(self, number: int) -> None:
        """One buyer, who comes again with the same key until he is told what became of it."""
        await asyncio.sleep(self.random.uniform(0, 10))
        event_id = self.random.choice(EVENTS)
        # Some say the same twice at a time.
        request_id = f"caller:{number // 2 if self.random.random() < 0.3 else number}-{event_id}"
        for _ in range(TRIES):
            asked = await self._ask(event_id, request_id)
            if asked.reply is not None and asked.reply.result.outcome is Outcome.ANSWERED:
                return

    async def _ask(self, event_id: str, request_id: str) -> Asked:
        alive = [gateway for gateway in self.gateways if gateway.state is not State.DEAD]
        while not alive:
            await asyncio.sleep(0.1)
            alive = [gateway for gateway in self.gateways if gateway.state is not State.DEAD]
        wait_s = self.random.choice((0, 0.5, 10))
        return await self._ask_at(self.random.choice(alive), event_id, request_id, wait_s)

    async def _ask_at(self, gateway: SimulatedGateway, event_id: str, request_id: str, wait_s: float) -> Asked:
        asked = Asked(len(self.asked), gateway, event_id, request_id, wait_s, self.loop.time())
        self.asked.append(asked)
        members = {"type": "purchase", "event_id": event_id, "request_id": request_id, "buyer": "b", "quantity": 1}
        order = Order(event_id, request_id, json.dumps(members).encode(), [(ATTEMPT, b"%d" % asked.number)])
        asking = gateway.spawn(reply_to(gateway.desk, order, asked.wait_s))
        goes_away_s = self.random.choice((None, None, None, 0.05)) if self.has_troubles else None
        await self._wait_for(gateway, asking, goes_away_s)
        if asking.done() and not asking.cancelled():
            asked.reply = asking.result()
        asked.ended_s = self.loop.time()
        return asked

    async def _wait_for(
        self, gateway: SimulatedGateway, asking: asyncio.Task[Reply], goes_away_s: float | None
    ) -> None:
        begun_s = self.loop.time()
        while not asking.done() and gateway.state is not State.DEAD:
            if goes_away_s is not None and self.loop.time() >= begun_s + goes_away_s:
                asking.cancel()
                return
            await asyncio.wait([asking], timeout=0.05)

    # What must hold

    def _check(self) -> None:
        assert not self.failures, self.failures
        assert not self.loop.failures, self.loop.failures
        self._check_replies()
        self._check_purchases()
        self._check_order()
        for gateway in self.gateways:
            assert gateway.left_behind == [], gateway.left_behind

    def _check_replies(self) -> None:
        landed = self._landed()
        for asked in self.asked:
            places = landed.get(asked.number, [])
            if asked.reply is None:
                continue
            waited_s = asked.ended_s - asked.begun_s
            assert self.was_stopped or waited_s <= asked.wait_s + ACKNOWLEDGED_WITHIN_S + SLACK_S, f"{asked} waits"
            match asked.reply.result.outcome:
                case Outcome.ANSWERED:
                    assert (asked.reply.partition, asked.reply.offset) in places, "it lies where it is said to"
                    self._check_fact(asked, places)
                case Outcome.ACCEPTED:
                    assert places, f"{asked} is not in the log"
                case Outcome.REFUSED:
                    assert not places, f"{asked} is in the log"

    def _landed(self) -> dict[int, list[tuple[int, int]]]:
        """Where each attempt's commands lie, but for those that a worker has forwarded."""
        places: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for (topic, number), partition in self.broker.partitions.items():
            for record in partition.records if topic == REQUESTS else ():
                attempt = header(record.headers, ATTEMPT)
                if attempt is not None and header(record.headers, ORIGIN_HEADER) is None:
                    places[int(attempt)].append((number, record.offset))
        return places

    def _check_fact(self, asked: Asked, places: list[tuple[int, int]]) -> None:
        """The fact is one of those that the ledger has for just this attempt's commands, byte for byte."""
        assert asked.reply is not None
        found = [
            record.value
            for number, offset in places
            for record in self.broker.partitions[LEDGER, number].records
            if (read_range(header(record.headers, READ_HEADER)) or (0, 0))[1] == offset
        ]
        assert asked.reply.result.fact in found, f"{asked} has somebody else's fact"
        fact = json.loads(asked.reply.result.fact)
        assert asked.request_id in (fact["request_id"], fact.get("purchase")), f"{asked} has another request's fact"

    def _check_purchases(self) -> None:
        """Whoever bought has bought once, whoever was refused never buys, and nobody is told otherwise afterwards."""
        bought: dict[str, Any] = {}
        refused: dict[str, int] = {}
        for asked in sorted(self.asked, key=lambda one: one.ended_s):
            if asked.reply is None or asked.reply.result.outcome is not Outcome.ANSWERED:
                continue
            fact = json.loads(asked.reply.result.fact)
            if fact["type"] in REFUSALS:
                assert asked.request_id not in bought, f"{asked} has bought before"
                assert refused.setdefault(asked.request_id, fact["seq"]) == fact["seq"], f"{asked} was refused twice"
                continue
            assert asked.request_id not in refused, f"{asked} was refused before"
            assert bought.setdefault(asked.request_id, fact["tickets"]) == fact["tickets"], f"{asked} has bought twice"

    def _check_order(self) -> None:
        """Commands of one gateway lie on their partition in the order in which they came."""
        landed = self._landed()
        for gateway in {asked.gateway for asked in self.asked if asked.gateway.partitions == PARTITIONS}:
            places = [
                landed[asked.number][0] for asked in self.asked if asked.gateway is gateway and asked.number in landed
            ]
            for number in range(PARTITIONS):
                offsets = [offset for of, offset in places if of == number]
                assert offsets == sorted(offsets)


@contextmanager
def _bound(most: int) -> Iterator[None]:
    before = answers_module.EARLY_KEPT
    answers_module.EARLY_KEPT = most  # type: ignore[misc]
    try:
        yield
    finally:
        answers_module.EARLY_KEPT = before  # type: ignore[misc]


def run(seed: int) -> Schedule:
    """One schedule, to its end."""
    schedule = Schedule(seed)
    with capture_logs(), _bound(schedule.random.choice((2, 20_000))):
        simulate(schedule.run(), schedule.loop)
    return schedule


def _run_all(chosen: Iterable[int]) -> None:
    for seed in chosen:
        try:
            run(seed)
        except Exception as error:
            raise AssertionError(f"BOXOFFICE_TEST_SEED={seed}: {error!r}") from error


@pytest.mark.timeout(600)
def test_everybody_gets_his_own_fact_or_the_truth_in_any_schedule() -> None:
    _run_all(seeds(80, 20))


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_everybody_gets_his_own_fact_or_the_truth_in_two_thousand_schedules() -> None:
    _run_all(new_seeds(2_000))


def test_schedules_are_such_that_every_outcome_is_met() -> None:
    """Otherwise they would prove nothing."""
    asked = [asked for seed in range(12) for asked in run(seed).asked]
    outcomes = {None if one.reply is None else one.reply.result.outcome for one in asked}
    assert outcomes == {None, *Outcome}
    facts = [json.loads(one.reply.result.fact or b"{}") for one in asked if one.reply is not None]
    kinds = {"purchase_rejected", "purchase_confirmed", "purchase_held", "hold_expired", "purchase_cancelled"}
    assert {fact.get("type") for fact in facts} - {None} == kinds
    assert any("payment" in fact for fact in facts), "what was held was paid for"
