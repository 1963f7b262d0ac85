"""Figures as they are published: read whoever wrote them, an earlier release too, and told whether there is a sale."""

from __future__ import annotations

import json
from typing import Any

import pytest

from boxoffice.audit.statistics_check import _differing
from boxoffice.redis.presence import Presences
from boxoffice.statistics.figures import (
    Sums,
    event_figures,
    from_hash,
    partition_totals,
    read_stats_record,
    read_totals_field,
    stats_record,
    to_hash,
    totals_of_all,
)
from boxoffice.statistics.reading import Report, members
from models.facts import at_ms
from models.figures import EVENT_MEMBERS, SaleStatus, Status, UnreadableFiguresError, completed, sale_status
from models.members import MAX_CATEGORIES
from models.statistics_rows import PartitionStatistics
from tests.support.figures import row

WINDOW = {"newest_at": None, "sold": [0] * 60}
EARLIER: dict[str, Any] = {
    "event_id": "42",
    "name": "Night",
    "partition": 4,
    "seq": 3,
    "offset": 1310,
    "at": "2026-11-22T10:00:00.123Z",
    "issued": 10,
    "sold": 2,
    "remaining": 8,
    "cancelled": 0,
    "purchases": 1,
    "cancellations": 0,
    "rejected": {"over_order_limit": 1},
    "refused": {},
    "decided_by": {"local": 3},
    "revenue": {"amount": 9000, "currency": "EUR"},
    "closed": False,
    "first_sale_at": "2026-11-22T10:00:00.123Z",
    "last_sale_at": "2026-11-22T10:00:00.123Z",
    "sold_by_second": WINDOW,
    "sold_by_minute": WINDOW,
}
"""As the release before wrote them."""
NEW = event_figures(
    row("42", 3, on_sale_at="2026-11-22T10:00:00Z", off_sale_at="2026-11-22T11:00+01:00", hold_s=600, held=2, late=1), 4
)
_BEGINS, _ENDS = "2026-11-22T10:00:00Z", "2026-11-22T13:00:00+01:00"


def test_new_figures_have_every_member_and_are_read_again_from_the_topic_and_from_redis() -> None:
    assert NEW.keys() == EVENT_MEMBERS
    assert read_stats_record(b"42", stats_record("42", NEW)[1]) == ("42", NEW)
    assert from_hash("42", {name.encode(): value for name, value in to_hash(NEW).items()}) == NEW


def test_figures_of_an_earlier_release_are_read_from_the_topic_and_from_redis() -> None:
    assert read_stats_record(b"42", json.dumps(EARLIER).encode()) == ("42", EARLIER)
    assert from_hash("42", {name.encode(): value for name, value in to_hash(EARLIER).items()}) == EARLIER


@pytest.mark.parametrize("closed", [False, True])
def test_what_an_earlier_release_does_not_tell_was_nothing_then(closed: bool) -> None:
    whole = completed({**EARLIER, "closed": closed})
    assert whole.keys() == EVENT_MEMBERS
    assert (whole["status"], whole["held"], whole["categories"]) == ("closed" if closed else "open", 0, [])
    assert whole["revenue"] == {"amount": 9000, "currency": "EUR", "refunded": 0}
    assert sale_status(whole, 0) is (SaleStatus.CLOSED if closed else SaleStatus.ON_SALE)
    assert completed(NEW) == NEW


def test_earlier_and_newer_figures_are_added_up() -> None:
    other = event_figures(row("43", 3, held=2, refunded=4_500, cancelled=1), 0)
    total = totals_of_all([], [EARLIER, other])
    assert (total["sold"], total["held"], total["cancelled"]) == (4, 2, 1)
    assert (total["revenue"], total["refunded"]) == ({"EUR": 9_000 + 4_500}, {"EUR": 4_500})


def test_totals_of_an_earlier_release_are_read_and_added_up() -> None:
    sums = Sums()
    sums.put("42", EARLIER)
    told = partition_totals(sums, PartitionStatistics(4, offset=1310))
    newer = {"archived", "removed", "held", "expired", "released", "late", "holds", "payments_refused", "refunded"}
    earlier = {name: value for name, value in told.items() if name not in newer}
    read = read_totals_field(b"4", json.dumps(earlier).encode())
    assert read == earlier
    assert totals_of_all([read], []) == totals_of_all([told], [])


