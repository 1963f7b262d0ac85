"""The demo: one event, a thousand tickets, two thousand commands, and every outcome checked.

Half of the commands come through the gateway, as from a shop. The others are published as an outside producer would,
by a plain Kafka client that knows nothing of the box office. What must come of them is known beforehand, by the way
they are made.

Some buyers come before the sale opens. Then purchases are held, and two of three buyers pay. What the others leave is
on sale again when the time of their holds is over, which is a minute; meanwhile documents are drawn.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiokafka import AIOKafkaProducer
from platformdirs import user_cache_path

from boxoffice.audit import Audit
from boxoffice.demo.calling import Shop, open_shop
from boxoffice.demo.checking import Check, DemoReport
from boxoffice.demo.paying import Window
from boxoffice.demo.script import (
    AT_ONCE,
    BURST,
    COMMANDS,
    EVENT,
    EVENT_ID,
    HOLD_S,
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
_OPENS_AFTER_S: Final = 6.0
_EXPIRED_AFTER_S: Final = 30.0
"""Holds end soon after they are due, but on a machine that is busy with other things."""
_POLL_MS: Final = 50
_LOG_LINES: Final = 40


@dataclass(frozen=True)
class Reached:
    """How far the demo is: commands published and answered; tickets held, sold, with a document, counted as sold."""

    published: int
    answered: int
    held: int
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
        self._window = Window(self._script.paying)
        self._watcher = Watcher(settings.kafka, settings.kafka.partitions, self._window.see)
        self._at_work: list[asyncio.Task[None]] = []
        self._published = 0
        self._asked = 0
        """Commands that are waited for one by one, and of no interest otherwise."""
        self._sent: list[tuple[Offered, Any]] = []
        """What was handed to the producer, and the word for it that is to come."""

    async def run(self) -> DemoReport:
        """Create the event, offer the commands, wait for the answers, check and audit."""
        begun_s = perf_counter()
        await self._ask(EVENT, _FIRST_ANSWER_DEADLINE_S)
        self._report.key = await self._make_key()
        await self._gateway_listens()
        async with self._beside(self._watcher.watch()):
            await self._sell()
            self._show.step("Waiting for documents and statistics")
            await self._wait_until(self._is_followed)
        Check(self._script, self._window.offered, self._watcher, self._report, self._asked).run()
        self._show.step("Auditing")
        self._report.audit = await Audit(self._settings, _AUDIT_WAIT_S).run()
        self._report.ticket_path = await self._keep_a_ticket()
        self._report.seconds = perf_counter() - begun_s
        return self._report

    async def _ask(self, members: Mapping[str, Any], deadline_s: float = ANSWER_DEADLINE_S) -> None:
        await ask(self._settings.kafka, command_from(members), deadline_s)
        self._asked += 1

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

    @asynccontextmanager
    async def _beside(self, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
        """Work that goes on meanwhile; whoever waits is told if it fails."""
        task = asyncio.create_task(work)
        self._at_work.append(task)
        try:
            yield
        finally:
            self._at_work.remove(task)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _sell(self) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._settings.kafka.bootstrap_servers)
        await producer.start()
        try:
            async with (
                open_shop(f"http://{HOST}:{self._settings.gateway.port}", self._report.key) as shop,
                self._beside(self._window.work(lambda offered: self._send(producer, shop, offered))),
            ):
                await self._open(producer, shop)
                await self._offer(producer, shop)
                await self._wait_until(self._is_answered)
                self._show.step(f"Waiting until nothing is held any more, which takes up to {HOLD_S} s")
                await self._wait_until(lambda: not self._watcher.held, HOLD_S + _EXPIRED_AFTER_S)
                await self._ask(AT_ONCE)
                self._show.step(f"Selling what came back: {len(self._script.returned)} commands, paid at once")
                await self._offer_at_pace(producer, shop, self._script.returned)
                await self._wait_until(self._is_answered)
                await self._acknowledged(shop)
        finally:
            await producer.stop()

    async def _open(self, producer: AIOKafkaProducer, shop: Shop) -> None:
        """The sale opens at a set time, and some buyers cannot wait."""
        opens = (datetime.now(UTC) + timedelta(seconds=_OPENS_AFTER_S)).replace(microsecond=0)
        await self._ask(
            {
                "type": "change_event",
                "request_id": "opening",
                "event_id": EVENT_ID,
                "on_sale_at": opens.isoformat(),
            }
        )
        self._show.step(f"The sale opens at {opens:%H:%M:%S} UTC: {len(self._script.early)} buyers come before")
        for offered in self._script.early:
            await self._send(producer, shop, offered)
        await self._acknowledged(shop)
        await self._sleep_until(perf_counter() + (opens - datetime.now(UTC)).total_seconds())

    async def _offer(self, producer: AIOKafkaProducer, shop: Shop) -> None:
        commands = self._script.commands
        paced, burst = commands[:-BURST], commands[-BURST:]
        self._show.step(
            f"Selling: {len(paced)} commands at {PACE_PER_S} a second, then {len(burst)} at once; two of three pay"
        )
        await self._offer_at_pace(producer, shop, paced)
        for offered in burst:
            await self._send(producer, shop, offered)
        await self._acknowledged(shop)

    async def _offer_at_pace(self, producer: AIOKafkaProducer, shop: Shop, commands: Sequence[Offered]) -> None:
        begun_s = perf_counter()
        for number, offered in enumerate(commands):
            await self._sleep_until(begun_s + number / PACE_PER_S)
            await self._send(producer, shop, offered)
        await self._acknowledged(shop)

    async def _acknowledged(self, shop: Shop) -> None:
        """Wait until Kafka has what was published, and the shop its answers."""
        sent, self._sent = self._sent, []
        for offered, acknowledged in sent:
            place = await acknowledged
            offered.position = (place.partition, place.offset)
        await shop.answered()

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

    async def _wait_until(self, condition: Callable[[], bool], patience_s: float = ANSWER_DEADLINE_S) -> None:
        """Nothing is concluded from waiting in vain: what follows judges for itself."""
        deadline_s = perf_counter() + patience_s
        while perf_counter() < deadline_s:
            self._tell()
            if condition():
                return
            for task in self._at_work:
                if task.done():
                    task.result()
            await asyncio.sleep(_POLL_MS / 1000)

    def _is_answered(self) -> bool:
        """Whether all is decided that was published until now, and the window has nothing more to do."""
        letters = self._watcher.dead_letters
        return self._watcher.answers >= self._wanted() and letters >= COMMANDS[Kind.MALFORMED] and self._window.is_idle

    def _wanted(self) -> int:
        """How many answers what was published until now has; who is sent home is answered twice."""
        forwards = sum(offered.misplaced for offered in self._script.commands)
        return self._asked + self._published + forwards

    def _is_followed(self) -> bool:
        counted = self._watcher.figures.get(EVENT_ID, {}).get("seq") == self._watcher.taken.get(EVENT_ID)
        return counted and len(self._watcher.documents) >= self._watcher.sold

    def _tell(self) -> None:
        answered = max(self._watcher.answers - self._asked, 0)
        counted = self._watcher.figures.get(EVENT_ID, {}).get("sold", 0)
        documents = len(self._watcher.documents)
        reached = Reached(self._published, answered, self._watcher.held, self._watcher.sold, documents, counted)
        self._show.count(reached)

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
