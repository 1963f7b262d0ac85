"""The demo's commands: which of them come over HTTP, so that what must come of them is known."""

from __future__ import annotations

from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, cast

import pytest
from pydantic_core import from_json, to_json

from boxoffice.demo.checking import STATUSES, WANTED
from boxoffice.demo.paying import Window, own_id
from boxoffice.demo.script import (
    AT_ONCE,
    CAPACITY,
    CATEGORIES,
    COMMANDS,
    EVENT,
    EVENT_ID,
    GIVEN_BACK,
    HOLD_S,
    OVER_HTTP,
    PAID_TWICE,
    UNDERPAID,
    Kind,
    Offered,
    Script,
)
from boxoffice.gateway.problems import OF_REASON, TYPES
from models.accepted import Kind as AcceptedKind
from models.accepted import State, unpack
from models.commands import read_command
from models.derived_ids import EXPIRY, first_id
from models.event import Event, Position
from models.inventory import Inventory, decide, fold

SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_half_of_the_commands_come_over_http(seed: int) -> None:
    commands = Script(seed).all
    assert len(commands) == sum(COMMANDS.values())
    assert sum(offered.over_http for offered in commands) == OVER_HTTP == len(commands) // 2


@pytest.mark.parametrize("seed", SEEDS)
def test_all_that_is_about_one_purchase_goes_the_same_way(seed: int) -> None:
    """A key's requests are its own: over another way they would be about something else."""
    ways: defaultdict[str, set[bool]] = defaultdict(set)
    for offered in Script(seed).all:
        if offered.kind is not Kind.MALFORMED:
            ways[offered.about].add(offered.over_http)
    assert {len(of_one) for of_one in ways.values()} == {1}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_no_gateway_would_publish_does_not_come_over_http(seed: int) -> None:
    over_http = [offered for offered in Script(seed).all if offered.over_http]
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
    assert Script(7).all == Script(7).all
    assert Script(7).paying == Script(7).paying


class Counter:
    """The rules, asked in the order in which the demo's commands are offered; the window pays at once."""

    def __init__(self, script: Script) -> None:
        self._window = Window(script.paying)
        self._inventory = Inventory(0)
        self._offset = 0
        self.at_ms = TEN_OCLOCK_MS
        self.ask(to_json(EVENT))

    @property
    def event(self) -> Event:
        """The demo's event, as it is now."""
        return self._inventory.events[EVENT_ID]

    def ask(self, command: bytes) -> Mapping[str, Any]:
        """The fact that answers a command."""
        self._offset += 1
        position = Position(self._offset, self.at_ms, {"partition": 0, "offset": self._offset})
        fact = decide(self._inventory, read_command(command), position)
        fold(self._inventory, fact, self._offset)
        return cast("Mapping[str, Any]", fact)

    def offer(self, offered: Offered) -> Mapping[str, Any]:
        """The fact that answers a command of the script; what the window does then is done."""
        seq = self.event.seq
        fact = self.ask(by_gateway(offered) if offered.over_http else offered.value)
        assert fact["type"] in WANTED[offered.kind], offered
        if offered.over_http:
            assert status_of(offered, fact) in STATUSES[offered.kind], offered
        if fact["seq"] == seq + 1 and fact["type"] in {"purchase_held", "purchase_confirmed"}:
            for following in self._window.commands_after(fact):
                self.offer(following)
        return fact

    def expire(self) -> list[str]:
        """End every hold that is due; whose they were."""
        held = [
            purchase
            for purchase, packed in self.event.accepted.items()
            if unpack(packed).kind is AcceptedKind.PURCHASE and unpack(packed).state is State.HELD
        ]
        for purchase in held:
            members = {"type": "expire_hold", "event_id": EVENT_ID, "purchase": purchase}
            fact = self.ask(to_json({**members, "request_id": first_id(EXPIRY, purchase)}))
            assert fact["type"] == "hold_expired"
        return held


TEN_OCLOCK_MS = 1_795_341_600_000
OPENING = {"type": "change_event", "request_id": "opening", "event_id": EVENT_ID, "on_sale_at": "2026-11-22T10:00:05Z"}


def by_gateway(offered: Offered) -> bytes:
    """The command as a gateway publishes it: its caller's id stands before what is the caller's own."""
    members = from_json(offered.value)
    own = [name for name in ("request_id", "purchase") if name in members]
    return to_json(members | {name: f"0123456789:{members[name]}" for name in own})


def status_of(offered: Offered, fact: Mapping[str, Any]) -> str:
    """How a gateway tells a fact; what another request has led to since made nothing."""
    if "reason" in fact:
        return str(TYPES[OF_REASON[fact["reason"]]].status.value)
    return "201" if own_id(fact["request_id"]) == offered.request_id else "200"


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rules_and_the_gateway_s_statuses_say_what_the_demo_expects(seed: int) -> None:
    """In the order in which they are offered; a sale of all tickets is what the demo ends with."""
    script = Script(seed)
    rules = Counter(script)
    assert rules.ask(to_json(OPENING))["type"] == "event_changed"
    assert {rules.offer(offered)["reason"] for offered in script.early} == {"not_on_sale_yet"}
    rules.at_ms += 5_000
    answers = [
        (offered.kind, rules.offer(offered)) for offered in script.commands if offered.kind is not Kind.MALFORMED
    ]
    assert rules.event.left == 0
    refused = Counts(fact["reason"] for kind, fact in answers if kind is Kind.PURCHASE and "reason" in fact)
    assert refused.keys() <= {"all_held", "sold_out", "not_enough_left"}
    # A third of the holds is left to expire.
    held = rules.event.held
    assert 0.2 * CAPACITY < held < 0.45 * CAPACITY
    rules.at_ms += HOLD_S * 1000
    expired = {own_id(purchase) for purchase in rules.expire()}
    assert not expired & script.paying.pays
    assert expired >= script.paying.underpaid
    assert rules.event.left == held
    assert rules.ask(to_json(AT_ONCE))["type"] == "event_changed"
    returned = [rules.offer(offered) for offered in script.returned]
    assert rules.event.left == rules.event.held == 0
    assert rules.event.sold == CAPACITY
    assert {fact["type"] for fact in returned} == {"purchase_confirmed", "purchase_rejected"}


def test_the_tickets_are_as_many_as_the_categories_have() -> None:
    assert sum(category["capacity"] for category in CATEGORIES) == CAPACITY  # type: ignore[misc]


@pytest.mark.parametrize("seed", SEEDS)
def test_whoever_does_something_that_is_counted_on_gets_tickets_and_is_not_cancelled(seed: int) -> None:
    script = Script(seed)
    cancelled = {offered.target for offered in script.commands if offered.kind is Kind.CANCEL}
    paying = script.paying
    counted_on = paying.underpaid | paying.paid_twice | paying.gives_back
    assert (len(paying.underpaid), len(paying.paid_twice), len(paying.gives_back)) == (
        UNDERPAID,
        PAID_TWICE,
        GIVEN_BACK,
    )
    assert not counted_on & cancelled
    assert not paying.underpaid & paying.pays
    assert paying.paid_twice | paying.gives_back <= paying.pays
    early = {offered.request_id for offered in script.commands if offered.comes_at < 0.4}
    assert counted_on <= early
