"""A broker that tests make suffer, and what they do to the files in which it keeps a partition."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from boxoffice.embedded import EmbeddedKafka
from boxoffice.embedded.kafka import Detour
from boxoffice.embedded.ports import free_port
from tests.support.office import Office, Process
from tests.support.proxy import Proxy
from tests.support.servers import serving
from tests.support.settings import changed

BATCH_HEAD = struct.Struct(">qi")
"""A record batch begins with its first offset, and the length of what follows."""
RECORD_COUNT = struct.Struct(">i")
RECORD_COUNT_AT = 57
"""Where in a record batch the number of its records stands."""


class OfficeBehind(Office):
    """A box office whose processes reach Kafka by another address than the tests."""

    def __init__(self, servers: str, processes_reach: str, redis_url: str, prefix: str, folder: Path) -> None:
        super().__init__(servers, redis_url, prefix, folder)
        self._processes_reach = processes_reach
        # Whoever sends and reads in a test waits as long as it takes.
        self.settings = changed(self.settings, kafka_request_timeout_ms=120_000)

    def start(self, process: str = "purchases", **environment: str) -> Process:
        """Start a process by its line in the Procfile."""
        return super().start(process, **{"BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS": self._processes_reach, **environment})


@dataclass(frozen=True)
class OwnBroker:
    """A broker that may be killed and stopped, and the proxy before it."""

    kafka: EmbeddedKafka
    proxy: Proxy

    def office(self, redis_url: str, prefix: str, folder: Path) -> Office:
        """A box office whose processes come through the proxy."""
        return OfficeBehind(self.kafka.bootstrap_servers, self.proxy.address, redis_url, prefix, folder)

    async def mend(self) -> None:
        """Whatever a test has done: the broker serves."""
        self.proxy.restore()
        self.kafka.resume()
        if not self.kafka.running:
            await self.kafka.launch()

    def segment(self, topic: str, partition: int) -> Path:
        """The file in which a partition of few records lies."""
        [file] = (self.kafka.data_folder / f"{topic}-{partition}").glob("*.log")
        return file


@contextmanager
def open_own_broker(folder: Path) -> Iterator[OwnBroker]:
    """Start both, and end both."""
    with ExitStack() as opened:
        detour = Detour(free_port(), free_port())
        kafka = EmbeddedKafka(folder / "kafka", detour=detour)
        opened.enter_context(serving(kafka))
        proxy = opened.enter_context(Proxy(detour.port, detour.advertised_port))
        yield OwnBroker(kafka, proxy)


class StoredBatch(NamedTuple):
    """A record batch in a segment file: its first offset, its records, and the bytes from ``begin`` until ``end``."""

    first_offset: int
    records: int
    begin: int
    end: int


def stored_batches(segment: Path) -> list[StoredBatch]:
    """The record batches of a segment file."""
    content = segment.read_bytes()
    batches = []
    at = 0
    while at + BATCH_HEAD.size <= len(content):
        first_offset, length = BATCH_HEAD.unpack_from(content, at)
        if not length:
            break
        [records] = RECORD_COUNT.unpack_from(content, at + RECORD_COUNT_AT)
        batches.append(StoredBatch(first_offset, records, at, at + BATCH_HEAD.size + length))
        at = batches[-1].end
    return batches


def cut_tail(segment: Path, batches: int) -> int:
    """Cut so many record batches off a stopped broker's segment; returns the offset at which it ends now."""
    cut = stored_batches(segment)[-batches]
    with segment.open("rb+") as opened:
        opened.truncate(cut.begin)
    for index in (segment.with_suffix(".index"), segment.with_suffix(".timeindex")):
        index.unlink(missing_ok=True)
    return cut.first_offset


def flip_byte(segment: Path, batch: int) -> StoredBatch:
    """Change a byte of a record in a stored record batch, and say in which."""
    stored = stored_batches(segment)[batch]
    with segment.open("rb+") as opened:
        opened.seek(stored.end - 8)
        [byte] = opened.read(1)
        opened.seek(stored.end - 8)
        opened.write(bytes([byte ^ 0xFF]))
    return stored
