"""The pages in a real browser: what a person sees, whatever becomes of the servers, and whoever the person is."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from tests.support.browser import DESK, PHONE, Watched, browser, needs_chromium
from tests.support.front import Front
from tests.support.gateways import new_key
from tests.support.office import Office, until
from tests.support.workload import Sent, creations, order

pytestmark = [*needs_chromium, pytest.mark.slow, pytest.mark.timeout(300)]

BIG: Final = "42"
SMALL: Final = "43"
NOT_MADE_YET: Final = r"status of (404|503).*\.pdf\?"
"""A PDF is asked for until it is there, and Chromium writes down each time that it was not."""


@pytest.fixture
async def front(office: Office, tmp_path: Path) -> Front:
    """Two events, of which the second has one ticket."""
    opened = Front(office, tmp_path)
    await office.send([*creations([BIG], 100), *creations([SMALL], 1)])
    await opened.open()
    return opened


@pytest.fixture
async def context() -> AsyncIterator[Any]:
    async with browser() as opened:
        yield opened


async def watched(context: Any) -> Watched:
    return Watched(await context.new_page())


async def sees(page: Any, selector: str, text: str | re.Pattern[str], timeout_s: float = 30) -> None:
    """Wait until a person sees a text there."""
    await page.locator(selector).filter(has_text=text, visible=True).first.wait_for(timeout=timeout_s * 1_000)


async def bought(front: Front) -> list[dict[str, Any]]:
    """The purchases that the ledger confirms; the fact of one that was asked for again stands there again."""
    facts = [json.loads(record.value or b"{}") for record in await front.office.read(front.office.ledger)]
    confirmed = [fact for fact in facts if fact["type"] == "purchase_confirmed"]
    return list({(fact["event_id"], fact["seq"]): fact for fact in confirmed}.values())


async def fill(page: Any, event_id: str, quantity: int, buyer: str) -> None:
    await page.locator(f"#event option[value='{event_id}']").wait_for(state="attached")
    await page.select_option("#event", event_id)
    await page.fill("#quantity", str(quantity))
    await page.fill("#buyer", buyer)


async def test_somebody_at_a_phone_buys_and_gets_the_pdf_of_each_ticket(front: Front, context: Any) -> None:
    """Choose, buy, see; by a key that is meant for browsers, from another origin than the pages'."""
    watch = await watched(context)
    page = watch.page
    await page.set_viewport_size(PHONE)
    await page.goto(front.base + "/")
    await sees(page, "#connection", "Live")
    await page.get_by_role("link", name=f"Buy tickets for Night {BIG}").click()
    await fill(page, BIG, 2, "b-77 <b>&amp;")
    await sees(page, "#event-words", "100 left of 100")
    assert not await watch.overflows()
    await page.get_by_role("button", name="Buy").click()
    await sees(page, "#bought-tickets", "b-77 <b>&amp;")
    for number in ("42-000001", "42-000002"):
        link = page.get_by_role("link", name=f"Open the PDF of ticket {number}")
        await link.wait_for(timeout=60_000)
        async with aiohttp.ClientSession() as session, session.get(await link.get_attribute("href")) as response:
            assert (response.status, (await response.read())[:5]) == (200, b"%PDF-")
    assert not await watch.overflows()
    [fact] = await bought(front)
    assert fact["tickets"] == ["42-000001", "42-000002"]
    # The next one sees what it costs.
    await sees(page, "#event-words", re.compile("98 left of 100. 45.00 EUR each."))
    assert watch.complaints_but_for(NOT_MADE_YET) == []
    assert watch.hosts == {front.base.removeprefix("http://"), front.door.base.removeprefix("http://")}


async def test_somebody_without_a_mouse_buys(front: Front, context: Any) -> None:
    """Tab, letters, Enter; and the focus is led to what came of it."""
    watch = await watched(context)
    page = watch.page
    await page.goto(front.base + "/")
    await sees(page, "#events", f"Night {BIG}")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
    await page.keyboard.press("Enter")
    await watch.tab_to(f"a[href='/buy?event={BIG}']")
    await page.keyboard.press("Enter")
    await sees(page, "#event-words", "100 left of 100")
    assert await page.input_value("#event") == BIG
    await watch.tab_to("#quantity")
    await page.keyboard.type("3")
    await watch.tab_to("#buyer")
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "buyer"
    assert await page.get_attribute("#buyer", "aria-invalid") == "true"
    await sees(page, "#buyer-wrong", "Say who buys them.")
    await page.keyboard.type("b-78")
    await page.keyboard.press("Enter")
    await sees(page, "#bought-tickets", "42-000003")
    assert await page.evaluate("document.activeElement.id") == "bought-title"
    await page.get_by_role("link", name="Open the PDF of ticket 42-000001").wait_for(timeout=60_000)
    await watch.tab_to("#bought-tickets a")
    assert watch.complaints_but_for(NOT_MADE_YET) == []


