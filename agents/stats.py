"""The statistics process: facts in, figures out."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import faust

from boxoffice import worker
from boxoffice.batches import BatchConsumer, BatchProducer, BatchStream, BatchTopic
from boxoffice.damage import passing_over
from boxoffice.health import Details
from boxoffice.settings import Settings
from boxoffice.statistics.counting import Counting
from boxoffice.statistics.redis_figures import RedisFigures
from boxoffice.statistics.redis_publishing import RedisPublisher
from boxoffice.statistics.stalls import StallWatch
from boxoffice.statistics.table import make_table
from boxoffice.statistics.topic_publishing import TopicPublisher
from boxoffice.topic_admin import check_partitions
from topics import event_stats, purchase_results, stats_changelog

WRITTEN = (event_stats.TOPIC, stats_changelog.TOPIC)


def make_app(settings: Settings) -> tuple[faust.App, Details]:
    """The app of the statistics process, and what it knows of its health."""
    app = worker.make_app(settings, "stats", fetch_min_bytes=worker.GATHERED_BYTES)
    facts = BatchTopic(app, topics=[purchase_results.TOPIC.full_name(settings.topic_prefix)])
    table = make_table(app, stats_changelog.TOPIC.full_name(settings.topic_prefix))
    on_topic = TopicPublisher(settings, lambda: cast(BatchProducer, app.producer), worker.ending_on_failure)
    in_redis = RedisPublisher(settings, RedisFigures(settings), worker.ending_on_failure)
    counting = Counting(settings, table, (on_topic, in_redis))
    stalls = StallWatch(app, settings.stats_stalled_after_s, worker.ending_on_failure)

    cast(BatchConsumer, app.consumer).look_at_damage = passing_over(settings)

    @app.agent(facts)
    async def count(stream: faust.StreamT[bytes]) -> None:
        async for batch in cast(BatchStream, stream).batches(settings.stats_batch_size):
            with worker.ending_on_failure():
                await counting.count(batch)

    @app.on_partitions_assigned.connect
    async def watch(*_: Any, **__: Any) -> None:
        stalls.start()

    @app.on_rebalance_complete.connect
    async def take_over(*_: Any, **__: Any) -> None:
        with worker.ending_on_failure():
            await counting.take_over(cast(BatchConsumer, app.consumer))

    @app.on_partitions_revoked.connect
    async def hand_over(*_: Any, **__: Any) -> None:
        await asyncio.gather(on_topic.hand_over(), in_redis.hand_over())

    @app.on_before_shutdown.connect
    async def stop(*_: Any, **__: Any) -> None:
        await asyncio.gather(on_topic.stop(), in_redis.stop(), stalls.stop())

    def details() -> dict[str, Any]:
        return {"redis": {"connected": not in_redis.is_down}, "partitions": {"ready": counting.ready}}

    return app, details


def main(settings: Settings) -> int:
    """Run the process until it is told to stop; returns its exit status.

    Raises:
        TopicsError: the topics cannot be used.
    """
    return worker.run(settings, "stats", _wait_for_topics(settings), lambda _: make_app(settings))


async def _wait_for_topics(settings: Settings) -> int:
    partitions = await worker.wait_for_topics(settings, *WRITTEN)
    await check_partitions(settings, partitions, WRITTEN)
    return partitions
