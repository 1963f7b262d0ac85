"""The latency of a sale while documents are made of it, and while they cannot be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.bench import Bench
from benchmarks.latency import PERCENTILES, Beside, alone, measure, percentile
from benchmarks.processes import DOCUMENTS
from benchmarks.results import Outcome
from benchmarks.sale import Sale, event_ids
from boxoffice.door.ring_file import create_if_missing
from boxoffice.embedded.environment import documents_variables, door_variables

RATE: Final = 200
EVENTS: Final = 10


async def neighbours(bench: Bench) -> Outcome:
    """A sale alone, beside a busy documents process, and beside one whose store fails; they take turns."""
    situations: dict[str, Beside] = {
        "alone": alone,
        "documents": lambda sale: _documents(bench, sale, works=True),
        "documents, store down": lambda sale: _documents(bench, sale, works=False),
    }
    ids, duration_s = event_ids(EVENTS), bench.size(10, 2)
    await measure(bench, ids, RATE, 1)
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(bench.rounds):
        for situation, beside in situations.items():
            latencies_ms = await measure(bench, ids, RATE, duration_s, beside)
            for name, share in PERCENTILES.items():
                found.setdefault((name, situation), []).append(percentile(latencies_ms, share))
    outcome = Outcome()
    for (name, situation), rounds_ms in found.items():
        outcome.add_rounds(f"neighbours_{name}", rounds_ms, "ms", situation)
    return outcome


@asynccontextmanager
async def _documents(bench: Bench, sale: Sale, *, works: bool) -> AsyncIterator[None]:
    """A documents process at work on the sale; or in vain, since a file is where its folder should be."""
    with TemporaryDirectory() as folder:
        store = Path(folder) / "documents"
        if not works:
            store.touch()
        key_ring = Path(folder) / "door-keys.json"
        create_if_missing(key_ring)
        variables = {**documents_variables(store), **door_variables(key_ring)}
        async with bench.worker(DOCUMENTS, sale, **variables):
            yield
