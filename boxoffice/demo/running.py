"""The demo: one event, a thousand tickets, thirteen hundred commands, and every outcome checked.

Half of the commands come through the gateway, as from a shop. The others are published as an outside producer would,
by a plain Kafka client that knows nothing of the box office. What must come of them is known beforehand, by the way
they are made.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiokafka import AIOKafkaProducer
from platformdirs import user_cache_path

from boxoffice.audit import Audit
from boxoffice.demo.calling import Shop, open_shop
from boxoffice.demo.checking import Check, DemoReport
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
from boxoffice.documents.status import document_of
from boxoffice.door.ring_file import create_if_missing
from boxoffice.embedded.environment import (
    PORTS,
    documents_variables,
    door_variables,
    kafka_variables,
    port_variables,
    redis_variables,
)
from boxoffice.embedded.ports import HOST, accepts_connections, free_port
from boxoffice.errors import RESTARTABLE, BoxOfficeError
from boxoffice.gateway.key_ring import KeyRing
from boxoffice.kafka.asking import ask, command_from
from boxoffice.kafka.topics import create_topics
from boxoffice.settings import KEY_RING, Settings, settings_from
from boxoffice.storage.store import DocumentStore
from models.api_keys import moment
from topics import purchase_requests

if TYPE_CHECKING:
    from boxoffice.embedded import Supervisor, Worker


ANSWER_DEADLINE_S: Final = 30.0

_PARTITIONS: Final = 12
_FIRST_ANSWER_DEADLINE_S: Final = 60.0
_AUDIT_WAIT_S: Final = 30.0
_POLL_MS: Final = 50
_LOG_LINES: Final = 40


@dataclass(frozen=True)
class Reached:
    """How far the demo is: commands published and answered; tickets sold, with a document, and counted as sold."""

    published: int
    answered: int
    sold: int
    documents: int
    counted: int


class Show(Protocol):
    """Where the demo tells how far it is."""

    def step(self, what: str) -> None:
        """The next step begins."""

    def download(self, there_bytes: int, all_bytes: int) -> None:
        """So much of Kafka is there, of all that is needed."""

    def count(self, reached: Reached) -> None:
        """It has come so far."""


class DemoError(BoxOfficeError):
    """The demo did not come to its end."""

    remedy = "Read the processes' last lines, which follow."

    def __init__(self, what: str, log_lines: Iterable[str]) -> None:
        super().__init__("\n".join([what, "The processes said last:", *log_lines]) if log_lines else what)


class Demo:
    """Runs the sale on a stack that was started for it."""

    def __init__(self, settings: Settings, seed: int, show: Show) -> None:
        self._settings = settings
        self._show = show
        self._script = Script(seed)
        self._report = DemoReport(seed)
        self._watcher = Watcher(settings.kafka, settings.kafka.partitions)
        self._published = 0
        self._sent: list[tuple[Offered, Any]] = []
        """What was handed to the producer, and the word for it that is to come."""

    async def run(self) -> DemoReport:
        """Create the event, offer the commands, wait for the answers, check and audit."""
        begun_s = perf_counter()
        await ask(self._settings.kafka, _create_event(), _FIRST_ANSWER_DEADLINE_S)
        self._before = 1
        self._report.key = await self._make_key()
        await self._gateway_listens()
        watching = asyncio.create_task(self._watcher.watch())
        try:
            await self._offer()
            await self._wait_until(self._is_answered, watching)
            self._show.step("Waiting for documents and statistics")
            await self._wait_until(self._is_followed, watching)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        Check(self._script.commands, self._watcher, self._report).run()
        self._show.step("Auditing")
        self._report.audit = await Audit(self._settings, _AUDIT_WAIT_S).run()
        self._report.ticket_path = await self._keep_a_ticket()
        self._report.seconds = perf_counter() - begun_s
        return self._report

    async def _make_key(self) -> str:
        ring = KeyRing(self._settings.kafka)
        return (await ring.create("demo", ["buy"], None, None, None, moment(datetime.now(UTC)))).key

    async def _gateway_listens(self) -> None:
        """A gateway listens as soon as it can answer."""
        deadline_s = perf_counter() + _FIRST_ANSWER_DEADLINE_S
        while not await accepts_connections(self._settings.gateway.port):
            if perf_counter() > deadline_s:
                raise BoxOfficeError(f"The gateway does not listen after {_FIRST_ANSWER_DEADLINE_S:g} s.")
            await asyncio.sleep(_POLL_MS / 1000)

    async def _offer(self) -> None:
        commands = self._script.commands
        producer = AIOKafkaProducer(bootstrap_servers=self._settings.kafka.bootstrap_servers)
        await producer.start()
        try:
            async with open_shop(f"http://{HOST}:{self._settings.gateway.port}", self._report.key) as shop:
                paced, burst = commands[:-BURST], commands[-BURST:]
                self._show.step(f"Selling: {len(paced)} commands at {PACE_PER_S} a second, then {len(burst)} at once")
                begun_s = perf_counter()
                for number, offered in enumerate(paced):
                    await self._sleep_until(begun_s + number / PACE_PER_S)
                    await self._send(producer, shop, offered)
                # What was given back is back before the last are sold, however slow a machine is.
                await shop.answered()
                for offered in burst:
                    await self._send(producer, shop, offered)
                for offered, acknowledged in self._sent:
                    place = await acknowledged
                    offered.position = (place.partition, place.offset)
                await shop.answered()
        finally:
            await producer.stop()

    async def _send(self, producer: AIOKafkaProducer, shop: Shop, offered: Offered) -> None:
        self._published += 1
        if offered.over_http:
            await shop.send(offered)
            return
        topic = purchase_requests.TOPIC.full_name(self._settings.kafka.topic_prefix)
        key = (UNKNOWN_EVENT_ID if offered.kind is Kind.UNKNOWN_EVENT else EVENT_ID).encode()
        partition = self._script.partition_for(offered, self._settings.kafka.partitions)
        offered.sent_s = perf_counter()
        sent = await producer.send(topic, offered.value, key=key if offered.keyed else None, partition=partition)
        self._sent.append((offered, sent))

    async def _sleep_until(self, moment_s: float) -> None:
        while (rest_s := moment_s - perf_counter()) > 0:
            self._tell()
            await asyncio.sleep(rest_s)

    async def _wait_until(self, condition: Callable[[], bool], watching: asyncio.Task[None]) -> None:
        """Nothing is concluded from waiting in vain: what follows judges for itself."""
        deadline_s = perf_counter() + ANSWER_DEADLINE_S
        while perf_counter() < deadline_s:
            self._tell()
            if condition():
                return
            if watching.done():
                watching.result()
            await asyncio.sleep(_POLL_MS / 1000)

    def _is_answered(self) -> bool:
        forwards = sum(offered.misplaced for offered in self._script.commands)
        wanted = self._before + len(self._script.commands) + forwards
        letters = self._watcher.dead_letters
        return len(self._watcher.by_position) >= wanted and letters >= COMMANDS[Kind.MALFORMED]

    def _is_followed(self) -> bool:
        counted = self._watcher.figures.get(EVENT_ID, {}).get("seq") == self._watcher.taken.get(EVENT_ID)
        return counted and len(self._watcher.documents) >= self._watcher.sold

    def _tell(self) -> None:
        answered = len(self._watcher.by_position) - self._before
        counted = self._watcher.figures.get(EVENT_ID, {}).get("sold", 0)
        documents = len(self._watcher.documents)
        self._show.count(Reached(self._published, max(answered, 0), self._watcher.sold, documents, counted))

    async def _keep_a_ticket(self) -> Path | None:
        """Put one ticket's PDF where it stays: all others go with the stack."""
        for ticket in sorted(self._watcher.documents)[:1]:
            store = DocumentStore(self._settings.documents)
            return _keep(ticket, await document_of(self._settings.kafka, store, ticket))
        return None


