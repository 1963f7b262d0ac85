"""Statistics of a whole sale by the processes: categories, holds, payments, and an event that is archived."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

import pytest

from boxoffice.redis.connection import connect
from boxoffice.statistics.published import read_topic
from lua.keys import event_statistics_key
from tests.support.office import POLL_S, Office
from tests.support.workload import Sent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

EVENT: Final = "42"
CATEGORIES: Final = [
    {"id": "stalls", "name": "Stalls", "capacity": 10, "price": {"amount": 4_500, "currency": "EUR"}},
    {"id": "balcony", "name": "Balcony", "capacity": 4, "price": {"amount": 1_900, "currency": "EUR"}},
]


def command(type_: str, request_id: str, **members: Any) -> Sent:
    named = {"type": type_, "request_id": request_id, "event_id": EVENT, **members}
    return Sent(EVENT.encode(), json.dumps(named).encode())


def bought(request_id: str, buyer: str = "b-1", **lines: int) -> Sent:
    named = [{"category": category, "quantity": quantity} for category, quantity in lines.items()]
    return command("purchase", request_id, buyer=buyer, lines=named)


def paid(purchase: str, amount: int) -> Sent:
    members = {"purchase": purchase, "payment": f"pay-{purchase}", "amount": amount, "currency": "EUR"}
    return command("confirm_purchase", f"y-{purchase}", **members)


SALE: Final = [
    command(
        "create_event",
        "c-1",
        name="Night",
        venue="Main Hall",
        starts_at="2027-03-01T19:30:00+01:00",
        hold_s=3_600,
        categories=CATEGORIES,
    ),
    bought("r-1", stalls=2, balcony=1),
    bought("r-2", stalls=3),
    bought("r-3", balcony=4),
    bought("r-4", balcony=3),
    paid("r-1", 10_900),
    paid("r-9", 10_900),
    command("cancel_purchase", "x-1", purchase="r-1", tickets=["42-000001", "42-000011"]),
    command("cancel_purchase", "x-2", purchase="r-4"),
    command("remove_tickets", "t-1", category="stalls", count=1),
    command("change_event", "e-1", name="Another Night", off_sale_at="2027-03-01T19:00:00+01:00"),
]


async def figures_of(office: Office, is_so: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    """The event's figures on the topic, once they are so."""
    deadline_s = monotonic() + 120
    while True:
        found = (await read_topic(office.settings.kafka)).figures.get(EVENT, {})
        if found and is_so(found):
            return found
        assert monotonic() < deadline_s, f"waited for {what}: {found}"
        await asyncio.sleep(POLL_S)


async def in_redis(office: Office) -> bool:
    key = event_statistics_key(office.settings.redis.key_prefix, EVENT)
    client = connect(office.settings.redis)
    try:
        return bool(await client.execute_command("EXISTS", key))
    finally:
        await client.aclose()


def assert_sold(sold: dict[str, Any]) -> None:
    """What the sale comes to."""
    assert (sold["name"], sold["off_sale_at"], sold["hold_s"]) == ("Another Night", "2027-03-01T19:00:00+01:00", 3_600)
    tickets = ("issued", "removed", "remaining", "held", "sold", "expired", "released", "cancelled")
    stalls, balcony = ({name: of[name] for name in tickets} for of in sold["categories"])
    assert stalls == dict(zip(tickets, (10, 1, 5, 3, 1, 0, 0, 1), strict=True))
    assert balcony == dict(zip(tickets, (4, 0, 4, 0, 0, 0, 3, 1), strict=True))
    assert {name: sold[name] for name in tickets} == dict(zip(tickets, (14, 1, 9, 3, 1, 0, 3, 2), strict=True))
    assert sold["revenue"] == {"amount": 4_500, "currency": "EUR", "refunded": 6_400}
    assert (sold["purchases"], sold["holds"], sold["payments_refused"]) == (1, 3, {"no_such_purchase": 1})
    assert (sold["rejected"], sold["categories"][1]["rejected"]) == ({"not_enough_left": 1}, {"not_enough_left": 1})


async def test_figures_of_a_sale_survive_a_kill_and_an_archived_events_stay_on_the_topic(office: Office) -> None:
    office.start("purchases")
    stats = office.start("stats")
    await office.send(SALE)
    assert_sold(await figures_of(office, lambda of: of["seq"] == len(SALE), "the whole sale to be counted"))
    shown = json.loads((await office.run("stats", "--json")).stdout)
    assert (shown["global"]["totalHeld"], shown["global"]["refunded"]) == (3, {"EUR": 6_400})
    assert [category["heldTickets"] for category in shown["events"][0]["categories"]] == [3, 0]
    stats.kill()
    rest = [
        *(command("cancel_event", "k-1"), command("cancel_purchase", "x-3", purchase="r-1")),
        *(command("cancel_purchase", "x-4", purchase="r-2"), command("archive_event", "k-2"), bought("r-5", stalls=1)),
    ]
    await office.send(rest)
    office.start("stats")
    archived = await figures_of(office, lambda of: of["seq"] == len(SALE) + len(rest), "what came after it")
    assert (archived["status"], archived["closed"], archived["sold"], archived["held"]) == ("archived", True, 0, 0)
    assert archived["revenue"] == {"amount": 0, "currency": "EUR", "refunded": 10_900}
    assert archived["rejected"] == {"not_enough_left": 1, "event_archived": 1}
    deadline_s = monotonic() + 60
    while await in_redis(office):
        assert monotonic() < deadline_s, "Redis still has the figures of an archived event"
        await asyncio.sleep(POLL_S)
    shown = json.loads((await office.run("stats", "--json")).stdout)
    assert (shown["global"]["totalEvents"], shown["global"]["archivedEvents"], shown["events"]) == (1, 1, [])
    assert shown["system"]["complete"] is True
