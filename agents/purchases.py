"""The purchases process: commands in, facts out."""

from __future__ import annotations

from typing import cast

import faust

from boxoffice import tracing
from boxoffice.batching import BatchProducer, BatchStream, BatchTopic
from boxoffice.process import worker
from boxoffice.process.health import Details
from boxoffice.process.hooks import Hooks, connect
from boxoffice.process.worker import Topics
from boxoffice.redis.connection import connect as connect_redis
from boxoffice.redis.store import RedisStore
from boxoffice.selling.copies import Copies
from boxoffice.selling.keeping import Keeper
from boxoffice.selling.pipeline import Selling
from boxoffice.selling.publishing import Publisher
from boxoffice.selling.recovery import Recovery
from boxoffice.selling.traced import TracedBatches
from boxoffice.settings import Settings
from topics import purchase_requests


def make_app(settings: Settings, topics: Topics, traces: tracing.Tracing | None = None) -> tuple[faust.App, Details]:
    """The app of the purchases process, on the topics that it finds, and what it knows of its health."""
    kafka = settings.kafka
    app = worker.make_app(kafka, "purchases", worker.batch_options(settings.selling, topics))
    commands = BatchTopic(app, topics=[purchase_requests.TOPIC.full_name(kafka.topic_prefix)])
    copies = Copies(settings.redis, RedisStore(connect_redis(settings.redis, time_each_reply=False), settings.redis))
    publisher = Publisher(kafka, cast(BatchProducer, app.producer))
    recovery = Recovery(kafka, topics.partitions, settings.selling.accept_loss)
    keeper = Keeper(kafka, topics.partitions)
    selling = Selling(
        kafka, settings.selling, recovery, copies, publisher, keeper, ending_on_failure=worker.ending_on_failure
    )
    selling.traces = TracedBatches(traces) if traces is not None else None

    @app.agent(commands)
    async def sell(stream: faust.StreamT[bytes]) -> None:
        async for batch in cast(BatchStream, stream).batches(settings.selling.batch_size):
            with worker.ending_on_failure():
                await selling.sell(batch)

    connect(app, Hooks(selling.take_over, (selling.stop, copies.stop), selling.look_at_damage))
    return app, selling.details


def main(settings: Settings) -> int:
    """Run the process until it is told to stop; returns its exit status.

    Raises:
        TopicsError: the topics cannot be used.
    """
    found = worker.wait_for_topics(settings.kafka)
    with tracing.opened(settings.tracing, "purchases") as traces:
        return worker.run(settings, "purchases", found, lambda topics: make_app(settings, topics, traces))
