"""The usual stream: sse-starlette on uvicorn, a queue and a task for each viewer."""

from __future__ import annotations

import asyncio
import os
import resource
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from aiokafka import AIOKafkaConsumer
from fastapi import FastAPI
from sse_starlette import EventSourceResponse, ServerSentEvent

from boxoffice.kafka import clients
from boxoffice.settings import load_settings
from topics import event_stats

MOST_WAITING = 100

settings = load_settings().kafka
newest: dict[str, ServerSentEvent] = {}
viewers: defaultdict[str, set[asyncio.Queue[ServerSentEvent]]] = defaultdict(set)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Connected while it serves."""
    consumer = AIOKafkaConsumer(
        event_stats.TOPIC.full_name(settings.topic_prefix),
        **clients.client_options(settings),
        auto_offset_reset="earliest",
    )
    await consumer.start()
    reading = asyncio.create_task(_read(consumer))
    yield
    reading.cancel()
    await consumer.stop()


async def _read(consumer: AIOKafkaConsumer) -> None:
    async for record in consumer:
        if record.key is None or record.value is None:
            continue
        event_id = record.key.decode()
        [seq] = [value.decode() for name, value in record.headers if name == "ce_id"]
        update = newest[event_id] = ServerSentEvent(record.value.decode(), event="stats", id=seq)
        for queue in viewers[event_id]:
            if not queue.full():
                queue.put_nowait(update)


app = FastAPI(lifespan=lifespan)


@app.get("/v1/events/{event}/stream")
async def stream(event: str) -> EventSourceResponse:
    """All updates of an event."""
    return EventSourceResponse(_updates(event), ping=15)


async def _updates(event: str) -> AsyncIterator[ServerSentEvent]:
    queue: asyncio.Queue[ServerSentEvent] = asyncio.Queue(MOST_WAITING)
    viewers[event].add(queue)
    try:
        if event in newest:
            yield newest[event]
        while True:
            yield await queue.get()
    finally:
        viewers[event].discard(queue)


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvicorn.run(app, port=int(os.environ["BOXOFFICE_LIVE_PORT"]), log_level="warning", access_log=False, backlog=4_096)
