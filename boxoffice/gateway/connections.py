"""Connections of callers: each is answered one request after the other, and has a time by which it has to get on.

No server that is to be had keeps all of this: bodies bounded in bytes and in time, callers who do not read, half-sent
headers, a bound on open connections that refuses instead of letting wait, and an end that cuts no answer off. And HTTP
is a large part of what a purchase costs.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, cast

import structlog

from boxoffice.gateway.addresses import Addresses
from boxoffice.gateway.messages import Pending, Problem, Request, Response, again_in
from boxoffice.gateway.reader import Reader, Stage
from boxoffice.gateway.service import Gateway

log = structlog.get_logger(__name__)

HEADERS_WITHIN_S: Final = 30.0
"""So long a connection may also say nothing, from its beginning or after an answer: a load balancer has to give up a
connection that it keeps open before."""
BODY_WITHIN_S: Final = 10.0
"""Whoever sends slower holds a connection for nothing."""
ANSWER_READ_WITHIN_S: Final = 30.0
"""So long the system's buffers may stay full of answers that a caller does not read."""
MOST_AT_ONCE: Final = 32
"""Requests of a connection that wait for the answer of an earlier one; of those behind them none is read."""
LINGERING_S: Final = 2.0
"""So long after the last answer what still comes is thrown away: a connection that is closed with anything unread is
reset, and the answer with it."""
MOST_REFUSED: Final = 200
"""Connections beyond those that may be open, which are told so; any more are closed without a word."""
MOST_LINGERING_BYTES: Final = 1024 * 1024
SWEEP_S: Final = 1.0

_WITHIN_S: Final = {Stage.BETWEEN: HEADERS_WITHIN_S, Stage.HEAD: HEADERS_WITHIN_S, Stage.BODY: BODY_WITHIN_S}
_LINES: Final[Mapping[int, str]] = {one.value: f"HTTP/1.1 {one.value} {one.phrase}\r\n" for one in HTTPStatus}
_GO_ON: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CACHE: Final = "cache-control"
_NO_LENGTH: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


_Turn = tuple[Request, Problem | None, bool]
"""A request that is to be answered, or what is wrong with it; whether its answer is the connection's last."""


