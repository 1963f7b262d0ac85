"""The store keeps documents whole or not at all, in a folder and in a bucket, and waits while it cannot."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import pytest
from obstore import sign_async
from obstore.store import S3Store
from structlog.testing import capture_logs

from boxoffice.documents.cleaning import Cleaner
from boxoffice.embedded.environment import DOCUMENTS_URL, documents_variables
from boxoffice.settings import Settings, load_settings
from boxoffice.storage.errors import NoStoreError, StoreError
from boxoffice.storage.store import DocumentStore
from models.documents import document_name, read_announcement
from tests.support.buckets import create_bucket, s3_environment
from tests.support.office import Office
from tests.support.paperwork import dealt_with
from tests.support.settings import changed
from tests.support.workload import Sent, event_ids
from tests.unit.records import creation, purchase

QUICK = {"documents_first_retry_ms": 10, "documents_longest_retry_ms": 50}


@pytest.mark.parametrize("name", ["bü, r:o 🎫", "a?b#c%20d 'e'", os.fsdecode(b"latin-\xfc")])
async def test_a_folder_of_any_name_is_the_one_that_its_url_says(tmp_path: Path, name: str) -> None:
    """As ``boxoffice up`` writes the URL."""
    folder = tmp_path / name
    settings = load_settings(documents_url=documents_variables(folder)[DOCUMENTS_URL]).documents
    store = DocumentStore(settings)
    assert store.folder == folder
    if name.isprintable():  # what is no UTF-8 the store itself cannot name
        await store.put("42/42-000001.r-1.pdf", b"%PDF-")
        assert (folder / "42" / "42-000001.r-1.pdf").read_bytes() == b"%PDF-"
        assert await store.read("42/42-000001.r-1.pdf") == b"%PDF-"


@pytest.fixture
def bucket(s3_server: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a bucket that is there, and whose server and keys are in the environment."""
    for name, value in s3_environment(s3_server).items():
        monkeypatch.setenv(name, value)
    create_bucket(s3_server, prefix.rstrip("-"))
    return prefix.rstrip("-")


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
    await store.make()
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


def begins_in(days: float) -> str:
    """When an event begins, in so many days."""
    return (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="seconds")


async def nothing_known(_: Iterable[str]) -> dict[str, str]:
    return {}


async def test_documents_are_removed_so_long_after_their_event_and_it_is_said_how_many(
    store: DocumentStore, settings: Settings
) -> None:
    """Whenever they were made: a ticket that was bought months before the show is there at the show."""
    events = {"42": begins_in(-30.5), "43": begins_in(-29.5), "44": begins_in(300)}
    for event_id in (*events, "45"):
        for number in range(5):
            await store.put(f"{event_id}/{event_id}-00000{number}.r-1.pdf", b"12345")

    async def found(event_ids: Iterable[str]) -> dict[str, str]:
        return {event_id: events[event_id] for event_id in event_ids if event_id in events}

    await Cleaner(settings.documents, store, found).clean()
    assert len(await names(store)) == 20
    with capture_logs() as logs:
        await Cleaner(changed(settings, documents_kept_after_event_days=30).documents, store, found).clean()
    # Of 45 nobody knows whether it is over.
    assert {name.partition("/")[0] for name in await names(store)} == {"43", "44", "45"}
    assert len(await names(store)) == 15
    [said] = [line for line in logs if line["event"] == "removed the documents of an event that is over"]
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
    await Cleaner(settings.documents, DocumentStore(settings.documents), nothing_known).clean()
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


async def test_a_browser_shows_a_document_from_a_bucket_and_keeps_none(s3_server: str, bucket: str) -> None:
    store = DocumentStore(load_settings(documents_url=f"s3://{bucket}/tickets", **QUICK).documents)
    await store.put("42/42-000001.R-1=1.pdf", b"%PDF-")
    # As a web site lets its visitors have it.
    url = await sign_async(S3Store(bucket), "GET", "tickets/42/42-000001.R-1=1.pdf", timedelta(minutes=1))
    client = HTTPConnection(s3_server.removeprefix("http://"), timeout=10)
    client.request("GET", url.removeprefix(s3_server))
    answer = client.getresponse()
    assert (answer.status, answer.read()) == (HTTPStatus.OK, b"%PDF-")
    assert answer.getheader("Content-Type") == "application/pdf"
    assert answer.getheader("Content-Disposition") == 'inline; filename="42-000001.pdf"'
    assert answer.getheader("Cache-Control") == "private, no-store"
    client.close()


async def test_a_reader_makes_no_store_and_says_where_it_looked(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    store = DocumentStore(load_settings(documents_url=folder.as_uri()).documents)
    reads: list[Callable[[], Awaitable[object]]] = [
        lambda: store.read("42/42-000001.r-1.pdf"),
        lambda: store.beginning_with("42/42-000001."),
        lambda: names(store),
        store.folders,
        store.reach,
    ]
    for read in reads:
        with pytest.raises(NoStoreError, match=f"^There is no document store {folder.as_uri()}: .*DOCUMENTS_URL"):
            await read()
    assert not folder.exists()
    # As soon as there is one, it is found.
    await DocumentStore(load_settings(documents_url=folder.as_uri()).documents).put("42/42-000001.r-1.pdf", b"pdf")
    assert await store.read("42/42-000001.r-1.pdf") == b"pdf"


async def test_only_its_own_user_can_get_into_a_folder_that_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "documents"
    umask = os.umask(0)
    try:
        await DocumentStore(load_settings(documents_url=folder.as_uri()).documents).put("42/42-000001.r-1.pdf", b"pdf")
    finally:
        os.umask(umask)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    # What somebody has set otherwise stays: it may be meant.
    folder.chmod(0o750)
    await DocumentStore(load_settings(documents_url=folder.as_uri()).documents).make()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
async def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    os.chown(folder, 4711, -1)
    store = DocumentStore(load_settings(documents_url=folder.as_uri(), **QUICK).documents)
    with pytest.raises(StoreError, match="belongs to user 4711"):
        await store.make()
    # Not either once it was read, and until it is given back.
    assert await names(store) == []
    putting = asyncio.create_task(store.put("42/42-000001.r-1.pdf", b"pdf"))
    async with asyncio.timeout(5):
        while not store.failing:
            await asyncio.sleep(0.01)
    assert list(folder.iterdir()) == []
    os.chown(folder, os.geteuid(), -1)
    await asyncio.wait_for(putting, timeout=5)
    assert await names(store) == ["42/42-000001.r-1.pdf"]


async def test_two_purchases_that_differ_in_case_alone_have_a_document_each(store: DocumentStore) -> None:
    for purchase_id in ("r-1", "R-1"):
        await store.put(document_name("42", "42-000001", purchase_id), purchase_id.encode())
    assert len({name.casefold() for name in await names(store)}) == 2
    for purchase_id in ("r-1", "R-1"):
        assert await store.read(document_name("42", "42-000001", purchase_id)) == purchase_id.encode()


async def test_where_case_does_not_count_nothing_but_the_very_name_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that folds case, as far as looking goes: what is asked for under another case is there too."""
    store = DocumentStore(load_settings(documents_url=tmp_path.as_uri(), **QUICK).documents)
    await store.put("42/42-000001.r-1.pdf", b"pdf")
    there = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: there(path) or there(path.with_name(path.name.lower())))
    await store.remove("42/42-000001.R-1.pdf")
    assert await names(store) == ["42/42-000001.r-1.pdf"]
    await store.remove("42/42-000001.r-1.pdf")
    assert await names(store) == []
