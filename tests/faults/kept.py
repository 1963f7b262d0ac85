"""Workers that are started again as ``boxoffice up`` does, whatever the loss of a server ended."""

from __future__ import annotations

import asyncio
import signal
from typing import Final, Self

from boxoffice.errors import RESTARTABLE
from boxoffice.tasks import end_tasks
from tests.support.office import POLL_S, Office, Process

WORKERS: Final = 2
_MEANT: Final = {*RESTARTABLE, -signal.SIGKILL}


class KeptWorkers:
    """Two workers; an end that nobody would start them again after fails the test."""

    def __init__(self, office: Office, **environment: str) -> None:
        self.office = office
        self.workers: list[Process] = []
        self.ends: list[int] = []
        self._environment = environment
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.workers = [self._start() for _ in range(WORKERS)]
        for worker in self.workers:
            await self.office.ready(worker)
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._keeping is not None:
            await end_tasks([self._keeping])
        assert [status for status in self.ends if status not in _MEANT] == [], self._logs()

    def kill(self, number: int) -> None:
        """One dies, and is started again a moment later."""
        self.workers[number].kill()

    async def stand_still(self, number: int, seconds: float) -> None:
        """One stops running for so long, and goes on as if nothing had been."""
        worker = self.workers[number]
        if worker.ended() is None:
            worker.freeze()
            await asyncio.sleep(seconds)
            worker.signal(signal.SIGCONT)

    def _start(self) -> Process:
        return self.office.start(**self._environment)

    async def _keep(self) -> None:
        while True:
            for number, worker in enumerate(self.workers):
                if (status := worker.ended()) is not None:
                    self.ends.append(status)
                    self.workers[number] = self._start()
            await asyncio.sleep(5 * POLL_S)

    def _logs(self) -> str:
        return "\n".join(worker.log_text()[-2_000:] for worker in self.workers)
