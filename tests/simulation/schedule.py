"""One schedule: what is asked, what goes wrong, and what must hold while it does and once it has ended."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import cache
from random import Random
from types import ModuleType
from typing import Any, Final

import structlog

from boxoffice.batching import Batch, Record
from boxoffice.kafka.clients import header, home_partition
from boxoffice.redis.store import EventCopy, differences, expected_copy
from boxoffice.selling import copies as copies_module
from boxoffice.selling.deciding import OwnedPartition, letter_of
from boxoffice.selling.event_copy import Copy, CopyState
from boxoffice.settings import Settings, load_settings
from lua import calls as calls_module
from lua.keys import drill_key, event_keys, rebuild_key
from models import origins as origins_module
from models.event import Event
from models.facts import RULES_VERSION
from models.ledger import Ledger
from models.members import GENERAL
from models.origins import ORIGINS_KEPT
from tests.simulation.asking import EVENT_IDS, Asking, members_of, serialized
from tests.simulation.broker import Broker, Partition
from tests.simulation.group import SESSION_TIMEOUT_S, Group
from tests.simulation.network import Faults, Network
from tests.simulation.processes import Process, SimulatedLoop, State, running_process, simulate
from tests.simulation.redis_memory import REFUSED_ALL, REFUSED_WRITES
from tests.simulation.redis_server import Health, RedisServer
from tests.simulation.releases import FIRST_RULES, by_rules, side_by_side
from tests.simulation.stranger import Stranger, who_must_object
from tests.simulation.truth import Truth
from tests.simulation.worker import Surroundings, Worker
from tests.support.checker import Record as CheckedRecord
from tests.support.checker import check
from tests.unit.strategies import state
from topics import dead_letters, purchase_requests, purchase_results
from topics.purchase_requests import ORIGIN_HEADER
from topics.purchase_results import READ_HEADER

PREFIX: Final = "s-"
PARTITIONS: Final = 3
REQUESTS: Final = purchase_requests.TOPIC.full_name(PREFIX)
LEDGER: Final = purchase_results.TOPIC.full_name(PREFIX)
DEAD_LETTERS: Final = dead_letters.TOPIC.full_name(PREFIX)

UNREADABLE: Final = (None, b"", b"tickets please", b"\xff\xfe", b'{"request_id":"r-1","event_id":"042","buyer":"b"}')
LINES_SHOWN: Final = 60
PATIENCE_S: Final = 400.0
"""After the last fault all must be well within this."""

DIVERGED: Final = frozenset(
    {
        "Redis decided otherwise than the ledger",
        "an event's copy in Redis cannot be healed, it goes on locally",
        "an event's copy could not be brought up",
        "Redis cannot decide for an event",
    }
)
"""What no worker may have to say as long as nobody else writes to Redis."""


LOST: Final = frozenset({"Redis has lost facts of an event", "an event cannot be settled"})
"""What a worker may not say, either, that owns its partitions alone, when Redis is merely down or slow."""


class ScheduleError(AssertionError):
    """Something that must hold does not."""


@dataclass
class Trace:
    """What happened, in order."""

    loop: SimulatedLoop
    lines: list[str] = field(default_factory=list)
    said: set[str] = field(default_factory=set)

    def add(self, who: object, what: str, **members: object) -> None:
        """Note something."""
        told = " ".join(f"{name}={member}" for name, member in members.items())
        self.lines.append(f"{self.loop.time():9.4f}  {who!s:<8}  {what} {told}")

    def log(self, _logger: object, _method: str, line: Any) -> Any:
        """Take what the product logs."""
        what = line.pop("event")
        if "No matching script" not in str(line.get("error")):
            # Scripts may be forgotten again just after they were loaded.
            self.said.add(what)
        line.pop("seconds", None)  # By the real clock.
        self.add(running_process() or "", what, **line)
        raise structlog.DropEvent


@contextmanager
def _logged_to(trace: Trace) -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(
        processors=[trace.log],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


@contextmanager
def _bounds(module: ModuleType, **bounds: int) -> Iterator[None]:
    """Bounds made small, so that they are met."""
    before = {name: getattr(module, name) for name in bounds}
    for name, bound in bounds.items():
        setattr(module, name, bound)
    try:
        yield
    finally:
        for name, bound in before.items():
            setattr(module, name, bound)


@cache
def _settings() -> Settings:
    return load_settings(topic_prefix=PREFIX, partitions=PARTITIONS)


@dataclass(frozen=True)
class Harm:
    """What this schedule does beyond crashes and losses: each makes some checks impossible."""

    ledger_cut: bool
    ledger_damaged: bool
    redis_losing: bool
    redis_written: bool
    redis_refusing: bool
    owners: bool
    """Workers die, are stopped, come and go, and cannot publish."""

    @property
    def none(self) -> bool:
        """Redis is down, slow and unreachable now and then, and that is all."""
        return not (self.ledger_cut or self.ledger_damaged or self.redis_losing or self.redis_written or self.owners)

    @classmethod
    def drawn(cls, random: Random) -> Harm:
        """In one schedule of four one worker sells all the time."""
        if random.random() < 0.25:
            return cls(False, False, False, False, random.random() < 0.25, False)
        return cls(*(random.random() < chance for chance in (0.25, 0.25, 0.5, 0.25, 0.25, 1)))


def run(seed: int, *, whole: bool = False) -> list[str]:
    """Run a schedule; returns what happened in it.

    Raises:
        ScheduleError: something did not hold; the message tells the seed, and what happened last, or the whole.
    """
    loop = SimulatedLoop()
    schedule = Schedule(seed, loop)
    lines = schedule.trace.lines
    with schedule.surroundings():
        try:
            simulate(schedule.run(), loop)
        except Exception as error:
            problem = str(error) if isinstance(error, ScheduleError) else f"{type(error).__name__}: {error}"
            told = "\n".join(lines if whole else lines[-LINES_SHOWN:])
            raise ScheduleError(f"{told}\n{problem}\nReplay: python -m tests.simulation --seed {seed}") from error
    return lines


class Upgrade(Enum):
    """How far the workers are on their way from an earlier release to the present one."""

    BEFORE = auto()
    ROLLING = auto()
    DONE = auto()


class Schedule:
    """Workers, a log and a Redis, and a seed that decides what becomes of them."""

    chance_of_two_releases = 0.4

    def __init__(self, seed: int, loop: SimulatedLoop) -> None:  # noqa: PLR0915  # what a schedule knows, one a line
        self.seed = seed
        self.loop = loop
        self.random = Random(seed)
        self.trace = Trace(loop)
        self.harm = Harm.drawn(self.random)
        self.network = Network(loop, self.random, on_killed=self.kill, on_stopped=self.stop)
        self.broker = Broker(self.network)
        self.redis = RedisServer(self.network)
        self.redis.on_executed = self._check_seqs
        self.redis_seqs: Counter[str] = Counter()
        self.wanted_rebuilt: set[str] = set()
        self.settings = self._drawn_settings()
        self.inline_backlog = self.random.choice((1, 3, 1_000))
        self.max_moved = self.random.choice((2, 10_000))
        # Whether a forged origin was believed, the ledger says, as long as nobody else writes there.
        self.forges = self.random.random() < 0.4 and not self.harm.ledger_damaged
        # As many forged ones ahead of all others hide them: no schedule asks for so much.
        self.origins_kept = ORIGINS_KEPT if self.forges else self.random.choice((1, 3, ORIGINS_KEPT))
        # Where the ledger loses what it has, an event may be created a second time, by the rules of another release.
        is_kept = self.harm.owners and not (self.harm.ledger_cut or self.harm.ledger_damaged)
        is_upgraded = is_kept and self.random.random() < self.chance_of_two_releases
        self.upgrade = Upgrade.BEFORE if is_upgraded else Upgrade.DONE
        self.has_two_releases = self.upgrade is Upgrade.BEFORE
        self.truth = Truth(REQUESTS, LEDGER, PARTITIONS, has_two_releases=self.has_two_releases)
        self.asking = Asking(self.random, self.truth, self.broker.now_ms)
        self.asking.is_new_known = not self.has_two_releases
        self.broker.speed = self.random.choice((10, 60, 300))
        self.workers: list[Worker] = []
        self.strangers: list[tuple[Stranger, set[str], int]] = []
        self._starts = 0
        self.leaders_taken = 0
        self.forged = 0
        self.is_harmed_unseen = False
        self._is_asked_last = False
        self.group: Group

    @contextmanager
    def surroundings(self) -> Iterator[None]:
        """What the product's code meets while the schedule runs."""
        with (
            _logged_to(self.trace),
            _bounds(copies_module, INLINE_BACKLOG=self.inline_backlog),
            _bounds(calls_module, MAX_MOVED=self.max_moved),
            _bounds(origins_module, ORIGINS_KEPT=self.origins_kept),
            side_by_side(),
        ):
            yield

    def _drawn_settings(self) -> Settings:
        choose = self.random.choice
        settings = _settings()
        # Without validation: a chunk of two is none that anybody may set.
        of_redis: dict[str, float] = {
            "load_chunk_size": choose((2, 100)),
            "check_interval_s": choose((1.0, 10.0)),
            "backlog_limit": choose((0, 4, 12, 200_000)),
        }
        of_selling = {"batch_size": choose((1, 20, 1_000))}
        of_redis["pool_size"] = choose((2, 16))
        return replace(
            settings,
            redis=settings.redis.model_copy(update=of_redis),
            selling=settings.selling.model_copy(update=of_selling),
        )

    def _drawn_faults(self) -> Faults:
        chance = self.random.choice
        of_redis = Faults(
            slow=chance((0.0, 0.0, 0.05, 0.4)),
            slowest_s=chance((0.1, 0.5, 3.0)),
            redis_request_lost=chance((0.0, 0.0, 0.05)),
            redis_reply_lost=chance((0.0, 0.0, 0.05, 0.3)),
            redis_cut_off=chance((0.0, 0.0, 0.05)),
        )
        if not self.harm.owners:
            return of_redis
        return replace(
            of_redis,
            killed_at_an_exchange=chance((0.0, 0.0, 0.002, 0.01)),
            stopped_at_an_exchange=chance((0.0, 0.0, 0.005)),
            publish_refused=chance((0.0, 0.0, 0.02)),
            publish_reply_lost=chance((0.0, 0.0, 0.02)),
            delivery_dropped=chance((0.0, 0.0, 0.0, 0.02)),
            reader_unreachable=chance((0.0, 0.0, 0.2)),
            letters_refused=chance((0.0, 0.0, 0.1, 0.5)),
        )

    async def run(self) -> None:
        """All of it."""
        self.group = Group(self.network, PARTITIONS)
        coordinating = asyncio.create_task(self.group.coordinate())
        for event_id in EVENT_IDS[: self.random.randint(1, len(EVENT_IDS))]:
            if self.random.random() < 0.8:
                self.produce(self.asking.creation(event_id, "c-1"))
        self.start()
        if self.harm.owners and self.random.random() < 0.8:
            self.start()
        self.network.faults = self._drawn_faults()
        if self.random.random() < 0.2:
            self.loop.lag_s = lambda: self.random.choice((0.0,) * 30 + (0.3, 0.05))
        steps = self.random.choice((10, 25, 40))
        for step in range(steps):
            self._upgrade_at(step / steps)
            await self._step()
        self._upgrade_at(1)
        await self._calm_down()
        coordinating.cancel()
        self._check_end()

    # What happens

    async def _step(self) -> None:
        choose = self.random.choice
        for _ in range(choose((0, 0, 1, 3, 8))):
            self.ask()
        if self.random.random() < 0.6:
            action = choose(self._actions())
            self.trace.add("", action.__name__)
            action()
        await asyncio.sleep(choose((0.0, 0.002, 0.01, 0.05, 0.3, 2.0)))
        for worker in list(self.workers):
            if worker.state is State.DEAD and self.random.random() < 0.5:
                self.replace(worker)
        self.check_meanwhile()

    def _actions(self) -> list[Callable[[], None]]:
        actions: list[Callable[[], None]] = [
            *[self.disturb_redis] * 3,
            *[self.mend_redis] * 3,
            self.drill,
            self.want_rebuilt,
            self.flush_scripts,
            self.lose_a_load,
            self.group.rebalance,
            self.believe_another_number,
            self.take_dead_letters_away,
            self.give_dead_letters_back,
        ]
        if not (self.harm.ledger_cut or self.harm.ledger_damaged):
            # Else commands may be gone that nobody has decided any more, and their partition is refused.
            actions += [self.expire_commands]
        if self.harm.owners:
            actions += [
                self.kill_some,
                self.stop_some,
                *[self.continue_all] * 2,
                self.expel_some,
                self.join_or_leave,
                self.cut_broker_off,
                *[self.mend_broker] * 2,
                *[self.take_leader_away] * 2,
            ]
        if self.harm.ledger_cut:
            actions += [self.cut_ledger] * 2
        if self.harm.ledger_damaged:
            actions += [self.damage_ledger, self.write_into_ledger]
        if self.harm.redis_losing:
            actions += [self.redis.keep, self.lose_redis]
        if self.harm.redis_written:
            actions += [self.write_into_redis] * 2
        if self.harm.redis_refusing:
            actions += [self.let_redis_refuse] * 2
        return actions

    # Workers

    def start(self) -> None:
        """Start a worker, of one of the releases that there are."""
        self._starts += 1
        rules = {
            Upgrade.BEFORE: FIRST_RULES,
            Upgrade.ROLLING: self.random.choice((FIRST_RULES, RULES_VERSION)),
            Upgrade.DONE: RULES_VERSION,
        }[self.upgrade]
        name = f"worker-{self._starts}"
        surroundings = Surroundings(self.broker, self.redis, self.group, self._check_acked)
        with by_rules(rules):
            self.workers.append(Worker(name, self.loop, self.settings, surroundings, rules))
        self.trace.add(name, "started", rules=rules)

    def _upgrade_at(self, share: float) -> None:
        """Workers of the earlier release first, then of both, and of the present one alone from two thirds on."""
        if self.upgrade is Upgrade.BEFORE and share >= 1 / 3:
            self.upgrade = Upgrade.ROLLING
            self.trace.add("", "workers of the present release are started")
            self.kill(self._some())
        if self.upgrade is Upgrade.ROLLING and share >= 2 / 3:
            self.upgrade = Upgrade.DONE
            self.trace.add("", "the last worker of the earlier release ends")
            for worker in self.workers:
                if worker.rules == FIRST_RULES:
                    self.kill(worker)
            # Producers come last.
            self.asking.is_new_known = True

    def believe_another_number(self) -> None:
        """Somebody comes who believes that there are more partitions, or fewer, and must not be let in."""
        partitions = self.random.choice((1, 2, 4, 6, 12))
        expected = who_must_object(self.broker, self.settings.kafka, partitions)
        stranger = Stranger(self.loop, self.settings.kafka, partitions, self.broker)
        if not self.broker.left_alone:
            self.strangers.append((stranger, expected, self.leaders_taken))
        self.trace.add(stranger, "comes", expected=sorted(expected))

    def _check_strangers(self) -> None:
        """What the ledger says is lost where others write into it, it loses its tail, or nobody leads it."""
        if self.harm.ledger_damaged or self.harm.ledger_cut:
            return
        for stranger, expected, leaders_taken in self.strangers:
            if stranger.is_done and leaders_taken == self.leaders_taken and (let_in := expected & stranger.let_in_by):
                raise ScheduleError(f"{stranger} was let in by {', '.join(sorted(let_in))}")

    def replace(self, worker: Worker) -> None:
        """Start another in the place of one that has ended."""
        if not worker.ended_orderly:
            raise ScheduleError(f"{worker} ended of {worker.ended_by!r}") from worker.ended_by
        self.trace.add(worker, "is replaced", ended_by=repr(worker.ended_by))
        self.workers.remove(worker)
        self.network.later(self.random.uniform(0, SESSION_TIMEOUT_S), self.group.expel, worker)
        self.start()

    def kill(self, process: Process) -> None:
        """SIGKILL."""
        self.trace.add(process, "killed")
        process.kill()

    def stop(self, process: Process) -> None:
        """SIGSTOP, for a while."""
        if process.state is State.RUNNING:
            self.trace.add(process, "stopped")
            process.stop()
            self.network.later(self.random.choice((0.1, 1.0, 10.0)), process.go_on)

    def _some(self) -> Worker:
        return self.random.choice(self.workers)

    def kill_some(self) -> None:
        self.kill(self._some())

    def stop_some(self) -> None:
        worker = self._some()
        self.stop(worker)
        if self.random.random() < 0.7:
            self.group.expel(worker)

    def continue_all(self) -> None:
        for worker in self.workers:
            worker.go_on()

    def expel_some(self) -> None:
        self.group.expel(self._some())

    def join_or_leave(self) -> None:
        if len(self.workers) < 3:
            self.start()
        else:
            worker = self.workers.pop(0)
            self.kill(worker)
            self.group.expel(worker)

    # Redis

    def disturb_redis(self) -> None:
        self.random.choice((self.redis.hang, self.redis.crash))()

    def mend_redis(self) -> None:
        self.redis.memory.refusing = ""
        if self.redis.health is not Health.SERVING:
            self.redis.serve()

    def lose_redis(self) -> None:
        self.redis_seqs.clear()
        self.random.choice((self.redis.wipe, self.redis.go_back))()

    def drill(self) -> None:
        """Operators let workers decide without Redis, or let it decide again."""
        data, key = self.redis.memory.data, drill_key(PREFIX).encode()
        if data.pop(key, None) is None:
            data[key] = b""

    def want_rebuilt(self) -> None:
        """Operators want an event rebuilt: even a stale owner may bring it back to what it knows."""
        event_id = self.random.choice(EVENT_IDS)
        self.wanted_rebuilt.add(event_id)
        wanted: Any = self.redis.memory.data.setdefault(rebuild_key(PREFIX).encode(), set())
        wanted.add(event_id.encode())

    def flush_scripts(self) -> None:
        self.redis.memory.scripts.clear()

    def lose_a_load(self) -> None:
        """A key of an event that is being loaded expires."""
        loading = [key for key in self.redis.memory.data if b":loading:" in key]
        if loading:
            del self.redis.memory.data[self.random.choice(loading)]

    def let_redis_refuse(self) -> None:
        self.redis.memory.refusing = self.random.choice((*REFUSED_WRITES, *REFUSED_ALL))

    def write_into_redis(self) -> None:
        """What nobody may do: other software, or an eviction."""
        event_id = self.random.choice(EVENT_IDS)
        event = self.truth.event(event_id)
        ids = [GENERAL] if event is None else [category.id for category in event.categories]
        category = self.random.choice(ids)
        keys = event_keys(PREFIX, event_id, (category,))
        meta, purchases, tickets = (key.encode() for key in keys.all)
        suffix = f":{category}" if event is not None and event.names_categories else ""
        sold, issued = f"sold{suffix}".encode(), f"issued{suffix}".encode()
        data, number = self.redis.memory.data, self.random.randrange(30)
        fields: Any = data.get(meta, {})
        match self.random.randrange(6):
            case 0:
                data.pop(self.random.choice((tickets, meta, purchases)), None)
            case 1:
                data[self.random.choice((tickets, meta, purchases))] = b"what is this"
            case 2 if isinstance(fields, dict) and fields:
                fields[self.random.choice((b"seq", b"fence", sold, issued))] = b"%d" % number
            case 3 if isinstance(fields, dict) and fields:
                fields[self.random.choice((b"seq", b"fence", sold))] = b"x"
            case 4 if isinstance(queue := data.get(tickets), list):
                queue.reverse()
            case 5 if isinstance(records := data.get(purchases), dict) and records:
                self.is_harmed_unseen = True
                records[self.random.choice(list(records))] = b"{"

    # The broker

    def cut_broker_off(self) -> None:
        self.broker.is_up = False
        self.network.later(self.random.choice((1.0, 5.0, 70.0)), self.mend_broker)

    def mend_broker(self) -> None:
        self.broker.is_up = True
        self.broker.left_alone.clear()
        self.broker.wake()

    def take_leader_away(self) -> None:
        """Of one partition of the ledger or of the commands, for a while.

        What is said to come from commands that nobody leads is believed, so that forged ones would change the outcome.
        """
        topic = LEDGER if self.forges else self.random.choice((LEDGER, LEDGER, REQUESTS))
        place = (topic, self.random.randrange(PARTITIONS))
        self.leaders_taken += 1
        self.broker.left_alone.add(place)
        self.network.later(self.random.choice((0.5, 5.0, 30.0, 100.0)), self._give_leader_back, place)

    def _give_leader_back(self, place: tuple[str, int]) -> None:
        self.broker.left_alone.discard(place)
        self.broker.wake()

    def take_dead_letters_away(self) -> None:
        """Nobody may wait for ``dead-letters`` but who keeps them."""
        self.broker.takes_letters = False

    def give_dead_letters_back(self) -> None:
        self.broker.takes_letters = True
        self.broker.wake()

    def _some_ledger(self) -> Partition:
        return self.broker.partitions[LEDGER, self.random.randrange(PARTITIONS)]

    def cut_ledger(self) -> None:
        """Lose what was acknowledged, as an unclean election does, also while somebody reads to the end."""
        ledger = self._some_ledger()
        if ledger.records:
            ledger.cut(ledger.records[-self.random.randint(1, min(5, len(ledger.records)))].offset)

    def damage_ledger(self) -> None:
        ledger = self._some_ledger()
        if ledger.records:
            place = self.random.randrange(max(0, len(ledger.records) - 5), len(ledger.records))
            headers = ledger.records[place].headers
            changes = self.random.choice(
                ({"value": b"\x00"}, {"value": None}, {"headers": ()}, {"headers": headers[:-2]})
            )
            ledger.replace(place, **changes)

    def write_into_ledger(self) -> None:
        """Other software wrote to the ledger: nonsense, and facts that look right but cannot follow."""
        number = self.random.randrange(PARTITIONS)
        records = self.broker.partitions[LEDGER, number].records
        foreign: Any = (b"42", b"hello", [])
        whole = [r for r in records if header(r.headers, "ce_id") and (r.value or b"").startswith(b"{")]
        if whole and self.random.random() < 0.8:
            copied = self.random.choice(whole)
            fact, headers = json.loads(copied.value or b""), list(copied.headers)
            if fact["seq"]:
                fact["seq"] += 1_000
                at = max(0, self.truth.partitions[number].ledger.bookmark + self.random.choice((-1, 0, 1, 3)))
                headers.append((READ_HEADER, b"%d-%d" % (at, at)))
            foreign = (copied.key, json.dumps(fact).encode(), headers)
        self.broker.append(LEDGER, number, [foreign])

    def expire_commands(self) -> None:
        """Retention removes commands, markers too: all that the ledger accounts for, or some of it."""
        number = self.random.randrange(PARTITIONS)
        self.truth.catch_up(self.broker)
        accounted_for = self._folded(number).bookmark + 1
        start = accounted_for if self.random.random() < 0.7 else self.random.randint(0, accounted_for)
        # A week is longer than dead letters are owed.
        owed = self.broker.partitions[REQUESTS, number].after(self.broker.letters_kept_to[number])
        first_owed = next((record.offset for record in owed if letter_of(record) is not None), start)
        self.broker.partitions[REQUESTS, number].expire(min(start, first_owed))

    # Commands

    def ask(self) -> None:
        """Ask something, as a careless world does."""
        chance = self.random.random()
        if chance < 0.05:
            self.broker.append(
                REQUESTS,
                self.random.randrange(PARTITIONS),
                [(None, self.random.choice(UNREADABLE), [])],  # type: ignore[list-item]
            )
        elif chance < 0.2 and self.asking.asked:
            self.produce(self.random.choice(self.asking.asked))
        elif chance < 0.4 and self.forges:
            self.forge()
        else:
            self.produce(self.asking.next())

    def produce(self, members: dict[str, Any], headers: Sequence[tuple[str, bytes]] = ()) -> None:
        """Send a command, most to its home; markers may follow."""
        self.asking.asked.append(members)
        home = home_partition(members["event_id"], PARTITIONS)
        number = home if self.random.random() < 0.75 else self.random.randrange(PARTITIONS)
        key = members["event_id"].encode()
        self.broker.append(
            REQUESTS, number, [(key, serialized(members), [*headers])], self.random.choice((0, 0, 0, 1, 3))
        )

    def forge(self) -> None:
        """Send a command that says it was forwarded, and was not; or a mirror does, whose offsets are others."""
        members = {**self.asking.next(), "request_id": f"f-{self.forged}"}
        self.forged += 1
        end_of = [self.broker.partitions[REQUESTS, number].end for number in range(PARTITIONS)]
        source = self.random.randrange(PARTITIONS)
        match self.random.randrange(4):
            case 0:
                offset = 2**63 - 1 - self.random.choice((0, self.forged, 2**40))
            case 1 if end_of[source]:
                offset = self.random.randrange(end_of[source])
            case 2 if end_of[source]:
                offset = end_of[source] - 1
            case _:
                # It may come true before it is decided: so that it changes no table, it is of an event that is none.
                offset = end_of[source] + self.random.randrange(4)
                number = self.random.randrange(100, 200)
                members = members_of("purchase", str(number), members["request_id"], buyer="b", quantity=1)
        self.produce(members, [("boxoffice-origin", b"%d:%d" % (source, offset))])
        # Were it repeated, it might come to lie just where it says it was.
        self.asking.asked.remove(members)

    # What must hold all the time

    def check_meanwhile(self) -> None:
        """What needs no end to be wrong."""
        self.truth.catch_up(self.broker)
        self._check_strangers()
        if self.loop.failures:
            raise ScheduleError(f"nobody expected {self.loop.failures[0]!r}") from self.loop.failures[0]
        for copy in self._copies():
            self._check_backlog(copy)
        if self.harm.none and (said := self.trace.said & LOST):
            raise ScheduleError(f"a worker says: {', '.join(said)}")
        if not self.harm.redis_written:
            self._check_redis()
            if said := self.trace.said & DIVERGED:
                raise ScheduleError(f"a worker says: {', '.join(said)}")

    def _copies(self) -> list[Copy]:
        return [copy for worker in self._selling() for copy in worker.copies._copies.values()]

    def _selling(self) -> list[Worker]:
        return [worker for worker in self.workers if hasattr(worker, "selling")]

    def _check_backlog(self, copy: Copy) -> None:
        seqs = [missed.fact["seq"] for missed in copy.backlog]
        if seqs and seqs != list(range(seqs[0], seqs[0] + len(seqs))):
            raise ScheduleError(f"the backlog of event {copy.event.event_id} has a gap: {seqs}")
        if copy.state is CopyState.IN_STEP and seqs:
            raise ScheduleError(f"event {copy.event.event_id} is in step and has a backlog: {seqs}")

    def _check_acked(self, batch: Batch) -> None:
        """What is acknowledged lies in the ledger."""
        self.truth.catch_up(self.broker)
        if self.harm.ledger_cut or self.harm.ledger_damaged:
            return
        for run in batch.runs:
            # Of two forged copies the first who decides may answer one, where the truth answers both.
            forged = {record.offset for record in run.records if _is_forged(record)}
            of_run = set(range(run.first, run.next)) - forged
            answered = [offset for offset in self.truth.answered[run.tp.partition] if offset in of_run]
            records = self.broker.partitions[LEDGER, run.tp.partition].records
            ranges = [header(record.headers, READ_HEADER) or b"" for record in records]
            if answered and not any(int(one.partition(b"-")[2]) == answered[-1] for one in ranges):
                raise ScheduleError(f"the command at {answered[-1]} was acknowledged and is not in the ledger")

    def _check_seqs(self) -> None:
        """Scripts bring no event back to a lower seq."""
        if self.harm.redis_written:
            return
        for event_id in EVENT_IDS:
            meta: Any = self.redis.memory.data.get(event_keys(PREFIX, event_id).meta.encode())
            seq = int(meta[b"seq"]) if meta else 0
            if self.truth.is_archived(event_id):
                seq = 0  # It is forgotten, once or several times.
            elif seq < self.redis_seqs[event_id] and event_id not in self.wanted_rebuilt:
                raise ScheduleError(f"event {event_id} went from seq {self.redis_seqs[event_id]} to {seq} in Redis")
            self.redis_seqs[event_id] = seq

    def _check_redis(self) -> None:
        """Whatever happened to Redis: what it holds of an event at some seq is what the rules say at that seq."""
        for event_id in EVENT_IDS:
            found = self._in_redis(event_id)
            if found is None:
                continue
            expected = self.truth.copies[event_id].get(int(found.meta["seq"]))
            if expected is None and home_partition(event_id, PARTITIONS) in self.truth.waits:
                continue
            if expected is None:
                raise ScheduleError(f"event {event_id} has in Redis a seq that was never asked for: {found.meta}")
            if different := differences(found, expected_copy(expected)):
                raise ScheduleError(f"event {event_id} in Redis: {different}")

    def _in_redis(self, event_id: str) -> EventCopy | None:
        data = self.redis.memory.data
        meta = data.get(event_keys(PREFIX, event_id).meta.encode())
        if not isinstance(meta, dict):
            return None
        named = json.loads(meta[b"categories"]) if b"categories" in meta else [{"id": GENERAL}]
        keys = event_keys(PREFIX, event_id, [category["id"] for category in named])
        queues: dict[str, list[str]] = {}
        for category, key in zip(named, keys.queues, strict=True):
            names = data.get(key.encode(), [])
            queues[category["id"]] = [name.decode() for name in names] if isinstance(names, list) else ["another type"]
        purchases = data.get(keys.purchases.encode(), {})
        records = _texts(purchases) if isinstance(purchases, dict) else {"another": "type"}
        return EventCopy(event_id, _texts(meta), queues, records)

    # What must hold in the end

    async def _calm_down(self) -> None:
        """End all faults, and wait until all is well."""
        self.trace.add("", "faults end")
        self.network.faults = Faults()
        self.loop.lag_s = float
        self.mend_redis()
        self.redis.memory.data.pop(drill_key(PREFIX).encode(), None)
        self.mend_broker()
        self.give_dead_letters_back()
        self.continue_all()
        if self.harm.ledger_damaged:
            # Whoever wrote a record looks at it no more: the next owner does.
            for worker in self.workers:
                self.kill(worker)
        await asyncio.sleep(1)
        self._touch()
        await self._until_well()
        self._ask_once_more()
        self._is_asked_last = True
        await self._until_well()

    def _touch(self) -> None:
        """Let each owner meet its ledger's end once more: it has nothing to sell, and may have been cut."""
        for number in range(PARTITIONS):
            self.broker.append(REQUESTS, number, [(None, b"touch", [])])

    def _ask_once_more(self) -> None:
        """Each event sells once more of each category, and Redis decides it."""
        self.truth.catch_up(self.broker)
        for event_id, snapshot in self.truth.newest().items():
            number = home_partition(event_id, PARTITIONS)
            for category in snapshot.categories:
                last = f"the-last-{category}"
                members = members_of("purchase", event_id, last, buyer=last, category=category)
                self.broker.append(REQUESTS, number, [(None, json.dumps(members).encode(), [])])

    async def _until_well(self) -> None:
        deadline_s = self.loop.time() + PATIENCE_S
        while True:
            await asyncio.sleep(0.5)
            for worker in list(self.workers):
                if worker.state is State.DEAD:
                    self.replace(worker)
                worker.go_on()
            self.check_meanwhile()
            wrong = self._what_is_wrong()
            if wrong is None:
                return
            if self.loop.time() > deadline_s:
                raise ScheduleError(f"{PATIENCE_S:g} s after the last fault: {wrong}")

    def _what_is_wrong(self) -> str | None:
        if not all(worker.consumer.flows for worker in self._selling()):
            # What it owned before may look like what it will.
            return "a worker is taking partitions over"
        if (waits := self._what_a_worker_waits_for()) is not None:
            return waits
        if any(worker.copies.breaker.is_open for worker in self._selling()):
            return "a worker leaves Redis alone"
        for copy in self._copies():
            if copy.state is not CopyState.IN_STEP and not (copy.given_up and self.harm.redis_written):
                return f"event {copy.event.event_id} is {copy.state.name}"
        for number in range(PARTITIONS):
            # Markers and second copies at the end too: when retention has removed them, they must not look lost.
            found, asked = self._folded(number).bookmark, self.broker.partitions[REQUESTS, number].end - 1
            if found != asked:
                return f"the ledger of partition {number} accounts for what was asked up to {found}, of {asked}"
        # What others wrote is noticed at the next sale; what no sale meets, by the audit alone.
        if self.is_harmed_unseen or (self.harm.redis_written and not self._is_asked_last):
            return None
        return self._what_is_wrong_in_redis()

    def _what_a_worker_waits_for(self) -> str | None:
        owned = self._owned()
        if sorted(partition.number for partition in owned) != list(range(PARTITIONS)):
            return f"owned are {[(partition.number) for partition in owned]}"
        if any(partition.unsettled for partition in owned):
            return "a worker waits for the broker"
        if any(worker.keeper.owed for worker in self._selling()):
            return "dead letters are owed"
        return None

    def _owned(self) -> list[OwnedPartition]:
        return [partition for worker in self._selling() for partition in worker.selling._owned.values()]

    def _folded(self, number: int) -> Ledger:
        ledger = Ledger(number)
        for record in self.broker.partitions[LEDGER, number].records:
            ledger.read(record.value, header(record.headers, READ_HEADER))
        return ledger

    def _check_end(self) -> None:
        self._check_tables()
        self._check_last_deciders()
        self._check_by_the_rules()

    def _check_tables(self) -> None:
        for partition in self._owned():
            expected = state(self.truth.partitions[partition.number].ledger.inventory)
            folded = state(self._folded(partition.number).inventory)
            if self.forges:
                # Whether one just behind an end is believed is for the first who decides it.
                expected["origins"] = folded["origins"]
            if partition.unsettled:
                raise ScheduleError(f"partition {partition.number} has {partition.unsettled} unsettled answers")
            if state(partition.ledger.inventory) != expected:
                raise ScheduleError(f"the table of partition {partition.number} is not what was asked for")
            if folded != expected:
                raise ScheduleError(f"the ledger of partition {partition.number} folds to something else")

    def _what_is_wrong_in_redis(self) -> str | None:
        given_up = {copy.event.event_id for copy in self._copies() if copy.given_up}
        newest = self.truth.newest()
        for event_id, snapshot in newest.items():
            if event_id in given_up or (self.harm.redis_written and not self._is_sold(snapshot.event)):
                continue  # Nothing is sold from its queues: nobody notices that one was turned round.
            found = self._in_redis(event_id)
            if found is None:
                return f"event {event_id} is not in Redis"
            if different := differences(found, expected_copy(snapshot)):
                return f"event {event_id} in Redis: {different}"
        memory = self.redis.memory
        wanted: Any = memory.data.get(rebuild_key(PREFIX).encode(), set())
        if asked := wanted & {event_id.encode() for event_id in newest}:
            return f"nobody rebuilt {asked}"
        if left := [key for key in memory.data if b":loading:" in key and key not in memory.expiries_s]:
            return f"keys of a load are left for ever: {left}"
        return self._what_is_left_of_archives()

    def _what_is_left_of_archives(self) -> str | None:
        for event_id in filter(self.truth.is_archived, EVENT_IDS):
            stem = event_keys(PREFIX, event_id).meta.removesuffix("meta").encode()
            if left := [key for key in self.redis.memory.data if key.startswith(stem) and b":loading:" not in key]:
                return f"event {event_id} is archived, and Redis still has {left}"
        return None

    def _is_sold(self, event: Event) -> bool:
        now_ms = self.broker.now_ms()
        begins_ms, ends_ms = event.on_sale_ms or 0, event.off_sale_ms
        return not (event.closed or event.cancelled) and begins_ms <= now_ms and (ends_ms is None or now_ms < ends_ms)

    def _check_last_deciders(self) -> None:
        for event_id in self.truth.newest():
            if self.harm.redis_written:
                continue
            records = self.broker.partitions[LEDGER, home_partition(event_id, PARTITIONS)].records
            last = [json.loads(r.value or b"") for r in records[-12:] if b'"the-last-' in (r.value or b"")]
            if not any(fact["decided_by"] == "redis" for fact in last if fact["event_id"] == event_id):
                raise ScheduleError(f"Redis is well again, and does not decide for event {event_id}")

    def _check_by_the_rules(self) -> None:
        requests, results, letters = (
            [
                CheckedRecord(r.partition, r.offset, r.key, r.value, tuple(r.headers), r.timestamp)
                for (topic, _), partition in self.broker.partitions.items()
                if topic == wanted
                for r in (*partition.expired, *partition.records)
            ]
            for wanted in (REQUESTS, LEDGER, DEAD_LETTERS)
        )
        harmed = self.harm.ledger_damaged
        verdict = check(
            requests,
            results,
            PARTITIONS,
            letters,
            harmed=harmed,
            forged=self.forges,
            origins_kept=self.origins_kept,
            ends={number: self.broker.partitions[REQUESTS, number].end for number in range(PARTITIONS)},
            rules=(FIRST_RULES, RULES_VERSION) if self.has_two_releases else (RULES_VERSION,),
        )
        if verdict.problems:
            raise ScheduleError("\n".join(verdict.problems))


def _is_forged(record: Record) -> bool:
    return header(record.headers, ORIGIN_HEADER) is not None and b'"request_id": "f-' in (record.value or b"")


def _texts(fields: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode(errors="replace") for name, value in fields.items()}