async def test_a_live_page_whose_server_dies_says_so_and_is_live_again_with_it(front: Front, context: Any) -> None:
    watch = await watched(context)
    page = watch.page
    await page.goto(front.base + "/")
    await sees(page, "#connection", "Live")
    await sees(page, "#events", re.compile("100 left of 100"))
    assert watch.complaints == []
    front.pages.kill()
    await sees(page, "#connection", "Reconnecting")
    assert await page.get_attribute("#connection", "role") == "status"
    await front.office.send([order(BIG, "r-1", 4), order(SMALL, "r-2", 1)])
    await front.start_pages()
    await sees(page, "#connection", "Live", 60)
    await sees(page, "#events", re.compile("96 left of 100"))
    await sees(page, "#events", "Sold out")
    await sees(page, "#total-sold", "5")
    # And it hears of what happens from then on.
    await front.office.send([order(BIG, "r-3", 1), Sent(BIG.encode(), closing(BIG))])
    await sees(page, "#events", re.compile("95 left of 100"))
    await sees(page, "#events", "Sale ended")
    assert watch.complaints_but_for_lost_connections() == []


def closing(event_id: str) -> bytes:
    return json.dumps({"type": "close_event", "request_id": "close", "event_id": event_id}).encode()


def losing(keys: list[str]) -> Callable[[Any], Awaitable[None]]:
    """A way on which each purchase arrives and its answer does not; it writes down the keys that come by."""
    from playwright.async_api import Error

    async def lose(route: Any) -> None:
        keys.append(route.request.headers["idempotency-key"])
        with suppress(Error):
            await route.fetch()
        await route.abort()

    return lose


async def test_a_purchase_whose_answer_is_lost_is_made_once_whatever_the_person_does(
    front: Front, context: Any
) -> None:
    """The connection ends when the answer comes, the page is loaded anew, the gateway dies: the key stays the same."""
    watch = await watched(context)
    page = watch.page
    await page.goto(f"{front.base}/buy?event={BIG}")
    await fill(page, BIG, 2, "b-77")
    keys: list[str] = []
    await page.route("**/purchases", losing(keys))
    await page.get_by_role("button", name="Buy").click()
    await sees(page, "#progress", "The shop cannot be reached. This page asks again by itself, and buys nothing twice.")
    assert not await page.locator("#change").is_visible(), "it may have been bought"
    front.door.process.kill()
    await page.unroute_all(behavior="wait")
    await page.reload()
    await sees(page, "#progress", "The shop cannot be reached")
    assert await page.input_value("#buyer") == "b-77"
    # Whoever presses it in vain is told so again; once a gateway is there the page may be quicker than any hand.
    await page.get_by_role("button", name="Ask again now").click()
    await sees(page, "#progress", "The shop cannot be reached")
    await front.start_gateway()
    await sees(page, "#bought-tickets", "42-000002", 60)
    [fact] = await bought(front)
    assert fact["tickets"] == ["42-000001", "42-000002"]
    assert fact["request_id"].endswith(f":{keys[0]}")
    assert len(set(keys)) == 1
    # What was bought is still there after another reload, and nothing is asked for any more.
    await page.reload()
    await sees(page, "#bought-tickets", "42-000001")
    assert await page.evaluate("sessionStorage.getItem('boxoffice.purchase')") is None
    assert len(await bought(front)) == 1


