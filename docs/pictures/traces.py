"""Save a trace as Zipkin shows it, of a real purchase: python docs/pictures/traces.py FOLDER.

It needs Debian's chromium, playwright, Maven and Java.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Final

import aiohttp
from pages import COLOURS
from PIL import Image

from boxoffice.embedded import EmbeddedStack
from tests.integration.test_tracing import sold_by_redis, variables
from tests.support.browser import browser
from tests.support.gateways import Door
from tests.support.office import Office, until
from tests.support.workload import creations
from tests.support.zipkin import zipkin

WIDE: Final = {"width": 1280, "height": 820}
SPANS: Final = 13


async def run(folder: Path, data: Path) -> None:
    """A whole box office, a purchase, and its trace."""
    async with EmbeddedStack(data / "stack", keep=False) as stack:
        with zipkin(data) as store:
            office = Office(stack.kafka_bootstrap_servers, stack.redis_url, "", data)
            try:
                await office.open()
                environment = variables(data, **store.variables)
                for process in ("purchases", "documents"):
                    office.start(process, **environment)
                door = Door(office, **environment)
                await office.send(creations(["42"], 1_000))
                await door.ready()
                await office.answered()
                async with aiohttp.ClientSession() as session:
                    _, trace_id = await sold_by_redis(office, door, session)
                await until(lambda: len(store.trace(trace_id)) >= SPANS, 60, "all spans")
                await save(f"{store.url}/zipkin/traces/{trace_id}", folder / "trace.png")
            finally:
                office.close()


async def save(url: str, path: Path) -> None:
    """What stands on the screen, with few colours."""
    async with browser(color_scheme="light") as context:
        page = await context.new_page()
        await page.set_viewport_size(WIDE)
        await page.goto(url)
        await page.get_by_text("make document").first.wait_for()
        await asyncio.sleep(1)
        await page.screenshot(path=path)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)


def main() -> None:
    """Sell, look, and save."""
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as data:
        asyncio.run(run(folder, Path(data)))


if __name__ == "__main__":
    main()
