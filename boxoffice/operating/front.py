"""The doctor's look at the front door: whether those are ready who answer over HTTP, and whether anybody has a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from boxoffice.errors import UnreachableError
from boxoffice.gateway.key_ring import KeyRing
from boxoffice.operating.findings import Finding, State
from boxoffice.redis.clients import redis_client
from boxoffice.redis.presence import ProcessState, read_presences
from boxoffice.settings import Settings
from models.words import number_of

GATEWAY: Final = "gateway"
LIVE: Final = "live"
STARTING_S: Final = 30.0
"""Whoever has been there for no longer may still be reading where the ledger ends."""

_LEFT_OUT: Final = "Read its log; /health says more. A load balancer that checks /health/ready leaves it out meanwhile."
_MAKE_ONE: Final = "Make one with 'boxoffice keys create --scope buy'."


async def examine_front(settings: Settings) -> list[Finding]:
    """How the processes are that callers ask, as these say in Redis; what nobody runs is no finding."""
    callers = len(await KeyRing(settings.kafka).all())
    try:
        async with redis_client(settings.redis) as client:
            states = (await read_presences(client, settings.redis.key_prefix)).states
    except UnreachableError:
        # It is told elsewhere, and nobody can say who runs.
        return []
    by_process = {process: [one for one in states if one.process == process] for process in (GATEWAY, LIVE)}
    return [*judge_gateways(by_process[GATEWAY], callers), *_judge(LIVE, by_process[LIVE])]


def judge_gateways(states: Sequence[ProcessState], callers: int) -> list[Finding]:
    """What is to be said of the gateways that run, and of those whom they would let in."""
    if not states and callers:
        sentence = f"{number_of(callers, 'API key')} given out, and no gateway says that it runs."
        return [Finding(GATEWAY, State.WARNING, sentence, "Start one with 'boxoffice run gateway'.")]
    if states and not callers:
        return [*_judge(GATEWAY, states), Finding(GATEWAY, State.WARNING, "Nobody has an API key.", _MAKE_ONE)]
    return _judge(GATEWAY, states)


def _judge(process: str, states: Sequence[ProcessState]) -> list[Finding]:
    complaining = [(state, state.complaint) for state in states if state.complaint]
    if states and not complaining:
        return [Finding(process, State.OK, f"{number_of(len(states), 'instance')}, ready.")]
    return [
        Finding(
            process,
            State.WARNING if state.uptime_s < STARTING_S else State.PROBLEM,
            f"The one on {state.host} (process {state.pid}, {state.health}) {complaint}.",
            _LEFT_OUT,
        )
        for state, complaint in complaining
    ]
