"""Certificates are exchanged while processes run: whoever connects next uses those that are there."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.connection import SSLConnection
from structlog.testing import capture_logs

from boxoffice.embedded.authority import Authority
from boxoffice.errors import SettingsError
from boxoffice.kafka import connecting
from boxoffice.kafka.clients import ssl_context
from boxoffice.redis.connection import connect
from boxoffice.securing import RereadContext
from boxoffice.settings import KafkaSettings, load_settings


@pytest.fixture
def old(tmp_path: Path) -> Authority:
    return prepared(tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> Authority:
    return prepared(tmp_path / "new")


def prepared(folder: Path) -> Authority:
    authority = Authority(folder)
    authority.prepare()
    return authority


def replace(path: Path, by: Path) -> None:
    """As a tool does that exchanges certificates: nobody sees half of a file."""
    beside = path.with_suffix(".new")
    beside.write_bytes(by.read_bytes())
    beside.rename(path)


def shakes_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> bool:
    """Whether the two would talk, without a network between them."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        try:
            for end in (ours, theirs):
                with suppress(ssl.SSLWantReadError):
                    end.do_handshake()
        except ssl.SSLError:
            return False
    return ours.version() is not None


def server(authority: Authority, *, asks: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.store("server"))
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.certificate)
    return context


def kafka(**files: Path) -> KafkaSettings:
    named = {f"kafka_ssl_{name}": path for name, path in files.items()}
    return load_settings(kafka_security_protocol="SSL", **named).kafka


def reread(settings: KafkaSettings) -> RereadContext:
    found = ssl_context(settings)
    assert found is not None
    return found


def test_who_connects_next_trusts_the_new_authority_and_not_the_old_one(
    old: Authority, new: Authority, tmp_path: Path
) -> None:
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(old.certificate.read_bytes())
    context = reread(kafka(cafile=trusted))
    assert shakes_hands(context.newest(), server(old))
    assert context.newest() is context.newest()
    replace(trusted, new.certificate)
    assert shakes_hands(context.newest(), server(new))
    assert not shakes_hands(context.newest(), server(old))


def test_who_connects_next_shows_the_new_certificate(old: Authority, new: Authority, tmp_path: Path) -> None:
    own, trusted = tmp_path / "own.pem", tmp_path / "ca.pem"
    own.write_bytes(old.store("shop").read_bytes())
    trusted.write_bytes(old.certificate.read_bytes() + new.certificate.read_bytes())
    context = reread(kafka(cafile=trusted, certfile=own))
    assert shakes_hands(context.newest(), server(old, asks=True))
    replace(own, new.store("shop"))
    assert shakes_hands(context.newest(), server(new, asks=True))


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nhalf", None], ids=["empty", "half", "gone"])
def test_while_a_file_cannot_be_read_the_old_one_holds_and_that_is_said_once(
    old: Authority, new: Authority, tmp_path: Path, content: bytes | None
) -> None:
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(old.certificate.read_bytes())
    context = reread(kafka(cafile=trusted))
    first = context.newest()
    with capture_logs() as logged:
        if content is None:
            trusted.unlink()
        else:
            trusted.write_bytes(content)
        assert [context.newest() for _ in range(3)] == [first] * 3
    assert [line["log_level"] for line in logged] == ["warning"]
    trusted.write_bytes(new.certificate.read_bytes())
    assert shakes_hands(context.newest(), server(new))


def test_what_cannot_be_read_at_the_start_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="BOXOFFICE_KAFKA_SSL files cannot be used"):
        ssl_context(kafka(cafile=tmp_path / "nothing.pem"))


async def test_every_client_of_kafka_connects_with_what_is_newest(
    old: Authority, new: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(old.certificate.read_bytes())
    context, used = reread(kafka(cafile=trusted)), []

    async def connecting_with(*_: Any, **options: Any) -> None:
        used.append(options["ssl_context"])

    monkeypatch.setattr(connecting, "_create_connection", connecting_with)
    await connecting._noting("127.0.0.1", 1, ssl_context=context)
    replace(trusted, new.certificate)
    await connecting._noting("127.0.0.1", 1, ssl_context=context)
    assert [shakes_hands(one, server(new)) for one in used] == [False, True]


@pytest.mark.parametrize("kind", ["rediss", "rediss+sentinel", "rediss+cluster"])
def test_so_does_every_connection_to_redis(old: Authority, new: Authority, tmp_path: Path, kind: str) -> None:
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(old.certificate.read_bytes())
    service = "/shop" if kind == "rediss+sentinel" else ""
    client: Any = connect(load_settings(redis_url=f"{kind}://127.0.0.1:1{service}?ssl_ca_certs={trusted}").redis)
    options = client.connection_kwargs if kind == "rediss+cluster" else client.connection_pool.connection_kwargs
    wanted = {name: value for name, value in options.items() if name.startswith("ssl_")}
    connection = SSLConnection(**wanted)
    assert shakes_hands(connection.ssl_context.get(), server(old))
    replace(trusted, new.certificate)
    assert shakes_hands(connection.ssl_context.get(), server(new))
    assert not shakes_hands(connection.ssl_context.get(), server(old))
