"""A gateway that answers nobody and follows the ledger; with a variable, as if somebody waited on each partition."""

from __future__ import annotations

import asyncio
import os
from typing import Final

import uvloop

from boxoffice.gateway.desk import Desk, open_desk
from boxoffice.gateway.waiters import Waiter
from boxoffice.process.worker import collect_garbage_rarely, end_process
from boxoffice.settings import load_settings
from models.shapes import MAX_OFFSET

WATCHED_VARIABLE: Final = "BOXOFFICE_TEST_WATCHED"


def wait_everywhere(desk: Desk) -> None:
    """Let somebody wait on each partition for the answer to a command that never comes."""
    for partition, lane in enumerate(desk._answers._lanes):
        lane.waiting[MAX_OFFSET] = Waiter(partition, "nobody")


async def run() -> None:
    """Follow until the process is ended. Its port opens once it does."""
    settings = load_settings()
    async with open_desk(settings.kafka, end_process) as desk:
        if WATCHED_VARIABLE in os.environ:
            wait_everywhere(desk)
        collect_garbage_rarely()
        server = await asyncio.get_running_loop().create_server(
            asyncio.Protocol, "127.0.0.1", int(os.environ["BOXOFFICE_GATEWAY_PORT"])
        )
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(run())
