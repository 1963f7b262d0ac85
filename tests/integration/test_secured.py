"""A secured Kafka and a secured Redis: each process does its work with its own rights, and cannot do another's."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from boxoffice.cli.secured import redis_lines
from boxoffice.embedded import EmbeddedRedis
from boxoffice.embedded.authority import Authority
from boxoffice.embedded.cluster import EmbeddedCluster
from boxoffice.embedded.ports import HOST
from boxoffice.embedded.redis import Guard, program_with_tls
from boxoffice.embedded.users import ADMIN, Users
from boxoffice.errors import ExitStatus
from boxoffice.kafka import clients
from boxoffice.kafka.access import ACCESS, Access, Operation, operations
from boxoffice.redis.access import ACCESS as IN_REDIS
from boxoffice.redis.access import BY_USER as BY_REDIS_USER
from boxoffice.redis.connection import connect
from boxoffice.settings import load_settings
from lua.keys import event_keys, event_statistics_key, global_statistics_key, rebuild_key
from tests.support.gateways import Door, new_key
from tests.support.observed import get, idle
from tests.support.office import Process, until
from tests.support.secured import NOBODY, SecuredOffice, denials, new_users, secured_brokers
from tests.support.servers import serving
from tests.support.spectators import LivePage
from tests.support.workload import GARBAGE, Sent, creations, order
from topics import TOPICS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PREFIX = f"t{secrets.token_hex(4)}-"
PATIENCE_S = 120
REFUSALS = ("AuthorizationFailed", "NOPERM", "not authorized", "NOAUTH", "NoPermission")


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Users:
    return new_users(tmp_path_factory.mktemp("users"))


@pytest.fixture(scope="module")
def cluster(users: Users, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    with secured_brokers(tmp_path_factory.mktemp("kafka"), users) as opened:
        yield opened


@pytest.fixture(scope="module")
def redis(users: Users, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """With TLS where the system has a server that speaks it."""
    guard = Guard(users, lambda known: redis_lines(known, PREFIX), program_with_tls())
    server = EmbeddedRedis(tmp_path_factory.mktemp("redis"), guard=guard)
    with serving(server):
        yield server


@pytest.fixture
async def office(
    cluster: EmbeddedCluster, users: Users, redis: EmbeddedRedis, tmp_path: Path
) -> AsyncIterator[SecuredOffice]:
    opened = SecuredOffice(cluster, users, redis, PREFIX, tmp_path)
    await opened.open()
    yield opened
    opened.close()


@pytest.fixture
def administrator(redis: EmbeddedRedis) -> Iterator[Any]:
    with Redis.from_url(redis.url, decode_responses=True) as client:
        yield client


async def command(office: SecuredOffice, *words: str, may_end_with: tuple[int, ...] = (0,)) -> None:
    done = await office.run(*words)
    assert done.returncode in may_end_with, (words, done.returncode, done.stdout, done.stderr)


async def test_every_process_and_command_does_its_work_with_its_own_rights_and_asks_for_no_other(
    office: SecuredOffice, cluster: EmbeddedCluster, administrator: Any, tmp_path: Path
) -> None:
    denied_before = len(denials(cluster))
    administrator.acl_log_reset()
    workers = [office.start(name) for name in ("purchases", "documents", "stats", "clock")]
    for worker in workers:
        await office.ready(worker, PATIENCE_S)
    door, page = Door(office), LivePage(office)
    await door.ready()
    await page.ready()
    async with aiohttp.ClientSession() as session:
        await sold_over_http(office, door, page, session)
    # What nobody can read becomes a dead letter, which an operator looks at.
    await office.send([Sent(b"42", garbage) for garbage in GARBAGE])
    await office.answered()
    await until(lambda: all(map(idle, workers)), PATIENCE_S, "all to be done")
    await everything_an_operator_runs(office, tmp_path)
    audited = await office.run("audit", "--wait", "30", **office.variables_of("audit"))
    assert audited.returncode == ExitStatus.OK, audited.stdout + audited.stderr
    for process in (*workers, door.process, page.process):
        assert await process.stop() == ExitStatus.OK
        said = process.log_text()
        assert not [mark for mark in REFUSALS if mark in said], said
    assert denials(cluster)[denied_before:] == []
    assert administrator.acl_log() == []
    await page.aclose()


async def sold_over_http(office: SecuredOffice, door: Door, page: LivePage, session: aiohttp.ClientSession) -> None:
    """All that the gateway and the live page do: for buyers, and for operators."""
    key = await new_key(office, "buy", "events", "read", "admin")
    event = {
        "event_id": "42",
        "name": "Night at the Opera",
        "venue": "Main Hall",
        "starts_at": "2027-03-01T19:30:00+01:00",
        "capacity": 100,
        "price": {"amount": 4500, "currency": "EUR"},
    }
    made = await door.post(session, "/v1/events", key, "e-1", event)
    assert made.status == 201, made.body
    bought = await door.post(session, "/v1/events/42/purchases", key, "r-1", {"buyer": "b-77", "quantity": 2})
    assert bought.status == 201, bought.body
    looked = await door.get(session, bought.headers["location"], key)
    assert looked.status == 200, looked.body
    drilled = await door.post(session, "/v1/admin/drill", key, "d-1", {"on": True, "duration_s": 1})
    assert drilled.status == 200, drilled.body
    assert (await door.post(session, "/v1/admin/drill", key, "d-2", {"on": False})).status == 200
    rebuilt = await door.post(session, "/v1/admin/rebuild", key, "b-1", {"events": ["42"]}, prefer="wait=30")
    if rebuilt.status == 202:
        rebuilt = await door.post(session, "/v1/admin/rebuild", key, "b-1", {"events": ["42"]}, prefer="wait=60")
    assert rebuilt.status == 200, rebuilt.body
    await until(lambda: "global" in figures_of(door), PATIENCE_S, "the figures")
    deadline_s = monotonic() + PATIENCE_S
    while (told := await overview(page, session, key))["unknown"]:
        assert monotonic() < deadline_s, told["unknown"]
        await asyncio.sleep(1)
    assert {one["process"] for one in told["processes"]} >= {
        "purchases",
        "documents",
        "stats",
        "clock",
        "gateway",
        "live",
    }


def figures_of(door: Door) -> dict[str, Any]:
    """What a gateway tells of the sale, as JSON."""
    found: dict[str, Any] = json.loads(get(door.process, "/metrics", "application/json")[1])
    return found


async def overview(page: LivePage, session: aiohttp.ClientSession, key: str) -> dict[str, Any]:
    """What an operator's page shows."""
    async with page.get(session, "/v1/operator", authorization=f"Bearer {key}") as answer:
        assert answer.status == 200, await answer.text()
        told: dict[str, Any] = await answer.json()
        return told


