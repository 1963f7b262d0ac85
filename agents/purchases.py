"""The purchases process: commands in, facts out."""

from __future__ import annotations

from typing import Any, cast

import faust

from boxoffice import worker
from boxoffice.batches import BatchConsumer, BatchProducer, BatchStream, BatchTopic
from boxoffice.copies import Copies
from boxoffice.health import Details
from boxoffice.publishing import Publisher
from boxoffice.recovery import Recovery
from boxoffice.redis_connection import connect
from boxoffice.redis_store import RedisStore
from boxoffice.selling import Selling
from boxoffice.settings import Settings
from topics import purchase_requests


def make_app(settings: Settings, partitions: int) -> tuple[faust.App, Details]:
    """The app of the purchases process, on topics of so many partitions, and what it knows of its health."""
    app = worker.make_app(settings, "purchases")
    commands = BatchTopic(app, topics=[purchase_requests.TOPIC.full_name(settings.topic_prefix)])
    copies = Copies(settings, RedisStore(connect(settings, time_each_reply=False), settings))
    publisher = Publisher(settings, cast(BatchProducer, app.producer))
    selling = Selling(settings, Recovery(settings, partitions), copies, publisher, worker.ending_on_failure)

    cast(BatchConsumer, app.consumer).look_at_damage = selling.look_at_damage

    @app.agent(commands)
    async def sell(stream: faust.StreamT[bytes]) -> None:
        async for batch in cast(BatchStream, stream).batches(settings.batch_size):
            with worker.ending_on_failure():
                await selling.sell(batch)

    @app.on_rebalance_complete.connect
    async def take_over(*_: Any, **__: Any) -> None:
        with worker.ending_on_failure():
            await selling.take_over(cast(BatchConsumer, app.consumer), partitions)

    def details() -> dict[str, Any]:
        return {
            "redis": {"connected": not copies.breaker.is_open, "copies": dict(copies.measure())},
            "fallback": {
                "active": copies.breaker.is_open,
                "reason": copies.breaker.reason,
                "backlog_facts": copies.backlog_facts,
            },
            "partitions": {"ready": selling.ready, "refused": sorted(selling.refused)},
        }

    @app.on_before_shutdown.connect
    async def stop(*_: Any, **__: Any) -> None:
        await copies.stop()

    return app, details


def main(settings: Settings) -> int:
    """Run the process until it is told to stop; returns its exit status.

    Raises:
        TopicsError: the topics cannot be used.
    """
    topics = worker.wait_for_topics(settings)
    return worker.run(settings, "purchases", topics, lambda partitions: make_app(settings, partitions))
