"""Look now and then whether the topics still have as many partitions as the process began with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from boxoffice.errors import PartitionsChangedError, UnreachableError
from boxoffice.kafka.topics import check_count
from boxoffice.settings import KafkaSettings

log = structlog.get_logger(__name__)

LOOK_INTERVAL_S: Final = 20.0
LOOK_AGAIN_S: Final = 1.0
"""Before it ends a process looks twice: a broker that was just started may not know the newest yet."""


async def watch_partitions(
    settings: KafkaSettings, partitions: int, ending_on_failure: Callable[[], AbstractContextManager[None]]
) -> None:
    """Look until it is cancelled; what fails ends the process, but a broker that does not answer is asked again."""
    with ending_on_failure():
        unreachable = False
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            try:
                await _look(settings, partitions)
            except (UnreachableError, KafkaError, OSError) as error:
                if not unreachable:
                    log.warning("cannot see how many partitions there are", error=str(error) or type(error).__name__)
                unreachable = True
            else:
                unreachable = False


async def _look(settings: KafkaSettings, partitions: int) -> None:
    try:
        await check_count(settings, partitions)
    except PartitionsChangedError:
        await asyncio.sleep(LOOK_AGAIN_S)
        await check_count(settings, partitions)