async def everything_an_operator_runs(office: SecuredOffice, folder: Path) -> None:
    await command(
        office,
        *("event", "create", "43", "--name", "Night", "--venue", "Hall", "--starts-at", "2027-03-01T19:30:00+01:00"),
        *("--capacity", "10", "--price", "45.00", "--currency", "EUR", "--timeout", "60"),
    )
    await command(office, "buy", "43", "2", "--buyer", "b-1", "--request-id", "r-1", "--timeout", "60")
    await command(office, "cancel", "43", "r-1", "--timeout", "60")
    await command(office, "event", "show", "43")
    await command(office, "stats", "--json")
    await command(office, "topics", "show")
    await command(office, "fallback", "drill", "on", "--for", "1")
    await command(office, "fallback", "drill", "off")
    await command(office, "rebuild", "43")
    # A worker that has only just left it may say so still.
    await command(office, "fallback", "status", may_end_with=(0, 1))
    await command(office, "documents", "status")
    await command(office, "ticket", "42-000001", "--wait", "20", "--out", str(folder / "ticket.pdf"))
    await command(office, "dead-letters", "list")
    await command(office, "keys", "list")
    await command(office, "doctor")


# What somebody may not, he cannot


async def outcome(work: Any) -> bool:
    """Whether a broker let somebody do something."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await work
    except TopicAuthorizationFailedError:
        return False
    return True


async def written(office: SecuredOffice, user: str, name: str) -> None:
    settings = office.as_user(user)
    producer = AIOKafkaProducer(**clients.client_options(settings), enable_idempotence=False, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(name, b"x", key=b"x", partition=0)
    finally:
        await producer.stop()


async def read(office: SecuredOffice, user: str, name: str) -> None:
    [tp] = clients.topic_partitions(name, 1)
    async with clients.reader(office.as_user(user), [tp]) as consumer:
        # Of a topic that it may not see a client would wait for a leader.
        await consumer._client._wait_on_metadata(name)
        consumer.resume(tp)
        consumer.seek(tp, 0)
        await consumer.getmany(tp, timeout_ms=2_000)


async def test_who_may_not_read_or_write_a_topic_cannot(
    cluster: EmbeddedCluster, users: Users, redis: EmbeddedRedis, tmp_path: Path
) -> None:
    """On topics of its own, since who may write writes nonsense."""
    office = SecuredOffice(cluster, users, redis, f"{PREFIX}tried-", tmp_path, partitions=1)
    await office.open()
    names = [topic.full_name(office.settings.kafka.topic_prefix) for topic in TOPICS]
    for name in names:
        await written(office, ADMIN, name)
    for access in (*ACCESS, Access(NOBODY, "does nothing")):
        wrote = await asyncio.gather(*(outcome(written(office, access.user, name)) for name in names))
        has_read = await asyncio.gather(*(outcome(read(office, access.user, name)) for name in names))
        for topic, did_write, did_read in zip(TOPICS, wrote, has_read, strict=True):
            allowed = operations(access, topic)
            assert did_write is (Operation.WRITE in allowed), (access.user, topic.name)
            assert did_read is (Operation.READ in allowed), (access.user, topic.name)


async def test_who_may_not_look_at_topics_is_told_so_and_not_that_they_are_missing(office: SecuredOffice) -> None:
    told = await office.run("buy", "42", "1", "--buyer", "b", **office.variables_of(NOBODY))
    assert told.returncode == ExitStatus.REFUSED, told.stderr
    assert "The user 'nobody' may not look at" in told.stderr
    assert "Missing" not in told.stderr


async def test_a_process_that_may_not_join_its_group_ends_with_a_sentence(office: SecuredOffice) -> None:
    """A gateway looks at all the topics that are sold from, and is a member of no group."""
    process = office.start(**office.variables_of("gateway"))
    assert await process.end() == ExitStatus.REFUSED, process.log_text()
    assert f"The user 'gateway' may not join the group {PREFIX}boxoffice-purchases" in process.log_text()
    assert "Traceback" not in process.log_text()


async def test_who_may_not_set_acls_is_told_so_in_a_sentence(office: SecuredOffice) -> None:
    told = await office.run("topics", "acls", "--set")
    assert told.returncode == ExitStatus.REJECTED, told.stdout + told.stderr
    assert "did not take the ACLs" in told.stderr
    assert told.stderr.count("\n") == 1


def test_nobody_without_a_certificate_gets_at_what_brokers_say_to_each_other(
    cluster: EmbeddedCluster, users: Users
) -> None:
    properties = (cluster.brokers[0].folder / "server.properties").read_text()
    trusting = ssl.create_default_context(cafile=users.authority.certificate)
    certified = ssl.create_default_context(cafile=users.authority.certificate)
    certified.load_cert_chain(users.authority.store("broker-1"))
    for listener in ("BROKERS", "CONTROLLER"):
        [port] = re.findall(rf"^listeners=.*{listener}://[^:]*:(\d+)", properties, re.MULTILINE)
        assert is_talked_to(int(port), certified)
        assert not is_talked_to(int(port), trusting)


def is_talked_to(port: int, context: ssl.SSLContext) -> bool:
    """Whether a server goes on listening after the handshake; with TLS 1.3 it refuses a moment later."""
    with socket.create_connection((HOST, port)) as plain, context.wrap_socket(plain, server_hostname=HOST) as secured:
        secured.settimeout(2)
        try:
            return secured.recv(1) != b""
        except TimeoutError:
            return True
        except (ssl.SSLError, ConnectionError):
            return False


async def test_a_wrong_password_is_said_to_be_one(office: SecuredOffice) -> None:
    told = await office.run("topics", "create", BOXOFFICE_KAFKA_SASL_PASSWORD="wrong-password")
    assert told.returncode == ExitStatus.UNREACHABLE
    assert "does not let the user 'operator' in" in told.stderr
    assert "wrong-password" not in told.stderr
    url = office.redis.url_for("operator").replace(office.users.password("operator"), "wrong-password")
    told = await office.run("fallback", "status", BOXOFFICE_REDIS_URL=url)
    assert told.returncode == ExitStatus.UNREACHABLE
    assert "lets nobody in" in told.stderr
    assert "wrong-password" not in told.stderr


# Redis

FORBIDDEN: tuple[tuple[str, ...], ...] = (
    ("FLUSHALL",),
    ("KEYS", "*"),
    ("CONFIG", "GET", "*"),
    ("ACL", "LIST"),
    ("EVAL", "return 1", "0"),
    ("SHUTDOWN",),
    ("DEBUG", "SLEEP", "0"),
    ("GET", "somebody-elses"),
    ("SET", "somebody-elses", "x"),
    ("DEL", "otherprefix-event:{42}:tickets"),
    ("SUBSCRIBE", "any"),
    ("REPLICAOF", "NO", "ONE"),
)


@pytest.mark.parametrize("user", [access.user for access in IN_REDIS])
def test_nobody_can_do_in_redis_what_no_process_does(administrator: Any, user: str) -> None:
    for words in FORBIDDEN:
        assert b"no permissions" in dry_run(administrator, user, *words), words


def dry_run(administrator: Any, user: str, *words: str) -> bytes:
    return str(administrator.execute_command("ACL", "DRYRUN", user, *words)).encode()


def test_only_who_does_it_can_sell_count_or_ask_for_a_rebuild(administrator: Any) -> None:
    keys = event_keys(PREFIX, "42", ("general", "stalls"))
    tried: dict[tuple[str, ...], set[str]] = {
        ("HSET", keys.meta, "seq", "9"): {"purchases"},
        ("UNLINK", *keys.all): {"purchases"},
        ("HSET", event_statistics_key(PREFIX, "42"), "sold", "9"): {"stats"},
        ("HSET", global_statistics_key(PREFIX), "0", "x"): {"stats"},
        ("SADD", rebuild_key(PREFIX), "42"): {"gateway", "operator"},
        ("HGETALL", keys.purchases): {"gateway", "audit", "operator"},
        **{("LRANGE", queue, "0", "-1"): {"purchases", "audit", "operator"} for queue in keys.queues},
        ("HMGET", keys.meta, "name"): {"purchases", "documents", "gateway", "operator"},
    }
    for words, allowed in tried.items():
        found = {user for user in BY_REDIS_USER if dry_run(administrator, user, *words) == b"OK"}
        assert found == allowed, words


def test_redis_lets_in_nobody_without_a_password(redis: EmbeddedRedis, users: Users) -> None:
    url = redis.url_for("stats")
    with (
        Redis.from_url(url.replace(f"stats:{users.password('stats')}@", "")) as client,
        pytest.raises(AuthenticationError),
    ):
        client.ping()
    with Redis.from_url(url) as client:
        assert client.ping()
        with pytest.raises(NoPermissionError):
            client.flushall()


async def test_a_redis_that_refuses_a_command_costs_no_sale(office: SecuredOffice, administrator: Any) -> None:
    """The worker's rights are taken away and given back, as by a wrong ACL file."""
    worker: Process = office.start()
    await office.ready(worker)
    await office.send(creations(["7001"], 50))
    await office.answered()
    administrator.execute_command("ACL", "SETUSER", "purchases", "-evalsha")
    try:
        await office.send([order("7001", f"r-{number}") for number in range(10)])
        await office.answered()
        await until(lambda: "NoPermissionError" in worker.log_text(), PATIENCE_S, "the log to say what Redis says")
    finally:
        administrator.execute_command("ACL", "SETUSER", "purchases", "+evalsha")
        administrator.execute_command("ACL", "LOG", "RESET")
    await until(lambda: "Redis answers again" in worker.log_text(), PATIENCE_S, "Redis to serve again")
    assert worker.ended() is None


