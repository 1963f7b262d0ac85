"""Where a schedule plays: a log, a Redis, workers that come and go, and what is noted of it all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import cache
from random import Random
from types import ModuleType
from typing import Any, Final

import structlog

from boxoffice.batching import Batch
from boxoffice.kafka.clients import header
from boxoffice.selling import copies as copies_module
from boxoffice.selling.deciding import OwnedPartition
from boxoffice.selling.event_copy import Copy
from boxoffice.settings import Settings, load_settings
from lua import calls as calls_module
from models import origins as origins_module
from models.facts import RULES_VERSION
from models.ledger import Ledger
from models.origins import ORIGINS_KEPT
from tests.simulation.asking import Asking
from tests.simulation.broker import Broker
from tests.simulation.group import SESSION_TIMEOUT_S, Group
from tests.simulation.network import Network
from tests.simulation.processes import Process, SimulatedLoop, State, running_process
from tests.simulation.redis_server import RedisServer
from tests.simulation.releases import FIRST_RULES, by_rules, side_by_side
from tests.simulation.stranger import Stranger
from tests.simulation.truth import Truth
from tests.simulation.worker import Surroundings, Worker
from topics import dead_letters, purchase_requests, purchase_results
from topics.purchase_results import READ_HEADER

PREFIX: Final = "s-"
PARTITIONS: Final = 3
REQUESTS: Final = purchase_requests.TOPIC.full_name(PREFIX)
LEDGER: Final = purchase_results.TOPIC.full_name(PREFIX)
DEAD_LETTERS: Final = dead_letters.TOPIC.full_name(PREFIX)


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


class Upgrade(Enum):
    """How far the workers are on their way from an earlier release to the present one."""

    BEFORE = auto()
    ROLLING = auto()
    DONE = auto()


class Stage(ABC):
    """What there is while a schedule runs; a seed decides what becomes of it."""

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

    @abstractmethod
    def _check_seqs(self) -> None:
        """Look at Redis after each command that it has executed."""

    @abstractmethod
    def _check_acked(self, batch: Batch) -> None:
        """Look at a batch that was acknowledged."""

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

    # What is known of it

    def _copies(self) -> list[Copy]:
        return [copy for worker in self._selling() for copy in worker.copies._copies.values()]

    def _selling(self) -> list[Worker]:
        return [worker for worker in self.workers if hasattr(worker, "selling")]

    def _owned(self) -> list[OwnedPartition]:
        return [partition for worker in self._selling() for partition in worker.selling._owned.values()]

    def _folded(self, number: int) -> Ledger:
        ledger = Ledger(number)
        for record in self.broker.partitions[LEDGER, number].records:
            ledger.read(record.value, header(record.headers, READ_HEADER))
        return ledger
