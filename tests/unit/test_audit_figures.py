"""The audit of figures in Redis: an archived event's have to be gone, whatever the others have to be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from boxoffice.audit.report import AuditReport
from boxoffice.audit.statistics_check import StatisticsCheck
from boxoffice.audit.waiting import Patience
from boxoffice.settings import settings_from
from boxoffice.statistics.figures import Figures, event_figures
from models.figures import Status
from tests.support.figures import row


class _Redis:
    """Has an event's figures at each look, or not; the last of these from then on."""

    def __init__(self, *has: bool) -> None:
        self._has = list(has)

    async def execute_command(self, *words: Any) -> bytes | None:
        assert words[::2] == ("HGET", "seq")
        return b"5" if (self._has.pop(0) if len(self._has) > 1 else self._has[0]) else None


class _Published:
    """What the topic says at each look."""

    def __init__(self, *statuses: Status) -> None:
        self._statuses = list(statuses)

    async def of(self, _: str) -> Figures:
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        return event_figures(row("42", 5, status=status), 0)


OPEN, ARCHIVED = Status.OPEN, Status.ARCHIVED


@pytest.mark.parametrize(
    ("folded", "published", "has", "wait_s", "is_to_be_there", "differences"),
    [
        (OPEN, [OPEN], [True], 30, True, 0),
        # Those that are missing are judged by whoever takes them.
        (OPEN, [OPEN], [False], 0, True, 0),
        (OPEN, [OPEN, OPEN], [False, True], 30, True, 0),
        (ARCHIVED, [ARCHIVED], [False], 30, False, 0),
        (ARCHIVED, [OPEN], [True, True, False], 30, False, 0),
        (ARCHIVED, [ARCHIVED], [True], 0, False, 1),
        # It is archived while the audit looks.
        (OPEN, [OPEN, OPEN, ARCHIVED], [False], 30, False, 0),
        (OPEN, [ARCHIVED], [True, False], 30, False, 0),
    ],
)
async def test_figures_have_to_be_in_redis_until_their_event_is_archived_and_no_longer(
    folded: Status, published: list[Status], has: list[bool], wait_s: int, is_to_be_there: bool, differences: int
) -> None:
    settings = settings_from({}).kafka
    redis, offsets = cast(Any, _Redis(*has)), cast(Any, None)
    check = StatisticsCheck(settings, redis, offsets, Patience(wait_s), AuditReport())
    check._differences = {"42": []}
    event = row("42", 5, status=folded)
    audit = SimpleNamespace(check=SimpleNamespace(number=0, statistics=SimpleNamespace(events={"42": event})))
    told = await check._is_in_redis("42", cast(Any, _Published(*published)), cast(Any, audit))
    assert (told, len(check._differences["42"])) == (is_to_be_there, differences)
