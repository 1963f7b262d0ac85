"""The whole sale over HTTP: categories, holds, changes and the end, asked of two instances in turn."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import aiohttp
import pytest

from tests.integration.test_gateway_requests import answer_once
from tests.support.gateways import Answer, Door, new_key
from tests.support.office import Office
from tests.support.workload import Sent

EVENT = {
    "event_id": "42", "name": "Night at the Opera", "venue": "Main Hall", "starts_at": "2027-03-01T19:30:00Z",
    "categories": [
        {"id": "stalls", "name": "Stalls", "capacity": 3, "price": {"amount": 4500, "currency": "EUR"}},
        {"id": "balcony", "name": "Balcony", "capacity": 2, "price": {"amount": 3000, "currency": "EUR"}},
    ],
    "hold_s": 3600, "max_per_buyer": 4,
}  # fmt: skip
LINES = {
    "buyer": "b-1",
    "lines": [{"category": "stalls", "quantity": 2}, {"category": "balcony", "quantity": 1}],
}
PLACE = "/v1/events/42"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


class Front(NamedTuple):
    """Two instances, a shop's key, and that of who puts events on sale."""

    office: Office
    session: aiohttp.ClientSession
    doors: tuple[Door, Door]
    shop: str
    manager: str

    async def buy(self, key: str, body: Any = LINES, door: int = 0) -> Answer:
        return await self.doors[door].post(self.session, f"{PLACE}/purchases", self.shop, key, body)

    async def give_back(self, key: str, purchase: str, body: Any = None, door: int = 0) -> Answer:
        path = f"{PLACE}/purchases/{purchase}/cancellation"
        return await self.doors[door].post(self.session, path, self.shop, key, body)

    async def manage(self, what: str, key: str, body: Any = None) -> Answer:
        path = f"{PLACE}/{what}" if what else "/v1/events"
        return await self.doors[0].post(self.session, path, self.manager, key, body)

    async def look(self, key: str, door: int) -> Answer:
        return await self.doors[door].get(self.session, f"{PLACE}/requests/{key}", self.shop)

    async def tell(self, **command: Any) -> None:
        """Whoever takes money, or looks at the clock, says so on Kafka."""
        await self.office.send([Sent(b"42", json.dumps({"event_id": "42", **command}).encode())])
        await self.office.answered()

    def purchase(self, key: str) -> str:
        """As the ledger knows it."""
        return f"{self.shop.split('_')[1]}:{key}"


@pytest.fixture
async def front(office: Office, session: aiohttp.ClientSession) -> Front:
    office.start()
    doors = Door(office), Door(office)
    found = Front(office, session, doors, await new_key(office, "buy"), await new_key(office, "events"))
    for door in doors:
        await door.ready()
    return found


