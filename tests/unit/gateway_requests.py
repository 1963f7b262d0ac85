"""Requests as the gateway gets them, and callers for them, without a server."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

from boxoffice.gateway.admission import Admission
from boxoffice.gateway.callers import Callers
from boxoffice.gateway.limits import Rate, Waiting
from boxoffice.gateway.messages import Pending, Request, Response, Steps
from boxoffice.gateway.service import Gateway
from models.api_keys import ApiKey, KeptSecret, Scope, digest, new_key, new_order_secret
from tests.support.asking import until_over

ADDRESS = "192.0.2.1"


def request(
    method: str = "GET",
    path: str = "/",
    body: Any = None,
    *,
    query: str = "",
    address: str = ADDRESS,
    key: str | None = None,
    **headers: str,
) -> Request:
    """A request; a header's name has _ for -."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if key is not None:
        given["authorization"] = f"Bearer {key}"
    return Request(method, path, query, given.get, b"" if body is None else json.dumps(body).encode(), address)


class KnownCallers:
    """Callers whose keys are known."""

    def __init__(self) -> None:
        self.callers = Callers()

    def add(self, caller_id: str, *scopes: Scope, **members: Any) -> str:
        """A caller's key."""
        key = new_key(caller_id)
        caller = ApiKey(
            id=caller_id,
            name="a shop",
            scopes=scopes,
            secrets=(KeptSecret(sha256=digest(key)),),
            created_at="2026-11-30T10:00:00Z",
            **{"order_secret": new_order_secret(), **members},
        )
        self.callers.take(caller_id.encode(), caller.model_dump_json().encode())
        return key

    def find(self, caller_id: str) -> ApiKey:
        """A caller."""
        found = self.callers.called(caller_id)
        assert found is not None
        return found


def admission(
    callers: Callers,
    rate: Rate | None = None,
    address_rate: Rate | None = None,
    waiting: Waiting | None = None,
    reading: Waiting | None = None,
) -> Admission:
    """Lets in whom it knows, as often as they like unless a rate is given."""
    return Admission(
        callers,
        rate or Rate(1_000_000, 1_000_000),
        address_rate or Rate(1_000_000, 1_000_000),
        waiting or Waiting(100, 100),
        reading or Waiting(100, 100),
    )


async def ended(pending: Pending) -> Pending:
    """What is waited for; whoever does not wait any more lets it go, as a connection does that is lost."""
    with suppress(asyncio.CancelledError):
        await until_over(pending)
    return pending


def answer_of(steps: Steps) -> Response | Pending:
    """What all steps come to."""
    return next(answer for answer in steps if answer is not None)


async def answered(steps: Steps) -> Response:
    """What a command is answered."""
    pending = answer_of(steps)
    assert isinstance(pending, Pending)
    return _given((await ended(pending)).response())


async def responded(gateway: Gateway, asks: Request) -> Response:
    """What a gateway answers, whether that has to be waited for or not."""
    answer = answer_of(gateway.respond(asks))
    return _given(gateway.late(asks, await ended(answer))) if isinstance(answer, Pending) else answer


def _given(response: Response | None) -> Response:
    """What whoever asked is given, if he has not gone away."""
    if response is None:
        raise asyncio.CancelledError
    return response
