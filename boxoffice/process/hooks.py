"""What a process does when its partitions come and go and when it ends: Faust's signals, in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import faust

from boxoffice.batching import BatchConsumer, LookAtDamage
from boxoffice.process.worker import ending_on_failure


async def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Hooks:
    """What is done at each turn of a process' life.

    ``take_over`` runs after each rebalance, while nothing is delivered yet; ``assigned`` when partitions were named,
    before that; ``let_go`` before partitions are given up, while their records may still be acknowledged; ``stop``
    before the process ends, all at once. A failure in ``take_over`` ends the process.
    """

    take_over: Callable[[BatchConsumer], Awaitable[None]]
    stop: Sequence[Callable[[], Awaitable[None]]]
    look_at_damage: LookAtDamage
    assigned: Callable[[], None] = lambda: None
    let_go: Callable[[], Awaitable[None]] = _nothing


def connect(app: faust.App, hooks: Hooks) -> None:
    """Let an app call the hooks."""
    consumer = cast(BatchConsumer, app.consumer)
    consumer.look_at_damage = hooks.look_at_damage

    @app.on_partitions_assigned.connect
    async def assigned(*_: Any, **__: Any) -> None:
        hooks.assigned()

    @app.on_rebalance_complete.connect
    async def take_over(*_: Any, **__: Any) -> None:
        with ending_on_failure():
            await hooks.take_over(consumer)

    @app.on_partitions_revoked.connect
    async def let_go(*_: Any, **__: Any) -> None:
        await hooks.let_go()

    @app.on_before_shutdown.connect
    async def stop(*_: Any, **__: Any) -> None:
        await asyncio.gather(*(stop() for stop in hooks.stop))