def problem_of(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.body["type"].removeprefix("/v1/problems/")


async def shows(front: Front, key: str, kind: str) -> Answer:
    """What both instances say of a purchase, once they say that it is this."""

    async def seen(door: int) -> Answer:
        found = await front.look(key, door)
        return found if found.status == 200 and found.body["type"] == kind else found._replace(status=0)

    await answer_once(lambda: seen(0), 200)
    return await answer_once(lambda: seen(1), 200)


async def test_what_is_held_is_paid_for_elsewhere_and_every_instance_tells_it(front: Front) -> None:
    created = await front.manage("", "e-1", EVENT)
    assert (created.status, created.body["actor"]) == (201, front.manager.split("_")[1])
    held = await front.buy("k-1")
    assert (held.status, held.body["type"], held.body["amount"]) == (201, "purchase_held", 12_000)
    assert [line["tickets"] for line in held.body["lines"]] == [["42-000001", "42-000002"], ["42-000004"]]
    again = await front.buy("k-1", door=1)
    assert (again.status, again.headers["idempotent-replayed"]) == (201, "true")
    assert again.body | {"decided_by": held.body["decided_by"]} == held.body
    # A deadline is looked at where the log is: whoever comes too early changes nothing.
    await front.tell(type="expire_hold", request_id="x-1", purchase=front.purchase("k-1"))
    assert (await shows(front, "k-1", "purchase_held")).body["due"] == held.body["due"]
    payment = {"payment": "pay-1", "amount": 12_000, "currency": "EUR"}
    await front.tell(type="confirm_purchase", request_id="p-1", purchase=front.purchase("k-1"), **payment)
    paid = await front.buy("k-1", door=1)
    assert (paid.status, paid.body["type"], paid.body["payment"]) == (200, "purchase_confirmed", "pay-1")
    assert paid.body["purchase"] == held.body["request_id"]
    assert (await shows(front, "k-1", "purchase_confirmed")).body["payment"] == "pay-1"
    await front.office.agrees()


async def test_who_gets_no_tickets_is_told_why_and_stays_refused(front: Front) -> None:
    assert (await front.manage("", "e-1", EVENT)).status == 201
    assert (await front.buy("k-1")).status == 201
    assert problem_of(await front.buy("k-2")) == (409, "over-buyer-limit")
    other = {"buyer": "b-2", "category": "stalls"}
    assert (await front.buy("k-3", other)).status == 201
    refused = await front.buy("k-4", other)
    assert problem_of(refused) == (409, "all-held")
    assert problem_of(await front.buy("k-5", {**other, "category": "boxes"})) == (422, "unknown-category")
    assert (await front.give_back("r-1", "k-1")).status == 201
    again = await front.buy("k-4", other, door=1)
    assert problem_of(again) == (409, "all-held")
    assert again.body["fact"]["seq"] == refused.body["fact"]["seq"]
    assert (await front.buy("k-6", other, door=1)).status == 201
    await front.office.agrees()


async def test_some_tickets_are_given_back_and_then_the_rest(front: Front) -> None:
    assert (await front.manage("", "e-1", EVENT)).status == 201
    assert (await front.buy("k-1")).status == 201
    some = await front.give_back("r-1", "k-1", {"tickets": ["42-000004"]}, door=1)
    assert (some.status, some.body["remaining"], some.body["held"]) == (201, ["42-000001", "42-000002"], True)
    assert problem_of(await front.give_back("r-2", "k-1", {"tickets": ["42-000004"]})) == (404, "no-such-ticket")
    now = await shows(front, "k-1", "purchase_cancelled")
    assert now.body["remaining"] == ["42-000001", "42-000002"]
    assert (await front.give_back("r-3", "k-1")).status == 201
    assert (await front.look("k-1", 0)).body["remaining"] == []
    assert (await front.give_back("r-1", "k-1", {"tickets": ["42-000004"]})).body["remaining"] == some.body["remaining"]
    assert (await front.look("k-1", 0)).body["remaining"] == []
    assert problem_of(await front.give_back("r-4", "k-1")) == (409, "already-cancelled")
    repeated = await front.buy("k-1", door=1)
    assert (repeated.status, repeated.body["type"]) == (200, "purchase_cancelled")
    await front.office.agrees()


async def test_an_event_is_changed_called_off_and_forgotten(front: Front) -> None:
    plain = {name: value for name, value in EVENT.items() if name not in ("hold_s", "max_per_buyer")}
    opens_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds")
    front.office.start("stats")
    assert (await front.manage("", "e-1", {**plain, "on_sale_at": opens_at})).status == 201
    await answer_once(lambda: front.doors[1].get(front.session, PLACE), 200)
    early = await front.buy("k-1", door=1)
    assert problem_of(early) == (409, "not-on-sale-yet")
    assert early.body["on_sale_at"] == opens_at
    assert 3_000 < int(early.headers["retry-after"]) <= 3_601
    changed = await front.manage("change", "c-1", {"on_sale_at": "2026-01-01T00:00:00Z", "name": "Another"})
    assert (changed.status, changed.body["name"], len(changed.body["categories"])) == (201, "Another", 2)
    # A key is one request: who came too early did.
    assert problem_of(await front.buy("k-1")) == (409, "not-on-sale-yet")
    bought = await front.buy("k-2")
    assert (bought.status, bought.body["type"]) == (201, "purchase_confirmed")
    removal = {"category": "balcony", "count": 1}
    assert (await front.manage("removal", "d-1", removal)).status == 201
    assert problem_of(await front.manage("removal", "d-2", removal)) == (409, "sold-out")
    assert (await front.manage("tickets", "a-1", removal)).body["category"] == "balcony"
    assert problem_of(await front.manage("archiving", "f-0")) == (409, "event-open")
    assert (await front.manage("cancellation", "o-1")).body["type"] == "event_cancelled"
    assert problem_of(await front.buy("k-3")) == (409, "event-cancelled")
    assert (await front.give_back("r-1", "k-2", door=1)).status == 201
    archived = await front.manage("archiving", "f-1")
    assert (archived.status, archived.body["type"]) == (201, "event_archived")
    for key in ("k-1", "k-2", "k-9"):
        assert problem_of(await front.buy(key, door=1)) == (410, "event-archived")
    assert problem_of(await front.manage("archiving", "f-1")) == (410, "event-archived")
    gone = await answer_once(lambda: front.look("k-9", 0), 404)
    assert problem_of(gone) == (404, "not-known")
