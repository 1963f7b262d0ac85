"""The documents process: facts in, a PDF for each ticket out, and what became of it announced."""

from __future__ import annotations

import os
from typing import Any, Final, cast

import faust

from boxoffice import metrics, worker
from boxoffice.batches import BatchConsumer, BatchProducer, BatchStream, BatchTopic
from boxoffice.damage import passing_over
from boxoffice.documents.announcing import Announcer
from boxoffice.documents.making import Making, fonts_of
from boxoffice.documents.pages import EventPages
from boxoffice.health import Details
from boxoffice.redis_connection import connect
from boxoffice.rendering.faces import REGULAR_WEIGHT, faces
from boxoffice.settings import Settings
from topics import purchase_results, ticket_documents

_NICENESS: Final = 10
"""On a machine that both share, a sale comes first."""
_NEVER_S: Final = 365 * 24 * 60 * 60


def make_app(settings: Settings, partitions: int) -> tuple[faust.App, Details]:
    """The app of the documents process, on topics of so many partitions, and what it knows of its health."""
    app = worker.make_app(settings, "documents", fetch_min_bytes=worker.GATHERED_BYTES)
    # While the store is down nothing is fetched: that is no reason to leave the group.
    app.conf.broker_max_poll_interval = _NEVER_S
    BatchConsumer.buffer_size = settings.documents_queue_size
    facts = BatchTopic(app, topics=[purchase_results.TOPIC.full_name(settings.topic_prefix)])
    announcer = Announcer(settings, cast(BatchProducer, app.producer), worker.ending_on_failure)
    making = Making(settings, EventPages(settings, connect(settings), partitions), announcer, worker.ending_on_failure)
    metrics.DOCUMENTS_WAITING.set_function(lambda: making.progress.tickets)

    cast(BatchConsumer, app.consumer).look_at_damage = passing_over(settings)

    @app.agent(facts)
    async def make(stream: faust.StreamT[bytes]) -> None:
        async for batch in cast(BatchStream, stream).batches(settings.batch_size):
            with worker.ending_on_failure():
                making.take(batch)

    @app.on_partitions_revoked.connect
    async def let_go(*_: Any, **__: Any) -> None:
        await making.let_go()

    @app.on_rebalance_complete.connect
    async def take_over(*_: Any, **__: Any) -> None:
        with worker.ending_on_failure():
            await making.take_over(cast(BatchConsumer, app.consumer))

    @app.on_before_shutdown.connect
    async def stop(*_: Any, **__: Any) -> None:
        await making.stop()

    def details() -> dict[str, Any]:
        return {
            "documents": {"waiting": making.progress.tickets},
            "waits_for": ["document store"] if making.store.failing else [],
        }

    return app, details


def main(settings: Settings) -> int:
    """Run the process until it is told to stop; returns its exit status.

    Raises:
        TopicsError: the topics cannot be used.
        FontError: a font of the settings cannot be used.
    """
    faces(REGULAR_WEIGHT, fonts_of(settings))
    os.nice(_NICENESS)
    topics = worker.wait_for_topics(settings, ticket_documents.TOPIC)
    return worker.run(settings, "documents", topics, lambda partitions: make_app(settings, partitions))
