"""The documents process: facts in, a PDF for each ticket out, and what became of it announced."""

from __future__ import annotations

import os
from typing import Final, cast

import faust

from boxoffice import tracing
from boxoffice.batching import BatchOptions, BatchProducer, BatchStream, BatchTopic
from boxoffice.documents.making import Making
from boxoffice.documents.pages import EventPages
from boxoffice.documents.starting import check_before_start
from boxoffice.door.signing import TicketCodes
from boxoffice.kafka.damage import passing_over
from boxoffice.process import worker
from boxoffice.process.health import Details
from boxoffice.process.hooks import Hooks, connect
from boxoffice.process.worker import Topics
from boxoffice.redis.connection import connect as connect_redis
from boxoffice.settings import Settings
from topics import dead_letters, documents_places, purchase_results, ticket_documents

_NICENESS: Final = 10  # On a machine that both share, a sale comes first.


def make_app(settings: Settings, topics: Topics, traces: tracing.Tracing | None = None) -> tuple[faust.App, Details]:
    """The app of the documents process, on the topics that it finds, and what it knows of its health."""
    kafka = settings.kafka
    options = BatchOptions(settings.documents.queue_size, worker.GATHERED_BYTES, topics.max_batch_bytes)
    app = worker.make_app(kafka, "documents", options)
    facts = BatchTopic(app, topics=[purchase_results.TOPIC.full_name(kafka.topic_prefix)])
    pages = EventPages(settings, connect_redis(settings.redis), topics.partitions)
    codes, producer = TicketCodes(settings.door), cast(BatchProducer, app.producer)
    making = Making(kafka, settings.documents, codes, pages, producer, worker.ending_on_failure, tracing=traces)

    @app.agent(facts)
    async def make(stream: faust.StreamT[bytes]) -> None:
        async for batch in cast(BatchStream, stream).batches(settings.selling.batch_size):
            with worker.ending_on_failure():
                making.take(batch)

    connect(app, Hooks(making.take_over, (making.stop,), passing_over(kafka), let_go=making.let_go))
    return app, making.details


def main(settings: Settings) -> int:
    """Run the process until it is told to stop; returns its exit status.

    Raises:
        TopicsError, FontError, LanguageError, KeyRingError: what it needs of these cannot be used.
    """
    check_before_start(settings.documents, settings.door)
    os.nice(_NICENESS)
    also, aligned = (ticket_documents.TOPIC, dead_letters.TOPIC), (documents_places.TOPIC,)
    found = worker.wait_for_topics(settings.kafka, *also, aligned=aligned)
    with tracing.opened(settings.tracing, "documents") as traces:
        return worker.run(settings, "documents", found, lambda topics: make_app(settings, topics, traces))
