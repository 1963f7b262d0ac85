"""What doctor says of the processes that callers ask over HTTP, by what these say of themselves."""

from __future__ import annotations

import pytest

from boxoffice.operating.findings import Finding, State
from boxoffice.operating.front import STARTING_S, judge_gateways
from boxoffice.redis.presence import ProcessState


def gateway(number: int, *, ready: bool = True, waits_for: tuple[str, ...] = (), uptime_s: float = 600) -> ProcessState:
    return ProcessState(
        process="gateway",
        host="box",
        pid=number,
        health=f"127.0.0.1:{9000 + number}",
        started_at="2026-01-01T00:00:00.000Z",
        uptime_s=uptime_s,
        memory_bytes=0,
        cpu_s=0,
        live=True,
        ready=ready,
        waits_for=list(waits_for),
        using_fallback=None,
    )


def told(findings: list[Finding]) -> list[tuple[State, str]]:
    return [(found.state, found.sentence) for found in findings]


def test_whoever_wants_no_gateway_is_told_nothing() -> None:
    assert judge_gateways([], 0) == []


def test_gateways_that_are_ready_are_well() -> None:
    assert told(judge_gateways([gateway(1), gateway(2)], 1)) == [(State.OK, "2 instances, ready.")]


def test_keys_without_a_gateway_are_a_warning() -> None:
    [found] = judge_gateways([], 2)
    assert (found.state, found.sentence) == (State.WARNING, "2 API keys given out, and no gateway says that it runs.")
    assert "boxoffice run gateway" in found.advice


def test_a_gateway_that_lets_nobody_in_is_a_warning() -> None:
    *_, found = judge_gateways([gateway(1)], 0)
    assert (found.state, found.sentence) == (State.WARNING, "Nobody has an API key.")
    assert "boxoffice keys create" in found.advice


@pytest.mark.parametrize(("uptime_s", "state"), [(STARTING_S - 1, State.WARNING), (STARTING_S, State.PROBLEM)])
def test_one_that_is_not_ready_is_named_and_a_problem_once_it_had_time(uptime_s: float, state: State) -> None:
    found = judge_gateways([gateway(1), gateway(2, ready=False, uptime_s=uptime_s)], 1)
    assert told(found) == [(state, "The one on box (process 2, 127.0.0.1:9002) is not ready.")]


def test_one_that_waits_for_a_server_says_for_which() -> None:
    [found] = judge_gateways([gateway(1, ready=False, waits_for=("Kafka",))], 1)
    assert found.sentence == "The one on box (process 1, 127.0.0.1:9001) waits for Kafka."
