"""The usual gateway: FastAPI on uvicorn, a producer that awaits each command, a group that reads each fact as JSON."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import uuid4

import uvicorn
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from fastapi import FastAPI, Header, Response
from pydantic import BaseModel

from boxoffice.kafka import clients
from boxoffice.settings import load_settings
from topics import purchase_requests, purchase_results

WAIT_S = 10


class Order(BaseModel):
    """What a buyer asks for."""

    buyer: str
    quantity: int = 1


settings = load_settings().kafka
waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connected while it serves."""
    producer = AIOKafkaProducer(**clients.client_options(settings), acks="all", enable_idempotence=True)
    consumer = AIOKafkaConsumer(
        purchase_results.TOPIC.full_name(settings.topic_prefix),
        **clients.client_options(settings),
        group_id=f"usual-{uuid4()}",
        auto_offset_reset="latest",
    )
    await producer.start()
    await consumer.start()
    # Facts that come before it has joined its group would be missed, and measured as waits in vain.
    while not consumer.assignment():
        await asyncio.sleep(0.1)
    await consumer.seek_to_end()
    app.state.producer = producer
    reading = asyncio.create_task(_read(consumer))
    yield
    reading.cancel()
    await consumer.stop()
    await producer.stop()


async def _read(consumer: AIOKafkaConsumer) -> None:
    async for record in consumer:
        fact = json.loads(record.value)
        found = waiting.pop(fact["request_id"], None)
        if found is not None and not found.done():
            found.set_result(fact)


app = FastAPI(lifespan=lifespan)


@app.post("/v1/events/{event}/purchases", status_code=201)
async def purchase(
    event: str, order: Order, response: Response, idempotency_key: Annotated[str, Header()]
) -> dict[str, Any]:
    """Send a command, and wait for its fact."""
    future = waiting[idempotency_key] = asyncio.get_running_loop().create_future()
    command = {"event_id": event, "request_id": idempotency_key, **order.model_dump()}
    topic = purchase_requests.TOPIC.full_name(settings.topic_prefix)
    await app.state.producer.send_and_wait(topic, json.dumps(command).encode(), key=event.encode())
    try:
        return await asyncio.wait_for(future, WAIT_S)
    except TimeoutError:
        response.status_code = 202
        return {}
    finally:
        waiting.pop(idempotency_key, None)


if __name__ == "__main__":
    uvicorn.run(
        app, port=int(os.environ["BOXOFFICE_GATEWAY_PORT"]), log_level="warning", access_log=False, backlog=4_096
    )
