"""Save the pages as a person sees them, in the middle of a sale: python docs/pictures/pages.py FOLDER.

It needs Debian's chromium, and playwright.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from PIL import Image
from stats import CATEGORIES, EVENTS, sell

from boxoffice.cli.stack import workers
from boxoffice.door.ring_file import create_if_missing
from boxoffice.embedded import EmbeddedStack, Supervisor
from boxoffice.embedded.environment import documents_variables, door_variables, kafka_variables, redis_variables
from boxoffice.embedded.ports import free_port
from boxoffice.gateway.key_ring import KeyRing
from boxoffice.kafka.topics import create_topics
from boxoffice.settings import Settings, settings_from
from tests.support.browser import PHONE, browser

EVENT: Final = next(iter(EVENTS))
HOLDS: Final = next(iter(CATEGORIES))
BEGUN_S: Final = 55
"""So long the sale goes on before the first picture."""
COLOURS: Final = 128
WIDE: Final = {"width": 1180, "height": 1010}
SCALE: Final = 2


async def take_all(folder: Path, base: str, admin: str) -> None:
    """Every picture that the documents show."""
    async with browser(color_scheme="light", device_scale_factor=SCALE) as context:
        page = await context.new_page()
        await page.set_viewport_size(WIDE)
        await page.goto(base)
        await page.locator("#events .ticket").first.wait_for()
        await asyncio.sleep(BEGUN_S)
        await save(page, folder / "live.png")
        await page.emulate_media(color_scheme="dark")
        await save(page, folder / "live-dark.png")
        await page.set_viewport_size(PHONE)
        await page.emulate_media(color_scheme="light")
        await save(page, folder / "live-phone.png")
        await page.goto(f"{base}/buy?event={EVENT}")
        await buy(page)
        await save(page, folder / "buy-phone.png")
        await page.emulate_media(color_scheme="dark")
        await page.evaluate("sessionStorage.clear()")
        await page.goto(f"{base}/buy?event={HOLDS}")
        await reserve(page)
        await save(page, folder / "buy-phone-dark.png")
        await page.set_viewport_size(WIDE)
        await page.emulate_media(color_scheme="light")
        await page.goto(f"{base}/operator")
        await page.fill("#key", admin)
        await page.click("button[type=submit]")
        await page.get_by_role("region", name="What the doctor finds").get_by_text("Redis").first.wait_for()
        await save(page, folder / "operator.png")


async def buy(page: Any) -> None:
    """Two tickets, as a person does it."""
    await page.locator(f"#event option[value='{EVENT}']").wait_for(state="attached")
    await page.fill("#quantity", "2")
    await page.fill("#buyer", "b-77")
    await page.click("#buy")
    await page.get_by_role("link", name="Open the PDF").nth(1).wait_for(timeout=120_000)
    await page.mouse.move(0, 0)


async def reserve(page: Any) -> None:
    """Tickets of two categories, which are held until they are paid for."""
    stalls, balcony, *_ = CATEGORIES[HOLDS]
    await page.locator(f"#line-{stalls}").wait_for()
    await page.fill(f"#line-{stalls}", "2")
    await page.fill(f"#line-{balcony}", "1")
    await page.fill("#buyer", "b-77")
    await page.click("#buy")
    await page.locator("#held .countdown").wait_for()
    await page.mouse.move(0, 0)


async def save(page: Any, path: Path) -> None:
    """What stands on the screen, with few colours."""
    # The curve is drawn anew each second.
    await asyncio.sleep(1)
    await page.screenshot(path=path)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)


async def keys(settings: Settings) -> tuple[str, str]:
    """A key for the shop, and one for the operator."""
    ring = KeyRing(settings.kafka)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = [await ring.create(scope, [scope], None, None, None, now) for scope in ("buy", "admin")]
    return made[0].key, made[1].key


async def run(folder: Path, data: Path) -> None:
    """A whole box office, a sale, and somebody who looks at it."""
    async with EmbeddedStack(data, keep=False) as stack:
        gateway, live = free_port(), free_port()
        base = f"http://127.0.0.1:{live}"
        ring = data / "door-keys.json"
        create_if_missing(ring)
        environment: Mapping[str, str] = {
            **kafka_variables(stack.kafka_bootstrap_servers),
            **redis_variables(stack.redis_url),
            **documents_variables(data / "documents"),
            **door_variables(ring),
            "BOXOFFICE_GATEWAY_PORT": str(gateway),
            "BOXOFFICE_GATEWAY_ORIGINS": base,
            "BOXOFFICE_LIVE_PORT": str(live),
            "BOXOFFICE_LIVE_GATEWAY_URL": f"http://127.0.0.1:{gateway}",
        }
        settings = settings_from(environment)
        await create_topics(settings.kafka)
        shop, admin = await keys(settings)
        async with Supervisor(workers({**environment, "BOXOFFICE_LIVE_SHOP_KEY": shop})):
            selling = asyncio.create_task(sell(settings))
            await served(live)
            await take_all(folder, base, admin)
            await selling


async def served(port: int) -> None:
    """Wait until the pages are served."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return


def main() -> None:
    """Sell, look, and save."""
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as data:
        asyncio.run(run(folder, Path(data)))


if __name__ == "__main__":
    main()
