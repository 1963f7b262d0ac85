"""How the shop's page asks for a purchase, whatever it is answered: its own module, run by node."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

import pytest

from models.reasons import Reason
from tests.support.node import needs_node, run
from tests.unit.test_pages import constant

pytestmark = [*needs_node]

SCRIPT: Final = """
const [module, waiting, givenUpAt, wanted] = given;
const kept = new Map();
globalThis.sessionStorage = {
  getItem: (name) => kept.get(name) ?? null,
  setItem: (name, value) => kept.set(name, value),
  removeItem: (name) => kept.delete(name),
};
const waited = [];
globalThis.setTimeout = (wake, ms) => { waited.push(ms); queueMicrotask(wake); };
const { Asking, newPurchase } = await import(module);
const asked = [];
globalThis.fetch = async (url, { method = "GET", headers = {}, body = null }) => {
  const seen = kept.get("boxoffice.purchase") ?? null;
  const key = headers["idempotency-key"] ?? null;
  asked.push({ method, path: new URL(url).pathname, key, body, seen: seen !== null });
  // It would ask for ever.
  if (waiting.length === 0) process.exit(1);
  const answer = waiting.shift();
  // He loses patience while this one is on its way.
  if (asked.length === givenUpAt) asking.giveUp();
  if (answer === null) throw new TypeError("Failed to fetch");
  const [status, members, more] = answer;
  return new Response(members === null ? null : JSON.stringify(members), { status, headers: more });
};
const purchase = newPurchase("42", "b-77", wanted);
const told = [];
const tell = (words, { mayBeBought }) => told.push([words, mayBeBought]);
const asking = new Asking(new URL("http://shop:1"), "bo_x", tell);
const end = await asking.settle(purchase);
const left = kept.get("boxoffice.purchase") ?? null;
console.log(JSON.stringify({ end, asked, told, waited, left, key: purchase.key, mayBeBought: purchase.mayBeBought }));
"""

REASONS: Final = dict(re.findall(r'^  (\w+): "(.*)",$', constant("purchase.js", "REASONS"), re.MULTILINE))
LOCATION: Final = "/v1/events/42/requests/k-1?secret=ID.MAC"
LOST: Final = None
SOLD: Final = [201, {"type": "purchase_confirmed", "tickets": ["42-000001"], "buyer": "b-77"}, {"location": LOCATION}]
FOUND: Final = [200, SOLD[1], {}]
ON_ITS_WAY: Final = [202, None, {"location": LOCATION, "retry-after": "3"}]
BUSY: Final = [503, {"detail": "More is asked than can be done.", "outcome": "not-taken"}, {"retry-after": "7"}]
UNCLEAR: Final = [503, {"detail": "Kafka has not answered.", "outcome": "outcome-unknown"}, {}]
NOT_KNOWN: Final = [404, {"detail": "Nothing is known of it."}, {}]
SOLD_OUT: Final = [409, {"detail": "No ticket is left.", "reason": "sold_out"}, {}]
NO_KEY: Final = [401, {"detail": "This key is not known."}, {}]


class Told(NamedTuple):
    """What the page did, and what came of it."""

    end: Any
    asked: list[dict[str, Any]]
    told: list[tuple[str, bool]]
    waited: list[float]
    left: str | None
    key: str
    may_be_bought: bool


def told_by(*answers: Any, given_up_at: int | None = None, lines: Any = None) -> Told:
    """Ask for a purchase where these are the answers; it is given up while one of them is on its way."""
    found = run(SCRIPT, "purchase.js", answers, given_up_at, {"quantity": 2, "lines": lines})
    return Told(*(found[name] for name in ("end", "asked", "told", "waited", "left", "key", "mayBeBought")))


def test_every_post_of_a_purchase_has_the_same_key_and_the_same_body() -> None:
    """Through lost answers, a full shop, and one that forgot it."""
    found = told_by(LOST, BUSY, UNCLEAR, ON_ITS_WAY, LOST, NOT_KNOWN, SOLD)
    assert found.end["end"] == "sold"
    posts = [one for one in found.asked if one["method"] == "POST"]
    assert {one["key"] for one in posts} == {found.key}
    assert len(found.key) == 32
    assert {one["body"] for one in posts} == {'{"buyer":"b-77","quantity":2}'}
    assert [one["path"].rpartition("/")[2] for one in found.asked] == [
        *(["purchases"] * 4),
        *(["k-1"] * 2),
        "purchases",
    ]
    assert found.left is None


def test_tickets_of_categories_are_asked_for_by_lines() -> None:
    lines = [{"category": "stalls", "quantity": 1}, {"category": "balcony", "quantity": 1}]
    [post] = told_by(SOLD, lines=lines).asked
    assert json.loads(post["body"]) == {"buyer": "b-77", "lines": lines}


HELD: Final = {"type": "purchase_held", "tickets": ["42-000001", "42-000002"], "due": "2026-11-22T10:10:00.123Z"}
CANCELLED: Final = {"type": "purchase_cancelled", "tickets": ["42-000002"]}


@pytest.mark.parametrize(
    ("fact", "end", "words"),
    [
        (HELD, "held", None),
        ({"type": "hold_expired"}, "expired", "Not paid in time: the tickets are on sale again."),
        ({**CANCELLED, "remaining": []}, "cancelled", "This purchase was made, and cancelled since."),
        (CANCELLED, "cancelled", "This purchase was made, and cancelled since."),
        ({**CANCELLED, "remaining": [], "held": True}, "cancelled", "These tickets were given back before"),
        ({**CANCELLED, "remaining": ["42-000001"]}, "sold", None),
        ({**CANCELLED, "remaining": ["42-000001"], "held": True}, "held", None),
    ],
)
def test_a_purchase_is_what_its_newest_fact_says(fact: dict[str, Any], end: str, words: str | None) -> None:
    for found in (told_by([200, fact, {"location": LOCATION}]), told_by(ON_ITS_WAY, [200, fact, {}])):
        assert found.end["end"] == end
        assert words is None or found.end["words"].startswith(words)
        assert words is not None or found.end["location"].endswith(LOCATION)
        if "remaining" in fact and end in ("sold", "held"):
            assert found.end["fact"]["tickets"] == ["42-000001"]


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason in REASONS])
def test_a_refusal_is_told_in_words_for_a_buyer_however_it_comes(reason: Reason) -> None:
    by_problem = told_by([409, {"reason": reason, "detail": "For whoever writes a shop.", "title": "T"}, {}])
    by_fact = told_by(ON_ITS_WAY, [200, {"type": "purchase_rejected", "reason": reason}, {}])
    assert by_problem.end["end"] == by_fact.end["end"] == "refused"
    assert by_problem.end["words"] == by_fact.end["words"] == REASONS[reason]
    assert reason not in REASONS[reason]


def test_whoever_comes_too_early_is_told_when_to_come() -> None:
    problem = {"reason": "not_on_sale_yet", "detail": "The sale has not begun.", "on_sale_at": "2026-11-22T10:00:00Z"}
    assert told_by([409, problem, {}]).end["words"].startswith("These tickets are on sale from Sun, 22 Nov 2026, ")


def test_before_anything_is_sent_the_tab_remembers_what() -> None:
    assert all(one["seen"] for one in told_by(LOST, SOLD).asked)


def test_whoever_is_told_when_to_come_again_comes_then() -> None:
    found = told_by(BUSY, ON_ITS_WAY, FOUND)
    assert all(
        least <= ms <= most for ms, least, most in zip(found.waited, (7_000, 3_000), (8_750, 3_750), strict=True)
    )


def test_waits_grow_and_have_an_end() -> None:
    found = told_by(*([LOST] * 9), SOLD)
    assert all(1_000 * min(2**at, 30) <= ms <= 1_250 * min(2**at, 30) for at, ms in enumerate(found.waited))


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((BUSY,), [False]),
        ((LOST, BUSY), [True, True]),
        ((BUSY, UNCLEAR, BUSY), [False, True, True]),
        (([500, {}, {}],), [True]),
        (([502, None, {}],), [True]),
    ],
)
def test_an_order_may_be_changed_only_while_it_is_certain_that_none_was_taken(
    answers: tuple[Any, ...], expected: list[bool]
) -> None:
    assert [may_be_bought for _, may_be_bought in told_by(*answers, SOLD).told] == expected
    assert [may_be_bought for _, may_be_bought in told_by(*answers, ON_ITS_WAY, FOUND).told] == [*expected, True]


def test_an_order_that_is_given_up_is_over_once_it_is_known_not_to_be_taken() -> None:
    found = told_by(BUSY, BUSY, given_up_at=2)
    assert (found.end, found.left, len(found.asked)) == (None, None, 2)


@pytest.mark.parametrize("rest", [(LOST, SOLD), (UNCLEAR, SOLD), (ON_ITS_WAY, FOUND)])
def test_an_order_that_is_given_up_while_it_may_be_taken_is_asked_for_until_it_is_known(rest: tuple[Any, ...]) -> None:
    """Else the page would say that nothing was bought, and forget the key by which it was."""
    found = told_by(BUSY, *rest, given_up_at=2)
    assert (found.end["end"], found.left) == ("sold", None)
    assert {one["key"] for one in found.asked if one["method"] == "POST"} == {found.key}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (SOLD_OUT, "No ticket is left."),
        ([422, {"title": "Invalid.", "detail": ""}, {}], "Invalid."),
        ([413, None, {}], "The shop has trouble."),
    ],
)
def test_a_refusal_ends_it_in_the_words_of_whoever_refused(answer: Any, words: str) -> None:
    found = told_by(answer)
    assert (found.end["end"], found.end["words"], found.left) == ("refused", words, None)


def test_a_purchase_that_was_refused_while_nobody_waited_is_told_by_its_fact() -> None:
    found = told_by(ON_ITS_WAY, [200, {"type": "purchase_rejected", "reason": "not_enough_left"}, {}])
    assert found.end == {"end": "refused", "words": "Fewer tickets are left than asked for."}


@pytest.mark.parametrize(("before", "may_be_bought"), [((), False), ((LOST,), True)])
def test_a_refused_key_leaves_what_may_have_been_bought(before: tuple[Any, ...], may_be_bought: bool) -> None:
    found = told_by(*before, NO_KEY)
    assert (found.end["end"], found.may_be_bought) == ("key-refused", may_be_bought)


@pytest.mark.parametrize(
    "location", ["http://elsewhere/v1/events/42/requests/k", "//elsewhere/x", "/v1/other", "/", "//["]
)
def test_a_purchase_is_looked_for_nowhere_but_at_the_shop(location: str) -> None:
    found = told_by([202, None, {"location": location}], SOLD)
    assert [one["method"] for one in found.asked] == ["POST", "POST"]
