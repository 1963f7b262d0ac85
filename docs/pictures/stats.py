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
from datetime import UTC, datetime, timedelta
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
WEIGHTS = {"42": 6, "43": 2, "44": 3, "46": 2}
"""How often each is bought from: all that are on sale."""
CATEGORIES = {
    "43": {"stalls": ("Stalls", 500, 4_800), "balcony": ("Balcony", 300, 3_200), "lawn": ("Lawn", 120, 1_200)}
}
"""Of the events that have some, which are held until they are paid for: name, tickets, price."""
HOLD_S = 600
PAID = 0.8
OPENS_IN = {"45": timedelta(hours=26)}
MOST = 8
_FONT_FACES = re.compile(r"@font-face\s*{.*?}", re.DOTALL)


async def sell(settings: Settings) -> None:
    """Commands as a sale brings them: a rush, and waves of it."""
    chance = random.Random(SEED)  # noqa: S311  # it keeps no secret
    topic = purchase_requests.TOPIC.full_name(settings.kafka.topic_prefix)
    begun_s, number = monotonic(), 0
    async with producer(settings.kafka, linger_ms=5) as client:

        async def send(event_id: str, **members: object) -> None:
            await client.send(topic, json.dumps({"event_id": event_id, **members}).encode(), key=event_id.encode())

        for event_id in EVENTS:
            await send(event_id, type="create_event", request_id=f"c-{event_id}", **creation(event_id))
        while (passed_s := monotonic() - begun_s) < SALE_S:
            for _ in range(int(5 + 6 * math.exp(-passed_s / 40) * (1.3 + math.sin(passed_s / 4)))):
                number += 1
                [event_id] = chance.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
                if chance.random() < CANCELLED:
                    await send(event_id, type="cancel_purchase", request_id=f"x-{number}", purchase=f"r-{number - 99}")
                    continue
                quantity = chance.choice((1, 2, 2, 3, 9))
                category = chance.choice([*CATEGORIES.get(event_id, ("general",))])
                wanted = {"quantity": quantity, "category": category}
                await send(event_id, request_id=f"r-{number}", buyer=f"b-{number}", **wanted)
                if event_id in CATEGORIES and quantity <= MOST and chance.random() < PAID:
                    amount = quantity * CATEGORIES[event_id][category][2]
                    paid = {"payment": f"p-{number}", "amount": amount, "currency": "EUR"}
                    await send(
                        event_id, type="confirm_purchase", request_id=f"y-{number}", purchase=f"r-{number}", **paid
                    )
            await asyncio.sleep(0.05)


def creation(event_id: str) -> dict[str, object]:
    """What an event is put on sale with."""
    name, capacity, price = EVENTS[event_id]
    terms: dict[str, object] = {"name": name, "venue": "Main Hall", "starts_at": "2027-03-01T19:30:00+01:00"}
    terms["max_per_order"] = MOST
    if event_id in OPENS_IN:
        terms["on_sale_at"] = f"{datetime.now(UTC) + OPENS_IN[event_id]:%Y-%m-%dT%H:00:00Z}"
    if event_id not in CATEGORIES:
        return {**terms, "capacity": capacity, "price": {"amount": price, "currency": "EUR"}}
    categories = [
        {"id": id_, "name": of_name, "capacity": tickets, "price": {"amount": amount, "currency": "EUR"}}
        for id_, (of_name, tickets, amount) in CATEGORIES[event_id].items()
    ]
    return {**terms, "categories": categories, "hold_s": HOLD_S}


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
