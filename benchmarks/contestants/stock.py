"""An ordinary Faust agent: it takes events, decides them, sends each fact and awaits the broker's word for it."""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import faust
from aiokafka import ConsumerRecord
from faust.types import EventT
from yarl import URL

from benchmarks.contestants.deciding import Deciding
from boxoffice.selling.deciding import Record
from boxoffice.settings import Settings, load_settings
from topics import purchase_requests, purchase_results

TAKEN_AT_ONCE = 500
WAIT_S = 0.05


def make_app(settings: Settings) -> faust.App:
    """The app, in a consumer group of its own."""
    app = faust.App(
        f"{settings.kafka.topic_prefix}stock-{uuid4()}",
        broker=[URL(f"kafka://{server}") for server in settings.kafka.bootstrap_servers.split(",")],
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        store="memory://",
        # Where Faust makes a folder also for an app without tables.
        datadir=Path(tempfile.gettempdir()) / "boxoffice-benchmarks",
    )
    raw: dict[str, Any] = {"key_serializer": "raw", "value_serializer": "raw"}
    commands = app.topic(purchase_requests.TOPIC.full_name(settings.kafka.topic_prefix), **raw)
    facts = app.topic(purchase_results.TOPIC.full_name(settings.kafka.topic_prefix), **raw)
    deciding = Deciding(settings)

    @app.agent(commands)
    async def decide(stream: faust.StreamT[bytes]) -> None:
        await deciding.take_over()
        async for events in cast(Any, stream).take_events(TAKEN_AT_ONCE, within=WAIT_S):
            outgoing = await deciding.decide(_by_partition(deciding, events))
            sent = [
                await facts.send(key=key, value=value, headers=list(headers), partition=number)
                for number, records in outgoing.items()
                for key, value, headers in records
            ]
            await asyncio.gather(*sent)

    return app


def _by_partition(deciding: Deciding, events: list[EventT[bytes]]) -> dict[int, list[Record]]:
    """The records behind the events, but for those that the ledger accounts for already."""
    found: defaultdict[int, list[Record]] = defaultdict(list)
    for event in events:
        number = event.message.partition
        if event.message.offset >= deciding.owned[number].position:
            found[number].append(_record(event))
    return found


def _record(event: EventT[bytes]) -> Record:
    message: Any = event.message
    return ConsumerRecord(
        message.topic,
        message.partition,
        message.offset,
        round(message.timestamp * 1000),
        message.timestamp_type,
        message.key,
        message.value,
        None,
        0,
        0,
        (),
    )


if __name__ == "__main__":
    faust.Worker(make_app(load_settings()), loglevel="info").execute_from_commandline()
