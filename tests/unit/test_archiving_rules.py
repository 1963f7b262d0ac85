"""An event whose sale has ended is forgotten, all but its id and its seq."""

from __future__ import annotations

from typing import cast

import pytest

from models.event import FoldError
from models.inventory import Inventory, fold
from models.reasons import Reason
from models.shapes import Fact
from tests.unit.desk import Desk, about, buying, paying, refusal
from tests.unit.strategies import opening, state


@pytest.fixture
def archived() -> Desk:
    """Event 42 was sold and archived; its last fact has seq 4."""
    desk = Desk(capacity=10)
    desk.buy("r-1")
    desk.operate("close_event", "z-1")
    assert desk.operate("archive_event", "z-2")["type"] == "event_archived"
    return desk


def test_of_an_archived_event_its_seq_is_all_that_is_kept(archived: Desk) -> None:
    assert archived.inventory.events == {}
    assert archived.inventory.archived == {"42": 4}
    assert archived.inventory.seq_of("42") == 4


@pytest.mark.parametrize("ended", ["close_event", "cancel_event"])
def test_an_event_is_archived_when_its_sale_has_ended(ended: str) -> None:
    desk = Desk(capacity=10)
    assert refusal(desk.operate("archive_event", "z-1")) == ("command_rejected", Reason.EVENT_OPEN)
    desk.operate(ended, "z-2")
    assert desk.operate("archive_event", "z-1")["type"] == "event_archived"


def test_an_event_with_holds_is_not_archived_until_they_have_ended() -> None:
    desk = Desk(hold_s=60)
    desk.buy("r-1")
    desk.operate("cancel_event", "z-1")
    assert refusal(desk.operate("archive_event", "z-2")) == ("command_rejected", Reason.EVENT_OPEN)
    desk.wait(60)
    desk.expire("e-1", "r-1")
    assert desk.operate("archive_event", "z-2")["type"] == "event_archived"


def test_event_archived_is_the_reason_for_whatever_comes_later(archived: Desk) -> None:
    """Also for what was answered before: nobody knows it any more. The seqs go on, so that the ledger has no gap."""
    commands = [
        buying("r-1"),
        buying("r-2"),
        paying("p-1", "r-1", "pay-1", 4500),
        about("expire_hold", "e-1", purchase="r-1"),
        about("cancel_purchase", "x-1", purchase="r-1"),
        opening(),
        opening(request_id="c-2"),
        about("change_event", "h-1", name="Another night"),
        about("add_tickets", "a-1", count=1),
        about("remove_tickets", "a-1", count=1),
        about("close_event", "z-1"),
        about("cancel_event", "z-1"),
        about("archive_event", "z-2"),
    ]
    for seq, command in enumerate(commands, 5):
        fact = archived.ask(command)
        kind = "purchase_rejected" if command.type == "purchase" else "command_rejected"
        assert (*refusal(fact), fact["seq"]) == (kind, Reason.EVENT_ARCHIVED, seq)
    assert archived.inventory.archived == {"42": 4 + len(commands)}


def test_another_event_is_created_under_another_id(archived: Desk) -> None:
    assert archived.ask(opening("43"))["seq"] == 1


@pytest.mark.parametrize("changes", [{"seq": 6}, {"seq": 5, "reason": "sold_out"}, {"seq": 5, "type": "event_closed"}])
def test_nothing_but_refusals_follows_an_archive(archived: Desk, changes: dict[str, object]) -> None:
    fact = {**archived.decided(buying("r-2")), **changes}
    if fact["type"] == "event_closed":
        del fact["reason"]
    before = state(archived.inventory)
    with pytest.raises(FoldError, match="was archived"):
        fold(archived.inventory, cast("Fact", fact), archived.offset)
    assert state(archived.inventory) == before


def test_an_event_that_is_still_sold_is_not_forgotten() -> None:
    desk, closed = Desk(hold_s=60), Desk(hold_s=60)
    for one in (desk, closed):
        one.buy("r-1")
    closed.operate("close_event", "z-1")
    closed.cancel("x-1", "r-1")
    archive = closed.decided(about("archive_event", "z-2"))
    before = state(desk.inventory)
    with pytest.raises(FoldError, match="is still sold"):
        fold(desk.inventory, cast("Fact", archive | {"seq": 3}), desk.offset)
    assert state(desk.inventory) == before


def test_an_archive_names_a_new_request() -> None:
    desk = Desk(capacity=1)
    desk.operate("close_event", "z-1")
    archive = desk.decided(about("archive_event", "z-2")) | {"request_id": "z-1"}
    with pytest.raises(FoldError, match="answered request z-1 before"):
        fold(desk.inventory, cast("Fact", archive), desk.offset)


def test_an_event_that_was_never_created_is_unknown_and_not_archived() -> None:
    desk = Desk()
    assert refusal(desk.operate("archive_event", "z-1")) == ("command_rejected", Reason.UNKNOWN_EVENT)
    assert desk.inventory == Inventory(desk.inventory.partition)
