"""Counting from a real ledger: runs that were lost on the way, came twice or leave something out do no harm."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.types import TP

from boxoffice import metrics
from boxoffice.batching import Batch, BatchConsumer, Record, Run
from boxoffice.kafka import clients
from boxoffice.statistics.counting import Counting
from boxoffice.statistics.table import Recovered, Rows, StatisticsTable
from models.commands import Command
from models.ledger import Ledger
from models.shapes import Source
from models.statistics import Statistics
from models.statistics_rows import PartitionStatistics, read_event_row, read_partition_row
from tests.support.office import Office
from tests.support.servers import KafkaAddress
from tests.unit.strategies import HOME, TIMES_MS, Arrival, opening, purchase
from tests.unit.test_ledger import LedgerRecord, decide_after
from tests.unit.test_statistics import assert_exact
from topics.purchase_results import READ_HEADER

RECORDS = 400


class _Table:
    """Keeps the rows that were written."""

    def __init__(self, somebody_else_wrote: bool = False) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.written: list[int] = []
        self._somebody_else_wrote = somebody_else_wrote

    def recovered(self, partitions: list[int]) -> dict[int, Recovered]:
        return {number: Recovered(Statistics(PartitionStatistics(number))) for number in partitions}

    async def write(self, partition: int, rows: Rows) -> bool:
        assert partition == HOME
        self.written.append(len(rows))
        for key, value in rows.items():
            if value is None:
                del self.rows[key]
            else:
                self.rows[key] = value
        return not self._somebody_else_wrote

    def statistics(self) -> Statistics:
        rows = dict(self.rows)
        own = read_partition_row(rows.pop(b"partition-%d" % HOME))
        return Statistics(own, [read_event_row(value) for value in rows.values()])


class _Consumer:
    """Owns one partition of the ledger."""

    def __init__(self, tp: TP, end: int) -> None:
        self._tp, self._end = tp, end
        self.starts: dict[TP, int] = {}

    def assignment(self) -> set[TP]:
        return {self._tp}

    async def highwaters(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, self._end)

    def start_at(self, tp: TP, offset: int) -> None:
        self.starts[tp] = offset


@pytest.fixture
async def office(kafka: KafkaAddress, prefix: str, tmp_path: Path) -> AsyncIterator[Office]:
    opened = Office(kafka.bootstrap_servers, "redis://127.0.0.1:1/0", prefix, tmp_path, partitions=4)
    await opened.open()
    yield opened
    opened.close()


def ledger() -> list[LedgerRecord]:
    commands: list[Command] = [opening("42", capacity=500), opening("7", capacity=100)]
    commands += [purchase(f"r-{n}", event_id="7" if n % 3 else "42") for n in range(RECORDS - 2)]
    source = [{"partition": HOME, "offset": offset} for offset in range(RECORDS)]
    return decide_after(
        Ledger(HOME), [Arrival(c, n, TIMES_MS[0] + 100 * n, cast(Any, source[n])) for n, c in enumerate(commands)]
    )


async def published(office: Office, records: list[LedgerRecord]) -> list[Record]:
    async with clients.producer(office.settings.kafka) as producer:
        for value, header in records:
            await producer.send(office.ledger, value, partition=HOME, headers=[(READ_HEADER, header or b"")])
        await producer.flush()
    return await office.read(office.ledger)


def runs(records: list[Record], chance: random.Random) -> list[Run]:
    """The records as they would be delivered, cut anywhere."""
    cut, found = 0, []
    while cut < len(records):
        part = records[cut : cut + chance.randint(1, 40)]
        found.append(Run(TP(part[0].topic, HOME), 1, cut, cut + len(part), part))
        cut += len(part)
    return found


def batch(*taken: Run) -> Batch:
    return cast(Batch, SimpleNamespace(runs=list(taken), ack=lambda: None))


async def counting(office: Office, table: _Table, end: int) -> Counting:
    found = Counting(office.settings.kafka, cast(StatisticsTable, table), ())
    await found.take_over(cast(BatchConsumer, _Consumer(TP(office.ledger, HOME), end)))
    return found


@pytest.mark.parametrize("seed", range(5))
async def test_lost_repeated_and_torn_runs_are_made_good_from_the_ledger(office: Office, seed: int) -> None:
    chance = random.Random(seed)
    written = ledger()
    records = await published(office, written)
    table = _Table()
    count = await counting(office, table, len(records))
    delivered = []
    for run in runs(records, chance):
        torn = [record for record in run.records if chance.random() < 0.9 or record is run.records[-1]]
        match chance.choice(["whole", "whole", "lost", "twice", "torn"]):
            case "whole":
                delivered.append(run)
            case "twice":
                delivered += [run, run]
            case "torn":
                delivered.append(run._replace(records=torn))
    delivered.append(Run(TP(office.ledger, HOME), 1, len(records) - 1, len(records), records[-1:]))
    for run in delivered:
        await count.count(batch(run))
    assert_exact(table.statistics(), written)


async def test_a_batch_writes_one_row_for_an_event_and_the_partitions(office: Office) -> None:
    written = ledger()
    records = await published(office, written)
    table = _Table()
    count = await counting(office, table, len(records))
    await count.count(batch(Run(TP(office.ledger, HOME), 1, 0, len(records), records)))
    assert table.written == [3]
    assert_exact(table.statistics(), written)
    told = metrics.TICKETS_ISSUED.labels(str(HOME)), metrics.TICKETS_SOLD.labels(str(HOME))
    assert [gauge._value.get() for gauge in told] == [table.statistics().issued, table.statistics().sold]


async def test_all_rows_are_written_again_where_somebody_else_wrote(office: Office) -> None:
    written = ledger()
    records = await published(office, written)
    table = _Table(somebody_else_wrote=True)
    count = await counting(office, table, len(records))
    tp = TP(office.ledger, HOME)
    await count.count(batch(Run(tp, 1, 0, 300, records[:300])))
    last_of_42 = next(r for r in reversed(records) if b'"event_id":"42"' in (r.value or b""))
    await count.count(batch(Run(tp, 1, 300, last_of_42.offset + 1, records[300 : last_of_42.offset + 1])))
    assert table.written == [3, 3, 3, 3]


async def test_a_contested_partition_is_read_again_by_the_rules(office: Office) -> None:
    """A forgery that only the rules can refuse, and an event that it brought along, are undone."""
    written = ledger()
    bookmark = RECORDS - 1
    event = next(record for record in written if b"event_created" in (record.value or b""))
    last = [fact for record in written if (fact := json.loads(record.value or b""))["event_id"] == "42"][-1]
    value = json.dumps(last | {"seq": last["seq"] + 1}).encode()
    forged = [
        # The same tickets once more.
        LedgerRecord(value, b"%d-%d" % (bookmark + 1, bookmark + 1)),
        LedgerRecord((event.value or b"").replace(b'"42"', b'"43"'), b"%d-%d" % (bookmark + 2, bookmark + 2)),
    ]
    records = await published(office, written + forged)
    table = _Table()
    tp = TP(office.ledger, HOME)
    count = await counting(office, table, len(records))
    await count.count(batch(Run(tp, 1, 0, len(records), records)))
    assert b"43" in table.rows
    own = Ledger(HOME)
    for record in written + forged:
        own.read(*record)
    source: Source = {"partition": HOME, "offset": RECORDS}
    again = decide_after(own, [Arrival(purchase("r-new", event_id="42"), RECORDS, TIMES_MS[0], source)])
    whole = await published(office, again)
    await count.count(batch(Run(tp, 1, len(records), len(whole), whole[len(records) :])))
    assert b"43" not in table.rows
    assert_exact(table.statistics(), [*written, *forged, *again])