@pytest.mark.redis_tls
@pytest.mark.skipif(program_with_tls() is None, reason="no redis-server that speaks TLS on this system")
async def test_a_client_goes_on_when_authority_and_certificates_are_exchanged(users: Users, tmp_path: Path) -> None:
    """The one client of a process, on a server of its own: what is connected stays, and who comes again trusts."""
    guard = Guard(users, lambda known: redis_lines(known, PREFIX), program_with_tls())
    async with EmbeddedRedis(tmp_path / "redis", guard=guard) as server:
        trusted = tmp_path / "ca.pem"
        trusted.write_bytes(users.authority.certificate.read_bytes())
        url = server.url.replace(str(users.authority.certificate), str(trusted))
        client = connect(load_settings(redis_url=url, redis_timeout_ms=5_000).redis)
        other = Authority(tmp_path / "other")
        other.prepare()
        with Redis.from_url(server.url) as administrator:
            assert await client.ping()
            store = str(other.store("redis"))
            administrator.config_set(
                "tls-ca-cert-file", str(other.certificate), "tls-cert-file", store, "tls-key-file", store
            )
            assert await client.ping()
            administrator.client_kill_filter(_type="normal", skipme=True)
        with pytest.raises(RedisError):
            await client.ping()
        trusted.write_bytes(other.certificate.read_bytes())
        assert await client.ping()
        await client.aclose()
