"""Two brokers of one cluster: one that stays, and one that is killed with the partitions that it alone leads."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from boxoffice.embedded import EmbeddedKafka
from boxoffice.embedded.ports import HOST, free_port
from boxoffice.kafka import clients
from boxoffice.kafka.groups import committed_offsets
from boxoffice.settings import load_settings
from tests.support.office import Office
from tests.support.servers import serving
from topics import TOPICS

STAYS, GOES = 1, 2
"""The brokers' numbers. The first is the controller too, and keeps the groups' offsets."""

META: Final = "meta.properties"


@dataclass(frozen=True)
class Cluster:
    """Both brokers."""

    stays: EmbeddedKafka
    goes: EmbeddedKafka

    async def open(self, office: Office, *left_alone: tuple[str, int]) -> None:
        """Create a box office's topics with one replica each: that of some partitions on the broker that goes."""
        await create_on(office, lambda topic, number: [GOES if (topic, number) in left_alone else STAYS])


async def create_on(
    office: Office, brokers: Callable[[str, int], list[int]], config: Mapping[str, str] | None = None
) -> None:
    """Create the topics, each partition on the brokers that are named for it, the first of which leads."""
    settings = office.settings.kafka
    async with clients.admin(settings) as admin:
        created = await admin.create_topics(
            [
                NewTopic(
                    topic.full_name(settings.topic_prefix),
                    -1,
                    -1,
                    {number: brokers(topic.name, number) for number in range(settings.partitions)},
                    {**topic.config, **(config or {})},
                )
                for topic in TOPICS
            ]
        )
    refused = [told for told in created.topic_errors if told[1]]  # type: ignore[attr-defined]  # as its schema says
    assert refused == []


@contextmanager
def open_cluster(folder: Path) -> Iterator[Cluster]:
    """Start both, and end both."""
    controller = f"{HOST}:{free_port()}"
    voters = {"controller.quorum.voters": f"{STAYS}@{controller}"}
    ports = free_port(), free_port()
    stays = EmbeddedKafka(
        folder / "stays",
        ports[0],
        properties={**voters, "listeners": f"PLAINTEXT://{HOST}:{ports[0]},CONTROLLER://{controller}"},
    )
    goes = EmbeddedKafka(
        folder / "goes",
        ports[1],
        properties={
            **voters,
            "node.id": str(GOES),
            "process.roles": "broker",
            "listeners": f"PLAINTEXT://{HOST}:{ports[1]}",
        },
    )
    with ExitStack() as opened:
        opened.enter_context(serving(stays))
        asyncio.run(_keep_offsets(stays))
        _join(goes, stays)
        opened.enter_context(serving(goes))
        yield Cluster(stays, goes)


async def _keep_offsets(broker: EmbeddedKafka) -> None:
    """Let a cluster that is still alone create the topic of the groups' offsets."""
    async with clients.admin(load_settings(kafka_bootstrap_servers=broker.bootstrap_servers).kafka) as admin:
        while True:
            try:
                await committed_offsets(admin, "any")
            except KafkaError:
                await asyncio.sleep(0.5)
            else:
                return


def _join(joining: EmbeddedKafka, member: EmbeddedKafka) -> None:
    """Make the data folder of a broker that joins a cluster: formatted by itself it would be a cluster of its own."""
    directory = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
    told = dict(line.split("=", 1) for line in (member.data_folder / META).read_text().splitlines() if "=" in line)
    joining.data_folder.mkdir(parents=True)
    lines = {"version": "1", "cluster.id": told["cluster.id"], "node.id": str(GOES), "directory.id": directory}
    (joining.data_folder / META).write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
