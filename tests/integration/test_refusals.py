"""A server that is there and refuses is not one that cannot be reached: the sentence says what is wrong."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from boxoffice.embedded import EmbeddedKafka
from boxoffice.embedded.ports import HOST, free_port
from boxoffice.errors import ExitStatus
from boxoffice.kafka.clients import admin
from boxoffice.settings import load_settings
from tests.integration.redis_tables import ask
from tests.support.certificates import write_certificate
from tests.support.office import boxoffice_path
from tests.support.servers import serving

if TYPE_CHECKING:
    from tests.support.servers import NewRedis

LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


@dataclass(frozen=True)
class Guarded:
    """A broker's listeners: for everybody, for users, and with TLS, and the authority of its certificate."""

    plain: str
    for_users: str
    tls: str
    certificate: Path


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A broker that lets in who knows a password, or speaks TLS."""
    folder = tmp_path_factory.mktemp("guarded")
    certificate = write_certificate(folder / "certificate.pem")
    port, users, tls, controller = free_port(), free_port(), free_port(), free_port()
    clients = f"PLAINTEXT://{HOST}:{port},USERS://{HOST}:{users},TLS://{HOST}:{tls}"
    kafka = EmbeddedKafka(
        folder,
        port,
        properties={
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "listeners": f"{clients},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": clients,
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,USERS:SASL_PLAINTEXT,TLS:SSL,CONTROLLER:PLAINTEXT",
            "listener.name.users.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.users.plain.sasl.jaas.config": f'{LOGIN} required user_shop="right-password";',
            "listener.name.tls.ssl.keystore.type": "PEM",
            "listener.name.tls.ssl.keystore.location": str(certificate),
        },
    )
    with serving(kafka):
        yield Guarded(f"{HOST}:{port}", f"{HOST}:{users}", f"{HOST}:{tls}", certificate)


def boxoffice(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **{f"BOXOFFICE_{name}": value for name, value in variables.items()}}
    return subprocess.run(
        [boxoffice_path(), *arguments], env=environment, capture_output=True, text=True, timeout=110, check=False
    )


def refused_by_kafka(**variables: str) -> str:
    done = boxoffice("topics", "show", KAFKA_REQUEST_TIMEOUT_MS="5000", **variables)
    assert done.returncode == ExitStatus.UNREACHABLE, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


async def test_who_knows_the_password_is_let_in(guarded: Guarded) -> None:
    settings = load_settings(
        kafka_bootstrap_servers=guarded.for_users,
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_sasl_username="shop",
        kafka_sasl_password="right-password",
    )
    async with admin(settings.kafka) as client:
        assert (await client.describe_cluster())["brokers"]


async def test_who_trusts_the_certificate_is_let_in(guarded: Guarded) -> None:
    settings = load_settings(
        kafka_bootstrap_servers=guarded.tls,
        kafka_security_protocol="SSL",
        kafka_ssl_cafile=guarded.certificate,
    )
    async with admin(settings.kafka) as client:
        assert (await client.describe_cluster())["brokers"]


def test_a_wrong_password_is_said_to_be_one_and_not_shown(guarded: Guarded) -> None:
    told = refused_by_kafka(
        KAFKA_BOOTSTRAP_SERVERS=guarded.for_users,
        KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KAFKA_SASL_USERNAME="shop",
        KAFKA_SASL_PASSWORD="wrong-password",
    )
    assert told.startswith(f"Kafka at {guarded.for_users} does not let the user 'shop' in (")
    assert "BOXOFFICE_KAFKA_SASL_PASSWORD" in told
    assert "running" not in told
    assert "wrong-password" not in told


def test_a_mechanism_that_the_broker_does_not_know_is_named(guarded: Guarded) -> None:
    told = refused_by_kafka(
        KAFKA_BOOTSTRAP_SERVERS=guarded.for_users,
        KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KAFKA_SASL_MECHANISM="SCRAM-SHA-512",
        KAFKA_SASL_USERNAME="shop",
        KAFKA_SASL_PASSWORD="right-password",
    )
    assert "BOXOFFICE_KAFKA_SASL_MECHANISM" in told


def test_one_broker_that_is_gone_does_not_hide_that_another_refuses(guarded: Guarded) -> None:
    for servers in (f"127.0.0.1:1,{guarded.for_users}", f"{guarded.for_users},127.0.0.1:1"):
        told = refused_by_kafka(
            KAFKA_BOOTSTRAP_SERVERS=servers, KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT", KAFKA_SASL_USERNAME="shop"
        )
        assert "does not let the user 'shop' in" in told


def test_a_certificate_that_nobody_trusts_is_said_to_be_one(guarded: Guarded) -> None:
    told = refused_by_kafka(KAFKA_BOOTSTRAP_SERVERS=guarded.tls, KAFKA_SECURITY_PROTOCOL="SSL")
    assert told.startswith(f"The connection to Kafka at {guarded.tls} cannot be secured (certificate verify failed: ")
    assert "BOXOFFICE_KAFKA_SSL" in told


@pytest.mark.parametrize(("protocol", "listener"), [("SSL", "plain"), ("PLAINTEXT", "tls"), ("PLAINTEXT", "for_users")])
def test_who_speaks_otherwise_than_the_listener_is_asked_about_the_protocol(
    guarded: Guarded, protocol: str, listener: str
) -> None:
    told = refused_by_kafka(KAFKA_BOOTSTRAP_SERVERS=getattr(guarded, listener), KAFKA_SECURITY_PROTOCOL=protocol)
    assert "BOXOFFICE_KAFKA_SECURITY_PROTOCOL" in told


# Redis


def refused_by_redis(url: str) -> str:
    done = boxoffice("fallback", "status", REDIS_URL=url)
    assert done.returncode == ExitStatus.UNREACHABLE, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


async def test_redis_says_itself_what_it_refuses(new_redis: NewRedis) -> None:
    server = await new_redis()
    async with Redis.from_url(server.url) as client:
        await ask(client, "ACL", "SETUSER", "shop", "on", ">right", "~*", "&*", "+ping")
        await ask(client, "ACL", "SETUSER", "default", ">secret")
    wrong = await asyncio.to_thread(refused_by_redis, f"redis://shop:wrong-password@{server.address}")
    assert wrong.startswith(f"Redis at redis://***@{server.address} lets nobody in (")
    assert "wrong-password" not in wrong
    assert "running" not in wrong
    none = await asyncio.to_thread(refused_by_redis, f"redis://{server.address}")
    assert "are user and password of BOXOFFICE_REDIS_URL right?" in none
    forbidden = await asyncio.to_thread(refused_by_redis, f"redis://shop:right@{server.address}")
    assert "answers, and does not do what it is asked (NoPermissionError: " in forbidden


async def test_a_cluster_says_itself_what_it_refuses(new_redis: NewRedis) -> None:
    server = await new_redis(options={"cluster-enabled": "yes", "cluster-port": str(free_port())})
    async with Redis.from_url(server.url) as client:
        await ask(client, "ACL", "SETUSER", "default", ">secret")
    told = await asyncio.to_thread(refused_by_redis, f"redis+cluster://:wrong-password@{server.address}")
    assert "lets nobody in" in told
    assert "wrong-password" not in told


@asynccontextmanager
async def tls_server(certificate: Path) -> AsyncIterator[str]:
    """Whoever trusts its certificate is let in, and told nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(lambda _, writer: writer.close(), HOST, 0, ssl=context)
    async with server:
        yield f"{HOST}:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("scheme", ["rediss", "rediss+cluster"])
