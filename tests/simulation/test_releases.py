"""An owner of a newer release decides on a partition, and older ones, whatever dies, decide nothing there any more."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from boxoffice.errors import ExitStatus
from tests.simulation.processes import SimulatedLoop, State, simulate
from tests.simulation.schedule import LEDGER, PARTITIONS, Schedule, ScheduleError, _logged_to
from topics.purchase_results import READ_HEADER

SEEDS = range(40)
UNKNOWN: tuple[dict[str, Any], ...] = (
    {"type": "purchase_held", "due": "2027-03-01T19:30:00.000Z"},
    {"type": "purchase_rejected", "reason": "all_held", "buyer": "b", "quantity": 1},
    {"type": "purchase_rejected", "reason": "sold_out", "decided_by": "replica", "buyer": "b", "quantity": 1},
    {"type": "event_created", "rules": 2},
    {"type": "event_created", "rules": 1, "hold_s": 600},
    {"type": "event_created", "rules": 1, "starts_at": "2027-W09", "starts_at_form": "week"},
)


class _Releases(Schedule):
    """A schedule in which a newer release writes once, on one partition, in the place of the next fact."""

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
    with _logged_to(schedule.trace):
        try:
            simulate(schedule.run(), loop)
        except ScheduleError as error:
            raise AssertionError("\n".join([*schedule.trace.lines[-60:], str(error)])) from error
    ended = [worker.ended_by for worker in schedule.workers if worker.state is State.DEAD and worker.ended_by]
    assert all(getattr(error, "exit_status", None) is not ExitStatus.AGENT_FAILED for error in ended)
