"""The live process' rooms: which request is whose, and what it is answered."""

from __future__ import annotations

import time
from typing import Any, Final, cast

import structlog
from aiohttp import web

from boxoffice.gateway import events
from boxoffice.gateway.addresses import Addresses, limited_as
from boxoffice.gateway.conditional import READS
from boxoffice.gateway.messages import Headers, Problem, Request, Response
from boxoffice.live.files import Files
from boxoffice.live.overview import Overview
from boxoffice.live.serving import Connection, written
from boxoffice.live.shop import Shop
from boxoffice.live.streams import Streams
from boxoffice.statistics.states import EventStates

log = structlog.get_logger(__name__)

_PUBLIC: Final = ("/v1/events", "/v1/stream")
_FOR_EVERY_PAGE: Final[Headers] = [
    ("access-control-allow-origin", "*"),
    ("access-control-expose-headers", "etag, link, retry-after"),
]
"""What is public may be read by any page, and why it is not there too: no cookie goes with it, and no key."""


class Live:
    """Answers spectators, and operators who have a key."""

    def __init__(
        self,
        states: EventStates,
        streams: Streams,
        files: Files,
        shop: Shop,
        overview: Overview,
        addresses: Addresses,
    ) -> None:
        self._states = states
        self._streams = streams
        self._files = files
        self._shop = shop
        self._overview = overview
        self._addresses = addresses

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a request, whatever it is."""
        connection = cast(Connection, request.protocol)
        connection.answers()
        try:
            return await self._answer(request)
        except Problem as problem:
            return self._written(request, problem.response())
        except Exception:
            log.exception("a request failed")
            failed = Problem("internal-error", "Something failed here that should not.")
            return self._written(request, failed.response())
        finally:
            connection.rests()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.can_read_body:
            raise Problem("too-large", "Nothing here takes a body.", headers=[("connection", "close")])
        path = request.rel_url.raw_path
        match path.split("/")[1:]:
            case ["v1", "stream"]:
                return await self._streams.open(request, self._address(request), None)
            case ["v1", "events", event, "stream"]:
                return await self._streams.open(request, self._address(request), event)
            case ["v1", "events"]:
                response = events.listed(self._states, _read_only(request))
            case ["v1", "events", event]:
                response = events.one(self._states, _read_only(request), event)
            case ["v1", "operator"]:
                asked = _read_only(request)
                response = await self._overview.answer(asked.header("authorization"), time.time())
            case ["shop.json"]:
                _read_only(request)
                response = self._shop.answer(time.time())
            case _:
                response = self._files.answer(request.method, path, request.headers.get("if-none-match"))
        return self._written(request, response)

    def _written(self, request: web.BaseRequest, response: Response) -> web.Response:
        if request.rel_url.raw_path.startswith(_PUBLIC):
            response = response._replace(headers=[*response.headers, *_FOR_EVERY_PAGE])
        answer = written(response)
        if self._streams.draining or "connection" in answer.headers:
            answer.force_close()
        return answer

    def _address(self, request: web.BaseRequest) -> str:
        peer: Any = cast(Connection, request.protocol).peername
        host = peer[0] if isinstance(peer, tuple) else ""
        return limited_as(self._addresses.of(host, ", ".join(request.headers.getall("x-forwarded-for", []))))


def _read_only(request: web.BaseRequest) -> Request:
    """The request, as the gateway's rooms know it.

    Raises:
        Problem: something is to be done that cannot be done here.
    """
    if request.method not in READS:
        raise Problem("method-not-allowed", "Only GET and HEAD.", headers=[("allow", ", ".join(READS))])
    header = request.headers.get
    return Request(request.method, request.rel_url.raw_path, request.rel_url.raw_query_string, header, b"", "")
