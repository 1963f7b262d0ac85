"""A process of the box office: its Faust app, how it starts, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from threading import Timer
from typing import Any, Final, NamedTuple, cast

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.types.auth import SASLMechanism
from yarl import URL

from boxoffice.batching import BatchConsumer, BatchOptions, BatchStream, BatchTransport
from boxoffice.errors import BoxOfficeError, ExitStatus, UnreachableError
from boxoffice.kafka.clients import group_id, ssl_context
from boxoffice.kafka.connecting import unreachable
from boxoffice.kafka.groups import check_group
from boxoffice.kafka.topics import SALE, check_partitions, check_topics, most_batch_bytes
from boxoffice.process.health import Details, Health
from boxoffice.process.partitions import watch_partitions
from boxoffice.redis.presence import Presence
from boxoffice.settings import KafkaSettings, SellingSettings, Settings
from boxoffice.tasks import end_tasks
from topics import TopicDefinition

log = structlog.get_logger(__name__)

WAIT_FOR_BROKER_S = 1.0
COMMIT_INTERVAL_S = 1.0
NEVER_S: Final = 365 * 24 * 60 * 60.0
GATHERED_BYTES = 64 * 1024
"""A process that no sale waits for lets the broker gather so much, for a moment, before it fetches."""
GARBAGE_THRESHOLDS = (100_000, 20, 20)


class App(faust.App):
    """A Faust app that keeps nothing on disk."""

    def _create_directories(self) -> None:
        """Tables are in memory: no folder is needed."""


def make_app(settings: KafkaSettings, process: str, options: BatchOptions) -> faust.App:
    """A Faust app, and consumer group, of its own for a process, on the batch path."""
    app = App(
        group_id(settings, process),
        broker=[URL(f"kafka://{server}") for server in settings.bootstrap_servers.split(",")],
        broker_credentials=_credentials(settings),
        broker_session_timeout=settings.session_timeout_ms / 1000,
        broker_heartbeat_interval=settings.heartbeat_interval_ms / 1000,
        broker_request_timeout=max(settings.request_timeout_ms, settings.session_timeout_ms) / 1000,
        broker_commit_interval=COMMIT_INTERVAL_S,
        # Who fetches nothing may have a good reason: a long ledger to read, partitions that are refused, a store
        # that is down. Whether it is stuck is for its health to say; who left the group would never come back.
        broker_max_poll_interval=NEVER_S,
        # aiokafka gives a record batch up after this: our own deadline comes first.
        producer_request_timeout=2 * settings.publish_timeout_ms / 1000,
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=True,
        web_enabled=False,
        store="memory://",
        # Rows are few and recovered in seconds: a standby gains nothing, and fills the table with others' rows.
        table_standby_replicas=0,
        Stream=BatchStream,
    )
    app.transport = app.producer_transport = BatchTransport(app.conf.broker, app, options)
    return app


def _credentials(settings: KafkaSettings) -> Any:
    # Faust hands it on, unseen, to where all connect.
    context = cast(Any, ssl_context(settings))
    if settings.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.sasl_username,
            password=settings.sasl_password.get_secret_value(),
            mechanism=SASLMechanism(settings.sasl_mechanism),
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None


class Topics(NamedTuple):
    """The topics that a process finds: their number of partitions, and how large a record batch all of them take."""

    partitions: int
    max_batch_bytes: int


def batch_options(settings: SellingSettings, topics: Topics, fetch_min_bytes: int = 1) -> BatchOptions:
    """What a process asks of its batch path that reads as much at once as a purchases process."""
    return BatchOptions(settings.buffer_size, fetch_min_bytes, topics.max_batch_bytes, settings.buffer_bytes)


async def wait_for_topics(
    settings: KafkaSettings, *also: TopicDefinition, aligned: Sequence[TopicDefinition] = ()
) -> Topics:
    """What there is to know of the topics, as soon as a broker answers.

    ``also`` are topics that this process needs beside those of a sale. So are those that are ``aligned``: their
    records lie on the ledger's partitions, and they must have as many.

    Raises:
        TopicsError: the topics cannot be used.
        KafkaError: Kafka refuses to say, and will go on to.
    """
    said = ""
    while True:
        try:
            partitions = await check_topics(settings, *also, *aligned)
            if aligned:
                await check_partitions(settings, partitions, aligned)
            return Topics(partitions, await most_batch_bytes(settings, (*SALE, *also, *aligned)))
        except (UnreachableError, KafkaError) as error:
            # A broker that has just begun answers, and knows no broker yet, not even itself.
            why = _unreachable(settings, error)
            if said != str(why):
                said = str(why)
                log.warning("waiting for Kafka", servers=settings.bootstrap_servers, error=said)
            await asyncio.sleep(WAIT_FOR_BROKER_S)


def _unreachable(settings: KafkaSettings, error: UnreachableError | KafkaError) -> UnreachableError:
    """Why Kafka cannot be used yet; what does not pass by waiting is raised again."""
    if isinstance(error, UnreachableError):
        return error
    if not error.retriable:
        raise error
    return unreachable(settings, error)


def end_process(error: BaseException) -> None:
    """End at once, without committing: whatever was not acknowledged is decided again, alike."""
    status = error.exit_status if isinstance(error, BoxOfficeError) else ExitStatus.AGENT_FAILED
    try:
        log.critical(
            "the process ends without committing",
            error=str(error),
            exit_status=int(status),
            exc_info=None if isinstance(error, BoxOfficeError) else error,
        )
        sys.stdout.flush()
        sys.stderr.flush()
    finally:  # whether or not its log can be written
        os._exit(status)


@contextmanager
def ending_on_failure() -> Iterator[None]:
    """End the process when anything leaves the block: Faust would go on, past what was not done."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # whatever it is
        end_process(error)