def test_the_audit_asks_nothing_of_figures_that_their_release_does_not_tell() -> None:
    expected = {**completed(EARLIER), "venue": "Main Hall", "categories": NEW["categories"]}
    assert _differing("figures", EARLIER, expected, 0) == []
    [difference] = _differing("figures", {**EARLIER, "sold": 3}, expected, 0)
    assert "sold is 3, and should be 2" in difference
    [difference] = _differing("figures", {**EARLIER, "revenue": {"amount": 1, "currency": "EUR"}}, expected, 0)
    assert "revenue is" in difference
    [difference] = _differing("figures", {**expected, "held": 1}, expected, 0)
    assert "held is 1" in difference
    missing = {name: value for name, value in EARLIER.items() if name != "sold"}
    assert len(_differing("figures", missing, expected, 0)) == 1


def test_figures_of_a_newer_release_are_read_without_what_is_not_known() -> None:
    newer = {**NEW, "weather": "fine", "status": "postponed"}
    _, read = read_stats_record(b"42", json.dumps(newer).encode())
    assert read == {**NEW, "status": "postponed"}
    assert sale_status(read, 0) is SaleStatus.CLOSED


@pytest.mark.parametrize(
    "wrong",
    [
        {"held": -1},
        {"categories": NEW["categories"] * (MAX_CATEGORIES + 1)},
        {"categories": [{**NEW["categories"][0], "id": "No Id"}]},
        {"on_sale_at": "tomorrow"},
        {"status": 7},
        {"revenue": {"amount": 1, "currency": "EUR", "refunded": "much"}},
    ],
)
def test_what_breaks_a_bound_is_no_figures(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnreadableFiguresError):
        read_stats_record(b"42", json.dumps({**NEW, **wrong}).encode())


@pytest.mark.parametrize(
    ("members", "at", "status"),
    [
        ({}, "2026-11-22T12:00:00.000Z", SaleStatus.ON_SALE),
        ({"on_sale_at": _BEGINS}, "2026-11-22T09:59:59.999Z", SaleStatus.NOT_ON_SALE_YET),
        ({"on_sale_at": _BEGINS}, "2026-11-22T10:00:00.000Z", SaleStatus.ON_SALE),
        ({"off_sale_at": _ENDS}, "2026-11-22T11:59:59.999Z", SaleStatus.ON_SALE),
        ({"off_sale_at": _ENDS}, "2026-11-22T12:00:00.000Z", SaleStatus.ENDED),
        ({"status": Status.CLOSED, "on_sale_at": _BEGINS}, "2026-11-22T09:00:00.000Z", SaleStatus.CLOSED),
        ({"status": Status.CANCELLED, "off_sale_at": _ENDS}, "2026-11-22T13:00:00.000Z", SaleStatus.CANCELLED),
        ({"status": Status.ARCHIVED}, "2026-11-22T13:00:00.000Z", SaleStatus.ARCHIVED),
    ],
)
def test_whether_there_is_a_sale_is_told_by_the_facts_and_the_hours(
    members: dict[str, Any], at: str, status: SaleStatus
) -> None:
    assert sale_status(event_figures(row("42", 3, **members), 0), at_ms(at)) is status


def test_the_report_as_json_has_categories_holds_and_refunds() -> None:
    figures = event_figures(row("42", 5, held=3, expired=2, cancelled=1, refunded=4_500, hold_s=600), 0)
    report = Report(totals_of_all([], [figures]), [figures], True, Presences(), None)
    shown = members(report)
    assert (shown["global"]["totalHeld"], shown["global"]["totalExpired"]) == (3, 2)
    assert shown["global"]["refunded"] == {"EUR": 4_500}
    [event] = shown["events"]
    assert (event["heldTickets"], event["expiredTickets"], event["saleStatus"], event["holdSeconds"]) == (
        *(3, 2),
        *("on_sale", 600),
    )
    [category] = event["categories"]
    assert (category["id"], category["remainingTickets"], category["revenue"]["refunded"]) == ("general", 993, 4_500)
