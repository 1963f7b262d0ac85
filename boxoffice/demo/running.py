"""The demo: one event, a thousand tickets, thirteen hundred commands, and every outcome checked.

Commands are published as an outside producer would, by a plain Kafka client that knows nothing of the box
office. What must come of them is known beforehand, by the way they are made.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiokafka import AIOKafkaProducer

from boxoffice.audit import Audit
from boxoffice.client import ask, command_from
from boxoffice.demo.checking import Check, DemoReport
from boxoffice.demo.environment import documents_variables, kafka_variables, redis_variables, settings_from
from boxoffice.demo.script import (
    BURST,
    CAPACITY,
    COMMANDS,
    EVENT_ID,
    MAX_PER_ORDER,
    PACE_PER_S,
    UNKNOWN_EVENT_ID,
    Kind,
    Offered,
    Script,
)
from boxoffice.demo.watching import Watcher
from boxoffice.errors import RESTARTABLE, BoxOfficeError
from boxoffice.settings import Settings
from boxoffice.topic_admin import create_topics
from topics import purchase_requests

if TYPE_CHECKING:
    from boxoffice.embedded import Supervisor, Worker


ANSWER_DEADLINE_S: Final = 30.0

_PARTITIONS: Final = 12
_FIRST_ANSWER_DEADLINE_S: Final = 60.0
_AUDIT_WAIT_S: Final = 30.0
_POLL_MS: Final = 50
_LOG_LINES: Final = 40


class Show(Protocol):
    """Where the demo tells how far it is."""

    def step(self, what: str) -> None:
        """The next step begins."""

    def count(self, published: int, answered: int, left: int) -> None:
        """So many commands are published and answered, so many tickets are left."""


class DemoError(BoxOfficeError):
    """The demo did not come to its end."""

    def __init__(self, what: str, log_lines: Iterable[str]) -> None:
        super().__init__("\n".join([what, "The processes said last:", *log_lines]) if log_lines else what)


class Demo:
    """Runs the sale on a stack that was started for it."""

    def __init__(self, settings: Settings, seed: int, show: Show) -> None:
        self._settings = settings
        self._show = show
        self._script = Script(seed)
        self._report = DemoReport(seed)
        self._watcher = Watcher(settings, settings.partitions)
        self._published = 0

    async def run(self) -> DemoReport:
        """Create the event, offer the commands, wait for the answers, check and audit."""
        begun_s = perf_counter()
        await ask(self._settings, _create_event(), _FIRST_ANSWER_DEADLINE_S)
        self._before = 1
        watching = asyncio.create_task(self._watcher.watch())
        try:
            await self._offer()
            await self._wait_for_answers(watching)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        Check(self._script.commands, self._watcher, self._report).run()
        self._show.step("Auditing")
        self._report.audit = await Audit(self._settings, _AUDIT_WAIT_S).run()
        self._report.seconds = perf_counter() - begun_s
        return self._report

    async def _offer(self) -> None:
        commands = self._script.commands
        topic = purchase_requests.TOPIC.full_name(self._settings.topic_prefix)
        producer = AIOKafkaProducer(bootstrap_servers=self._settings.kafka_bootstrap_servers)
        await producer.start()
        try:
            paced, burst = commands[:-BURST], commands[-BURST:]
            self._show.step(f"Selling: {len(paced)} commands at {PACE_PER_S} a second, then {len(burst)} at once")
            begun_s = perf_counter()
            sent = []
            for number, offered in enumerate(paced):
                await self._sleep_until(begun_s + number / PACE_PER_S)
                sent.append(await self._send(producer, topic, offered))
            sent += [await self._send(producer, topic, offered) for offered in burst]
            for offered, place in zip(commands, await asyncio.gather(*sent), strict=True):
                offered.position = (place.partition, place.offset)
        finally:
            await producer.stop()

    async def _send(self, producer: AIOKafkaProducer, topic: str, offered: Offered) -> Any:
        key = (UNKNOWN_EVENT_ID if offered.kind is Kind.UNKNOWN_EVENT else EVENT_ID).encode()
        partition = self._script.partition_for(offered, self._settings.partitions)
        offered.sent_s = perf_counter()
        self._published += 1
        return await producer.send(topic, offered.value, key=key if offered.keyed else None, partition=partition)

    async def _sleep_until(self, moment_s: float) -> None:
        while (rest_s := moment_s - perf_counter()) > 0:
            self._tell()
            await asyncio.sleep(rest_s)

    async def _wait_for_answers(self, watching: asyncio.Task[None]) -> None:
        forwards = sum(offered.misplaced for offered in self._script.commands)
        wanted = self._before + len(self._script.commands) + forwards
        deadline_s = perf_counter() + ANSWER_DEADLINE_S
        while perf_counter() < deadline_s:
            self._tell()
            letters = self._watcher.dead_letters
            if len(self._watcher.by_position) >= wanted and letters >= COMMANDS[Kind.MALFORMED]:
                return
            if watching.done():
                watching.result()
            await asyncio.sleep(_POLL_MS / 1000)

    def _tell(self) -> None:
        answered = len(self._watcher.by_position) - self._before
        self._show.count(self._published, max(answered, 0), self._watcher.left)


def _create_event() -> Any:
    return command_from(
        {
            "type": "create_event",
            "request_id": "demo",
            "event_id": EVENT_ID,
            "name": "Night at the Opera",
            "venue": "Main Hall",
            "starts_at": "2027-03-01T19:30:00+01:00",
            "capacity": CAPACITY,
            "max_per_order": MAX_PER_ORDER,
            "price": {"amount": 4500, "currency": "EUR"},
        }
    )


async def run_demo(
    folder: Path | None, seed: int, show: Show, workers: Callable[[Mapping[str, str]], Sequence[Worker]]
) -> DemoReport:
    """Start a stack and the processes, run the sale, stop all of it.

    Raises:
        EmbeddedError: the stack could not be started.
        DemoError: the sale did not come to its end.
    """
    from boxoffice.embedded import EmbeddedStack, Supervisor

    log_lines: deque[str] = deque(maxlen=_LOG_LINES)
    show.step("Starting Kafka and Redis")
    async with EmbeddedStack(folder, keep=False, progress=_telling(show)) as stack:
        environment = {
            **kafka_variables(stack.kafka_bootstrap_servers),
            **redis_variables(stack.redis_url),
            **documents_variables(stack.data_folder / "documents"),
            **_OWN_SETTINGS,
        }
        settings = settings_from(environment)
        await create_topics(settings)
        show.step("Starting the processes")
        started = workers(environment)
        async with Supervisor(
            started, restart_statuses=RESTARTABLE, write=lambda line: log_lines.append(line.rstrip()), color=False
        ) as supervisor:
            try:
                report = await _unless_ended(Demo(settings, seed, show).run(), supervisor)
            except BoxOfficeError as error:
                raise DemoError(str(error), log_lines) from error
            show.step("Stopping")
    return report


_OWN_SETTINGS: Final = {
    "BOXOFFICE_TOPIC_PREFIX": "",
    "BOXOFFICE_ACCEPT_LOSS": "",
    "BOXOFFICE_PARTITIONS": str(_PARTITIONS),
}


async def _unless_ended(work: Coroutine[Any, Any, DemoReport], supervisor: Supervisor) -> DemoReport:
    """The work's result, unless a process that it needs ends before it."""
    working, ending = asyncio.create_task(work), asyncio.create_task(supervisor.ended())
    try:
        await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            end = ending.result()
            raise BoxOfficeError(f"The process {end.name} ended with status {end.status}.")
        return working.result()
    finally:
        working.cancel()
        ending.cancel()
        await asyncio.gather(working, ending, return_exceptions=True)


def _telling(show: Show) -> Callable[[int, int], None]:
    def progress(there_bytes: int, all_bytes: int) -> None:
        show.step(f"Downloading Kafka, once: {there_bytes // 10**6} of {all_bytes // 10**6} MB")

    return progress
