"""Commands that were forwarded: where they were produced, and which of them are second copies."""

from __future__ import annotations

from sys import getsizeof
from typing import Any, cast

import pytest

from models.commands import Command
from models.inventory import Inventory, fold, is_second_copy
from models.origins import ORIGINS_KEPT, Origins
from models.shapes import Fact
from tests.unit.desk import Desk, about
from tests.unit.strategies import HOME, opening, purchase


@pytest.fixture
def desk() -> Desk:
    """Ten tickets of event 42 are on sale, at most four to an order."""
    return Desk(max_per_order=4)


def test_a_forwarded_command_is_answered_with_the_position_it_was_produced_at(desk: Desk) -> None:
    assert desk.ask(purchase("r-1"), (5, 99))["source"] == {"partition": 5, "offset": 99}


def test_a_forwarded_request_is_answered_again_with_its_first_position(desk: Desk) -> None:
    first = desk.ask(purchase("r-1"), (5, 99))
    assert desk.ask(purchase("r-1"), (5, 120)) == first
    assert desk.ask(purchase("r-1")) == first


def test_every_kind_of_forwarded_command_keeps_its_position() -> None:
    desk = Desk()
    asked: list[Command] = [
        opening(),
        purchase("r-1"),
        about("cancel_purchase", "x-1", purchase="r-1"),
        about("add_tickets", "a-1", count=1),
        about("close_event", "z-1"),
    ]
    first = [desk.ask(command, (5, offset)) for offset, command in enumerate(asked)]
    assert [fact["source"]["offset"] for fact in first] == [0, 1, 2, 3, 4]
    repeated = [desk.ask(command) for command in asked]
    assert repeated == [first[0], first[2], *first[2:]]


def is_known(desk: Desk, request_id: str, partition: int, offset: int, event_id: str = "42") -> bool:
    source: Any = {"partition": partition, "offset": offset}
    return is_second_copy(desk.inventory, source, purchase(request_id, event_id=event_id))


def test_a_copy_that_was_answered_is_a_second_copy(desk: Desk) -> None:
    assert not is_known(desk, "r-1", 5, 99)
    desk.ask(purchase("r-1"), (5, 99))
    assert is_known(desk, "r-1", 5, 99)
    assert not is_known(desk, "r-1", 5, 98)
    assert not is_known(desk, "r-1", 5, 100)
    assert not is_known(desk, "r-1", 6, 99)


def test_another_command_that_names_the_same_origin_is_none(desk: Desk) -> None:
    """Somebody forges the place of a command that is still on its way."""
    desk.ask(purchase("forged"), (5, 99))
    assert not is_known(desk, "r-1", 5, 99)
    assert not is_known(desk, "forged", 5, 99, "7")
    assert not is_known(desk, "a-1", 5, 99)
    desk.ask(purchase("r-1"), (5, 99))
    assert is_known(desk, "r-1", 5, 99)
    assert is_known(desk, "forged", 5, 99)


def test_forged_origins_hide_nothing_until_as_many_lie_ahead_as_are_remembered(desk: Desk) -> None:
    for number in range(ORIGINS_KEPT - 1):
        desk.ask(purchase(f"f-{number}", event_id="8"), (5, 2**63 - 1 - number))
    assert not is_known(desk, "r-1", 5, 7)
    desk.ask(purchase("r-1"), (5, 7))
    assert is_known(desk, "r-1", 5, 7)


def test_a_second_copy_is_known_however_much_was_answered_since(desk: Desk) -> None:
    """An owner that was stopped wakes up, and repeats what it once forwarded."""
    for offset in range(3 * ORIGINS_KEPT):
        desk.ask(purchase(f"r-{offset}", 5), (5, 2 * offset))
    assert all(is_known(desk, f"r-{offset}", 5, 2 * offset) for offset in range(3 * ORIGINS_KEPT))
    assert len(list(desk.inventory.origins[5])) == ORIGINS_KEPT
    assert not is_known(desk, "r-new", 5, 6 * ORIGINS_KEPT)


def test_the_lowest_of_the_remembered_never_falls(desk: Desk) -> None:
    lowest = []
    for offset in [*range(100, 100 + ORIGINS_KEPT), 3, 2**40, 4, 200, 5]:
        if not is_known(desk, f"r-{offset}", 5, offset):
            desk.ask(purchase(f"r-{offset}", event_id="8"), (5, offset))
        lowest.append(next(iter(desk.inventory.origins[5])))
    assert lowest == sorted(lowest)


def test_a_source_behind_the_end_of_its_partition_is_not_remembered() -> None:
    """An earlier release believed it: a ledger that holds it heals when it is folded."""
    facts = [
        Desk().ask(purchase(request_id, event_id="8"), source)
        for request_id, source in (("r-1", (5, 99)), ("forged", (5, 2**63 - 1)), ("r-2", (5, 100)), ("r-3", (6, 7)))
    ]
    inventory = Inventory(HOME, ends={5: 100})
    for offset, fact in enumerate(facts):
        assert not fold(inventory, cast("Fact", fact), offset)
    assert list(inventory.origins[5]) == [(99, "8", "r-1")]
    assert list(inventory.origins[6]) == [(7, "8", "r-3")]


def test_64_origins_of_the_longest_names_take_the_memory_that_is_promised() -> None:
    """docs/operations.md says so."""
    origins = Origins()
    for number in range(2 * ORIGINS_KEPT):
        origins.add((2**62 + number, str(10**17 + number), f"{number:064d}"))
    size = sum(getsizeof(answered) + sum(map(getsizeof, answered)) for answered in origins)
    assert size + getsizeof(list(origins)) <= 19 * 1024


def test_a_rejection_answers_a_copy_as_well(desk: Desk) -> None:
    desk.ask(purchase("r-1", 5), (5, 99))
    assert is_known(desk, "r-1", 5, 99)
    desk.ask(purchase("r-1", event_id="7"), (5, 100))
    assert is_known(desk, "r-1", 5, 100, "7")


def test_second_copies_are_known_over_all_events(desk: Desk) -> None:
    desk.ask(opening("7"), (5, 99))
    desk.ask(purchase("r-1"), (5, 98))
    assert list(desk.inventory.origins[5]) == [(98, "42", "r-1"), (99, "7", "c-1")]


def test_the_origin_of_a_repeat_is_not_remembered(desk: Desk) -> None:
    """Its answer carries the first position, and the ledger is all that a successor has."""
    desk.ask(purchase("r-1"), (5, 99))
    desk.ask(purchase("r-1"), (5, 120))
    assert list(desk.inventory.origins[5]) == [(99, "42", "r-1")]
