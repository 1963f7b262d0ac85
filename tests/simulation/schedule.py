"""One schedule: what is asked, what goes wrong, and what must hold while it does and once it has ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from boxoffice.kafka.clients import home_partition
from lua.keys import drill_key
from tests.simulation.asking import EVENT_IDS, members_of, serialized
from tests.simulation.group import Group
from tests.simulation.network import Faults
from tests.simulation.processes import SimulatedLoop, State, simulate
from tests.simulation.promises import Promises
from tests.simulation.stage import LEDGER, PARTITIONS, PREFIX, REQUESTS, ScheduleError
from tests.simulation.troubles import Troubles

__all__ = ["LEDGER", "PARTITIONS", "REQUESTS", "Schedule", "ScheduleError", "run"]


UNREADABLE: Final = (None, b"", b"tickets please", b"\xff\xfe", b'{"request_id":"r-1","event_id":"042","buyer":"b"}')
LINES_SHOWN: Final = 60
PATIENCE_S: Final = 400.0
"""After the last fault all must be well within this."""


def run(seed: int, *, whole: bool = False) -> list[str]:
    """Run a schedule; returns what happened in it.

    Raises:
        ScheduleError: something did not hold; the message tells the seed, and what happened last, or the whole.
    """
    loop = SimulatedLoop()
    schedule = Schedule(seed, loop)
    lines = schedule.trace.lines
    with schedule.surroundings():
        try:
            simulate(schedule.run(), loop)
        except Exception as error:
            problem = str(error) if isinstance(error, ScheduleError) else f"{type(error).__name__}: {error}"
            told = "\n".join(lines if whole else lines[-LINES_SHOWN:])
            raise ScheduleError(f"{told}\n{problem}\nReplay: python -m tests.simulation --seed {seed}") from error
    return lines


class Schedule(Troubles, Promises):
    """Workers, a log and a Redis, and a seed that decides what becomes of them."""

    async def run(self) -> None:
        """All of it."""
        self.group = Group(self.network, PARTITIONS)
        coordinating = asyncio.create_task(self.group.coordinate())
        for event_id in EVENT_IDS[: self.random.randint(1, len(EVENT_IDS))]:
            if self.random.random() < 0.8:
                self.produce(self.asking.creation(event_id, "c-1"))
        self.start()
        if self.harm.owners and self.random.random() < 0.8:
            self.start()
        self.network.faults = self._drawn_faults()
        if self.random.random() < 0.2:
            self.loop.lag_s = lambda: self.random.choice((0.0,) * 30 + (0.3, 0.05))
        steps = self.random.choice((10, 25, 40))
        for step in range(steps):
            self._upgrade_at(step / steps)
            await self._step()
        self._upgrade_at(1)
        await self._calm_down()
        coordinating.cancel()
        self._check_end()

    def _drawn_faults(self) -> Faults:
        chance = self.random.choice
        of_redis = Faults(
            slow=chance((0.0, 0.0, 0.05, 0.4)),
            slowest_s=chance((0.1, 0.5, 3.0)),
            redis_request_lost=chance((0.0, 0.0, 0.05)),
            redis_reply_lost=chance((0.0, 0.0, 0.05, 0.3)),
            redis_cut_off=chance((0.0, 0.0, 0.05)),
        )
        if not self.harm.owners:
            return of_redis
        return replace(
            of_redis,
            killed_at_an_exchange=chance((0.0, 0.0, 0.002, 0.01)),
            stopped_at_an_exchange=chance((0.0, 0.0, 0.005)),
            publish_refused=chance((0.0, 0.0, 0.02)),
            publish_reply_lost=chance((0.0, 0.0, 0.02)),
            delivery_dropped=chance((0.0, 0.0, 0.0, 0.02)),
            reader_unreachable=chance((0.0, 0.0, 0.2)),
            letters_refused=chance((0.0, 0.0, 0.1, 0.5)),
        )

    # What happens

    async def _step(self) -> None:
        choose = self.random.choice
        for _ in range(choose((0, 0, 1, 3, 8))):
            self.ask()
        if self.random.random() < 0.6:
            action = choose(self._actions())
            self.trace.add("", action.__name__)
            action()
        await asyncio.sleep(choose((0.0, 0.002, 0.01, 0.05, 0.3, 2.0)))
        for worker in list(self.workers):
            if worker.state is State.DEAD and self.random.random() < 0.5:
                self.replace(worker)
        self.check_meanwhile()

    def _actions(self) -> list[Callable[[], None]]:
        actions: list[Callable[[], None]] = [
            *[self.disturb_redis] * 3,
            *[self.mend_redis] * 3,
            self.drill,
            self.want_rebuilt,
            self.flush_scripts,
            self.lose_a_load,
            self.group.rebalance,
            self.believe_another_number,
            self.take_dead_letters_away,
            self.give_dead_letters_back,
        ]
        if not (self.harm.ledger_cut or self.harm.ledger_damaged):
            # Else commands may be gone that nobody has decided any more, and their partition is refused.
            actions += [self.expire_commands]
        if self.harm.owners:
            actions += [
                self.kill_some,
                self.stop_some,
                *[self.continue_all] * 2,
                self.expel_some,
                self.join_or_leave,
                self.cut_broker_off,
                *[self.mend_broker] * 2,
                *[self.take_leader_away] * 2,
            ]
        if self.harm.ledger_cut:
            actions += [self.cut_ledger] * 2
        if self.harm.ledger_damaged:
            actions += [self.damage_ledger, self.write_into_ledger]
        if self.harm.redis_losing:
            actions += [self.redis.keep, self.lose_redis]
        if self.harm.redis_written:
            actions += [self.write_into_redis] * 2
        if self.harm.redis_refusing:
            actions += [self.let_redis_refuse] * 2
        return actions

    # Commands

    def ask(self) -> None:
        """Ask something, as a careless world does."""
        chance = self.random.random()
        if chance < 0.05:
            self.broker.append(
                REQUESTS,
                self.random.randrange(PARTITIONS),
                [(None, self.random.choice(UNREADABLE), [])],  # type: ignore[list-item]
            )
        elif chance < 0.2 and self.asking.asked:
            self.produce(self.random.choice(self.asking.asked))
        elif chance < 0.4 and self.forges:
            self.forge()
        else:
            self.produce(self.asking.next())

    def produce(self, members: dict[str, Any], headers: Sequence[tuple[str, bytes]] = ()) -> None:
        """Send a command, most to its home; markers may follow."""
        self.asking.asked.append(members)
        home = home_partition(members["event_id"], PARTITIONS)
        number = home if self.random.random() < 0.75 else self.random.randrange(PARTITIONS)
        key = members["event_id"].encode()
        self.broker.append(
            REQUESTS, number, [(key, serialized(members), [*headers])], self.random.choice((0, 0, 0, 1, 3))
        )

    def forge(self) -> None:
        """Send a command that says it was forwarded, and was not; or a mirror does, whose offsets are others."""
        members = {**self.asking.next(), "request_id": f"f-{self.forged}"}
        self.forged += 1
        end_of = [self.broker.partitions[REQUESTS, number].end for number in range(PARTITIONS)]
        source = self.random.randrange(PARTITIONS)
        match self.random.randrange(4):
            case 0:
                offset = 2**63 - 1 - self.random.choice((0, self.forged, 2**40))
            case 1 if end_of[source]:
                offset = self.random.randrange(end_of[source])
            case 2 if end_of[source]:
                offset = end_of[source] - 1
            case _:
                # It may come true before it is decided: so that it changes no table, it is of an event that is none.
                offset = end_of[source] + self.random.randrange(4)
                number = self.random.randrange(100, 200)
                members = members_of("purchase", str(number), members["request_id"], buyer="b", quantity=1)
        self.produce(members, [("boxoffice-origin", b"%d:%d" % (source, offset))])
        # Were it repeated, it might come to lie just where it says it was.
        self.asking.asked.remove(members)

    # The end

    async def _calm_down(self) -> None:
        """End all faults, and wait until all is well."""
        self.trace.add("", "faults end")
        self.network.faults = Faults()
        self.loop.lag_s = float
        self.mend_redis()
        self.redis.memory.data.pop(drill_key(PREFIX).encode(), None)
        self.mend_broker()
        self.give_dead_letters_back()
        self.continue_all()
        if self.harm.ledger_damaged:
            # Whoever wrote a record looks at it no more: the next owner does.
            for worker in self.workers:
                self.kill(worker)
        await asyncio.sleep(1)
        self._touch()
        await self._until_well()
        self._ask_once_more()
        self._is_asked_last = True
        await self._until_well()

    def _touch(self) -> None:
        """Let each owner meet its ledger's end once more: it has nothing to sell, and may have been cut."""
        for number in range(PARTITIONS):
            self.broker.append(REQUESTS, number, [(None, b"touch", [])])

    def _ask_once_more(self) -> None:
        """Each event sells once more of each category, and Redis decides it."""
        self.truth.catch_up(self.broker)
        for event_id, snapshot in self.truth.newest().items():
            number = home_partition(event_id, PARTITIONS)
            for category in snapshot.categories:
                last = f"the-last-{category}"
                members = members_of("purchase", event_id, last, buyer=last, category=category)
                self.broker.append(REQUESTS, number, [(None, json.dumps(members).encode(), [])])

    async def _until_well(self) -> None:
        deadline_s = self.loop.time() + PATIENCE_S
        while True:
            await asyncio.sleep(0.5)
            for worker in list(self.workers):
                if worker.state is State.DEAD:
                    self.replace(worker)
                worker.go_on()
            self.check_meanwhile()
            wrong = self._what_is_wrong()
            if wrong is None:
                return
            if self.loop.time() > deadline_s:
                raise ScheduleError(f"{PATIENCE_S:g} s after the last fault: {wrong}")
