"""A process that gets nowhere although facts wait is ended; one that gets on, or has nothing to do, is not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.types import TP

from boxoffice.statistics import stalls
from boxoffice.statistics.stalls import StalledError, StallWatch

LEDGER = TP("purchase-results", 0)
CHANGELOG = TP("boxoffice-stats-events-changelog", 0)
AFTER_S = 0.1


class _App:
    """What is looked at of a Faust app."""

    def __init__(self) -> None:
        self.position, self.end, self.recovered, self.rebalancing = 5, 5, 0, False
        self.rebalancing_count = 1
        self.step = self.recovery_step = 0
        self.consumer = SimpleNamespace(
            positions=lambda: {LEDGER: (self.position, self.end)}, position=self._position_of_changelog
        )
        self.read_to = self.in_queue = 0
        self.in_recovery = False
        self.active_offsets: dict[TP, int | None] = {CHANGELOG: 0, TP("none", 0): None}
        self.active_highwaters = {CHANGELOG: 7}

    @property
    def tables(self) -> Any:
        self.active_offsets[LEDGER] = self.recovered
        return SimpleNamespace(recovery=self, changelog_queue=SimpleNamespace(empty=lambda: not self.in_queue))

    async def _position_of_changelog(self, tp: TP) -> int:
        assert tp == CHANGELOG
        return self.read_to


@pytest.fixture
def ended() -> list[Exception]:
    return []


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> _App:
    monkeypatch.setattr(stalls, "_LOOK_INTERVAL_S", 0.01)
    return _App()


async def watched(app: _App, ended: list[Exception], for_s: float = 4 * AFTER_S) -> None:
    @contextmanager
    def ending() -> Iterator[None]:
        try:
            yield
        except StalledError as error:
            ended.append(error)

    watch = StallWatch(cast(Any, app), AFTER_S, ending)
    watch.start()
    deadline_s = asyncio.get_running_loop().time() + for_s
    while asyncio.get_running_loop().time() < deadline_s and not ended:
        await asyncio.sleep(0.01)
        app.position += app.step
        app.recovered += app.recovery_step
    await watch.stop()


@pytest.mark.parametrize(
    ("state", "is_ended"),
    [
        ({"end": 100}, True),
        ({"rebalancing": True}, True),
        ({}, False),
        ({"end": 10_000, "step": 1}, False),
        ({"rebalancing": True, "recovery_step": 1}, False),
    ],
    ids=["facts wait", "a recovery hangs", "nothing to do", "facts are counted", "rows are recovered"],
)
async def test_only_who_gets_nowhere_is_ended(
    app: _App, ended: list[Exception], state: dict[str, int], is_ended: bool
) -> None:
    vars(app).update(state)
    await watched(app, ended)
    assert bool(ended) == is_ended


@pytest.mark.parametrize(
    ("state", "goes_on"),
    [
        ({"in_recovery": True, "read_to": 8}, True),
        ({"in_recovery": True, "read_to": 7}, False),
        ({"in_recovery": True, "read_to": 8, "in_queue": 1}, False),
        ({"in_recovery": False, "read_to": 8}, False),
    ],
    ids=["a marker is the last", "the last is not read yet", "rows are on their way", "it is recovered"],
)
async def test_a_recovery_does_not_wait_for_a_marker(
    app: _App, ended: list[Exception], state: dict[str, int], goes_on: bool
) -> None:
    vars(app).update(state)
    await watched(app, ended)
    assert (app.active_offsets[CHANGELOG] == 7) == goes_on