async def test_what_cannot_be_had_is_told_in_words(front: Front, context: Any) -> None:
    watch = await watched(context)
    page = watch.page
    await page.goto(f"{front.base}/buy?event={SMALL}")
    await fill(page, SMALL, 2, "b-77")
    await page.get_by_role("button", name="Buy").click()
    await sees(page, "#progress", "Fewer tickets are left than asked for.")
    await page.fill("#quantity", "1")
    await page.get_by_role("button", name="Buy").click()
    await sees(page, "#bought-tickets", "43-000001")
    await fill(page, BIG, 9, "b-77")
    await page.get_by_role("button", name="Buy").click()
    await sees(page, "#progress", "These are more tickets than one order may have.")
    await page.fill("#quantity", "101")
    await page.get_by_role("button", name="Buy").click()
    await sees(page, "#quantity-wrong", "Between 1 and 100 tickets")
    assert len(await bought(front)) == 1
    assert watch.complaints_but_for(NOT_MADE_YET, "status of (409|422)") == []


async def test_whoever_gets_no_stream_sees_what_sells_all_the_same(front: Front, context: Any) -> None:
    """As where more people watch than one server has streams for."""
    watch = await watched(context)
    page = watch.page
    await page.route("**/v1/stream", lambda route: route.fulfill(status=503))
    await page.goto(front.base + "/")
    await sees(page, "#events", "100 left of 100")
    await sees(page, "#connection", "Reconnecting: as of")
    await front.office.send([order(BIG, "r-1", 4)])
    await sees(page, "#events", "96 left of 100")
    await page.unroute_all()
    await sees(page, "#connection", "Live", 60)
    assert watch.complaints_but_for("status of 503") == []


async def test_somebody_who_comes_for_an_event_that_is_not_here_is_sold_no_other_one(
    front: Front, context: Any
) -> None:
    watch = await watched(context)
    page = watch.page
    await page.goto(f"{front.base}/buy?event=99")
    await sees(page, "#trouble", "This event is not here. Please choose another one.")
    assert await page.input_value("#event") == ""
    await page.fill("#buyer", "b-77")
    await page.get_by_role("button", name="Buy").click()
    await sees(page, "#event-wrong", "Choose an event.")
    assert await page.evaluate("document.activeElement.id") == "event"
    await page.select_option("#event", BIG)
    await sees(page, "#event-words", "100 left of 100")
    assert not await page.locator("#trouble").is_visible()
    assert watch.complaints_but_for("status of 404") == []


async def test_a_pdf_that_cannot_be_made_holds_up_no_other(front: Front, context: Any) -> None:
    watch = await watched(context)
    page = watch.page
    await page.route(re.compile(r"/42-000001\.pdf\?"), lambda route: route.fulfill(status=503))
    await page.goto(f"{front.base}/buy?event={BIG}")
    await fill(page, BIG, 2, "b-77")
    await page.get_by_role("button", name="Buy").click()
    await page.get_by_role("link", name="Open the PDF of ticket 42-000002").wait_for(timeout=60_000)
    await sees(page, "#bought-tickets", "Its PDF is being made")


async def test_an_operators_page_asks_at_one_pace_however_often_it_is_looked_at_again(
    front: Front, context: Any
) -> None:
    """Each look while an answer was on its way began a round of its own, which never ended."""
    watch = await watched(context)
    page = watch.page
    await page.goto(f"{front.base}/operator")
    await page.fill("#key", await new_key(front.office, "admin"))
    await page.get_by_role("button", name="Look").click()
    await sees(page, "#connection", "Live")
    held: list[Any] = []

    async def hold(route: Any) -> None:
        held.append(route)

    await page.route("**/v1/operator", hold)
    await until(lambda: len(held) == 1, 30, "it to ask")
    for _ in range(3):
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await until(lambda: len(held) == 4, 30, "it to ask again at once")
    for route in held:
        await route.continue_()
    held.clear()
    await until(lambda: len(held) > 0, 30, "it to ask a little later")
    # The others would come now.
    await page.evaluate("new Promise((resolve) => setTimeout(resolve, 1_000))")
    assert len(held) == 1
    await page.unroute_all(behavior="ignoreErrors")


async def test_a_shop_without_a_key_asks_for_one_and_keeps_it_in_the_tab_alone(
    office: Office, tmp_path: Path, context: Any
) -> None:
    front = Front(office, tmp_path)
    await office.send(creations([BIG], 10))
    await front.open(shows_key=False)
    watch = await watched(context)
    page = watch.page
    await page.goto(f"{front.base}/buy?event={BIG}")
    await fill(page, BIG, 1, "b-77")
    await page.fill("#key", "bo_x")
    await page.get_by_role("button", name="Buy").click()
    await sees(page, "#key-wrong", "This is no whole key")
    await page.fill("#key", front.key[:-49] + front.key[-1] * 49)
    await page.get_by_role("button", name="Buy").click()
    await sees(page, "#key-wrong", "This key is not known")
    await page.fill("#key", front.key)
    await page.get_by_role("button", name="Buy").click()
    await sees(page, "#bought-tickets", "42-000001")
    assert front.key not in await page.content()
    assert await page.evaluate("localStorage.length") == 0
    assert watch.complaints_but_for(NOT_MADE_YET, "status of 401") == []


