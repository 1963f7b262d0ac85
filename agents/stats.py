"""The statistics process: facts in, figures out."""

from __future__ import annotations

from typing import cast

import faust

from boxoffice.batching import BatchProducer, BatchStream, BatchTopic
from boxoffice.kafka.damage import passing_over
from boxoffice.process import worker
from boxoffice.process.health import Details
from boxoffice.process.hooks import Hooks, connect
from boxoffice.process.worker import Topics
from boxoffice.settings import Settings
from boxoffice.statistics.counting import Counting
from boxoffice.statistics.measuring import MetricsPublisher
from boxoffice.statistics.redis_figures import RedisFigures
from boxoffice.statistics.redis_publishing import RedisPublisher
from boxoffice.statistics.stalls import StallWatch
from boxoffice.statistics.table import make_table
from boxoffice.statistics.topic_publishing import TopicPublisher
from topics import event_stats, purchase_results, stats_changelog


def make_app(settings: Settings, topics: Topics) -> tuple[faust.App, Details]:
    """The app of the statistics process, on the topics that it finds, and what it knows of its health."""
    kafka = settings.kafka
    app = worker.make_app(kafka, "stats", worker.batch_options(settings.selling, topics, worker.GATHERED_BYTES))
    facts = BatchTopic(app, topics=[purchase_results.TOPIC.full_name(kafka.topic_prefix)])
    table = make_table(app, stats_changelog.TOPIC.full_name(kafka.topic_prefix))
    interval_ms = settings.statistics.interval_ms
    on_topic = TopicPublisher(kafka, interval_ms, lambda: cast(BatchProducer, app.producer), worker.ending_on_failure)
    in_redis = RedisPublisher(settings.redis, interval_ms, RedisFigures(settings.redis), worker.ending_on_failure)
    counting = Counting(kafka, table, (on_topic, in_redis, MetricsPublisher(worker.ending_on_failure)))
    stalls = StallWatch(app, settings.statistics.stalled_after_s, worker.ending_on_failure)

    @app.agent(facts)
    async def count(stream: faust.StreamT[bytes]) -> None:
        async for batch in cast(BatchStream, stream).batches(settings.statistics.batch_size):
            with worker.ending_on_failure():
                await counting.count(batch)

    stop = (counting.stop, stalls.stop)
    connect(app, Hooks(counting.take_over, stop, passing_over(kafka), stalls.start, counting.let_go))
    return app, lambda: {"redis": {"connected": not in_redis.is_down}, "partitions": {"ready": counting.ready}}


def main(settings: Settings) -> int:
    """Run the process until it is told to stop; returns its exit status.

    Raises:
        TopicsError: the topics cannot be used.
    """
    found = worker.wait_for_topics(settings.kafka, aligned=(event_stats.TOPIC, stats_changelog.TOPIC))
    return worker.run(settings, "stats", found, lambda topics: make_app(settings, topics))
