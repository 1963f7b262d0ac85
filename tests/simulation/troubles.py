"""What goes wrong in a schedule: with workers, with Redis, with the broker."""

from __future__ import annotations

import json
from typing import Any

from boxoffice.kafka.clients import header
from boxoffice.selling.deciding import letter_of
from lua.keys import drill_key, event_keys, rebuild_key
from models.members import GENERAL
from tests.simulation.asking import EVENT_IDS
from tests.simulation.broker import Partition
from tests.simulation.redis_memory import REFUSED_ALL, REFUSED_WRITES
from tests.simulation.redis_server import Health
from tests.simulation.stage import LEDGER, PARTITIONS, PREFIX, REQUESTS, Stage
from tests.simulation.stranger import Stranger, who_must_object
from topics.purchase_results import READ_HEADER


class Troubles(Stage):
    """Each method lets something happen that may happen."""

    # Workers

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

    def believe_another_number(self) -> None:
        """Somebody comes who believes that there are more partitions, or fewer, and must not be let in."""
        partitions = self.random.choice((1, 2, 4, 6, 12))
        expected = who_must_object(self.broker, self.settings.kafka, partitions)
        stranger = Stranger(self.loop, self.settings.kafka, partitions, self.broker)
        if not self.broker.left_alone:
            self.strangers.append((stranger, expected, self.leaders_taken))
        self.trace.add(stranger, "comes", expected=sorted(expected))

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
