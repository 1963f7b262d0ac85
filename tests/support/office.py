"""The product as an operator runs it: processes from the Procfile's lines, settings in the environment."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin import NewPartitions

from boxoffice.door.ring_file import create_if_missing
from boxoffice.kafka import clients
from boxoffice.kafka.topics import create_topics, describe_topics, partitions_of
from boxoffice.selling.deciding import OwnedPartition
from boxoffice.settings import Settings, load_settings
from models.ledger import Ledger
from tests.support.checker import Record as CheckedRecord
from tests.support.checker import Verdict, check
from tests.support.workload import Sent
from topics import TOPICS, dead_letters, purchase_requests, purchase_results
from topics.purchase_results import READ_HEADER

ROOT = Path(__file__).parents[2]
POLL_S = 0.1
PROCESSES = ("purchases", "documents", "stats", "clock")
"""What a whole box office consists of, by the names in the Procfile."""

Record = ConsumerRecord[bytes, bytes]


class Process:
    """One running process of the product."""

    def __init__(self, command: list[str], environment: dict[str, str], log_path: Path) -> None:
        self.log_path = log_path
        with log_path.open("ab") as log:
            self._child = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._child.send_signal(number)

    def freeze(self) -> None:
        """SIGSTOP, and wait until nothing of it runs."""
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def most_memory_bytes(self) -> int:
        """The most memory that it has had so far."""
        status = Path(f"/proc/{self._child.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self._child.kill()
        self._child.wait()

    def ended(self) -> int | None:
        """Its exit status, once it has ended."""
        return self._child.poll()

    async def end(self, timeout_s: float = 30) -> int:
        """Wait for its end; returns the exit status."""
        try:
            await until(lambda: self.ended() is not None, timeout_s, "the process to end")
        except AssertionError as late:
            raise AssertionError(f"{late}: {self.log_text()[-2000:]}") from None
        return self._child.returncode

    async def stop(self) -> int:
        """SIGTERM, and wait for its end; returns the exit status."""
        self.signal(signal.SIGTERM)
        return await self.end()

    def log_text(self) -> str:
        """What it has logged."""
        return self.log_path.read_text(errors="replace")


class Office:
    """A box office on given servers, under a prefix of its own."""

    def __init__(self, servers: str, redis_url: str, prefix: str, folder: Path, partitions: int = 6) -> None:
        self.settings: Settings = load_settings(
            kafka_bootstrap_servers=servers,
            redis_url=redis_url,
            topic_prefix=prefix,
            partitions=partitions,
            kafka_session_timeout_ms=6_000,
            kafka_heartbeat_interval_ms=1_000,
        )
        self.key_ring = folder / "door-keys.json"
        create_if_missing(self.key_ring)
        self.requests = purchase_requests.TOPIC.full_name(prefix)
        self.ledger = purchase_results.TOPIC.full_name(prefix)
        self.dead_letters = dead_letters.TOPIC.full_name(prefix)
        self._folder = folder
        self._processes: list[Process] = []

    @property
    def environment(self) -> dict[str, str]:
        """What a process finds in its environment."""
        settings = self.settings
        return {
            **os.environ,
            "BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
            "BOXOFFICE_KAFKA_SESSION_TIMEOUT_MS": str(settings.kafka.session_timeout_ms),
            "BOXOFFICE_KAFKA_HEARTBEAT_INTERVAL_MS": str(settings.kafka.heartbeat_interval_ms),
            "BOXOFFICE_REDIS_URL": settings.redis.url.get_secret_value(),
            "BOXOFFICE_REDIS_CHECK_INTERVAL_S": "1",
            "BOXOFFICE_DOOR_KEYS": str(self.key_ring),
            "BOXOFFICE_TOPIC_PREFIX": settings.kafka.topic_prefix,
            "BOXOFFICE_PARTITIONS": str(settings.kafka.partitions),
        }

    async def open(self) -> None:
        """Create the topics."""
        await create_topics(self.settings.kafka)

    async def delete_topic(self, name: str) -> None:
        """Delete a topic, and wait until it is gone."""
        deadline_s = monotonic() + 30
        async with clients.admin(self.settings.kafka) as admin:
            await admin.delete_topics([name])
            while any(report.existing for report in await describe_topics(self.settings.kafka) if report.name == name):
                assert monotonic() < deadline_s, f"{name} is still there"
                await asyncio.sleep(POLL_S)

    async def raise_partitions(self, to: int, *topics: str) -> None:
        """Let topics have more partitions, and wait until that is to be seen."""
        deadline_s = monotonic() + 30
        async with clients.admin(self.settings.kafka) as admin:
            await admin.create_partitions({name: NewPartitions(to) for name in topics})
            while any(len(topic["partitions"]) != to for topic in await admin.describe_topics(list(topics))):
                assert monotonic() < deadline_s, f"{topics} have no {to} partitions yet"
                await asyncio.sleep(POLL_S)

    def start(self, process: str = "purchases", **environment: str) -> Process:
        """Start a process by its line in the Procfile."""
        return self._start(process, procfile_command(process), environment)

    def start_documents(self, drawer: str, **environment: str) -> Process:
        """Start the documents process with one of tests/support/drawers.py instead of the real thing."""
        command = [sys.executable, "-m", "tests.support.documents_process", drawer]
        return self._start("documents", command, {"PYTHONPATH": str(ROOT), **environment})

    def start_command(self, *arguments: str, **environment: str) -> Process:
        """Start a command that goes on until it is told to stop."""
        return self._start(arguments[0], [boxoffice_path(), *arguments], environment)

    def _start(self, name: str, command: list[str], environment: dict[str, str]) -> Process:
        log_path = self._folder / f"{name}-{len(self._processes)}.log"
        started = Process(command, {**self.environment, **environment}, log_path)
        self._processes.append(started)
        return started

    async def ready(self, process: Process, timeout_s: float = 60) -> None:
        """Wait until a process has taken its partitions over."""
        await until(lambda: "partitions ready" in process.log_text(), timeout_s, "the worker to be ready")

    def close(self) -> None:
        """End what still runs."""
        for process in self._processes:
            if process.ended() is None:
                process.signal(signal.SIGCONT)
                process.kill()

    def boxoffice(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        return subprocess.run(
            [boxoffice_path(), *arguments],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    async def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command line while what the test has under way goes on."""
        return await asyncio.to_thread(self.boxoffice, *arguments, **environment)

    async def send(self, records: Iterable[Sent]) -> None:
        """Publish as aiokafka does by default: murmur2 of the key, any partition without one."""
        async with clients.producer(self.settings.kafka, linger_ms=2) as producer:
            for record in records:
                await producer.send(self.requests, record.value, key=record.key)
            await producer.flush()

    async def read(self, topic: str) -> list[Record]:
        """All of a topic, partition by partition."""
        [definition] = [one for one in TOPICS if one.full_name(self.settings.kafka.topic_prefix) == topic]
        partitions = await partitions_of(self.settings.kafka, definition)
        found: list[Record] = []
        async with clients.reader(self.settings.kafka, partitions) as consumer:
            async for records in clients.read_all(consumer, partitions):
                found += records
        return found

    async def verdict(self, *, harmed: bool = False, forged: bool = False) -> Verdict:
        """What the independent checker says of all that lies on the topics; of a harmed ledger, or forged forwards.

        Dead letters are kept beside the sale: they have a while to come.
        """
        deadline_s = monotonic() + 20
        while True:
            verdict = await self._verdict(harmed=harmed, forged=forged)
            late = any("not among the dead letters" in problem for problem in verdict.problems)
            if not late or monotonic() > deadline_s:
                return verdict
            await asyncio.sleep(1)

    async def _verdict(self, *, harmed: bool, forged: bool) -> Verdict:
        requests, ledger, letters = [
            [for_checker(record) for record in await self.read(topic)]
            for topic in (self.requests, self.ledger, self.dead_letters)
        ]
        return check(requests, ledger, self.settings.kafka.partitions, letters, harmed=harmed, forged=forged)

    async def agrees(self, deadline_s: int = 30) -> dict[str, Any]:
        """The audit and the independent checker find nothing wrong; returns the checker's figures.

        The audit waits for what comes behind the facts, as dead letters do; the checker looks once.
        """
        audit = await self.run("audit", "--wait", str(deadline_s))
        verdict = await self.verdict()
        assert verdict.problems == [], verdict.problems
        assert audit.returncode == 0, audit.stdout + audit.stderr
        return verdict.summary

    async def answered(self, timeout_s: float = 60) -> None:
        """Wait until the ledger accounts for every command."""
        deadline_s = monotonic() + timeout_s
        numbers = range(self.settings.kafka.partitions)
        ledgers = {number: Ledger(number) for number in numbers}
        read_to = dict.fromkeys(numbers, 0)
        requests = clients.topic_partitions(self.requests, self.settings.kafka.partitions)
        facts = clients.topic_partitions(self.ledger, self.settings.kafka.partitions)
        async with clients.reader(self.settings.kafka, requests + facts) as consumer:
            while True:
                ends = await consumer.end_offsets(requests + facts)
                for number in numbers:
                    async for records in clients.read_between(
                        consumer, facts[number], read_to[number], ends[facts[number]]
                    ):
                        for record in records:
                            ledgers[number].read(record.value, clients.header(record.headers, READ_HEADER))
                    read_to[number] = ends[facts[number]]
                waiting = await self._not_accounted_for(ledgers, {n: ends[requests[n]] for n in numbers})
                if not waiting:
                    return
                assert monotonic() < deadline_s, f"not answered within {timeout_s} s: {waiting}; {self._tails()}"
                await asyncio.sleep(POLL_S)

    async def _not_accounted_for(self, ledgers: dict[int, Ledger], ends: dict[int, int]) -> dict[int, int]:
        """Second copies of forwards at a partition's end get no record: they need not be waited for."""
        waiting = {n: ends[n] - 1 - ledgers[n].bookmark for n in ledgers if ends[n] - 1 != ledgers[n].bookmark}
        for number in list(waiting):
            if await self._only_second_copies(ledgers[number], number, ends[number]):
                del waiting[number]
        return waiting

    async def _only_second_copies(self, ledger: Ledger, number: int, end: int) -> bool:
        tp = TopicPartition(self.requests, number)
        owned = OwnedPartition(number, self.settings.kafka.partitions, ledger)
        async with clients.reader(self.settings.kafka, [tp]) as consumer:
            async for records in clients.read_between(consumer, tp, ledger.bookmark + 1, end):
                if not all(owned.is_second_copy(record) for record in records):
                    return False
        return True

    def _tails(self) -> str:
        return "\n".join(f"{p.log_path.name}: {p.log_text()[-1500:]}" for p in self._processes)


class NewOffice(Protocol):
    """Opens a box office on a Redis of the test's choice."""

    async def __call__(self, redis_url: str) -> Office: ...


def for_checker(record: Record) -> CheckedRecord:
    return CheckedRecord(
        record.partition, record.offset, record.key, record.value, tuple(record.headers), record.timestamp
    )


def procfile_command(process: str) -> list[str]:
    """The command of a process, its program that of this interpreter's environment."""
    for line in (ROOT / "Procfile").read_text().splitlines():
        name, _, command = line.partition(":")
        if name == process:
            program, *arguments = shlex.split(command)
            assert program == "boxoffice"
            return [boxoffice_path(), *arguments]
    raise LookupError(f"the Procfile has no process {process}")


def boxoffice_path() -> str:
    """The command line of this interpreter's environment."""
    beside = Path(sys.executable).with_name("boxoffice")
    found = str(beside) if beside.exists() else shutil.which("boxoffice")
    assert found is not None, "boxoffice is not installed"
    return found


async def until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Wait until something is so."""
    deadline_s = monotonic() + timeout_s
    while not condition():
        assert monotonic() < deadline_s, f"waited {timeout_s} s for {what}"
        await asyncio.sleep(POLL_S)
