"""The simulated Redis answers as a real one does, or the simulation would prove nothing.

``BOXOFFICE_TEST_SEED=123`` replays one schedule.
"""

from __future__ import annotations

import os
import random
import secrets
from typing import TYPE_CHECKING, Any, Final

import pytest
from pydantic_core import to_json
from redis import Redis
from redis.exceptions import RedisError

from lua import LOAD, PURCHASE, REPLACE, SCRIPTS, SETTLE
from lua.calls import encode_commands, encode_facts
from lua.copies import Snapshot
from lua.keys import EventKeys, event_keys, loading_keys
from models.event import Position
from models.shapes import DecisionFact
from tests.integration.redis_tables import HOME, Table, addition, cancellation, closing, creation, purchase
from tests.simulation.redis_memory import RedisMemory

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.commands import Command
    from models.shapes import Source
    from tests.support.servers import NewRedis, RedisAddress

STEPS: Final = 150
_ONE_SEED = os.environ.get("BOXOFFICE_TEST_SEED")
SEEDS = [int(_ONE_SEED)] if _ONE_SEED else [*range(5), *(secrets.randbits(32) for _ in range(5))]


class Pair:
    """A real server and the simulated one, asked the same."""

    def __init__(self, seed: int, real: Redis, prefix: str) -> None:
        self.random = random.Random(seed)
        self.real = real
        self.memory = RedisMemory()
        self.keys: EventKeys = event_keys(prefix, "42")
        self.loading: EventKeys = loading_keys(prefix, "42", "attempt")
        self.wanted = f"{prefix}wanted"
        self.table = Table()
        self.offset = 0
        self.facts: list[tuple[DecisionFact, int]] = []
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
        choose([*[self.decide] * 6, *[self.settle] * 4, self.rebuild, self.harm, self.read])()
        self.compare_keys()

    def decide(self) -> None:
        commands = []
        for _ in range(self.random.choice((1, 2, 7))):
            self.offset += self.random.choice((1, 1, 3))
            source: Source = {"partition": self.random.choice((HOME, 1)), "offset": self.offset}
            commands.append((self.command(), Position(self.offset, 1_795_341_600_000 + self.offset, source)))
        decided = self.table.take(commands)
        self.facts = self.table.history.get("42", [])
        for call in decided.calls.values():
            if self.random.random() < 0.7:
                seq = self.random.choice((call.seq, call.seq, 0))
                self.run_script(PURCHASE, self.keys, encode_commands("42", seq, call.commands))

    def command(self) -> Command:
        request_id, roll = f"r-{self.random.randrange(60)}", self.random.random()
        if not self.table.inventory.events or roll < 0.05:
            return creation("42", request_id, capacity=self.random.randint(1, 30), max_per_order=4)
        if roll < 0.2:
            return cancellation(request_id, f"r-{self.random.randrange(60)}")
        if roll < 0.3:
            return addition(request_id, self.random.randint(1, 9))
        if roll < 0.31:
            return closing(request_id)
        return purchase(request_id, self.random.choice((1, 2, 3, 5)), buyer=self.random.choice(("b", 'Zoë "x\\')))

    def settle(self) -> None:
        first = self.random.randrange(len(self.facts) + 1)
        facts = self.facts[first : first + self.random.choice((1, 5, 100))]
        self.run_script(SETTLE, self.keys, encode_facts(facts), "42")

    def rebuild(self) -> None:
        if not self.table.inventory.events:
            return
        snapshot = Snapshot.of(self.table.inventory.events["42"], HOME)
        meta = [word for pair in snapshot.meta().items() for word in pair]
        records = [word for pair in snapshot.records() for word in pair]
        tickets = list(snapshot.tickets())
        for place, words in enumerate((tickets, meta, records), 1):
            if words and self.random.random() < 0.95:
                self.run_script(LOAD, self.loading, place, to_json(words), 300)
        counts = snapshot.seq, len(tickets), len(records) // 2
        self.run_script(REPLACE, (*self.keys, *self.loading), *counts)

    def harm(self) -> None:
        key = self.random.choice(self.keys)
        number = self.random.randrange(20)
        self.ask(
            *self.random.choice(
                (
                    ("UNLINK", key),
                    ("SET", key, "what is this"),
                    ("HSET", self.keys.meta, self.random.choice(("seq", "fence", "sold")), number),
                    ("HSET", self.keys.meta, "seq", "x"),
                    ("LTRIM", self.keys.tickets, 1, -1),
                    ("LTRIM", self.keys.tickets, 5, 2),
                    ("RENAME", key, self.random.choice(self.keys)),
                )
            )
        )

    def read(self) -> None:
        choose = self.random.choice
        self.ask("LRANGE", choose(self.keys), choose((0, 1, -3)), choose((2, -1, 100)))
        self.ask("HMGET", choose(self.keys), "seq", "none")
        self.ask("HGETALL", choose(self.keys))
        self.ask("EXISTS", *self.keys)
        self.ask(choose(("LLEN", "HLEN")), choose(self.keys))
        self.ask("PING")
        self.ask("EVALSHA", "0" * 40, 0)
        self.ask(choose(("SADD", "SREM")), self.wanted, choose(("7", "42")))
        self.ask("EXISTS", self.wanted)
        assert set(self.memory.execute("SRANDMEMBER", self.wanted, 5)) == self.real.smembers(self.wanted)

    def compare_keys(self) -> None:
        for key in (*self.keys, *self.loading):
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
    if isinstance(reply, list) and len(reply) > 2 and reply[0] == 5:
        return reply[:2]  # Damage: the third is a complaint for people.
    return None if reply is True or reply in (b"OK", b"PONG") else reply


@pytest.mark.parametrize("seed", SEEDS)
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
