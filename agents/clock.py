"""The clock: facts in, and a command for each hold that is due: look now whether it is."""

from __future__ import annotations

from typing import cast

import faust

from boxoffice.batching import BatchProducer, BatchStream, BatchTopic
from boxoffice.clock.expiring import RECORDS_AT_ONCE, Expiring
from boxoffice.kafka.damage import passing_over
from boxoffice.process import worker
from boxoffice.process.health import Details
from boxoffice.process.hooks import Hooks, connect
from boxoffice.process.worker import Topics
from boxoffice.settings import Settings
from topics import clock_places, purchase_results


def make_app(settings: Settings, topics: Topics) -> tuple[faust.App, Details]:
    """The app of the clock, on the topics that it finds, and what it knows of its health."""
    kafka = settings.kafka
    app = worker.make_app(kafka, "clock", worker.batch_options(settings.selling, topics))
    facts = BatchTopic(app, topics=[purchase_results.TOPIC.full_name(kafka.topic_prefix)])
    expiring = Expiring(kafka, settings.clock, cast(BatchProducer, app.producer), worker.ending_on_failure)

    @app.agent(facts)
    async def watch(stream: faust.StreamT[bytes]) -> None:
        async for batch in cast(BatchStream, stream).batches(RECORDS_AT_ONCE):
            with worker.ending_on_failure():
                await expiring.fold(batch)

    connect(app, Hooks(expiring.take_over, (expiring.stop,), passing_over(kafka)))
    return app, expiring.details


def main(settings: Settings) -> int:
    """Run the process until it is told to stop; returns its exit status.

    Raises:
        TopicsError: the topics cannot be used.
    """
    found = worker.wait_for_topics(settings.kafka, aligned=(clock_places.TOPIC,))
    return worker.run(settings, "clock", found, lambda topics: make_app(settings, topics))