async def test_an_operator_sees_everything_with_a_key_and_nothing_without(front: Front, context: Any) -> None:
    admin, buyer = await new_key(front.office, "admin"), front.key
    watch = await watched(context)
    page = watch.page
    await page.set_viewport_size(PHONE)
    await page.goto(f"{front.base}/operator")
    for wrong in ("bo_x", buyer):
        await page.fill("#key", wrong)
        await page.get_by_role("button", name="Look").click()
        await page.locator("#key-wrong").filter(visible=True).wait_for()
        assert not await page.locator("#report").is_visible()
    await page.fill("#key", admin)
    await page.get_by_role("button", name="Look").click()
    await sees(page, "#connection", "Live")
    for words in (f"Night {BIG}", "purchases", "documents", "stats", "gateway"):
        await sees(page, "#tables", words)
    assert not await watch.overflows()
    await front.office.send([order(BIG, "r-1", 4)])
    await sees(page, "#tables", re.compile("180.00 EUR"))
    assert admin not in await page.content()
    assert await page.evaluate("localStorage.length") == 0
    await page.get_by_role("button", name="Forget the key").click()
    assert not await page.locator("#report").is_visible()
    assert f"Night {BIG}" not in await page.content()
    assert await page.evaluate("sessionStorage.length") == 0
    assert watch.complaints_but_for("status of (401|403)") == []


async def test_axe_finds_nothing_that_keeps_anybody_out(front: Front, context: Any) -> None:
    """On each page as it begins, and as it is when it has something to show; light and dark, wide and narrow."""
    admin = await new_key(front.office, "admin")
    await front.office.send([order(SMALL, "r-1", 1)])
    watch = await watched(context)
    page = watch.page
    await page.goto(f"{front.base}/")
    await sees(page, "#events", "Sold out")
    await look_at(watch)
    await page.goto(f"{front.base}/buy?event={BIG}")
    await sees(page, "#event-words", "100 left of 100")
    await page.get_by_role("button", name="Buy").click()
    await sees(page, "#buyer-wrong", "Say who buys them.")
    await look_at(watch)
    await fill(page, BIG, 1, "b-77")
    await page.get_by_role("button", name="Buy").click()
    await page.get_by_role("link", name="Open the PDF").wait_for(timeout=60_000)
    await look_at(watch)
    await page.goto(f"{front.base}/operator")
    await look_at(watch)
    await page.fill("#key", admin)
    await page.get_by_role("button", name="Look").click()
    await sees(page, "#tables", f"Night {BIG}")
    await look_at(watch)


async def look_at(watch: Watched) -> None:
    """Nothing keeps anybody out, in whatever colours and on whatever screen."""
    for size in (DESK, PHONE):
        await watch.page.set_viewport_size(size)
        assert not await watch.overflows()
        for scheme in ("light", "dark"):
            await watch.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            assert await watch.barriers() == []


async def test_the_pages_run_nothing_that_somebody_smuggles_in(front: Front, context: Any) -> None:
    """A name is text, whatever it reads like, and the policy stands behind that."""
    name = "<img src=x onerror=alert(1)><script>alert(1)</script>"
    command = json.loads(creations(["44"], 5)[0].value) | {"name": name}
    await front.office.send([Sent(b"44", json.dumps(command).encode())])
    watch = await watched(context)
    page = watch.page
    said: list[str] = []
    page.on("dialog", lambda dialog: said.append(dialog.message))
    response = await page.goto(front.base + "/")
    await sees(page, "#events", name)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    await page.evaluate(
        "() => { const script = document.createElement('script'); script.textContent = 'alert(2)';"
        " document.body.append(script); }"
    )
    await asyncio.sleep(0)
    assert said == []
    assert len(watch.complaints_but_for("Content Security Policy")) == 0
    assert watch.complaints, "the policy did not complain"
