"""All that a person at a browser meets: a box office that sells, a gateway, and the pages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic

import aiohttp

from boxoffice.embedded.ports import free_port
from tests.support.gateways import Door, new_key
from tests.support.office import POLL_S, Office, Process


class Front:
    """The front of a box office. What is started has its own ports, and keeps them when it is started again."""

    def __init__(self, office: Office, folder: Path) -> None:
        self.office = office
        self.documents = folder / "documents"
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.key = ""
        self._common = {"BOXOFFICE_HEALTH_PORT": "0", "BOXOFFICE_DOCUMENTS_URL": self.documents.as_uri()}

    async def open(self, *, shows_key: bool = True) -> None:
        """Start everything, and wait until it answers."""
        for process in ("purchases", "documents", "stats"):
            self.office.start(process, **self._common)
        self.key = await new_key(self.office, "buy")
        self._shown_key = self.key if shows_key else ""
        self.door = Door(self.office, **self._of_gateway())
        await self.door.ready()
        await self.start_pages()

    async def start_pages(self) -> Process:
        """Start the process that serves the pages, or start it again."""
        self.pages = self.office.start(
            "live",
            BOXOFFICE_LIVE_PORT=str(self.port),
            BOXOFFICE_LIVE_GATEWAY_URL=self.door.base,
            BOXOFFICE_LIVE_SHOP_KEY=self._shown_key,
            **self._common,
        )
        await self.until_asked(self._answers, "the pages to be served")
        return self.pages

    async def start_gateway(self) -> None:
        """Start the gateway again, where it was before."""
        self.door.process = self.office.start(
            "gateway", BOXOFFICE_GATEWAY_PORT=str(self.door.port), **self._of_gateway()
        )
        await self.door.ready()

    def _of_gateway(self) -> dict[str, str]:
        return {"BOXOFFICE_GATEWAY_ORIGINS": self.base, **self._common}

    async def until_asked(self, condition: Callable[[], Awaitable[bool]], what: str, timeout_s: float = 60) -> None:
        """Wait until something is so that has to be asked for."""
        deadline_s = monotonic() + timeout_s
        while not await condition():
            assert monotonic() < deadline_s, f"waited {timeout_s} s for {what}: {self.pages.log_text()[-2000:]}"
            await asyncio.sleep(POLL_S)

    async def _answers(self) -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.base}/v1/events") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False
