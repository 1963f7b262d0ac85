"""Servers for the tests, and what keeps tests apart on them."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka.admin import AdminClient
from redis import Redis

from boxoffice.embedded import EmbeddedKafka, EmbeddedRedis
from tests.support.servers import kafka_for_session, redis_for_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.batching import Batching
    from tests.support.office import NewOffice, Office
    from tests.support.servers import KafkaAddress, NewKafka, NewRedis, RedisAddress

# Seeds are drawn before the tests are shared between processes.
pytest_plugins = ("tests.support.buckets", "tests.support.ci_skips", "tests.support.seeds")

_ADMIN_TIMEOUT_S = 15.0


@pytest.fixture(scope="session", autouse=True)
def _no_data_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test starts keeps nothing among the data of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaAddress]:
    """The broker that all tests share: topics carry the test's prefix."""
    with kafka_for_session() as address:
        yield address


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisAddress]:
    """The Redis server that all tests share: keys carry the test's prefix."""
    with redis_for_session() as address:
        yield address


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> Iterator[str]:
    """A prefix for this test's topics, groups and keys, which are deleted after it."""
    yield from _own_prefix(request)


@pytest.fixture(scope="module")
def module_prefix(request: pytest.FixtureRequest) -> Iterator[str]:
    """The same for the tests of a module that share a box office."""
    yield from _own_prefix(request)


def _own_prefix(request: pytest.FixtureRequest) -> Iterator[str]:
    own = f"t{secrets.token_hex(4)}-"
    used = request.fixturenames
    yield own
    if "kafka" in used:
        _delete_from_kafka(request.getfixturevalue("kafka"), own)
    if "redis_server" in used:
        _delete_from_redis(request.getfixturevalue("redis_server"), own)


@pytest.fixture
def new_office(kafka: KafkaAddress, prefix: str, tmp_path: Path) -> Iterator[NewOffice]:
    """Topics under a prefix of their own; what the test starts is ended after it."""
    # It takes its time to import, and most tests do without.
    from tests.support.office import Office

    opened: list[Office] = []

    async def open_office(redis_url: str) -> Office:
        office = Office(kafka.bootstrap_servers, redis_url, prefix, tmp_path)
        opened.append(office)
        await office.open()
        return office

    yield open_office
    for office in opened:
        office.close()


@pytest.fixture
async def office(new_office: NewOffice, redis_server: RedisAddress) -> Office:
    """A box office on the shared Redis."""
    return await new_office(redis_server.url)


@pytest.fixture
async def batching(kafka: KafkaAddress, prefix: str, tmp_path: Path) -> AsyncIterator[Batching]:
    """Topics of the batch path's own app, and workers to start on them."""
    # Faust takes its time to import, and no other test needs it here.
    from tests.support.batching import Batching

    opened = Batching(kafka.bootstrap_servers, prefix, tmp_path)
    await opened.open()
    yield opened
    opened.close()


@pytest.fixture
async def new_kafka() -> AsyncIterator[NewKafka]:
    """Starts brokers that belong to this test: it may kill, pause and start them again."""
    async with AsyncExitStack() as servers:

        async def start(**parameters: Any) -> EmbeddedKafka:
            return await servers.enter_async_context(EmbeddedKafka(_folder(servers), **parameters))

        yield start


@pytest.fixture
async def new_redis() -> AsyncIterator[NewRedis]:
    """Starts Redis servers that belong to this test: it may kill, pause and start them again."""
    async with AsyncExitStack() as servers:

        async def start(**parameters: Any) -> EmbeddedRedis:
            return await servers.enter_async_context(EmbeddedRedis(_folder(servers), **parameters))

        yield start


def _folder(servers: AsyncExitStack) -> Path:
    return Path(servers.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))


def _delete_from_kafka(address: KafkaAddress, prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": address.bootstrap_servers})
    topics = [name for name in admin.list_topics(timeout=_ADMIN_TIMEOUT_S).topics if name.startswith(prefix)]
    listed = admin.list_consumer_groups(request_timeout=_ADMIN_TIMEOUT_S).result()
    groups = [group.group_id for group in listed.valid if group.group_id.startswith(prefix)]
    # A group whose members were killed cannot be deleted yet; it is out of everybody's way by its name.
    deletions = [
        *(admin.delete_consumer_groups(groups).values() if groups else ()),
        *(admin.delete_topics(topics).values() if topics else ()),
    ]
    for deletion in deletions:
        deletion.exception(timeout=_ADMIN_TIMEOUT_S)


def _delete_from_redis(address: RedisAddress, prefix: str) -> None:
    with Redis.from_url(address.url) as client:
        for key in client.scan_iter(match=f"{prefix}*", count=10_000):
            client.delete(key)
