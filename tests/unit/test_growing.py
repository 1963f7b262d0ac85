"""Which of the commands that nobody has decided move with a box office: each once, wherever it says it comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from boxoffice.batching import Record
from boxoffice.kafka.clients import home_partition
from boxoffice.operating.growing import _digest, _Digests, _Old, _without_second_copies
from models.event import Event, Position
from models.facts import write_fact
from models.inventory import Inventory, decide, fold
from models.origins import ORIGINS_KEPT, Origins
from models.refusals import Refusals
from tests.unit.records import purchase, record
from tests.unit.story import CATEGORIES, HOME, Story
from tests.unit.strategies import as_command
from topics.purchase_requests import ORIGIN_HEADER

EVENT = next(str(number) for number in range(1, 100) if home_partition(str(number), 2) == 0)


def at_home(offset: int, name: str, origin: int) -> Record:
    return record(offset, purchase(name, EVENT), headers=((ORIGIN_HEADER, b"1:%d" % origin),))


def away(offset: int, name: str) -> Record:
    return record(offset, purchase(name, EVENT), partition=1)


def test_a_command_moves_once_wherever_its_copies_lie() -> None:
    decided = Origins()
    decided.add((5, EVENT, "r-5"))
    found = [at_home(10, "r-5", 5), at_home(11, "r-6", 6), at_home(12, "r-6", 6)]
    found += [away(offset, f"r-{offset}") for offset in (5, 6, 7)]
    moved = _without_second_copies(found, {0: _Old(9, {1: decided}), 1: _Old(4, {})}, 2)
    assert [(one.partition, one.offset) for one in moved] == [(0, 11), (1, 7)]


def test_forged_origins_keep_no_command_back() -> None:
    forged = [at_home(number, f"f-{number}", 2**63 - 1 - number) for number in range(2 * ORIGINS_KEPT)]
    found = [*forged, *(away(offset, f"r-{offset}") for offset in range(20))]
    assert _without_second_copies(found, {0: _Old(-1, {}), 1: _Old(-1, {})}, 2) == found


# What is compared


class Elsewhere(Story):
    """The same commands, found at other offsets, of another partition."""

    def ask(self, kind: str, request_id: str, **members: Any) -> Any:
        said = {"type": kind, "request_id": request_id, "event_id": "42", **members}
        offset = 7 * len(self.facts) + 3
        position = Position(offset, self.at_ms, {"partition": 9, "offset": offset})
        self.facts.append(decide(self.inventory, as_command(said), position))
        fold(self.inventory, self.facts[-1], offset)
        return self.facts[-1]


LINES = [{"category": "stalls", "quantity": 2}, {"category": "balcony", "quantity": 1}]
STEPS: dict[str, dict[str, Any]] = {
    "held": {"kind": "purchase", "buyer": "b-1", "lines": LINES},
    "refused": {"kind": "purchase", "buyer": "b-1", "category": "balcony", "quantity": 9},
    "paid": {"kind": "confirm_purchase", "purchase": "held", "payment": "p", "amount": 12_000, "currency": "EUR"},
    "payment refused": {"kind": "confirm_purchase", "purchase": "no", "payment": "q", "amount": 1, "currency": "EUR"},
    "given back in part": {"kind": "cancel_purchase", "purchase": "held", "tickets": ["42-000001"]},
    "changed": {"kind": "change_event", "name": "Late Night", "prices": [{"category": "stalls", "amount": 1}]},
    "added": {"kind": "add_tickets", "category": "balcony", "count": 3},
    "removed": {"kind": "remove_tickets", "category": "stalls", "count": 1},
    "called off": {"kind": "cancel_event"},
}
TERMS: dict[str, Any] = {"categories": CATEGORIES, "hold_s": 600, "max_per_buyer": 9}


def told(story: Story) -> Story:
    """A story in which all of the steps are taken."""
    for name, members in STEPS.items():
        story.ask(request_id=name.replace(" ", "-"), **members)
    return story


def test_events_of_one_history_are_equal_wherever_they_lie() -> None:
    here, there = told(Story(**TERMS)), told(Elsewhere(**TERMS))
    assert here.facts != there.facts
    assert _digest(here.event) == _digest(there.event)


def test_each_step_of_a_history_is_compared() -> None:
    story, seen = Story(**TERMS), set()
    for name, members in STEPS.items():
        seen.add(_digest(story.event))
        story.ask(request_id=name.replace(" ", "-"), **members)
    assert len(seen | {_digest(story.event)}) == len(STEPS) + 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda event: event.categories[0].queue.rotate(),
        lambda event: event.categories[1].queue.clear(),
        lambda event: setattr(event.categories[0], "held", 1),
        lambda event: setattr(event.categories[1], "price", 1),
        lambda event: event.payments.pop("p"),
        lambda event: event.bought.update({"b-2": 1}),
        lambda event: setattr(event, "refusals", Refusals()),
        lambda event: setattr(event, "cancelled", False),
        lambda event: setattr(event, "page_since", 2),
        lambda event: setattr(event, "rules_since", 2),
        lambda event: event.accepted.popitem(),
    ],
)
def test_whatever_did_not_arrive_as_it_was_shows(spoil: Callable[[Event], object]) -> None:
    story = told(Story(**TERMS))
    story.event.categories[0].queue.append((90, 91))
    before = _digest(story.event)
    spoil(story.event)
    assert _digest(story.event) != before


def archived(story: Story, *after: str) -> dict[str, bytes]:
    """The digests of a story that ends with an archiving and commands that came too late."""
    story.ask("close_event", "z-1")
    story.ask("archive_event", "z-2")
    for request_id in after:
        story.ask("add_tickets", request_id, count=1)
    digests, inventory = _Digests(), Inventory(HOME)
    for offset, fact in enumerate(story.facts):
        digests.before(inventory, write_fact(fact))
        fold(inventory, fact, offset)
    assert inventory.events == {}
    return dict(digests.of(inventory))


def test_an_archived_event_is_compared_as_it_was_and_by_what_came_after() -> None:
    plain, sold = Story(), Story()
    sold.buy("r-1")
    found = [archived(plain), archived(Elsewhere()), archived(sold), archived(Story(), "a-1")]
    assert found[0] == found[1]
    assert len({one["42"] for one in found}) == 3
