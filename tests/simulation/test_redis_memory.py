"""The simulated Redis answers as a real one does, or the simulation would prove nothing.

``BOXOFFICE_TEST_SEED=123`` replays one schedule.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

import pytest
from pydantic_core import to_json
from redis import Redis
from redis.exceptions import RedisError

from lua import LOAD, PURCHASE, REPLACE, SCRIPTS, Code
from lua.calls import encode_call
from lua.keys import EventKeys, event_keys, loading_keys
from models.event import Event, Position
from models.members import GENERAL
from tests.integration.redis_commands import CATEGORY_IDS, Commands
from tests.integration.redis_tables import HOME, Table, behind
from tests.simulation.redis_memory import RedisMemory
from tests.support.seeds import seeds

if TYPE_CHECKING:
    from collections.abc import Callable

    from boxoffice.redis.store import DecideCall
    from models.shapes import Source
    from tests.support.servers import NewRedis, RedisAddress

STEPS: Final = 150
EVENT_IDS: Final = ("42", "7")
FIRST_RULES: Final = ("7",)
"""Created by an earlier release."""


class Pair:
    """A real server and the simulated one, asked the same."""

    def __init__(self, seed: int, real: Redis, prefix: str) -> None:
        self.random = random.Random(seed)
        self.real = real
        self.memory = RedisMemory()
        self.prefix = prefix
        self.wanted = f"{prefix}wanted"
        self.table = Table(FIRST_RULES)
        self.commands = Commands(self.random, EVENT_IDS, FIRST_RULES, self.table)
        self.offset = 0
        for script in SCRIPTS:
            self.real.script_load(script.text)
            assert self.memory.execute("SCRIPT", "LOAD", script.text) == script.sha1.encode()

    def ask(self, *words: Any) -> None:
        """Ask both."""
        found, expected = _reply(self.memory.execute, words), _reply(self.real.execute_command, words)
        assert found == expected, f"{words[:3]} is answered {found}, should be {expected}"

    def run_script(self, script: Any, keys: tuple[str, ...], *arguments: Any) -> None:
        self.ask("EVALSHA", script.sha1, len(keys), *keys, *arguments)

    def step(self) -> None:
        choose: Callable[[Any], Any] = self.random.choice
        choose([*[self.decide] * 6, *[self.settle] * 4, self.rebuild, self.forget, self.harm, self.read])()
        self.compare_keys()

    def keys(self, event_id: str) -> EventKeys:
        return event_keys(self.prefix, event_id, (GENERAL, *CATEGORY_IDS[1:]))

    def loading(self, event_id: str) -> EventKeys:
        return loading_keys(self.prefix, event_id, "attempt", (GENERAL, *CATEGORY_IDS[1:]))

    def some_event(self) -> Event | None:
        events = list(self.table.inventory.events.values())
        return self.random.choice(events) if events else None

    def decide(self) -> None:
        log = []
        for _ in range(self.random.choice((1, 2, 7))):
            self.offset += self.random.choice((1, 1, 3))
            source: Source = {"partition": self.random.choice((HOME, 1)), "offset": self.offset}
            command = self.commands.next()
            log.append((command, Position(self.offset, self.commands.now_ms, source)))
        for call in self.table.take(log).values():
            if self.random.random() < 0.7:
                facts = self.table.history[call.event.event_id][: call.seq - 1]
                missed = facts[self.random.randrange(len(facts) + 1) :] if self.random.random() < 0.5 else []
                self.purchase(behind(missed, call), self.random.choice((True, True, False)))

    def purchase(self, call: DecideCall, knows_its_seq: bool) -> None:
        asked = encode_call(call.event, call.seq if knows_its_seq else 0, call.backlog, call.decided)
        keys = event_keys(self.prefix, call.event.event_id, asked.categories)
        self.run_script(PURCHASE, keys.all, asked.argument)

    def settle(self) -> None:
        event = self.some_event()
        facts = self.table.history.get(event.event_id, []) if event is not None else []
        if event is None or not facts:
            return
        first = self.random.randrange(len(facts))
        asked = encode_call(event, facts[first].fact["seq"] - 1, facts[first : first + self.random.choice((1, 5, 100))])
        self.run_script(PURCHASE, event_keys(self.prefix, event.event_id, asked.categories).all, asked.argument)

    def rebuild(self) -> None:
        event = self.some_event()
        if event is None:
            return
        snapshot = self.table.snapshot(event.event_id)
        live = event_keys(self.prefix, event.event_id, snapshot.categories)
        loading = loading_keys(self.prefix, event.event_id, "attempt", snapshot.categories)
        meta = [word for pair in snapshot.meta().items() for word in pair]
        records = [word for pair in snapshot.records() for word in pair]
        queues = [list(snapshot.tickets(place)) for place in range(len(snapshot.categories))]
        for place, words in enumerate((meta, records, *queues), 1):
            if words and self.random.random() < 0.95:
                self.run_script(LOAD, loading.all, place, to_json(words), 300)
        counts = (len(records) // 2, *map(len, queues))
        self.run_script(REPLACE, (*live.all, *loading.all), snapshot.seq, self.random.choice((0, 0, 1)), *counts)

    def forget(self) -> None:
        if self.random.random() < 0.3:
            self.ask("UNLINK", *self.keys(self.random.choice(EVENT_IDS)).all)

    def harm(self) -> None:
        keys = self.keys(self.random.choice(EVENT_IDS))
        key, queue = self.random.choice(keys.all), self.random.choice(keys.queues)
        number = self.random.randrange(20)
        self.ask(
            *self.random.choice(
                (
                    ("UNLINK", key),
                    ("SET", key, "what is this"),
                    ("HSET", keys.meta, self.random.choice(("seq", "fence", "sold", "held:stalls")), number),
                    ("HSET", keys.meta, "seq", "x"),
                    ("LTRIM", queue, 1, -1),
                    ("LTRIM", queue, 0, -2),
                    ("LTRIM", queue, 5, 2),
                    ("RENAME", key, self.random.choice(keys.all)),
                )
            )
        )

    def read(self) -> None:
        choose, keys = self.random.choice, self.keys(self.random.choice(EVENT_IDS)).all
        self.ask("LRANGE", choose(keys), choose((0, 1, -3)), choose((2, -1, 100)))
        self.ask("HMGET", choose(keys), "seq", "none")
        self.ask("HGETALL", choose(keys))
        self.ask("EXISTS", *keys)
        self.ask(choose(("LLEN", "HLEN")), choose(keys))
        self.ask("PING")
        self.ask("EVALSHA", "0" * 40, 0)
        self.ask(choose(("SADD", "SREM")), self.wanted, choose(("7", "42")))
        self.ask("EXISTS", self.wanted)
        assert set(self.memory.execute("SRANDMEMBER", self.wanted, 5)) == self.real.smembers(self.wanted)

    def compare_keys(self) -> None:
        for key in (key for one in EVENT_IDS for keys in (self.keys(one), self.loading(one)) for key in keys.all):
            value = self.memory.data.get(key.encode())
            match self.real.type(key):
                case b"none":
                    assert value is None
                case b"string":
                    assert value == self.real.get(key)
                case b"list":
                    assert value == self.real.lrange(key, 0, -1)
                case b"hash":
                    assert value == self.real.hgetall(key)
            expires = self.real.ttl(key) >= 0
            assert expires == (key.encode() in self.memory.expiries_s)


def _reply(ask: Callable[..., Any], words: tuple[Any, ...]) -> Any:
    """A reply; of an error its class and code, since only people read its text."""
    try:
        reply = ask(*words)
    except RedisError as error:
        return type(error), str(error).partition(" ")[0]
    if isinstance(reply, list) and len(reply) > 2 and reply[0] == Code.DAMAGED:
        return reply[:2]  # Damage: the third is a complaint for people.
    return None if reply is True or reply in (b"OK", b"PONG") else reply


@pytest.mark.parametrize("seed", seeds(5, 5))
def test_the_simulated_redis_answers_as_a_real_one(seed: int, redis_server: RedisAddress, prefix: str) -> None:
    with Redis.from_url(redis_server.url) as real:
        pair = Pair(seed, real, prefix)
        for _ in range(STEPS):
            pair.step()


REFUSALS: Final = {
    "OOM": ("CONFIG", "SET", "maxmemory", "1"),
    "READONLY": ("REPLICAOF", "127.0.0.1", "1"),
}


@pytest.mark.parametrize("refusing", REFUSALS)
async def test_the_simulated_redis_refuses_as_a_real_one(refusing: str, new_redis: NewRedis) -> None:
    """Also in the middle of a script, which writes all or nothing."""
    server = await new_redis()
    with Redis.from_url(server.url) as real:
        pair = Pair(1, real, "")
        for _ in range(20):
            pair.step()
        pair.rebuild()
        real.execute_command(*REFUSALS[refusing])
        pair.memory.refusing = refusing
        for ask in [pair.decide, pair.settle, pair.rebuild, pair.harm, pair.read] * 10:
            ask()
            pair.compare_keys()