def kept_folder() -> Path:
    """Where a demo leaves a ticket's PDF, in the place of the one that was left before."""
    return user_cache_path("boxoffice") / "demo"


def _keep(ticket: str, pdf: bytes) -> Path:
    path = kept_folder() / f"{ticket}.pdf"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all, whoever else runs a demo or looks at the last one's.
        written = path.with_name(f"{path.name}-{os.getpid()}")
        written.write_bytes(pdf)
        written.replace(path)
    except OSError as error:
        raise BoxOfficeError(f"A ticket cannot be put into {path.parent}: {error.strerror}.") from None
    return path.absolute()


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
    from boxoffice.embedded import EmbeddedStack

    show.step("Starting Kafka and Redis")
    async with EmbeddedStack(folder, keep=False, progress=show.download) as stack:
        # Nobody else's folder is in the way of one that has a name of its own.
        with tempfile.TemporaryDirectory(prefix="tickets-", dir=stack.data_folder) as own:
            key_ring = Path(own) / KEY_RING
            create_if_missing(key_ring)
            environment = {
                **kafka_variables(stack.kafka_bootstrap_servers),
                **redis_variables(stack.redis_url),
                **documents_variables(Path(own) / "documents"),
                **door_variables(key_ring),
                **_own_ports(),
                **_OWN_SETTINGS,
            }
            return await _run_on_stack(environment, seed, show, workers)


async def _run_on_stack(
    environment: Mapping[str, str], seed: int, show: Show, workers: Callable[[Mapping[str, str]], Sequence[Worker]]
) -> DemoReport:
    from boxoffice.embedded import Supervisor

    log_lines: deque[str] = deque(maxlen=_LOG_LINES)
    settings = settings_from(environment)
    await create_topics(settings.kafka)
    show.step("Starting the processes")
    async with Supervisor(
        workers(environment),
        restart_statuses=RESTARTABLE,
        write=lambda line: log_lines.append(line.rstrip()),
        color=False,
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
    "BOXOFFICE_GATEWAY_HOST": HOST,
    # One shop sends what many would.
    "BOXOFFICE_GATEWAY_RATE": "10000",
    "BOXOFFICE_GATEWAY_BURST": "10000",
}


def _own_ports() -> dict[str, str]:
    """Nobody else's gateway or page is in the way."""
    variables: dict[str, str] = {}
    for process in PORTS:
        variables |= port_variables(process, free_port())
    return variables


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
