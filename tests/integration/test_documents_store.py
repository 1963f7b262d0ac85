"""The store keeps documents whole or not at all, in a folder and in a bucket, and waits while it cannot."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from boxoffice.documents.cleaning import Cleaner
from boxoffice.documents.errors import StoreError
from boxoffice.documents.store import DocumentStore
from boxoffice.settings import Settings, load_settings
from models.documents import read_announcement
from tests.support.office import Office
from tests.support.paperwork import dealt_with
from tests.support.settings import changed
from tests.support.workload import Sent, event_ids
from tests.unit.records import creation, purchase

QUICK = {"documents_first_retry_ms": 10, "documents_longest_retry_ms": 50}


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A real S3 server, moto's; its address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + 30
        while True:
            with suppress(OSError):
                _ask(address, "GET", "/moto-api/")
                break
            assert time.monotonic() < deadline_s, "the S3 server does not answer"
            time.sleep(0.05)
        yield address
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def bucket(s3_server: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a bucket that is there, and whose server and keys are in the environment."""
    for name, value in s3_environment(s3_server).items():
        monkeypatch.setenv(name, value)
    create_bucket(s3_server, prefix.rstrip("-"))
    return prefix.rstrip("-")


def s3_environment(address: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }


def create_bucket(address: str, name: str) -> None:
    _ask(address, "PUT", f"/{name}")


def _ask(address: str, method: str, path: str) -> None:
    client = HTTPConnection(address.removeprefix("http://"), timeout=10)
    try:
        client.request(method, path)
        assert client.getresponse().status == HTTPStatus.OK
    finally:
        client.close()