class Worker(faust.Worker):
    """Ends in order at the first SIGTERM or SIGINT; at once at the second, or when that takes too long.

    What was not committed is read and decided again, alike; but who does not end keeps its partitions from others.
    """

    health: Health
    stop_timeout_s: float
    watching: asyncio.Task[None]

    async def on_stop(self) -> None:
        """End."""
        await end_tasks([self.watching])
        await self.health.stop()
        await super().on_stop()

    def _schedule_shutdown(self, number: signal.Signals) -> None:
        if self._signal_stop_time:
            os._exit(128 + number)
        # A thread, since it may be the event loop that does not go on.
        timer = Timer(self.stop_timeout_s, self._end_late, [number])
        timer.daemon = True
        timer.start()
        super()._schedule_shutdown(number)

    def _end_late(self, number: signal.Signals) -> None:
        try:
            log.critical("did not stop in time and ends at once", seconds=self.stop_timeout_s)
            sys.stdout.flush()
        finally:
            os._exit(128 + number)


def is_ready(app: faust.App) -> bool:
    """Whether the app has its partitions, and no rebalance is going on."""
    return app.started and not app.rebalancing and not app.unassigned


def collect_garbage_rarely() -> None:
    """Of what a batch makes, nearly all ends without the collector, which by default looks every 700 objects.

    It took 7 of 25 microseconds of each decision. The table itself is strings and bytes, at which the
    collector does not look; what was imported, it need not look at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


MakeApp = Callable[[Topics], tuple[faust.App, Details]]
"""Makes a process' app on the topics that it finds; says also what the process knows of its health."""


def run(settings: Settings, process: str, wait_for_topics: Coroutine[Any, Any, Topics], make_app: MakeApp) -> int:
    """Run a process until it is told to stop; returns its exit status.

    Its health is served from the start: whoever watches it can tell waiting from being stuck.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    interval_s = settings.process.presence_interval_s
    health = Health(settings.process, process, Presence(settings.redis, process, interval_s))
    try:
        loop.run_until_complete(health.start())
    except BaseException:
        wait_for_topics.close()
        raise
    try:
        topics = loop.run_until_complete(wait_for_topics)
        loop.run_until_complete(check_group(settings.kafka, process))
    except BaseException:
        loop.run_until_complete(health.stop())
        raise
    app, details = make_app(topics)
    health.watch(lambda: cast(BatchConsumer, app.consumer), lambda: is_ready(app), details)
    collect_garbage_rarely()
    worker = Worker(app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.health, worker.stop_timeout_s = health, settings.process.stop_timeout_ms / 1000
    worker.watching = loop.create_task(watch_partitions(settings.kafka, topics.partitions, ending_on_failure))
    return _run(worker)


def _run(worker: Worker) -> int:
    worker.spinner = None
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        return ExitStatus.OK if end.code in (None, 0) else ExitStatus.AGENT_FAILED
    except Exception as error:  # what Faust ended of: nothing was committed, start again
        log.critical("the process crashed", exc_info=error)
        return ExitStatus.AGENT_FAILED