class Connections:
    """All that are open."""

    def __init__(self, gateway: Gateway, addresses: Addresses, most: int) -> None:
        self.gateway = gateway
        self.addresses = addresses
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._open: set[Connection] = set()
        self._asking: list[Connection] = []
        """Those with requests that have come since the loop began its turn."""
        self._waited_for: list[Connection] = []
        """Those whose answer was waited for, and can be made now."""
        self._answered: list[tuple[Connection, bytes]] = []
        """Answers that are there, and not written yet."""
        self.date = ""
        """The header that every answer has; it is made anew with each sweep."""
        self._tell_time()

    def __len__(self) -> int:
        return len(self._open)

    def connect(self) -> Connection:
        """Somebody comes."""
        return Connection(self)

    def opened(self, connection: Connection) -> None:
        """One more, if there may be one more."""
        self._open.add(connection)
        if len(self._open) > self._most + MOST_REFUSED:
            connection.abort()
        elif len(self._open) > self._most:
            connection.refuse(Problem("overloaded", "Too many connections are open.", headers=[again_in(0)]))

    def lost(self, connection: Connection) -> None:
        """One less."""
        self._open.discard(connection)

    @property
    def is_busy(self) -> bool:
        """Whether a body is on its way, or anything that came is not answered."""
        return bool(self._asking or self._waited_for or self._answered) or any(
            connection.awaits_body for connection in self._open
        )

    # First all that came in a turn of the loop are parsed, then all take the first step towards their answers, and so
    # on, and in the same way all answers are made before the first is written. It costs a fourth less than to do all
    # for one, and then for the next: the processor keeps in its caches what does one of these things, not all.

    def asks(self, connection: Connection) -> None:
        """It has a request."""
        if not self._asking:
            self._loop.call_soon(self._answer_asking)
        self._asking.append(connection)

    def waited(self, connection: Connection) -> None:
        """What it has waited for is over."""
        if not self._waited_for:
            self._loop.call_soon(self._answer_waited_for)
        self._waited_for.append(connection)

    def answers(self, connection: Connection, data: bytes) -> None:
        """This is to be written to it."""
        if not self._answered:
            self._loop.call_soon(self._write_answers)
        self._answered.append((connection, data))

    def _answer_asking(self) -> None:
        asking, self._asking = self._asking, []
        while asking:
            asking = [connection for connection in asking if connection.step()]

    def _answer_waited_for(self) -> None:
        waited_for, self._waited_for = self._waited_for, []
        for connection in waited_for:
            connection.answer_waited_for()

    def _write_answers(self) -> None:
        answered, self._answered = self._answered, []
        for connection, data in answered:
            try:
                connection.write(data)
            except Exception as error:  # noqa: BLE001  # whatever it is, the others have to be answered all the same
                connection.fail(error)

    def close(self) -> None:
        """Close all, once what was answered is on its way."""
        self._answer_waited_for()
        self._write_answers()
        for connection in list(self._open):
            connection.close()

    def abort(self) -> None:
        """Close all at once."""
        for connection in list(self._open):
            connection.abort()

    async def sweep(self) -> None:
        """End what does not get on, until cancelled: a timer for each request would cost more than its parsing."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self._tell_time()
            now_s = asyncio.get_running_loop().time()
            for connection in [one for one in self._open if one.due_s < now_s]:
                connection.overdue()

    def _tell_time(self) -> None:
        self.date = f"date: {formatdate(usegmt=True)}\r\n"


class Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._gateway = connections.gateway
        self._loop = asyncio.get_running_loop()
        self._reader = Reader(self._address, self._take, self._go_on)
        self._turn: _Turn | None = None
        """The request that is being answered."""
        self._steps: Iterator[Response | Pending | None] | None = None
        """Towards its answer."""
        self._pending: Pending | None = None
        """Its answer, where that has to be waited for."""
        self._turns: deque[_Turn] = deque()
        self._hears = True
        """Whether more requests are read."""
        self._is_full = False
        """Whether what was written is not read on the other side."""
        self._thrown_away_bytes = 0
        self.due_s = math.inf
        """By then something has to have happened."""

    @property
    def awaits_body(self) -> bool:
        """Whether a request's head has come, and its body not."""
        return self._hears and self._reader.stage is Stage.BODY

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        self._rest()
        self._connections.opened(self)

    def connection_lost(self, _: Exception | None) -> None:
        """It is not. A command that was published is on its way all the same."""
        self._connections.lost(self)
        self._hears = False
        self._turns.clear()
        if self._pending is not None:
            self._pending.go()

    def data_received(self, data: bytes) -> None:
        """A part of a request, or several."""
        if not self._hears:
            self._throw_away(data)
            return
        before = self._reader.stage
        try:
            self._reader.read(data)
        except Problem as problem:
            if self._hears:
                self.refuse(problem)
        else:
            if self._reader.stage is not before and self._turn is None:
                self._rest()

    def pause_writing(self) -> None:
        """He does not read."""
        self._is_full = True
        self.due_s = self._loop.time() + ANSWER_READ_WITHIN_S

    def resume_writing(self) -> None:
        """He does."""
        self._is_full = False
        if self._turn is None:
            self._next()

    def refuse(self, problem: Problem) -> None:
        """Read no more, and say why, behind the answers that others wait for."""
        self._hears = False
        self._put((self._reader.unread(), problem, True))

    def overdue(self) -> None:
        """Nothing has happened in time."""
        if self.awaits_body:
            self.refuse(Problem("too-slow", f"The body did not come within {BODY_WITHIN_S:g} s."))
        elif self._hears and not self._is_full:
            self.close()
        else:
            self.abort()

    def close(self) -> None:
        """End it, behind what was written."""
        self._transport.close()

    def abort(self) -> None:
        """End it, whatever was written."""
        self._transport.abort()

    def fail(self, error: Exception) -> None:
        """Say what has failed here, and end it; its caller asks again."""
        log.error("a connection failed", exc_info=error)
        self.abort()

    def _address(self, forwarded: str | None) -> str:
        return self._connections.addresses.of(self._peer, forwarded)

    def _go_on(self) -> None:
        if self._turn is None and not self._turns:
            self._transport.write(_GO_ON)

    def _take(self, request: Request, is_last: bool) -> None:
        if self._hears:
            self._hears = not is_last and len(self._turns) + (self._turn is not None) < MOST_AT_ONCE
            self._put((request, None, not self._hears))

    def _put(self, turn: _Turn) -> None:
        self._turns.append(turn)
        if self._turn is None and len(self._turns) == 1:
            self._connections.asks(self)

    def step(self) -> bool:
        """Take a step towards the answer of the request whose turn it is; returns whether there are more."""
        try:
            if self._steps is None:
                if self._turn is not None or self._is_full or not self._turns:
                    return False
                self._steps = self._begin()
            answer = next(self._steps)
            if answer is None:
                return True
            self._steps = None
            if isinstance(answer, Pending):
                self._wait(answer)
            else:
                self._answer(answer)
        except Exception as error:  # noqa: BLE001  # whatever it is, the others have to be answered all the same
            self.fail(error)
        return False

    def _begin(self) -> Iterator[Response | Pending | None]:
        self._turn = request, problem, _ = self._turns.popleft()
        return self._gateway.respond(request) if problem is None else iter([self._gateway.refuse(request, problem)])

    def _next(self) -> None:
        """Answer those whose turn it is; behind the last one there is none."""
        if self._is_full:
            return
        if self._turns:
            self._connections.asks(self)
        elif self._hears:
            self._rest()
        else:
            self._linger()

    def _rest(self) -> None:
        """What is due next is up to the caller."""
        self.due_s = self._loop.time() + _WITHIN_S[self._reader.stage]

    def _wait(self, pending: Pending) -> None:
        self.due_s = math.inf
        self._pending = pending
        pending.when_over(self._waited)

    def _waited(self) -> None:
        self._connections.waited(self)

    def answer_waited_for(self) -> None:
        """Answer the request that has waited for its answer."""
        assert self._turn is not None
        assert self._pending is not None
        pending, self._pending = self._pending, None
        try:
            response = self._gateway.late(self._turn[0], pending)
            if response is None:
                self.abort()
            else:
                self._answer(response)
        except Exception as error:  # noqa: BLE001  # whatever it is, the others have to be answered all the same
            self.fail(error)

    def _answer(self, response: Response) -> None:
        """Give the request whose turn it is its answer."""
        assert self._turn is not None
        request, _, is_last = self._turn
        if is_last or self._gateway.draining:
            self._hears = False
            self._turns.clear()
        self._connections.answers(self, self._written(request.method, response))

    def write(self, data: bytes) -> None:
        """Write an answer, unless the connection was lost since it was there, and go on."""
        self._turn = None
        if not self._transport.is_closing():
            self._transport.write(data)
            self._next()

    def _written(self, method: str, response: Response) -> bytes:
        status, headers, body = response
        lines = [f"{name}: {value}\r\n" for name, value in headers]
        # What a command is answered is kept nowhere; of the rest some says itself for how long.
        if method == "POST" or all(name != _CACHE for name, _ in headers):
            lines.append("cache-control: no-store\r\n")
        if not self._hears and not self._turns:
            lines.append("connection: close\r\n")
        lines.append(f"content-length: {len(body)}\r\n\r\n" if status not in _NO_LENGTH else "\r\n")
        head = f"{_LINES[status]}{self._connections.date}{''.join(lines)}".encode("latin-1")
        return head if method == "HEAD" else head + body

    def _linger(self) -> None:
        """That was the last answer."""
        self.due_s = self._loop.time() + LINGERING_S
        if not self._transport.is_closing():
            self._transport.write_eof()

    def _throw_away(self, data: bytes) -> None:
        self._thrown_away_bytes += len(data)
        if self._thrown_away_bytes > MOST_LINGERING_BYTES:
            self.abort()
