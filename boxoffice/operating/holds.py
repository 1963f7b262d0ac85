"""The doctor's look at holds: whether those that are due end."""

from __future__ import annotations

from time import time
from typing import Final

from boxoffice.audit.downstream import Downstream, has_run
from boxoffice.clock.places import read_places
from boxoffice.kafka.clients import admin, group_id
from boxoffice.kafka.groups import member_count
from boxoffice.kafka.topics import check_topics
from boxoffice.operating.findings import Finding, State
from boxoffice.settings import Settings
from boxoffice.statistics.published import read_topic
from models.facts import at_ms
from models.words import number_of
from topics import clock_places

CLOCK: Final = Downstream("clock", clock_places.TOPIC, clock_places.TOPIC)

_HOLDS: Final = "holds"
_PATIENCE_MS: Final = 60_000
"""A clock asks within a second, and the log answers; the clocks of two machines differ by less than this."""
_START: Final = "Start one with 'boxoffice run clock': it asks at once about all that is due."


async def examine_holds(settings: Settings) -> list[Finding]:
    """Whether somebody asks about the holds that there are, and is answered."""
    async with admin(settings.kafka) as client:
        runs = await member_count(client, group_id(settings.kafka, CLOCK.process)) > 0
    if not runs and not await has_run(settings.kafka, CLOCK):
        held = sum(figures.get("held", 0) for figures in (await read_topic(settings.kafka)).figures.values())
        tickets = number_of(held, "ticket")
        sentence = f"{tickets} kept for buyers, and no clock has ever run: what nobody pays for does not come back."
        return [Finding(_HOLDS, State.PROBLEM, sentence, _START)] if held else []
    overdue_ms = await _overdue_ms(settings)
    if not overdue_ms:
        return []
    longest_ms, number = max(overdue_ms)
    how_long = number_of(round(longest_ms / 60_000), "minute")
    sentence = f"Holds on {number_of(len(overdue_ms), 'partition')} are due and have not ended, the first on partition "
    advice = "Read the clock's log, and see that workers get on: they answer what it asks." if runs else _START
    return [Finding(_HOLDS, State.PROBLEM, f"{sentence}{number} for {how_long}.", advice)]


async def _overdue_ms(settings: Settings) -> list[tuple[int, int]]:
    """For how long holds have been due that have not ended, as clocks have said last, and of which partition."""
    numbers = range(await check_topics(settings.kafka, clock_places.TOPIC))
    now_ms = int(time() * 1000)
    dues = [
        (now_ms - at_ms(place.due), number)
        for number, place in (await read_places(settings.kafka, numbers)).items()
        if place is not None and place.due is not None
    ]
    return [(due_ms, number) for due_ms, number in dues if due_ms > _PATIENCE_MS]
