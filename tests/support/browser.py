"""Debian's Chromium, driven by playwright, and what a page in it must not do."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

CHROMIUM: Final = shutil.which("chromium")

needs_chromium: Final = (
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
)
"""With CI=true the skip fails: there, it is installed."""

# Of a type that playwright has, and it takes its time to import.
PHONE: Final[Any] = {"width": 360, "height": 740}
DESK: Final[Any] = {"width": 1280, "height": 900}

_ARGUMENTS: Final = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # It would ask its maker's servers for this and that.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_STICKS_OUT: Final = (
    "[document.documentElement, ...document.querySelectorAll('.panel, .ticket-event, .headline')]"
    ".some((place) => place.scrollWidth > place.clientWidth)"
)
_BROKEN: Final = r"net::ERR_(CONNECTION_|INCOMPLETE_|EMPTY_|FAILED)"
"""What Chromium says when a server goes away, or an answer is lost."""


@dataclass
class Watched:
    """A page, what it has complained of, and whom it has asked for anything."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"pageerror: {error}"))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def complaints_but_for(self, *expected: str) -> list[str]:
        """What it has complained of, but for what matches."""
        return [one for one in self.complaints if not any(re.search(pattern, one) for pattern in expected)]

    def complaints_but_for_lost_connections(self) -> list[str]:
        """What is wrong besides a server that was gone."""
        return self.complaints_but_for(_BROKEN)

    async def tab_to(self, selector: str) -> None:
        """Press Tab until an element has the focus, as somebody without a mouse does."""
        for _ in range(60):
            await self.page.keyboard.press("Tab")
            if await self.page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"{selector} cannot be reached by Tab")

    async def overflows(self) -> bool:
        """Whether the page has to be moved sideways to be read, or something sticks out of its place."""
        found: bool = await self.page.evaluate(_STICKS_OUT)
        return found

    async def barriers(self) -> Sequence[str]:
        """What axe-core finds that keeps somebody out."""
        from axe_playwright_python.async_playwright import Axe

        results = await Axe().run(self.page)
        return [
            f"{found['id']}: {found['help']}: {[node['html'][:200] for node in found['nodes']]}"
            for found in results.response["violations"]
        ]


@asynccontextmanager
async def browser(**context: Any) -> AsyncIterator[Any]:
    """A browser that knows nothing yet, as the context of a person's tabs."""
    from playwright.async_api import async_playwright

    arguments = [*_ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            opened = await chromium.new_context(viewport=DESK, **context)
            opened.set_default_timeout(30_000)
            yield opened
        finally:
            await chromium.close()
