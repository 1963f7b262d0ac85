"""What processes say of themselves in Redis: heard while they run, forgotten when they end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from boxoffice.redis.connection import RedisClient, connect
from boxoffice.redis.presence import Presence, Presences, ProcessState, read_presences
from boxoffice.settings import Settings, load_settings
from lua.keys import process_key
from tests.support.office import POLL_S
from tests.support.servers import NewRedis, RedisAddress
from tests.support.settings import changed

GARBAGE: dict[str, str | bytes] = {
    "text": "garbage",
    "number": "1",
    "other": '{"process": "purchases"}',
    "cut": '{"process": "purcha',
    "bytes": b"\xff\xfe",
    "long": "x" * 1_000_000,
}


class NewPresence(Protocol):
    """Begins a process' presence, some settings changed."""

    def __call__(self, process: str, **others: object) -> Presence: ...


@pytest.fixture
def settings(redis_server: RedisAddress, prefix: str) -> Settings:
    return load_settings(redis_url=redis_server.url, topic_prefix=prefix)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[RedisClient]:
    opened = connect(settings.redis)
    yield opened
    await opened.aclose()


@pytest.fixture
async def new_presence(settings: Settings) -> AsyncIterator[NewPresence]:
    """What is said is taken back after the test."""
    begun: list[Presence] = []

    def begin(process: str, **others: object) -> Presence:
        chosen = changed(settings, **others)
        begun.append(Presence(chosen.redis, process, chosen.process.presence_interval_s))
        return begun[-1]

    yield begin
    for presence in begun:
        await presence.take_back()


def state(process: str = "purchases", **members: object) -> ProcessState:
    told = {
        "process": process,
        "host": "box-1",
        "pid": 1,
        "health": "127.0.0.1:9464",
        "started_at": "2026-11-22T10:00:00.000Z",
        "uptime_s": 12.5,
        "memory_bytes": 50_000_000,
        "cpu_s": 3.25,
        "live": True,
        "ready": True,
        "waits_for": [],
        "using_fallback": None,
    }
    return ProcessState.model_validate(told | members)


async def test_what_a_process_said_last_is_heard_until_it_ends(
    settings: Settings, client: RedisClient, new_presence: NewPresence
) -> None:
    first, second = new_presence("purchases"), new_presence("documents")
    await first.say(state(ready=False))
    await first.say(state(using_fallback=True))
    await second.say(state("documents", waits_for=["document store"]))
    heard = await read_presences(client, settings.kafka.topic_prefix)
    assert heard == Presences([state("documents", waits_for=["document store"]), state(using_fallback=True)], [])
    await first.take_back()
    assert await read_presences(client, settings.kafka.topic_prefix) == Presences(heard.states[:1], [])
    await second.take_back()
    assert await read_presences(client, settings.kafka.topic_prefix) == Presences([], [])


async def test_processes_of_the_same_host_and_number_are_heard_both(
    settings: Settings, client: RedisClient, new_presence: NewPresence
) -> None:
    # As in containers that share their host's name.
    for _ in range(2):
        await new_presence("purchases").say(state())
    assert (await read_presences(client, settings.kafka.topic_prefix)).states == [state(), state()]


async def test_another_box_office_is_not_heard(
    settings: Settings, client: RedisClient, new_presence: NewPresence
) -> None:
    for prefix in (f"{settings.kafka.topic_prefix}a-", f"{settings.kafka.topic_prefix}b-"):
        await new_presence("stats", topic_prefix=prefix).say(state("stats", host=prefix))
    assert (await read_presences(client, settings.kafka.topic_prefix)).states == []
    [heard] = (await read_presences(client, f"{settings.kafka.topic_prefix}a-")).states
    assert heard.host == f"{settings.kafka.topic_prefix}a-"


async def test_a_process_that_was_killed_is_forgotten(
    settings: Settings, client: RedisClient, new_presence: NewPresence
) -> None:
    await new_presence("purchases", presence_interval_s=0.5).say(state())
    assert (await read_presences(client, settings.kafka.topic_prefix)).states == [state()]
    async with asyncio.timeout(10):
        while (await read_presences(client, settings.kafka.topic_prefix)).states:
            await asyncio.sleep(POLL_S)


async def test_what_else_lies_there_is_passed_over_and_named(
    settings: Settings, client: RedisClient, new_presence: NewPresence
) -> None:
    prefix = settings.kafka.topic_prefix
    for name, value in GARBAGE.items():
        await client.execute_command("SET", process_key(prefix, "purchases", name), value)
    await client.execute_command("RPUSH", process_key(prefix, "stats", "list"), "1")
    await client.execute_command("SET", process_key(prefix, "stats", "\x1b[31m"), "1")
    await new_presence("purchases").say(state())
    heard = await read_presences(client, prefix)
    assert heard.states == [state()]
    assert sorted(heard.unreadable) == sorted(
        [
            *(process_key(prefix, "purchases", name) for name in GARBAGE),
            process_key(prefix, "stats", "list"),
            process_key(prefix, "stats", "\\x1b[31m"),
        ]
    )


@pytest.mark.parametrize(
    "members",
    [
        {"host": "\x1b[31mred"},
        {"host": "h" * 256},
        {"pid": -1},
        {"pid": True},
        {"memory_bytes": 2**63},
        {"memory_bytes": 1.5},
        {"uptime_s": -0.1},
        {"uptime_s": float("inf")},
        {"uptime_s": float("nan")},
        {"cpu_s": "1"},
        {"live": 1},
        {"waits_for": "store"},
        {"using_fallback": "no"},
        {"started_at": None},
    ],
)
async def test_words_that_no_process_says_are_not_believed(
    settings: Settings, client: RedisClient, members: dict[str, object]
) -> None:
    odd = json.dumps(state().model_dump() | members)
    key = process_key(settings.kafka.topic_prefix, "purchases", "odd")
    await client.execute_command("SET", key, odd)
    assert await read_presences(client, settings.kafka.topic_prefix) == Presences([], [key])


async def test_a_redis_that_is_down_hears_nothing_and_hears_again_when_it_is_back(new_redis: NewRedis) -> None:
    redis = await new_redis()
    settings = load_settings(redis_url=redis.url)
    presence = Presence(settings.redis, "purchases", settings.process.presence_interval_s)
    await presence.say(state(ready=False))
    redis.kill()
    await presence.say(state(ready=False))
    await redis.launch()
    await presence.say(state())
    client = connect(settings.redis)
    assert (await read_presences(client, "")).states == [state()]
    redis.kill()
    await presence.take_back()
    await client.aclose()


async def test_a_redis_that_hangs_is_not_waited_for(new_redis: NewRedis) -> None:
    redis = await new_redis()
    settings = load_settings(redis_url=redis.url, redis_timeout_ms=50)
    presence = Presence(settings.redis, "purchases", settings.process.presence_interval_s)
    redis.pause()
    await presence.say(state())
    redis.resume()
    await presence.say(state())
    client = connect(settings.redis)
    assert (await read_presences(client, "")).states == [state()]
    redis.pause()
    await presence.take_back()
    redis.resume()
    await client.aclose()
