"""A crowd that buys over HTTP while parts of the box office die, and asks again with the same key until it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from tests.deployment.host import DeploymentError

EVENTS: Final = 10
CAPACITY: Final = 100
BUYERS: Final = 20
_PATIENCE_S: Final = 120
_ANSWER_WITHIN_S: Final = 45
_AGAIN_S: Final = 0.3
_FIRST_EVENT: Final = 4_001


@dataclass
class Crowd:
    """Buys every ticket of some events, one by one."""

    url: str
    key: str
    sold: dict[str, str] = field(default_factory=dict)
    """Which order has which ticket."""
    asked_again: int = 0

    @property
    def events(self) -> range:
        """Their numbers."""
        return range(_FIRST_EVENT, _FIRST_EVENT + EVENTS)

    async def buy(self, disasters: Mapping[int, Callable[[], Awaitable[object]]]) -> None:
        """Buy all tickets; when so many are sold, something happens.

        Raises:
            DeploymentError: an order was not answered, or a ticket was sold twice.
        """
        timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for event in self.events:
                await self._ask(session, "/v1/events", f"event-{event}", _event(event))
            waiting = asyncio.Queue[int]()
            for number in range(EVENTS * CAPACITY):
                waiting.put_nowait(number)
            async with asyncio.TaskGroup() as tasks:
                for _ in range(BUYERS):
                    tasks.create_task(self._buyer(session, waiting, dict(disasters), tasks))

    async def fetch_a_ticket(self) -> None:
        """As a PDF, which one process has made and another hands out.

        Raises:
            DeploymentError: it is not to be had.
        """
        order, ticket = next(iter(self.sold.items()))
        url = f"{self.url}/v1/events/{ticket.partition('-')[0]}/tickets/{ticket}.pdf?request={order}"
        until_s = asyncio.get_running_loop().time() + _PATIENCE_S
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {self.key}"}) as session:
            while True:
                async with session.get(url) as response:
                    body = await response.read()
                    if response.ok and body.startswith(b"%PDF"):
                        return
                if asyncio.get_running_loop().time() > until_s:
                    raise DeploymentError(f"The ticket {ticket} was not to be had: {body[:1000]!r}")
                await asyncio.sleep(_AGAIN_S)

    async def _buyer(
        self,
        session: aiohttp.ClientSession,
        waiting: asyncio.Queue[int],
        disasters: Mapping[int, Callable[[], Awaitable[object]]],
        tasks: asyncio.TaskGroup,
    ) -> None:
        while not waiting.empty():
            number = waiting.get_nowait()
            event = self.events[number % EVENTS]
            fact = await self._ask(
                session, f"/v1/events/{event}/purchases", f"order-{number}", {"buyer": f"b-{number}", "quantity": 1}
            )
            [ticket] = fact["tickets"]
            if ticket in self.sold.values():
                raise DeploymentError(f"The ticket {ticket} was sold twice.")
            self.sold[f"order-{number}"] = ticket
            if (disaster := disasters.get(len(self.sold))) is not None:
                tasks.create_task(_happening(disaster))

    async def _ask(self, session: aiohttp.ClientSession, path: str, key: str, body: Mapping[str, Any]) -> Any:
        """The fact that answers; asked again for as long as nobody can say."""
        headers = {"Authorization": f"Bearer {self.key}", "Idempotency-Key": key}
        until_s = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            try:
                async with session.post(self.url + path, json=body, headers=headers) as response:
                    status, told = response.status, await response.json(content_type=None)
            except (aiohttp.ClientError, TimeoutError) as error:
                status, told = 0, repr(error)
            if status == HTTPStatus.CREATED:
                return told
            if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _AGAIN:
                raise DeploymentError(f"{path} with the key {key} was answered with {status}: {told}")
            if asyncio.get_running_loop().time() > until_s:
                raise DeploymentError(f"{path} with the key {key} was not answered: {status} {told}")
            self.asked_again += 1
            await asyncio.sleep(_AGAIN_S)


_AGAIN: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
"""What ends by itself: a gateway may not have heard of a new key yet."""


async def _happening(disaster: Callable[[], Awaitable[object]]) -> None:
    await disaster()


def _event(number: int) -> Mapping[str, Any]:
    return {
        "event_id": str(number),
        "name": f"Evening {number}",
        "venue": "Main Hall",
        "starts_at": "2027-03-01T19:30:00+01:00",
        "capacity": CAPACITY,
        "price": {"amount": 4500, "currency": "EUR"},
    }
