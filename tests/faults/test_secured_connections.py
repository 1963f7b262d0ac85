"""Brokers that end connections which are older than they allow: who sells comes again, and nothing is lost."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from boxoffice.cli.secured import redis_lines
from boxoffice.embedded import EmbeddedRedis
from boxoffice.embedded.cluster import EmbeddedCluster
from boxoffice.embedded.redis import Guard, program_with_tls
from boxoffice.embedded.users import Users
from tests.faults.kept import KeptWorkers
from tests.faults.load import Load
from tests.faults.shared import ENVIRONMENT, new_events
from tests.support.secured import SecuredOffice, new_users, secured_brokers

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

PREFIX = f"t{secrets.token_hex(4)}-"
OLDEST_MS = "3000"


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Users:
    return new_users(tmp_path_factory.mktemp("users"))


@pytest.fixture(scope="module")
def cluster(users: Users, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    properties = {"connections.max.reauth.ms": OLDEST_MS}
    with secured_brokers(tmp_path_factory.mktemp("kafka"), users, properties=properties) as opened:
        yield opened


@pytest.fixture
async def office(cluster: EmbeddedCluster, users: Users, tmp_path: Path) -> AsyncIterator[SecuredOffice]:
    guard = Guard(users, lambda known: redis_lines(known, PREFIX), program_with_tls())
    async with EmbeddedRedis(tmp_path / "redis", guard=guard) as redis:
        opened = SecuredOffice(cluster, users, redis, PREFIX, tmp_path)
        await opened.open()
        yield opened
        opened.close()


async def test_connections_that_are_ended_for_their_age_cost_nothing(office: SecuredOffice) -> None:
    seed, ids = new_events(8)
    async with KeptWorkers(office, **ENVIRONMENT) as kept, Load(office, ids, seed) as load:
        await load.each_decided_by_redis()
        await load.decided(6_000, timeout_s=60)
    assert kept.ends == []
    await office.agrees(60)
