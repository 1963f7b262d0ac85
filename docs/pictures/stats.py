"""Save ``boxoffice stats --watch`` as SVG, after 75 seconds of a sale: python docs/pictures/stats.py FILE.svg."""

from __future__ import annotations

import asyncio
import io
import json
import math
import random
import re
import sys
import tempfile
from contextlib import aclosing
from pathlib import Path
from time import monotonic

from rich.console import Console

from boxoffice.cli.stack import workers
from boxoffice.cli.stats import picture
from boxoffice.embedded import EmbeddedStack, Supervisor
from boxoffice.embedded.environment import documents_variables, kafka_variables, redis_variables
from boxoffice.kafka.clients import producer
from boxoffice.kafka.topics import create_topics
from boxoffice.settings import Settings, settings_from
from boxoffice.statistics.reading import Reader, Report
from topics import purchase_requests

WIDTH = 100
SALE_S = 75
SEED = 42
CANCELLED = 0.02
EVENTS = {
    "42": ("Night at the Opera", 12_000, 4_500),
    "43": ("A Midsummer Night's Dream", 1_500, 3_200),
    "44": ("Spring Concert", 6_000, 2_800),
    "45": ("Jazz in the Park", 900, 1_900),
    "46": ("The Magic Flute", 4_000, 6_000),
}
_FONT_FACES = re.compile(r"@font-face\s*{.*?}", re.DOTALL)


async def sell(settings: Settings) -> None:
    """Commands as a sale brings them: a rush, and waves of it."""
    chance = random.Random(SEED)  # noqa: S311  # it keeps no secret
    topic = purchase_requests.TOPIC.full_name(settings.kafka.topic_prefix)
    begun_s, number = monotonic(), 0
    async with producer(settings.kafka, linger_ms=5) as client:

        async def send(event_id: str, **members: object) -> None:
            await client.send(topic, json.dumps({"event_id": event_id, **members}).encode(), key=event_id.encode())

        for event_id, (name, capacity, price) in EVENTS.items():
            await send(
                event_id,
                type="create_event",
                request_id=f"c-{event_id}",
                name=name,
                venue="Main Hall",
                starts_at="2027-03-01T19:30:00+01:00",
                capacity=capacity,
                max_per_order=8,
                price={"amount": price, "currency": "EUR"},
            )
        while (passed_s := monotonic() - begun_s) < SALE_S:
            for _ in range(int(5 + 6 * math.exp(-passed_s / 40) * (1.3 + math.sin(passed_s / 4)))):
                number += 1
                event_id = chance.choices(list(EVENTS), weights=(6, 2, 3, 1, 2))[0]
                if chance.random() < CANCELLED:
                    await send(event_id, type="cancel_purchase", request_id=f"x-{number}", purchase=f"r-{number - 99}")
                else:
                    quantity = chance.choice((1, 2, 2, 3, 9))
                    await send(event_id, request_id=f"r-{number}", buyer=f"b-{number}", quantity=quantity)
            await asyncio.sleep(0.05)


async def report(folder: Path) -> Report:
    """What ``boxoffice stats`` finds at the end of the sale."""
    async with EmbeddedStack(folder, keep=False) as stack:
        environment = {
            **kafka_variables(stack.kafka_bootstrap_servers),
            **redis_variables(stack.redis_url),
            **documents_variables(folder / "documents"),
        }
        settings = settings_from(environment)
        await create_topics(settings.kafka)
        async with Supervisor(workers(environment)), aclosing(Reader(settings)) as reader:
            await sell(settings)
            return await reader.read()


def main() -> None:
    """Sell, and save the picture."""
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(report(Path(folder)))
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(picture(found, WIDTH))
    # The picture must not fetch fonts from anywhere.
    Path(sys.argv[1]).write_text(_FONT_FACES.sub("", console.export_svg(title="boxoffice stats --watch")))


if __name__ == "__main__":
    main()
