"""Who asks the desk, and waits for nothing but the reply."""

from __future__ import annotations

import asyncio

from boxoffice.gateway.desk import Desk, Order, Reply
from boxoffice.gateway.messages import Pending
from boxoffice.gateway.waiters import Outcome, Result, Waiter


class Nobody:
    """Does not look out for a fact that comes too late."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.waiter: Waiter | None = None

    def hear(self, result: Result) -> None:
        """Whoever was told that the log holds it waits no longer."""
        if result.outcome is Outcome.ACCEPTED and self.waiter is not None:
            self._desk.gave_up(self.waiter)


async def reply_to(desk: Desk, order: Order, wait_s: float) -> Reply:
    """What became of a command; whoever is cancelled has gone away."""
    asking = desk.ask(order, wait_s, Nobody(desk))
    await until_over(asking)
    reply = asking.reply()
    assert reply is not None
    return reply


async def until_over(waited_for: Pending | Waiter) -> None:
    """Wait for what comes; whoever is cancelled has gone away, and that is known when this ends."""
    over = asyncio.Event()
    waited_for.when_over(over.set)
    try:
        await over.wait()
    except asyncio.CancelledError:
        waited_for.go()
        await over.wait()
        raise
