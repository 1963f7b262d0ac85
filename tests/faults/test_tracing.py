"""A whole trace in a real trace store, to which spans go by an exporter that is a package of its own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from tests.integration.test_tracing import WHOLE, sold_by_redis, variables
from tests.support.gateways import Door
from tests.support.office import Office, until
from tests.support.traces import PARENT_ID
from tests.support.workload import creations
from tests.support.zipkin import needs_zipkin, zipkin

pytestmark = [pytest.mark.long, *needs_zipkin, pytest.mark.timeout(600)]


async def test_a_trace_store_shows_a_purchase_through_all_processes(office: Office, tmp_path: Path) -> None:
    with zipkin(tmp_path) as store:
        environment = variables(tmp_path, **store.variables)
        for process in ("purchases", "documents"):
            office.start(process, **environment)
        door = Door(office, **environment)
        await office.send(creations(["42"], 1_000))
        await door.ready()
        await office.answered()
        async with aiohttp.ClientSession() as session:
            _, trace_id = await sold_by_redis(office, door, session)
        wanted = sum(count for _, _, count in WHOLE.values())
        await until(lambda: len(store.trace(trace_id)) >= wanted, 60, "all spans")
        spans = store.trace(trace_id)
        by_id = {span["id"]: span for span in spans}
        assert Counter(span["name"] for span in spans) == {name: count for name, (_, _, count) in WHOLE.items()}
        for span in spans:
            service, above, _ = WHOLE[span["name"]]
            assert span["localEndpoint"]["serviceName"] == service
            assert (by_id[span["parentId"]]["name"] if above else span["parentId"]) == (above or PARENT_ID)
        assert store.trace("f" * 32) == []
