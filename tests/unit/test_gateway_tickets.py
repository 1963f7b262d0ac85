"""A ticket is handed out to whoever has its order's secret, and to nobody else."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from boxoffice.gateway import tickets as module
from boxoffice.gateway.lookup import Known, State
from boxoffice.gateway.messages import Problem, Response
from boxoffice.gateway.tickets import Tickets
from boxoffice.storage.errors import NoStoreError, StoreError
from boxoffice.storage.store import Stored
from models.documents import document_name
from tests.unit.gateway_requests import KnownCallers, admission, request

SHOP = "Shop000000"
ORDER = f"{SHOP}:k-1"
PDF = b"%PDF-1.7 a ticket"
CONFIRMED = {"type": "purchase_confirmed", "tickets": ["42-000001", "42-000002"]}


class Store:
    """Documents in a folder, or in a bucket that signs."""

    def __init__(self) -> None:
        self.documents = {document_name("42", "42-000001", ORDER): PDF}
        self.signs = False
        self.can_sign = True
        self.fails = False
        self.is_there = True
        self.hangs = False
        self.listed = 0

    async def beginning_with(self, stem: str) -> list[Stored]:
        self.listed += 1
        now = datetime.now(UTC)
        return [Stored(name, len(pdf), now) for name, pdf in self.documents.items() if name.startswith(stem)]

    async def read(self, name: str) -> bytes | None:
        if self.hangs:
            await asyncio.sleep(60)
        if self.fails:
            raise StoreError("It does not answer.")
        if not self.is_there:
            raise NoStoreError("file:///documents")
        return self.documents.get(name)

    async def signed_url(self, name: str, valid_for: timedelta) -> str | None:
        if not self.can_sign:
            raise StoreError("No credentials that sign.")
        return f"https://store/{name}?for={valid_for.total_seconds():g}" if name in self.documents else None


class Bench:
    """One order of a shop."""

    def __init__(self) -> None:
        self.known = KnownCallers()
        self.key = self.known.add(SHOP, "buy")
        self.store = Store()
        self.state = Known(State.ANSWERED, json.dumps(CONFIRMED).encode())
        self.asked: list[tuple[str, str]] = []
        self.since = 1
        self.tickets = Tickets(admission(self.known.callers), self, self.store)  # type: ignore[arg-type]

    async def find(self, event_id: str, request_id: str) -> Known:
        """As a lookup does."""
        self.asked.append((event_id, request_id))
        return self.state

    async def page_since(self, _event_id: str) -> int:
        """As a lookup does."""
        return self.since

    def secret(self, event_id: str = "42") -> str:
        return f"request=k-1&secret={SHOP}.{self.known.find(SHOP).proof(event_id, ORDER)}"

    async def get(self, file: str = "42-000001.pdf", event: str = "42", **given: str) -> Response:
        given.setdefault("query", self.secret(event))
        return await self.tickets.ticket(request(**given), event, file)

    async def problem(self, file: str = "42-000001.pdf", **given: str) -> str:
        with pytest.raises(Problem) as raised:
            await self.get(file, **given)
        return raised.value.name


async def test_a_ticket_is_handed_out_for_nobody_else_to_keep() -> None:
    bench = Bench()
    response = await bench.get()
    headers = dict(response.headers)
    assert (response.status, response.body) == (200, PDF)
    assert headers["content-type"] == "application/pdf"
    assert headers["content-disposition"] == 'inline; filename="42-000001.pdf"'
    assert headers["cache-control"] == "private, no-cache"
    assert headers["referrer-policy"] == "no-referrer"
    assert bench.asked == [("42", ORDER)]


@pytest.mark.parametrize(
    ("there", "served", "listed"),
    [
        ((1,), 1, 0),
        ((20,), 20, 0),
        ((1, 20), 1, 0),
        ((9,), 9, 1),
        ((9, 12), 12, 1),
        ((), None, 1),
    ],
    ids=["not yet drawn again", "drawn again", "just now", "two changes, one done", "and the next begun", "none"],
)
async def test_a_ticket_of_a_changed_event_is_handed_out_before_and_after_it_is_drawn_again(
    there: tuple[int, ...], served: int | None, listed: int
) -> None:
    bench = Bench()
    bench.since = 20
    bench.store.documents = {document_name("42", "42-000001", ORDER, since): b"%d" % since for since in there}
    bench.store.documents[document_name("42", "42-000001", "other", 30)] = b"another order's"
    if served is None:
        assert await bench.problem() == "not-yet"
    else:
        assert (await bench.get()).body == b"%d" % served
    assert bench.store.listed == listed


async def test_for_a_ticket_that_is_not_drawn_yet_no_folder_is_listed_unless_the_event_was_changed() -> None:
    bench = Bench()
    bench.store.documents.clear()
    assert await bench.problem() == "not-yet"
    assert bench.store.listed == 0


async def test_who_has_it_is_not_sent_it_again() -> None:
    bench = Bench()
    tag = dict((await bench.get()).headers)["etag"]
    for named in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        response = await bench.get(if_none_match=named)
        assert (response.status, response.body, dict(response.headers)["etag"]) == (304, b"", tag)
    assert (await bench.get(if_none_match='"other"')).status == 200


async def test_the_shop_itself_needs_no_secret() -> None:
    bench = Bench()
    assert (await bench.get(query="request=k-1", key=bench.key)).status == 200
    other = bench.known.add("other00000", "buy")
    # What is known of any order here; of his own there is no document.
    assert await bench.problem(query="request=k-1", key=other) == "not-yet"
    assert bench.asked[-1] == ("42", "other00000:k-1")
    assert await bench.problem(query="request=k-1") == "unauthenticated"
    assert await bench.problem(query="secret=x") == "invalid-query"
    assert await bench.problem(query=f"request=k-2&secret={bench.secret().partition('secret=')[2]}") == "forbidden"


async def test_a_store_that_signs_hands_it_out_itself_for_a_while() -> None:
    bench = Bench()
    bench.store.signs = True
    response = await bench.get()
    assert response.status == 303
    assert dict(response.headers)["location"].startswith("https://store/42/42-000001.")
    assert dict(response.headers)["location"].endswith("?for=60")
    assert dict(response.headers)["cache-control"] == "private, no-cache"
    bench.store.can_sign = False
    with capture_logs():
        assert (await bench.get()).body == PDF
    bench.store.can_sign = True
    bench.store.documents.clear()
    assert await bench.problem() == "not-yet"


async def test_a_ticket_that_is_not_drawn_yet_comes_later() -> None:
    bench = Bench()
    with pytest.raises(Problem, match="not-yet") as raised:
        await bench.get("42-000002.pdf")
    response = raised.value.response()
    assert (response.status, dict(response.headers)["retry-after"]) == (404, "2")
    for state in (State.ON_ITS_WAY, State.NOT_ACKNOWLEDGED):
        bench.state = Known(state)
        assert await bench.problem("42-000002.pdf") == "not-yet"


async def test_nor_is_one_where_nobody_has_drawn_anything() -> None:
    bench = Bench()
    bench.store.is_there = False
    with capture_logs() as logs:
        assert await bench.problem() == "not-yet"
    assert [line["event"] for line in logs] == ["there is no document store"]


async def test_no_ticket_but_the_order_s_own_is_handed_out() -> None:
    bench = Bench()
    bench.store.documents[document_name("42", "42-000003", ORDER)] = PDF
    bench.store.documents[document_name("42", "42-000002", f"{SHOP}:k-2")] = PDF
    assert await bench.problem("42-000003.pdf") == "no-such-ticket"
    assert await bench.problem("42-000002.pdf") == "not-yet"
    bench.state = Known(State.ANSWERED, b'{"type":"purchase_rejected","reason":"sold_out"}')
    assert await bench.problem() == "no-such-ticket"


async def test_a_ticket_is_gone_with_the_purchase_though_its_document_still_lies_there() -> None:
    bench = Bench()
    bench.state = Known(State.ANSWERED, json.dumps(CONFIRMED | {"type": "purchase_cancelled"}).encode())
    with pytest.raises(Problem, match="ticket-cancelled") as raised:
        await bench.get()
    assert raised.value.response().status == 410


def since(kind: str, **members: object) -> Known:
    """What became of the order."""
    return Known(State.ANSWERED, json.dumps({"type": kind, "tickets": CONFIRMED["tickets"], **members}).encode())


async def test_a_ticket_that_is_held_has_no_document_until_it_is_paid_for() -> None:
    bench = Bench()
    bench.state = since("purchase_held")
    with pytest.raises(Problem, match="not-yet") as raised:
        await bench.get()
    response = raised.value.response()
    assert (response.status, dict(response.headers)["retry-after"]) == (404, "10")
    assert "not paid" in raised.value.detail
    assert await bench.problem("42-000003.pdf") == "no-such-ticket"
    bench.state = since("purchase_confirmed", request_id="p-1", purchase=ORDER)
    assert (await bench.get()).body == PDF
    bench.state = since("hold_expired")
    assert await bench.problem() == "ticket-cancelled"


async def test_of_an_order_of_which_some_was_given_back_the_rest_is_handed_out() -> None:
    bench = Bench()
    bench.state = since("purchase_cancelled", tickets=["42-000002"], remaining=["42-000001"])
    assert (await bench.get()).body == PDF
    assert await bench.problem("42-000002.pdf") == "ticket-cancelled"
    assert await bench.problem("42-000003.pdf") == "no-such-ticket"
    bench.state = since("purchase_cancelled", tickets=["42-000002"], remaining=["42-000001"], held=True)
    assert await bench.problem() == "not-yet"
    assert await bench.problem("42-000002.pdf") == "ticket-cancelled"


async def test_after_a_change_the_newest_page_is_handed_out_to_whoever_has_the_one_before() -> None:
    bench = Bench()
    tag = dict((await bench.get()).headers)["etag"]
    bench.store.documents = {document_name("42", "42-000001", ORDER): b"%PDF-1.7 at another time"}
    response = await bench.get(if_none_match=tag)
    assert (response.status, response.body) == (200, b"%PDF-1.7 at another time")


async def test_a_document_is_handed_out_though_nobody_can_say_what_became_of_its_order() -> None:
    bench = Bench()
    for state, otherwise in ((State.NOT_SERVED, "unavailable"), (State.NOT_KNOWN, "not-known")):
        bench.state = Known(state)
        assert (await bench.get()).body == PDF
        assert await bench.problem("42-000002.pdf") == otherwise


async def test_a_store_that_fails_or_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STORE_WITHIN_S", 0.01)
    bench = Bench()
    with capture_logs():
        bench.store.fails = True
        assert await bench.problem() == "unavailable"
        bench.store.fails, bench.store.hangs = False, True
        assert await bench.problem() == "unavailable"


@pytest.mark.parametrize(
    "file",
    ["42-000001", "43-000001.pdf", "42-1.pdf", ".pdf", "42-000001.pdf.pdf", "..%2f42-000001.pdf", "42-000001.PDF"],
)
async def test_what_is_no_ticket_of_the_event_is_not_looked_for(file: str) -> None:
    bench = Bench()
    assert await bench.problem(file) == "not-found"
    assert bench.asked == []
