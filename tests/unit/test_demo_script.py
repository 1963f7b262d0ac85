"""The demo's commands: which of them come over HTTP, so that what must come of them is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, cast

import pytest
from pydantic_core import from_json, to_json

from boxoffice.demo.checking import STATUSES, WANTED
from boxoffice.demo.script import CAPACITY, COMMANDS, EVENT_ID, MAX_PER_ORDER, OVER_HTTP, Kind, Offered, Script
from boxoffice.gateway.problems import OF_REASON, TYPES
from models.commands import read_command
from models.event import Position
from models.inventory import Inventory, decide, fold

SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_half_of_the_commands_come_over_http(seed: int) -> None:
    commands = Script(seed).commands
    assert len(commands) == sum(COMMANDS.values())
    assert sum(offered.over_http for offered in commands) == OVER_HTTP == len(commands) // 2


@pytest.mark.parametrize("seed", SEEDS)
def test_all_that_is_about_one_purchase_goes_the_same_way(seed: int) -> None:
    """A key's requests are its own: over another way they would be about something else."""
    ways: defaultdict[str, set[bool]] = defaultdict(set)
    for offered in Script(seed).commands:
        if offered.kind is not Kind.MALFORMED:
            ways[offered.about].add(offered.over_http)
    assert {len(of_one) for of_one in ways.values()} == {1}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_no_gateway_would_publish_does_not_come_over_http(seed: int) -> None:
    over_http = [offered for offered in Script(seed).commands if offered.over_http]
    assert not any(offered.misplaced or offered.kind is Kind.MALFORMED for offered in over_http)
    assert {offered.kind for offered in over_http} >= {Kind.PURCHASE, Kind.REPEAT, Kind.CANCEL, Kind.UNKNOWN_EVENT}


def test_a_purchase_comes_before_all_that_is_about_it() -> None:
    seen: set[str] = set()
    for offered in Script(7).commands:
        if offered.kind is Kind.PURCHASE:
            seen.add(offered.request_id)
        elif offered.kind in (Kind.REPEAT, Kind.REUSED_ID, Kind.CANCEL, Kind.CANCEL_AGAIN):
            assert offered.about in seen


def test_the_same_seed_offers_the_same_commands_the_same_way() -> None:
    assert Script(7).commands == Script(7).commands


class Counter:
    """The rules, asked in the order in which the demo's commands are offered."""

    def __init__(self) -> None:
        self._inventory = Inventory(0)
        self._offset = 0
        self.ask(to_json(CREATION))

    def ask(self, command: bytes) -> Mapping[str, Any]:
        """The fact that answers a command."""
        self._offset += 1
        position = Position(self._offset, 1_795_341_600_000, {"partition": 0, "offset": self._offset})
        fact = decide(self._inventory, read_command(command), position)
        fold(self._inventory, fact, self._offset)
        return cast("Mapping[str, Any]", fact)


CREATION = {
    "type": "create_event",
    "request_id": "demo",
    "event_id": EVENT_ID,
    "name": "Night",
    "venue": "Hall",
    "starts_at": "2027-03-01T19:30:00Z",
    "capacity": CAPACITY,
    "max_per_order": MAX_PER_ORDER,
    "price": {"amount": 4_500, "currency": "EUR"},
}


def by_gateway(offered: Offered) -> bytes:
    """The command as a gateway publishes it: its caller's id stands before what is the caller's own."""
    members = from_json(offered.value)
    own = [name for name in ("request_id", "purchase") if name in members]
    return to_json(members | {name: f"0123456789:{members[name]}" for name in own})


def status_of(offered: Offered, fact: Mapping[str, Any]) -> str:
    """How a gateway tells a fact."""
    if "reason" in fact:
        return str(TYPES[OF_REASON[fact["reason"]]].status.value)
    cancels = offered.kind is Kind.CANCEL
    return "201" if fact["type"] == ("purchase_cancelled" if cancels else "purchase_confirmed") else "200"


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rules_and_the_gateway_s_statuses_say_what_the_demo_expects(seed: int) -> None:
    """In the order in which they are offered; a sale of all tickets is what the demo ends with."""
    rules, left = Counter(), CAPACITY
    for offered in Script(seed).commands:
        if offered.kind is Kind.MALFORMED:
            continue
        fact = rules.ask(by_gateway(offered) if offered.over_http else offered.value)
        assert fact["type"] in WANTED[offered.kind]
        if offered.over_http:
            assert status_of(offered, fact) in STATUSES[offered.kind]
        if offered.kind is not Kind.REPEAT and "reason" not in fact:
            tickets = len(fact["tickets"])
            left += tickets if fact["type"] == "purchase_cancelled" else -tickets
    assert left == 0
