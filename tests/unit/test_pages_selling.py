"""What the pages make of figures and of holds: their own modules, run by node, held to the models' own words."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from boxoffice.statistics.figures import event_figures
from models.facts import at_ms
from models.figures import SaleStatus, Status, completed, sale_status
from models.statistics_rows import CategoryStatistics
from tests.support.figures import row
from tests.support.node import needs_node, run
from tests.unit.test_figures import EARLIER

pytestmark = [*needs_node]

STATES: Final = """
const [module, asked] = given;
const { read, stateOf, isForSale, namesCategories, priceOf } = await import(module);
console.log(JSON.stringify(asked.map(([text, nowMs]) => {
  const figures = read(text);
  if (figures === null) return null;
  const state = stateOf(figures, nowMs);
  return { state, isForSale: isForSale(state), named: namesCategories(figures), price: priceOf(figures) };
})));
"""
HELD: Final = """
const [module, steps] = given;
const { held } = await import(module);
let hold = null;
const seen = steps.map(({ fact, location }) => {
  hold = held(fact, { event: "42", buyer: "b", quantity: 3, key: "k" }, location, "Night", hold);
  return hold;
});
console.log(JSON.stringify(seen));
"""
CLOCK: Final = """
const [module, dates] = given;
const { Events } = await import(module);
const events = new Events();
let ms = 0;
Date.now = () => ms;
console.log(JSON.stringify(dates.map(([at, date]) => {
  ms = at;
  events.setClock(date);
  return events.aheadMs;
})));
"""
NOW: Final = at_ms("2026-11-22T12:00:00.000Z")
TIMES: Final = (
    "2026-11-22T12:00:00Z",
    "2026-11-22 13:00:00.000000+01:00",
    "2026-11-22t12:00z",
    "2026-11-22T11:59:59.999Z",
    "2026-11-22T12:00:00.001999999Z",
    "2026-11-22T09:00-03:30",
)
OF_SALE: Final = {
    SaleStatus.NOT_ON_SALE_YET: "soon",
    SaleStatus.ENDED: "ended",
    SaleStatus.CLOSED: "closed",
    SaleStatus.CANCELLED: "called-off",
    SaleStatus.ARCHIVED: "archived",
}


def seen_by_pages(*figures: Any, now_ms: int = NOW) -> list[Any]:
    found: list[Any] = run(STATES, "figures.js", [[json.dumps(one), now_ms] for one in figures])
    return found


def test_pages_and_the_command_line_agree_on_when_there_is_a_sale() -> None:
    members: list[dict[str, Any]] = [
        *({"on_sale_at": time} for time in TIMES),
        *({"off_sale_at": time} for time in TIMES),
        *({"status": status, "on_sale_at": TIMES[0]} for status in Status),
    ]
    figures = [event_figures(row("42", 3, **of), 0) for of in members]
    expected = [OF_SALE.get(sale_status(one, NOW), "open") for one in figures]
    assert [one["state"] for one in seen_by_pages(*figures)] == expected
    assert {"soon", "ended", "open", "closed", "called-off", "archived"} == set(expected)


@pytest.mark.parametrize(
    ("sold", "held", "state", "is_for_sale"),
    [(999, 0, "open", True), (1_000, 0, "sold-out", False), (999, 1, "all-held", True), (0, 1_000, "all-held", True)],
)
def test_what_is_held_may_come_back_and_what_is_sold_may_not(
    sold: int, held: int, state: str, is_for_sale: bool
) -> None:
    [seen] = seen_by_pages(event_figures(row("42", 3, sold=sold, held=held), 0))
    assert (seen["state"], seen["isForSale"]) == (state, is_for_sale)


def test_figures_of_an_earlier_release_are_shown_and_their_price_follows_from_the_revenue() -> None:
    [seen, closed, none_sold] = seen_by_pages(
        EARLIER, {**EARLIER, "closed": True}, {**EARLIER, "sold": 0, "revenue": {"amount": 0, "currency": "EUR"}}
    )
    assert seen == {"state": "open", "isForSale": True, "named": False, "price": {"amount": 4500, "currency": "EUR"}}
    assert (closed["state"], none_sold["price"]) == ("closed", None)
    assert seen_by_pages(completed(EARLIER)) == [seen]


def test_what_is_no_figures_is_not_shown() -> None:
    good = event_figures(row("42", 3), 0)
    categories: list[Any] = [{}, [{}], [{**good["categories"][0], "remaining": "all"}]]
    wrong: list[Any] = [
        *([], {}, None, {**good, "held": -1}, {**good, "status": 7}, {**good, "hold_s": "long"}),
        *({**good, "categories": one} for one in categories),
    ]
    assert seen_by_pages(*wrong) == [None] * len(wrong)


def test_an_event_that_names_categories_is_told_from_one_that_names_none() -> None:
    named, other = row("42", 3), row("43", 3)
    named.categories = {"general": CategoryStatistics("General admission", 4_500, 10)}
    [of_named, of_other] = seen_by_pages(event_figures(named, 0), event_figures(other, 0))
    assert (of_named["named"], of_other["named"]) == (True, False)
    assert of_other["price"] == {"amount": 4_500, "currency": "EUR"}


LINES: Final = [
    {"category": "stalls", "quantity": 2, "price": 4_500, "tickets": ["42-000001", "42-000002"]},
    {"category": "balcony", "quantity": 1, "price": 1_900, "tickets": ["42-000601"]},
]
HOLD: Final = {
    "type": "purchase_held",
    "purchase": "Kq8ZbT3xYw:k",
    "buyer": "b",
    "tickets": ["42-000001", "42-000002", "42-000601"],
    "lines": LINES,
    "amount": 10_900,
    "currency": "EUR",
    "due": "2026-11-22T10:10:00.123Z",
}
PART: Final = {
    "type": "purchase_cancelled",
    "purchase": "Kq8ZbT3xYw:k",
    "buyer": "b",
    "tickets": ["42-000002", "42-000601"],
    "held": True,
    "currency": "EUR",
}


def test_of_a_hold_that_was_given_back_in_part_the_rest_is_to_be_paid_however_often_it_is_seen() -> None:
    steps = [{"fact": fact, "location": "http://shop/x"} for fact in (HOLD, PART, PART)]
    whole, part, again = run(HELD, "held.js", steps)
    assert (whole["amount"], whole["due"], len(whole["tickets"])) == (10_900, HOLD["due"], 3)
    assert (part["amount"], part["due"], part["tickets"]) == (6_400, HOLD["due"], PART["tickets"])
    assert again == part
    assert whole["asked"]["location"] == "http://shop/x"


def test_a_hold_of_which_only_the_rest_is_known_has_no_amount_that_would_be_wrong() -> None:
    [part] = run(HELD, "held.js", [{"fact": PART, "location": None}])
    assert (part["amount"], part["due"], part["tickets"]) == (None, None, PART["tickets"])


def test_a_countdown_never_ends_before_the_servers_clock_says_so() -> None:
    """Each answer says the second in which it was written, and came some time later: the nearest of them counts."""
    second = "Sun, 22 Nov 2026 12:00:00 GMT"
    truth_ms = NOW + 999  # the server's clock, when ours shows 5,000
    dates = [[5_000 + late, second] for late in (700, 20, 300)] + [[6_001, "Sun, 22 Nov 2026 12:00:02 GMT"]]
    ahead = run(CLOCK, "events.js", dates)
    assert ahead == [NOW - 5_700, NOW - 5_020, NOW - 5_020, NOW + 2_000 - 6_001]
    assert all(found <= truth_ms - 5_000 + 1 for found in ahead)


def test_a_clock_that_was_set_is_followed() -> None:
    second = "Sun, 22 Nov 2026 12:00:00 GMT"
    assert run(CLOCK, "events.js", [[5_000, second], [65_000, second], [65_000, None], [65_000, "soon"]]) == [
        NOW - 5_000,
        *[NOW - 65_000] * 3,
    ]
