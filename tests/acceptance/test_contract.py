"""The gateway does what its OpenAPI document says, whatever is asked of it."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from boxoffice.schema import openapi
from tests.acceptance.contract.events import ENDED, SOLD
from tests.support.gateways import Door, new_key
from tests.support.http_guide import Call, Shown, calls
from tests.support.office import POLL_S, ROOT, Office
from tests.support.workload import creations

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TOLD = Path(__file__).with_name("contract")
EVENT, CAPACITY = SOLD, 100_000
EXAMPLES = 40
ELSEWHERE = {"operating"}
"""Tags of requests that need more than a gateway and a worker, or are answered on another port."""
NEEDS_DOCUMENTS = "/v1/events/42/tickets/42-000001.pdf"


@pytest.fixture
async def door(office: Office) -> Door:
    """A gateway of a box office that sells, and counts what it sells."""
    office.start()
    office.start("stats")
    # A key that nobody knows counts as a hundred requests of its address, and many are tried.
    limits = dict.fromkeys(("RATE", "BURST", "ADDRESS_RATE", "ADDRESS_BURST"), "1000000")
    opened = Door(office, **{f"BOXOFFICE_GATEWAY_{limit}": most for limit, most in limits.items()})
    await office.send(creations([EVENT], CAPACITY))
    await opened.ready()
    await office.answered()
    return opened


@pytest.mark.skipif(importlib.util.find_spec("schemathesis") is None, reason="schemathesis is not installed")
async def test_schemathesis_finds_nothing(door: Door, office: Office, tmp_path: Path) -> None:
    await office.send(creations([ENDED], CAPACITY))
    key = await new_key(office, "buy", "read", "events")
    streams = [path for path in openapi()["paths"] if path.endswith("/stream")]
    command = [
        *(str(Path(sys.executable).with_name("st")), "--config-file", str(TOLD / "schemathesis.toml"), "--no-color"),
        *("run", f"{door.base}/openapi.json", "--url", door.base, "--phases", "examples,coverage,fuzzing"),
        *("--max-examples", str(EXAMPLES), "--header", f"Authorization: Bearer {key}"),
        *(word for path in streams for word in ("--exclude-path", path)),
        *(word for tag in ELSEWHERE for word in ("--exclude-tag", tag)),
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.acceptance.contract.hooks", "PYTHONPATH": str(ROOT)}
    said = tmp_path / "schemathesis.log"
    with said.open("w") as log:
        running = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, env=environment, stdout=log, stderr=asyncio.subprocess.STDOUT
        )
        status = await running.wait()
    assert status == 0, said.read_text()[-20_000:]
    assert "a request failed" not in door.process.log_text()
    assert key not in door.process.log_text()


async def test_the_document_is_served(door: Door) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{door.base}/openapi.json") as response:
        assert (response.status, response.headers["content-type"]) == (200, "application/json")
        assert await response.json() == openapi()


async def test_what_is_documented_is_there_and_nothing_else(door: Door) -> None:
    """Without a key: whoever is asked for one is there."""
    async with aiohttp.ClientSession() as session:
        for path, methods in openapi()["paths"].items():
            if any("servers" in document for document in methods.values()):
                continue
            place = door.base + re.sub(r"\{(\w+)\}", lambda found: EXAMPLE[found[1]], path)
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
                async with session.request(method, place) as response:
                    problem = await _problem(response)
                    if method.lower() in methods:
                        assert problem not in {"not-found", "method-not-allowed"}, (method, path)
                    else:
                        assert (response.status, problem) == (405, "method-not-allowed"), (method, path)
                        allowed = set(response.headers["allow"].split(", ")) - {"HEAD", "OPTIONS"}
                        assert allowed == {name.upper() for name in methods}, path


EXAMPLE = {"event": EVENT, "key": "order-1", "ticket": "42-000001", "name": "sold-out"}


async def _problem(response: aiohttp.ClientResponse) -> str | None:
    if response.content_type != "application/problem+json":
        return None
    return str((await response.json())["type"]).rpartition("/")[2]


# docs/http.md


async def test_the_guides_calls_are_answered_as_it_says(door: Door, office: Office) -> None:
    variables = {
        "GATEWAY": door.base,
        "KEY": await new_key(office, "buy"),
        "EVENTS_KEY": await new_key(office, "events"),
    }
    tried = [call for call in calls() if call.answer is not None and call.path != NEEDS_DOCUMENTS]
    for call in tried:
        await _try(call, variables)
    assert len(tried) > 8


async def _try(call: Call, variables: dict[str, str]) -> None:
    assert call.answer is not None
    got = await _answered(call, call.answer, variables)
    assert got.status == call.answer.status, (str(call), got.body)
    assert {name.lower() for name in call.answer.headers} <= got.headers.keys(), str(call)
    if call.answer.body is not None:
        told = json.loads(got.body)
        assert told.keys() == call.answer.body.keys(), str(call)
        assert told["type"] == call.answer.body["type"], str(call)


async def _answered(call: Call, shown: Shown, variables: dict[str, str]) -> _Got:
    """What a call gets; figures come a moment after the sale."""
    async with asyncio.timeout(60):
        while True:
            got = await _curl(call.script, variables)
            if call.method != "GET" or got.status == shown.status:
                return got
            await asyncio.sleep(POLL_S)


class _Got(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str


async def _curl(script: str, variables: dict[str, str]) -> _Got:
    running = await asyncio.create_subprocess_exec(
        "bash", "-ec", script, env={**os.environ, **variables}, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await running.communicate()
    assert running.returncode == 0, script
    head, _, body = output.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return _Got(int(first.split()[1]), {name.lower(): value for name, value in headers.items()}, body)
