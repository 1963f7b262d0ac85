"""Gateways as an operator runs them, and callers with keys."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import aiohttp

from boxoffice.embedded.ports import free_port
from tests.support.office import Office, Process, until


class Answer(NamedTuple):
    """What a caller got."""

    status: int
    body: Any
    headers: Any


class Door:
    """A gateway's process, and how it is spoken to."""

    def __init__(self, office: Office, **environment: str) -> None:
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.process: Process = office.start("gateway", BOXOFFICE_GATEWAY_PORT=str(self.port), **environment)

    async def ready(self) -> None:
        """Wait until it listens."""
        await until(lambda: "the gateway listens" in self.process.log_text(), 60, "the gateway to listen")

    async def post(
        self, session: aiohttp.ClientSession, path: str, key: str, request: str, body: Any = None, **headers: str
    ) -> Answer:
        """Send a command."""
        sent = {"authorization": f"Bearer {key}", "idempotency-key": request, **headers}
        async with session.post(self.base + path, json=body, headers=sent) as response:
            text = await response.read()
            return Answer(response.status, json.loads(text) if text else None, response.headers)

    async def get(
        self, session: aiohttp.ClientSession, path: str, key: str | None = None, method: str = "GET", **headers: str
    ) -> Answer:
        """Look at something; a header's name has _ for -. The body is JSON where it says so, else bytes."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["authorization"] = f"Bearer {key}"
        async with session.request(method, self.base + path, headers=sent, allow_redirects=False) as response:
            text = await response.read()
            is_json = bool(text) and response.content_type.endswith("json")
            return Answer(response.status, json.loads(text) if is_json else text, response.headers)


async def new_key(office: Office, *scopes: str, **options: str) -> str:
    """A key that was made on the command line."""
    arguments = [word for scope in scopes for word in ("--scope", scope)]
    arguments += [word for name, value in options.items() for word in (f"--{name}", value)]
    made = await office.run("keys", "create", *arguments, "--json")
    assert made.returncode == 0, made.stderr
    return str(json.loads(made.stdout)["key"])
