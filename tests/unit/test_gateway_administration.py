"""What operators ask by HTTP, and who may."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from boxoffice.gateway.administration import Administration
from boxoffice.gateway.messages import Problem, Response
from boxoffice.gateway.rebuilding import Rebuilding
from boxoffice.settings import load_settings
from tests.unit.gateway_requests import KnownCallers, admission, request


class Bench:
    """An operator, and what he lets be rebuilt."""

    def __init__(self) -> None:
        self.known = KnownCallers()
        self.key = self.known.add("operator00", "admin")
        self.rebuilt: list[tuple[frozenset[str], float]] = []
        self.result: dict[str, Any] | None = {"42": {"seq": 7}}
        redis = load_settings(redis_url="redis://127.0.0.1:1").redis
        self.administration = Administration(admission(self.known.callers), self, redis)  # type: ignore[arg-type]

    async def rebuild(self, events: frozenset[str], wait_s: float) -> dict[str, Any] | None:
        """As the real thing does."""
        self.rebuilt.append((events, wait_s))
        return self.result

    async def post(self, what: str, body: Any, **given: str) -> Response:
        asks = request("POST", f"/v1/admin/{what}", body, **{"key": self.key, **given})
        with capture_logs():
            return await getattr(self.administration, what)(asks)  # type: ignore[no-any-return]

    async def problem(self, what: str, body: Any, **given: str) -> str:
        with pytest.raises(Problem) as raised:
            await self.post(what, body, **given)
        return raised.value.name


async def test_events_are_rebuilt_and_it_is_told_how_far_they_are() -> None:
    bench = Bench()
    response = await bench.post("rebuild", {"events": ["42"]}, prefer="wait=3")
    assert (response.status, json.loads(response.body)) == (200, {"rebuilt": {"42": {"seq": 7}}})
    bench.result = None
    response = await bench.post("rebuild", {"all": True})
    assert (response.status, json.loads(response.body)) == (202, {"rebuilding": "all"})
    assert bench.rebuilt == [(frozenset({"42"}), 3.0), (frozenset(), 10.0)]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"events": []},
        {"events": ["042"]},
        {"events": ["42"], "all": True},
        {"all": "yes"},
        {"x": 1},
        {"events": "42"},
    ],
)
async def test_what_cannot_be_rebuilt_is_refused_with_pointers(body: Any) -> None:
    bench = Bench()
    assert await bench.problem("rebuild", body) == "invalid-body"
    assert bench.rebuilt == []


async def test_a_drill_says_how_long_it_lasts() -> None:
    bench = Bench()
    for body in ({}, {"on": "yes"}, {"on": True, "duration_s": 0}, {"on": True, "duration_s": 10**9}):
        assert await bench.problem("drill", body) == "invalid-body"
    assert await bench.problem("drill", {"on": True}) == "unavailable"


async def test_only_an_operator_may() -> None:
    bench = Bench()
    buyer = bench.known.add("buyer00000", "buy", "events", "read")
    one_event = bench.known.add("oneevent00", "admin", events=("43",))
    for what, body in (("rebuild", {"events": ["42"]}), ("drill", {"on": True})):
        assert await bench.problem(what, body, key=buyer) == "forbidden"
        assert await bench.problem(what, body, key="bo_x") == "unauthenticated"
    for refused in ({"events": ["42"]}, {"events": ["43", "42"]}, {"all": True}):
        assert await bench.problem("rebuild", refused, key=one_event) == "forbidden"
    await bench.post("rebuild", {"events": ["43"]}, key=one_event)
    assert bench.rebuilt == [(frozenset({"43"}), 10.0)]


def program(folder: Path, text: str) -> list[str]:
    """A program that stands for the command line."""
    path = folder / "program.py"
    path.write_text(f"import sys, json, time\n{text}")
    return [sys.executable, str(path)]


async def test_a_rebuild_is_the_command_line_s_in_a_process_of_its_own(tmp_path: Path) -> None:
    rebuilding = Rebuilding(program(tmp_path, "print(json.dumps({'asked': sys.argv[1:]}))"))
    assert await rebuilding.rebuild(frozenset({"43", "42"}), 60) == {
        "asked": ["rebuild", "42", "43", "--json", "--timeout", "120"]
    }
    assert await rebuilding.rebuild(frozenset(), 60) == {"asked": ["rebuild", "--all", "--json", "--timeout", "120"]}


@pytest.mark.parametrize(("status", "name"), [(3, "unknown-event"), (4, "unavailable"), (5, "unavailable")])
async def test_why_it_was_not_done_is_told_in_the_command_line_s_words(tmp_path: Path, status: int, name: str) -> None:
    text = f"print('first', 'Event 42 is nowhere.', sep='\\n', file=sys.stderr)\nsys.exit({status})"
    with pytest.raises(Problem) as raised:
        await Rebuilding(program(tmp_path, text)).rebuild(frozenset({"42"}), 60)
    assert (raised.value.name, raised.value.detail) == (name, "Event 42 is nowhere.")


async def test_one_rebuild_at_a_time_goes_on_while_nobody_waits(tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    text = f"import os\nwhile not os.path.exists({str(go_on)!r}): time.sleep(0.01)\nprint('{{}}')"
    rebuilding = Rebuilding(program(tmp_path, text))
    assert await rebuilding.rebuild(frozenset({"42"}), 0.01) is None
    with pytest.raises(Problem, match="too-many-waiting"):
        await rebuilding.rebuild(frozenset({"43"}), 0.01)
    waiting = asyncio.create_task(rebuilding.rebuild(frozenset({"42"}), 60))
    go_on.touch()
    assert await waiting == {}
    await rebuilding.aclose()


async def test_what_is_under_way_ends_with_the_gateway(tmp_path: Path) -> None:
    rebuilding = Rebuilding(program(tmp_path, "time.sleep(600)"))
    assert await rebuilding.rebuild(frozenset({"42"}), 0.2) is None
    await rebuilding.aclose()
