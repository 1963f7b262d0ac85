"""How many connections a process may have: as many as it wants, or as the system lets it."""

from __future__ import annotations

import resource

import pytest

from boxoffice.process.open_files import OTHER_FILES, allow_connections


@pytest.fixture
def bounds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bound that is in force and the most that the system lets it be, and no system."""
    found = [1_024, 20_000]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(found))
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: found.__setitem__(slice(None), list(new)))
    return found


def test_the_bound_is_raised_to_what_is_wanted_and_no_further(bounds: list[int]) -> None:
    assert allow_connections(10_000) == 10_000
    assert bounds == [10_000 + OTHER_FILES, 20_000]


def test_what_the_system_does_not_allow_is_told(bounds: list[int]) -> None:
    assert allow_connections(100_000) == 20_000 - OTHER_FILES
    assert bounds == [20_000, 20_000]


def test_a_bound_that_is_high_enough_stays(bounds: list[int]) -> None:
    assert allow_connections(100) == 100
    assert bounds == [1_024, 20_000]


def test_where_there_is_no_bound_none_is_set(bounds: list[int]) -> None:
    bounds[1] = resource.RLIM_INFINITY
    assert allow_connections(100_000) == 100_000
    assert bounds[0] == 100_000 + OTHER_FILES
    bounds[0] = resource.RLIM_INFINITY
    assert allow_connections(10**6) == 10**6
    assert bounds[0] == resource.RLIM_INFINITY
