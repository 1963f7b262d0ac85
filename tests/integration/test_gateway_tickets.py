"""Tickets over HTTP: drawn by the documents process, handed out by the gateway or by the store itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.integration.test_gateway_requests import ORDER, PURCHASES, answer_once
from tests.support.buckets import create_bucket, s3_environment
from tests.support.gateways import Door, new_key
from tests.support.office import Office
from tests.support.workload import creations


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def bought(
    office: Office, session: aiohttp.ClientSession, **documents: str
) -> tuple[Door, str, dict[str, Any], str]:
    """A gateway, a key of it, what was bought by that, and the address of its first ticket's document."""
    office.start()
    await office.ready(office.start("documents", **documents))
    door = Door(office, **documents)
    await office.send(creations(["42"], 3))
    key = await new_key(office, "buy")
    await door.ready()
    await office.answered()
    status, fact, headers = await door.post(session, PURCHASES, key, "k-1", ORDER)
    assert status == 201
    secret = headers["location"].partition("secret=")[2]
    return door, key, fact, f"/v1/events/42/tickets/{fact['tickets'][0]}.pdf?request=k-1&secret={secret}"


async def test_a_ticket_is_handed_out_until_it_is_given_back(
    office: Office, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    folder = tmp_path / "documents"
    door, key, fact, path = await bought(office, session, BOXOFFICE_DOCUMENTS_URL=folder.as_uri())
    status, pdf, headers = await answer_once(lambda: door.get(session, path), 200)
    assert pdf.startswith(b"%PDF-")
    assert headers["content-type"] == "application/pdf"
    assert headers["content-disposition"] == f'inline; filename="{fact["tickets"][0]}.pdf"'
    assert headers.getall("cache-control") == ["private, no-cache"]
    status, body, again = await door.get(session, path, if_none_match=headers["etag"])
    assert (status, body, again["etag"]) == (304, b"", headers["etag"])
    status, body, of_head = await door.get(session, path, method="HEAD")
    assert (status, body, of_head["content-length"]) == (200, b"", str(len(pdf)))
    own = path.partition("&")[0]
    assert (await door.get(session, own, key)).body == pdf
    other = await new_key(office, "buy")
    assert (await door.get(session, own, other)).status == 404
    refused = [
        (await door.get(session, own)).status,
        (await door.get(session, path[:-1])).status,
        (await door.get(session, path.replace(fact["tickets"][0], "42-000003"))).status,
        (await door.get(session, path.replace(fact["tickets"][0], "43-000001"))).status,
        (await door.get(session, path.replace("tickets/", "tickets/..%2f42%2f"))).status,
    ]
    assert refused == [401, 403, 404, 404, 404]
    assert (await door.post(session, f"{PURCHASES}/k-1/cancellation", key, "x-1")).status == 201
    status, problem, _ = await door.get(session, path)
    assert (status, problem["type"]) == (410, "/v1/problems/ticket-cancelled")


async def test_a_ticket_that_is_not_drawn_yet_is_asked_for_again(
    office: Office, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    office.start()
    door = Door(office, BOXOFFICE_DOCUMENTS_URL=(tmp_path / "documents").as_uri())
    await office.send(creations(["42"], 3))
    key = await new_key(office, "buy")
    await door.ready()
    await office.answered()
    (tmp_path / "documents").mkdir()
    assert (await door.post(session, PURCHASES, key, "k-1", ORDER)).status == 201
    status, problem, headers = await door.get(session, "/v1/events/42/tickets/42-000001.pdf?request=k-1", key)
    assert (status, problem["type"], headers["retry-after"]) == (404, "/v1/problems/not-yet", "2")


async def test_a_bucket_hands_a_ticket_out_itself(
    office: Office,
    session: aiohttp.ClientSession,
    s3_server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in s3_environment(s3_server).items():
        monkeypatch.setenv(name, value)
    bucket = office.settings.kafka.topic_prefix.rstrip("-")
    create_bucket(s3_server, bucket)
    door, _, _, path = await bought(office, session, BOXOFFICE_DOCUMENTS_URL=f"s3://{bucket}/tickets")
    headers = (await answer_once(lambda: door.get(session, path), 303)).headers
    assert headers["location"].startswith(f"{s3_server}/{bucket}/tickets/42/42-000001.")
    async with session.get(URL(headers["location"], encoded=True)) as response:
        assert response.status == 200
        assert (await response.read()).startswith(b"%PDF-")
    assert "Signature" not in door.process.log_text()
