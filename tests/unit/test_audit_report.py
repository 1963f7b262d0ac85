"""What the audit says of an event's fold: by category, all of it, each ticket once; and of holds that nobody ends."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from hypothesis import given

from boxoffice.audit.event_view import ArchivedEventError, UnknownEventError, _members, event_in
from boxoffice.audit.report import FAR_PAST_DUE_S, AuditReport, EventReport, overdue, report_event
from lua.copies import Snapshot, expected_copy
from models.inventory import Inventory
from tests.unit.story import TEN_OCLOCK_MS, Story, holding
from tests.unit.strategies import HOME, Arrival, arrivals, sell


def mixed() -> Story:
    """Of 6 and 2 tickets: stalls 1 and 2 are sold, 3 is held; balcony 7 is sold, and 8 removed."""
    story = holding()
    sold = story.buy("r-2", lines=[{"category": "stalls", "quantity": 2}, {"category": "balcony", "quantity": 1}])
    story.pay("p-3", "r-2", "pay-1", sold["amount"])
    story.buy("r-4", lines=[{"category": "stalls", "quantity": 1}])
    story.ask("remove_tickets", "t-5", category="balcony", count=1)
    return story


def report(story: Story) -> EventReport:
    return report_event(story.event, HOME)


@given(arrivals())
def test_whatever_the_rules_lead_to_adds_up(arrived: list[Arrival]) -> None:
    inventory = Inventory(HOME)
    sell(inventory, arrived)
    for event in inventory.events.values():
        found = report_event(event, HOME)
        assert found.differences == []
        assert found.sold + found.held + found.left == found.issued - found.removed


def test_figures_are_told_by_category_and_together() -> None:
    found = report(mixed())
    assert [asdict(category) for category in found.categories] == [
        {"id": "stalls", "name": "Stalls", "issued": 6, "removed": 0, "sold": 2, "held": 1, "left": 3},
        {"id": "balcony", "name": "Balcony", "issued": 2, "removed": 1, "sold": 1, "held": 0, "left": 0},
    ]
    assert (found.issued, found.removed, found.sold, found.held, found.left) == (8, 1, 3, 1, 3)
    assert (found.purchases, found.holds, found.expired) == (1, 1, 0)


def test_the_summary_tells_what_is_held_and_archived() -> None:
    summary = AuditReport(events=[report(mixed())], archived=2).summary
    assert "1 event and 2 archived, 3 tickets sold, 1 held, " in summary
    assert "archived" not in AuditReport(events=[report(Story())]).summary


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        ("sold", "stalls: 3 sold, 1 held and 3 left are not 6 issued less 0 removed."),
        ("held", "stalls: 2 sold, 2 held and 3 left are not 6 issued less 0 removed."),
        ("moved", "stalls: purchases have 2 tickets that are sold, and 3 are counted."),
        ("twice", "ticket 2 has not exactly one owner."),
        ("beyond", "ticket 9 has not exactly one owner."),
        ("other queue", "ticket 7 is left in stalls, and belongs to another category."),
    ],
)
def test_what_does_not_add_up_is_told(spoil: str, sentence: str) -> None:
    story = mixed()
    stalls, balcony = story.event.categories
    match spoil:
        case "sold" | "held":
            setattr(stalls, spoil, getattr(stalls, spoil) + 1)
        case "moved":
            stalls.sold, stalls.held = 3, 0
        case "twice":
            stalls.queue[0] = (2, 4)
        case "beyond":
            balcony.queue.append((9, 9))
        case "other queue":
            stalls.queue.append((7, 7))
    assert sentence in report(story).differences


def test_holds_that_nobody_ends_are_a_remark() -> None:
    story = mixed()
    due_ms = TEN_OCLOCK_MS + 600_000
    assert overdue(story.event, due_ms + FAR_PAST_DUE_S * 1000) is None
    said = overdue(story.event, due_ms + FAR_PAST_DUE_S * 1000 + 1)
    assert said == (
        "1 purchase held 15 minutes after they were due and longer, the first r-4: see that the process clock runs."
    )
    assert overdue(Story().event, 2 * due_ms) is None


def test_an_event_is_viewed_with_all_that_is_given_of_it_and_figures_by_category() -> None:
    story = mixed()
    story.ask("change_event", "e-6", name="Late Night", max_per_buyer=4)
    view = _members(expected_copy(Snapshot.of(story.event, HOME)))
    assert (view["name"], view["hold_s"], view["max_per_buyer"], view["page_since"]) == ("Late Night", 600, 4, 6)
    assert (view["issued"], view["removed"], view["sold"], view["held"], view["left"]) == (8, 1, 3, 1, 3)
    stalls = {"issued": 6, "sold": 2, "held": 1, "removed": 0, "left": 3}
    assert view["categories"][0] == {"id": "stalls", "name": "Stalls", "price": 4500, **stalls}
    assert not [name for name in view if ":" in name]


@pytest.mark.parametrize("categories", ["[]x", "7", '[{"id":[]}]', '[{"name":"x"}]', '["x"]'])
def test_what_somebody_else_wrote_as_categories_is_shown_as_it_is(categories: str) -> None:
    copy = expected_copy(Snapshot.of(mixed().event, HOME))
    copy.meta["categories"] = categories
    assert _members(copy)["categories"] == categories


def test_an_archived_event_is_told_from_one_that_never_was() -> None:
    story = Story()
    for kind in ("close_event", "archive_event"):
        story.ask(kind, f"z-{kind}")
    with pytest.raises(ArchivedEventError, match="Event 42 was archived, and is at seq 3: "):
        event_in(story.inventory, "42")
    with pytest.raises(UnknownEventError, match=r"Event 7 is not in the ledger\."):
        event_in(story.inventory, "7")
