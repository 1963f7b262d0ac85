"""The benchmarks' contestants do the same work; how fast they are is asserted nowhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.bench import Bench
from benchmarks.decisions import CONTESTANTS, check_equal
from benchmarks.gateway import CONTESTANTS as GATEWAYS
from benchmarks.gateway import buy, listening, new_key, selling
from benchmarks.measuring import watch
from benchmarks.plots import Line, bar_chart, line_chart
from benchmarks.processes import BenchmarkError
from benchmarks.sale import event_ids, purchases, tickets_each
from boxoffice.embedded import EmbeddedStack

EVENTS = 3
ORDERS = 60


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Servers of the benchmark's own: it empties Redis between two runs."""
    async with EmbeddedStack(tmp_path / "stack", keep=False) as stack:
        yield Bench.on(stack, tmp_path, rounds=1, quick=True)


@pytest.mark.slow
async def test_the_contestants_write_equal_ledgers(bench: Bench) -> None:
    """Each of them, begun at the same place, answers every order, and as the others do."""
    ids = event_ids(EVENTS)
    ledgers = {}
    async with bench.sale(ids, tickets_each(ORDERS, EVENTS) - 1) as sale:
        await sale.publish(purchases(ids, ORDERS))
        for program in CONTESTANTS:
            async with bench.worker(program, sale) as worker:
                await watch(sale, [worker], bench.servers, ORDERS)
            ledgers[program.name] = await sale.ledger_digests()
            await sale.begin_again()
    assert {sum(map(len, ledger.values())) for ledger in ledgers.values()} == {EVENTS + ORDERS}
    check_equal(ledgers)


@pytest.mark.slow
async def test_the_gateways_that_are_compared_sell_a_ticket_to_everybody(bench: Bench) -> None:
    """Whoever refuses or loses orders is not faster."""
    async with selling(bench, len(GATEWAYS) * ORDERS) as sale:
        for program in GATEWAYS:
            async with listening(bench, sale, program) as (process, port):
                summary = await buy([port], await new_key(sale), EVENTS, ORDERS)
                assert summary["statuses"] == {"201": ORDERS}, process.log_text()


def test_a_ledger_that_differs_is_found_out() -> None:
    """Also where one contestant was stopped early."""
    with pytest.raises(BenchmarkError, match="product and bare differ: partition 1, offset 2"):
        check_equal({"product": {0: [b"a"], 1: [b"a", b"b", b"c"]}, "bare": {0: [], 1: [b"a", b"b", b"d", b"e"]}})


def test_charts_are_well_formed() -> None:
    """Whatever the labels contain."""
    line = Line("a & b", [(1, 2.5), (10, 3), (1_000, 1)])
    for chart in (
        bar_chart("<title>", [("product, <hot>", 2), ("bare", 0.5)]),
        line_chart("<title>", "x & y", "µs", [line], log_x=True),
        line_chart("<title>", "x & y", "µs", [line, line]),
    ):
        assert ElementTree.fromstring(chart).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314  # our own
