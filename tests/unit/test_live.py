"""Parts of the live process: addresses behind proxies, places for streams, what is read once for all, the shop."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from boxoffice.errors import SettingsError, UnreachableError
from boxoffice.gateway.callers import Callers
from boxoffice.gateway.messages import Problem
from boxoffice.live import kept as looking
from boxoffice.live.kept import Kept
from boxoffice.live.serving import streams_among
from boxoffice.live.shop import Shop
from boxoffice.live.streams import Places
from boxoffice.settings import load_settings
from models.api_keys import ApiKey, KeptSecret, Scope, digest, new_id, new_key

# Places


def test_an_address_has_so_many_streams_and_all_have_so_many_and_each_is_given_back() -> None:
    places = Places(3, 2)
    with places.place("a"), places.place("a"):
        assert refused(places, "a") == ("too-many-streams", 429)
        with places.place("b"):
            assert refused(places, "c") == ("streams-full", 503)
        with places.place("c"):
            assert places.taken == 3
    assert (places.taken, places._of) == (0, {})


def refused(places: Places, address: str) -> tuple[str, int]:
    with pytest.raises(Problem) as problem, places.place(address):
        pass
    [(name, seconds)] = problem.value.headers
    assert name == "retry-after"
    assert 2 <= int(seconds) <= 5
    return problem.value.name, problem.value.response().status


@pytest.mark.parametrize(
    ("connections", "streams"), [(21_000, 20_000), (20_999, 19_999), (3_596, 2_596), (2_000, 1_000), (524, 262), (1, 1)]
)
def test_where_the_system_allows_fewer_connections_streams_leave_room_for_pages(connections: int, streams: int) -> None:
    assert streams_among(connections, 20_000) == streams


# What is read once for all


class Clock:
    """Says what it is told to say."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(looking, "monotonic", clock)
    return clock


async def test_many_who_ask_at_once_have_it_read_once_and_again_only_when_it_is_old(clock: Clock) -> None:
    read = 0

    async def look() -> int:
        nonlocal read
        read += 1
        await asyncio.sleep(0)
        return read

    kept = Kept(look, young_s=10, patience_s=30)
    assert {seen.value for seen in await asyncio.gather(*(kept.get() for _ in range(50)))} == {1}
    clock.now_s += 10
    seen = await kept.get()
    assert (seen.value, seen.age_s, seen.error) == (1, 10, None)
    clock.now_s += 1
    # What is old comes at once; the next one gets what was read meanwhile.
    assert (await kept.get()).value == 1
    while (seen := await kept.get()).value == 1:
        await asyncio.sleep(0)
    assert (seen.value, seen.age_s, seen.error) == (2, 0, None)
    await kept.aclose()


async def test_what_takes_long_is_read_less_often(clock: Clock) -> None:
    reads: list[float] = []

    async def look() -> int:
        reads.append(clock.now_s)
        clock.now_s += 5
        return len(reads)

    kept = Kept(look, young_s=2, patience_s=30)
    assert (await kept.get()).value == 1
    clock.now_s += 15
    for _ in range(5):
        assert (await kept.get()).value == 1
        await asyncio.sleep(0)
    assert reads == [1_000]
    clock.now_s += 1
    await kept.get()
    while (await kept.get()).value == 1:
        await asyncio.sleep(0)
    assert reads == [1_000, 1_021]
    await kept.aclose()


async def test_who_comes_after_long_waits_for_something_newer(clock: Clock) -> None:
    answers = ["all is well", "all is lost"]

    async def look() -> str:
        return answers.pop(0)

    kept = Kept(look, young_s=2, patience_s=30)
    assert (await kept.get()).value == "all is well"
    clock.now_s += 3_600
    assert (await kept.get()).value == "all is lost"
    await kept.aclose()


async def test_what_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_GIVE_UP_S", 0)

    async def look() -> str:
        await asyncio.Event().wait()
        return "never"

    kept = Kept(look, young_s=2, patience_s=30)
    assert (await kept.get()).error == "It takes longer than 60 s to be read."
    await kept.aclose()


async def test_who_has_no_patience_is_told_that_it_is_being_looked_at() -> None:
    let_go = asyncio.Event()

    async def look() -> str:
        await let_go.wait()
        return "seen"

    kept = Kept(look, young_s=0, patience_s=0)
    seen = await kept.get()
    assert (seen.value, seen.age_s, seen.error) == (None, None, "It is still being looked at.")
    let_go.set()
    patient = Kept(look, young_s=0, patience_s=30)
    assert (await patient.get()).value == "seen"
    await kept.aclose()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UnreachableError("Kafka is away."), "Kafka is away."),
        (ConnectionRefusedError("1.2.3.4"), "It could not be read (ConnectionRefusedError)."),
        (TimeoutError(), "It could not be read (TimeoutError)."),
        (ValueError("secret"), "It could not be read: the log says why."),
    ],
)
async def test_what_cannot_be_read_is_told_and_read_again(error: Exception, told: str, clock: Clock) -> None:
    answers: list[Any] = [error, 7]

    async def look() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    kept = Kept(look, young_s=1, patience_s=30)
    seen = await kept.get()
    assert (seen.value, seen.error) == (None, told)
    clock.now_s += 2
    seen = await kept.get()
    assert (seen.value, seen.error) == (7, None)
    await kept.aclose()


# The shop


def shop_of(*scopes: Scope, known: bool = True) -> dict[str, Any]:
    key_id = new_id()
    key = new_key(key_id)
    callers = Callers()
    if known:
        secrets = (KeptSecret(sha256=digest(key)),)
        caller = ApiKey(id=key_id, name="shop", scopes=scopes, secrets=secrets, created_at="2026-11-22T10:00:00Z")
        callers.take(key_id.encode(), caller.model_dump_json(exclude_none=True).encode())
    settings = load_settings(live_shop_key=key, live_gateway_url="https://tickets.example").live
    response = Shop(settings, callers).answer(0)
    assert ("cache-control", "no-store") in response.headers
    told: dict[str, Any] = json.loads(response.body)
    assert told["key"] in (None, key)
    return {"gateway": told["gateway"], "key": told["key"] is not None}


def test_the_shop_is_told_the_gateway_and_a_key_that_can_only_buy() -> None:
    assert shop_of("buy") == {"gateway": "https://tickets.example", "key": True}


@pytest.mark.parametrize("scopes", [("admin",), ("buy", "admin"), ("buy", "events"), ("buy", "read"), ("read",)])
def test_a_key_that_may_do_more_is_given_to_nobody(scopes: tuple[Scope, ...]) -> None:
    assert shop_of(*scopes)["key"] is False


def test_a_revoked_key_is_given_to_nobody() -> None:
    assert shop_of("buy", known=False)["key"] is False


def test_without_a_key_the_shop_has_none() -> None:
    response = Shop(load_settings().live, Callers()).answer(0)
    assert json.loads(response.body) == {"gateway": "", "key": None}


# Settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("live_gateway_url", "tickets.example"),
        ("live_gateway_url", "https://tickets.example/shop"),
        ("live_gateway_url", "https://a; script-src *"),
        ("live_gateway_url", "https://user:secret@tickets.example"),
        ("live_gateway_url", "javascript:alert(1)"),
        ("live_trusted_proxies", "10.0.0.0/33"),
        ("live_trusted_proxies", "everybody"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name.upper()):
        load_settings(**{name: value})
