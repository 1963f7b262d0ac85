"""The demo's commands: which of them come over HTTP, so that what must come of them is known."""

from __future__ import annotations

from collections import defaultdict

import pytest

from boxoffice.demo.script import COMMANDS, OVER_HTTP, Kind, Script

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