@pytest.fixture(params=["folder", "s3"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "folder":
        return load_settings(documents_url=(tmp_path / "documents").as_uri(), **QUICK)
    return load_settings(documents_url=f"s3://{request.getfixturevalue('bucket')}/some/folder", **QUICK)


@pytest.fixture
def store(settings: Settings) -> DocumentStore:
    return DocumentStore(settings.documents)


async def names(store: DocumentStore) -> list[str]:
    return sorted([document.name async for some in store.documents() for document in some])


async def test_what_was_put_is_read_listed_and_removed(store: DocumentStore) -> None:
    assert await names(store) == []
    await store.put("42/42-000001.r:1.pdf", b"one")
    await store.put("42/42-000001.r:1.pdf", b"two")
    await store.put("43/43-000001.r-1.pdf", b"three")
    assert await store.read("42/42-000001.r:1.pdf") == b"two"
    assert await names(store) == ["42/42-000001.r:1.pdf", "43/43-000001.r-1.pdf"]
    assert sorted(await store.folders()) == ["42", "43"]
    for _ in range(2):
        await store.remove("42/42-000001.r:1.pdf")
    assert await store.read("42/42-000001.r:1.pdf") is None
    await store.discard(["43/43-000001.r-1.pdf", "43/43-000002.r-1.pdf"])
    assert await names(store) == []


async def test_a_ticket_s_documents_are_found_among_thousands_of_names(store: DocumentStore) -> None:
    for name in ("42/42-000001.r-1.pdf", "42/42-000001.r-2.pdf", "42/42-0000010.r-1.pdf", "42/42-000002.r-1.pdf"):
        await store.put(name, b"pdf")
    found = await store.beginning_with("42/42-000001.")
    assert sorted(document.name for document in found) == ["42/42-000001.r-1.pdf", "42/42-000001.r-2.pdf"]
    assert await store.beginning_with("7/7-000001.") == []


async def test_old_documents_are_removed_and_it_is_said_how_many(store: DocumentStore, settings: Settings) -> None:
    for number in range(5):
        await store.put(f"42/42-00000{number}.r-1.pdf", b"12345")
    await Cleaner(settings.documents, store).clean()
    await Cleaner(changed(settings, documents_max_age_days=1).documents, store).clean()
    assert len(await names(store)) == 5
    # A bucket's clock counts in seconds.
    await asyncio.sleep(1.1)
    with capture_logs() as logs:
        await Cleaner(changed(settings, documents_max_age_days=1 / 86_400).documents, store).clean()
    assert await names(store) == []
    [said] = [line for line in logs if line["event"] == "removed old documents"]
    assert (said["event_id"], said["documents"], said["size_bytes"]) == ("42", 5, 25)


async def test_what_a_crash_left_half_written_is_removed_once_it_is_stale(tmp_path: Path) -> None:
    settings = load_settings(documents_url=tmp_path.as_uri())
    folder = tmp_path / "42"
    folder.mkdir()
    stale, fresh, whole, foreign = (
        folder / name for name in ("42-000001.r-1.pdf#1", "42-000002.r-1.pdf#12", "42-000003.r-1.pdf", "notes#1")
    )
    for path in (stale, fresh, whole, foreign):
        path.write_bytes(b"%PDF-")
    for path in (stale, whole, foreign):
        os.utime(path, (0, 0))
    await Cleaner(settings.documents, DocumentStore(settings.documents)).clean()
    assert sorted(folder.iterdir()) == sorted([fresh, whole, foreign])


async def test_a_half_written_file_is_in_nobody_s_way(tmp_path: Path) -> None:
    store = DocumentStore(load_settings(documents_url=tmp_path.as_uri()).documents)
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "42-000001.r-1.pdf#1").write_bytes(b"half")
    await store.put("42/42-000001.r-1.pdf", b"whole")
    assert await store.read("42/42-000001.r-1.pdf") == b"whole"
    assert await names(store) == ["42/42-000001.r-1.pdf"]


async def test_a_put_waits_until_the_store_works_and_it_is_said_once(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.touch()
    store = DocumentStore(load_settings(documents_url=folder.as_uri(), **QUICK).documents)
    with capture_logs() as logs:
        putting = asyncio.gather(*(store.put(f"42/42-{number:06d}.r-1.pdf", b"pdf") for number in range(50)))
        await asyncio.sleep(0.5)
        assert (store.failing, putting.done()) == (True, False)
        folder.unlink()
        await asyncio.wait_for(putting, timeout=5)
    assert (store.failing, putting.done()) == (False, True)
    assert [line["event"] for line in logs] == [
        "the document store fails: documents wait, sales go on",
        "the document store works again",
    ]
    assert len(await names(store)) == 50


async def test_a_bucket_that_is_missing_is_waited_for(s3_server: str, bucket: str) -> None:
    store = DocumentStore(load_settings(documents_url=f"s3://{bucket}-late/x", **QUICK).documents)
    putting = asyncio.create_task(store.put("42/42-000001.r-1.pdf", b"pdf"))
    await asyncio.sleep(0.5)
    assert not putting.done()
    create_bucket(s3_server, f"{bucket}-late")
    await asyncio.wait_for(putting, timeout=5)
    assert await store.read("42/42-000001.r-1.pdf") == b"pdf"


async def test_a_store_that_cannot_be_read_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "documents"
    folder.touch()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    for url in (folder.as_uri(), "s3://bucket/folder"):
        store = DocumentStore(load_settings(documents_url=url).documents)
        with pytest.raises(StoreError, match=r"^The document store \S+ cannot be used .*BOXOFFICE_DOCUMENTS_URL"):
            await names(store)


async def test_the_process_keeps_its_documents_in_a_bucket(
    office: Office, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BOXOFFICE_DOCUMENTS_URL", f"s3://{bucket}/tickets")
    monkeypatch.setenv("BOXOFFICE_HEALTH_PORT", "0")
    settings = changed(office.settings, documents_url=f"s3://{bucket}/tickets")
    [event_id] = event_ids(20261126, 1)
    commands = [creation(event_id, 20), *(purchase(f"r-{number}", event_id) for number in range(20))]
    selling, making = office.start(), office.start("documents")
    await office.ready(selling)
    await office.send([Sent(event_id.encode(), json.dumps(command).encode()) for command in commands])
    await office.answered()
    await dealt_with(settings, process=making)
    assert len(await names(DocumentStore(settings.documents))) == 20
    out = tmp_path / "ticket.pdf"
    done = await office.run("ticket", f"{event_id}-000001", "--out", str(out))
    assert (done.returncode, done.stderr) == (0, "")
    [announced] = [
        read_announcement(record.value)
        for record in await office.read(f"{settings.kafka.topic_prefix}ticket-documents")
        if f"{event_id}-000001" in str(record.value)
    ]
    assert announced["type"] == "document_made"
    assert announced["location"] == f"s3://{bucket}/tickets/{event_id}/{event_id}-000001.r-0.pdf"
    assert announced["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