async def test_a_certificate_of_redis_that_nobody_trusts_is_said_to_be_one(tmp_path: Path, scheme: str) -> None:
    async with tls_server(write_certificate(tmp_path / "certificate.pem")) as address:
        told = await asyncio.to_thread(refused_by_redis, f"{scheme}://:hunter22@{address}")
    assert told.startswith(f"The connection to Redis at {scheme}://***@{address} cannot be secured (")
    assert "certificate verify failed" in told


def test_sentinels_that_name_no_server_are_asked_about() -> None:
    told = refused_by_redis("redis+sentinel://:hunter22@127.0.0.1:1,127.0.0.1:2/shop?sentinel_password=hunter33")
    assert told.startswith("No Sentinel of redis+sentinel://***@127.0.0.1:1,127.0.0.1:2/shop?sentinel_password=***")
    assert "hunter" not in told


def test_a_cluster_with_one_host_in_its_url_is_told_that_several_are_possible() -> None:
    assert "HOST:PORT,HOST:PORT" in refused_by_redis("redis+cluster://127.0.0.1:1")
    assert "HOST:PORT,HOST:PORT" not in refused_by_redis("redis+cluster://127.0.0.1:1,127.0.0.1:2")
    assert "HOST:PORT,HOST:PORT" not in refused_by_redis("redis://127.0.0.1:1")
