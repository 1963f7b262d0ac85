"""Promise: raised partitions stop every process with a reason, and no worker sells on by another number."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from boxoffice.errors import ExitStatus
from tests.support.office import Office
from tests.support.servers import KafkaAddress, RedisAddress
from tests.support.sold import SoldOffice
from tests.support.workload import creations, order


@pytest.fixture
async def sold(
    kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path
) -> AsyncIterator[SoldOffice]:
    """Twelve partitions that become twenty-four."""
    office = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path, partitions=12)
    await office.open()
    yield SoldOffice(office, 24)
    office.close()


async def test_a_worker_refuses_a_ledger_of_another_number_and_says_which(sold: SoldOffice) -> None:
    await sold.sell(sold.away[0])
    await sold.raise_partitions()
    worker = sold.office.start()
    assert await worker.end() == ExitStatus.REFUSED
    assert "was written with 12 partitions and has 24 now" in worker.log_text()
    assert "boxoffice topics grow --to 24" in worker.log_text()
    assert "Traceback" not in worker.log_text()


@pytest.mark.parametrize("grown", ["requests", "ledger"])
async def test_one_topic_alone_that_was_raised_is_refused(sold: SoldOffice, grown: str) -> None:
    await sold.sell(sold.away[0])
    await sold.raise_partitions(getattr(sold.office, grown))
    worker = sold.office.start()
    assert await worker.end() == ExitStatus.REFUSED
    assert "they must have the same number" in worker.log_text()
    told = sold.office.boxoffice("doctor", "--json", "--watch", "0.1")
    assert told.returncode == ExitStatus.DIFFERS
    assert "they must have the same number" in told.stdout


async def test_everybody_says_that_the_partitions_were_raised(sold: SoldOffice) -> None:
    await sold.sell(sold.away[0], sold.still[0])
    await sold.raise_partitions()
    raised = f"The partitions were raised: {sold.office.ledger} was written with 12 partitions and has 24 now"
    said = {
        command: await sold.office.run(*command.split())
        for command in (
            "doctor --json --watch 0.1",
            "topics show --json",
            "topics create --json",
            "audit --json --wait 1",
        )
    }
    assert {done.returncode for done in said.values()} == {ExitStatus.DIFFERS}
    for command, done in said.items():
        assert raised in done.stdout, (command, done.stdout, done.stderr)
        assert "BOXOFFICE_PARTITIONS=24" not in done.stdout, command
        assert "command_forwarded" not in done.stdout, command
    bought = await sold.office.run("buy", sold.away[0], "--timeout", "5")
    assert bought.returncode == ExitStatus.REFUSED
    assert raised in bought.stderr
    assert len(await sold.office.read(sold.office.requests)) == 4


@pytest.mark.long
@pytest.mark.parametrize("grown", [("requests", "ledger"), ("requests",), ("ledger",)])
async def test_a_living_worker_notices_within_a_minute(sold: SoldOffice, grown: tuple[str, ...]) -> None:
    worker = sold.office.start()
    await sold.office.ready(worker)
    await sold.office.send([*creations(sold.away[:2], 2), *(order(event_id, "r-1") for event_id in sold.away[:2])])
    await sold.office.answered()
    await sold.raise_partitions(*(getattr(sold.office, name) for name in grown))
    assert await worker.end(timeout_s=60) == ExitStatus.REFUSED
    assert "The number of partitions was changed: it was 12, and now " in worker.log_text()
    again = sold.office.start()
    assert await again.end() == ExitStatus.REFUSED
