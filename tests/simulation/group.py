"""The consumer group: eager rebalances, members that are taken for dead and go on all the same."""

from __future__ import annotations

import asyncio
from asyncio import Future
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.simulation.network import Network, deliver

if TYPE_CHECKING:
    from tests.simulation.worker import Worker

SESSION_TIMEOUT_S = 6.0
LONGEST_DELUSION_S = 5.0
"""A member that was taken for dead sells on for so long, at most, before it hears of it."""


class Membership:
    """One member's stay in the group, until it is taken for dead."""

    def __init__(self, worker: Worker, group: Group) -> None:
        self.worker = worker
        self._group = group
        self.called: Future[None]
        self.assigned: Future[set[int] | None]
        self.given_back: bool
        self.next_round()

    def next_round(self) -> None:
        """Wait for the group to ask for the partitions."""
        self.called = self._group.network.future()
        self.assigned = self._group.network.future()
        self.given_back = False

    async def give_back(self) -> set[int] | None:
        """Say that all partitions are given back; returns the new ones, None for a member that is none any more."""
        assigned = self.assigned
        await self._group.network.exchange(self._give_back)
        return await assigned

    def _give_back(self) -> None:
        self.given_back = True
        self._group.changed.set()


class Group:
    """Who has which partition."""

    def __init__(self, network: Network, partitions: int) -> None:
        self.network = network
        self.partitions = partitions
        self.members: list[Membership] = []
        self.changed = asyncio.Event()
        self._wanted = asyncio.Event()

    def join(self, worker: Worker) -> Membership:
        """Become a member; partitions come with the rebalance that follows."""
        member = Membership(worker, self)
        self.network.later(self.network.delay_s(), self._joined, member)
        return member

    def _joined(self, member: Membership) -> None:
        self.members.append(member)
        self._wanted.set()

    def expel(self, worker: Worker) -> None:
        """Take a member for dead. It does not know yet."""
        for member in [member for member in self.members if member.worker is worker]:
            self._expel(member)
        self._wanted.set()
        self.changed.set()

    def rebalance(self) -> None:
        """Give partitions out anew, for no reason."""
        self._wanted.set()

    def _expel(self, member: Membership) -> None:
        self.members.remove(member)
        hears_s = self.network.random.uniform(0, LONGEST_DELUSION_S)
        self.network.later(hears_s, deliver, member.called, None)
        self.network.later(hears_s, deliver, member.assigned, None)

    async def coordinate(self) -> None:
        """Rebalance whenever it is wanted."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await asyncio.sleep(self.network.delay_s())
            await self._rebalance(list(self.members))

    async def _rebalance(self, members: list[Membership]) -> None:
        for member in members:
            self.network.later(self.network.delay_s(), deliver, member.called, None)
        with suppress(TimeoutError):
            async with asyncio.timeout(SESSION_TIMEOUT_S):
                while self._waits_for(members):
                    self.changed.clear()
                    await self.changed.wait()
        for member in self._waits_for(members):
            self._expel(member)
        self._assign([member for member in members if member in self.members])

    def _waits_for(self, members: list[Membership]) -> list[Membership]:
        return [member for member in members if member in self.members and not member.given_back]

    def _assign(self, members: list[Membership]) -> None:
        self.network.random.shuffle(members)
        numbers = list(range(self.partitions))
        self.network.random.shuffle(numbers)
        for place, member in enumerate(members):
            theirs = set(numbers[place :: len(members)])
            self.network.later(self.network.delay_s(), deliver, member.assigned, theirs)
            member.next_round()
