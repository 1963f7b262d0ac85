"""The pages in a real browser, of events that open at a time, have categories, and hold tickets until they are paid."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance.test_pages import NOT_MADE_YET, look_at, sees, watched
from tests.support.browser import PHONE, browser, needs_chromium
from tests.support.front import Front
from tests.support.gateways import new_key
from tests.support.office import Office
from tests.support.workload import Sent

pytestmark = [*needs_chromium, pytest.mark.slow, pytest.mark.timeout(400)]

OPERA: Final = "42"
ONE_SEAT: Final = "43"
CATEGORIES: Final = [
    {"id": "stalls", "name": "Stalls", "capacity": 10, "price": {"amount": 4_500, "currency": "EUR"}},
    {"id": "balcony", "name": "Balcony, restricted view", "capacity": 4, "price": {"amount": 1_900, "currency": "EUR"}},
]


def command(event_id: str, type_: str, request_id: str, **members: Any) -> Sent:
    named = {"type": type_, "request_id": request_id, "event_id": event_id, **members}
    return Sent(event_id.encode(), json.dumps(named).encode())


def creation(event_id: str, name: str, **members: Any) -> Sent:
    of_event = {"name": name, "venue": "Main Hall", "starts_at": "2027-03-01T19:30:00+01:00", **members}
    return command(event_id, "create_event", f"create-{event_id}", **of_event)


@pytest.fixture
async def front(office: Office, tmp_path: Path) -> Front:
    """An event with categories, and one with a single seat that is held for a minute."""
    opened = Front(office, tmp_path)
    one = {"capacity": 1, "price": {"amount": 4_500, "currency": "EUR"}, "hold_s": 60}
    await office.send(
        [
            creation(OPERA, "Night at the Opera", categories=CATEGORIES, hold_s=3_600, max_per_order=8),
            creation(ONE_SEAT, "One Seat", **one),
        ]
    )
    await opened.open()
    return opened


@pytest.fixture
async def context() -> AsyncIterator[Any]:
    async with browser() as opened:
        yield opened


async def facts(front: Front, *kinds: str) -> list[dict[str, Any]]:
    found = [json.loads(record.value or b"{}") for record in await front.office.read(front.office.ledger)]
    return [fact for fact in found if fact["type"] in kinds]


async def reserve(page: Any, front: Front, buyer: str = "b-77") -> dict[str, Any]:
    """Two in the stalls and one on the balcony, as a person does it; the fact that holds them."""
    await page.goto(f"{front.base}/buy?event={OPERA}")
    await page.locator("#line-stalls").wait_for()
    await page.fill("#line-stalls", "2")
    await page.fill("#line-balcony", "1")
    await page.fill("#buyer", buyer)
    await sees(page, "#total", "109.00 EUR")
    await page.get_by_role("button", name="Buy").click()
    await sees(page, "#held-orders", "Reserved for you until")
    [held] = await facts(front, "purchase_held")
    return held


async def test_somebody_reserves_by_category_and_has_the_tickets_once_they_are_paid_for(
    front: Front, context: Any
) -> None:
    watch = await watched(context)
    page = watch.page
    await page.set_viewport_size(PHONE)
    held = await reserve(page, front)
    assert [(line["category"], line["quantity"]) for line in held["lines"]] == [("stalls", 2), ("balcony", 1)]
    assert await page.evaluate("document.activeElement.id") == "held-title"
    for words in (
        "109.00 EUR",
        "42-000001, 42-000002, 42-000011",
        "min",
        "This page takes no payments",
        held["purchase"],
    ):
        await sees(page, "#held-orders", words)
    await sees(page, "#line-words-stalls", "45.00 EUR each, 8 left")
    await look_at(watch)
    # Whoever loads the page anew has not lost them.
    await page.reload()
    await sees(page, "#held-orders", "Reserved for you until")
    payment = {"payment": "cash:1", "amount": held["amount"], "currency": held["currency"]}
    await front.office.send([command(OPERA, "confirm_purchase", "y-1", purchase=held["purchase"], **payment)])
    for ticket in held["tickets"]:
        await sees(page, "#bought-tickets", ticket)
    assert not await page.locator("#held").is_visible()
    await page.get_by_role("link", name="Open the PDF of ticket 42-000011").wait_for(timeout=90_000)
    assert not await watch.overflows()
    assert watch.complaints_but_for(NOT_MADE_YET) == []


async def test_an_operator_sees_what_is_held_and_what_was_taken_by_category(front: Front, context: Any) -> None:
    buyer = await watched(context)
    held = await reserve(buyer.page, front)
    watch = await watched(context)
    page = watch.page
    await page.goto(f"{front.base}/operator")
    await page.fill("#key", await new_key(front.office, "admin"))
    await page.get_by_role("button", name="Look").click()
    rows = page.get_by_role("region", name="Categories").locator("tbody tr")
    await rows.filter(has_text=re.compile(r"Stalls.*45\.00 EUR\s*8\s*2\s*0")).wait_for()
    payment = {"payment": "cash:1", "amount": held["amount"], "currency": held["currency"]}
    await front.office.send(
        [
            command(OPERA, "confirm_purchase", "y-1", purchase=held["purchase"], **payment),
            command(OPERA, "cancel_purchase", "x-1", purchase=held["purchase"], tickets=["42-000002"]),
        ]
    )
    await rows.filter(has_text=re.compile(r"Stalls.*9\s*0\s*1.*45\.00 EUR")).wait_for()
    await rows.filter(has_text=re.compile(r"Balcony.*3\s*0\s*1.*19\.00 EUR")).wait_for()
    await sees(page, "#whole", re.compile("Revenue less refunds.*64.00 EUR"))
    await look_at(watch)


async def test_tickets_that_are_not_paid_for_in_time_are_on_sale_again(front: Front, context: Any) -> None:
    front.office.start("clock", BOXOFFICE_HEALTH_PORT="0")
    watch, other, spectator = [await watched(context) for _ in range(3)]
    await spectator.page.goto(front.base + "/")
    await watch.page.goto(f"{front.base}/buy?event={ONE_SEAT}")
    await sees(watch.page, "#event-words", "1 left of 1. 45.00 EUR each.")
    await watch.page.fill("#buyer", "b-77")
    await watch.page.get_by_role("button", name="Buy").click()
    await sees(watch.page, "#held-orders", "left to pay")
    await other.page.goto(f"{front.base}/buy?event={ONE_SEAT}")
    await sees(other.page, "#event-words", "All tickets are reserved for others just now. Some may come back.")
    await other.page.fill("#buyer", "b-78")
    await other.page.get_by_role("button", name="Buy").click()
    await sees(other.page, "#progress", "Some may come back: please try again in a few minutes.")
    await sees(spectator.page, "#events", "All are reserved")
    await sees(watch.page, "#held-orders", "Not paid in time: the tickets are on sale again.", 180)
    await sees(spectator.page, "#events", re.compile("1 left of 1"))
    # And now the other one gets it.
    await sees(other.page, "#event-words", "1 left of 1")
    await other.page.get_by_role("button", name="Buy").click()
    await sees(other.page, "#held-orders", "left to pay")
    assert watch.complaints == spectator.complaints == []
    assert other.complaints_but_for("status of 409") == []


async def test_whoever_gives_a_reservation_back_without_a_mouse_keeps_his_place(front: Front, context: Any) -> None:
    watch = await watched(context)
    page = watch.page
    await reserve(page, front)
    await watch.tab_to("#held-orders button")
    await page.keyboard.press("Enter")
    await sees(page, "#held-orders", "These tickets were given back before they were paid for.")
    await sees(page, "#line-words-stalls", "10 left")
    assert await page.evaluate("document.activeElement.textContent") == "Show it no more"
    await look_at(watch)
    await page.keyboard.press("Enter")
    assert not await page.locator("#held").is_visible()
    assert await page.evaluate("document.activeElement.id") == "event"
    [cancelled] = await facts(front, "purchase_cancelled")
    assert (cancelled["held"], len(cancelled["tickets"])) == (True, 3)
    assert watch.complaints == []


async def test_a_sale_that_opens_at_a_time_is_counted_down_to_and_begins_without_a_reload(
    front: Front, context: Any
) -> None:
    opens_at = (datetime.now(UTC) + timedelta(seconds=45)).replace(microsecond=0)
    members = {"capacity": 5, "price": {"amount": 0, "currency": "EUR"}, "on_sale_at": f"{opens_at:%Y-%m-%dT%H:%M:%SZ}"}
    await front.office.send([creation("44", "Premiere", **members)])
    watch, spectator = await watched(context), await watched(context)
    await spectator.page.goto(front.base + "/")
    premiere = spectator.page.get_by_role("listitem").filter(has_text="Premiere")
    await premiere.get_by_role("timer").filter(has_text=re.compile("^[0-9]+ s$"), visible=True).wait_for()
    await look_at(spectator)
    await watch.page.goto(f"{front.base}/buy?event=44")
    page = watch.page
    await sees(page, "#opening", "Begins in")
    await page.fill("#buyer", "b-77")
    await page.get_by_role("button", name="Buy").click()
    await sees(page, "#progress", re.compile("These tickets are on sale from .* on: this page counts down."))
    assert await facts(front, "purchase_rejected") == []
    await page.locator("#news").filter(has_text="Premiere: On sale").wait_for(timeout=60_000)
    assert datetime.now(UTC) >= opens_at
    assert await page.inner_text("#progress") == ""
    assert await page.inner_text("#event option:checked") == "Premiere"
    await page.get_by_role("button", name="Buy").click()
    await sees(page, "#bought-tickets", "44-000001")
    await premiere.filter(has_text="4 left of 5").wait_for()
    assert spectator.complaints == watch.complaints_but_for(NOT_MADE_YET) == []
