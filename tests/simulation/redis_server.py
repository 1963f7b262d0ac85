"""A Redis server as its clients meet it, and the client that the product's RedisStore is given."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from tests.simulation.network import Network, deliver
from tests.simulation.processes import Process, current_process
from tests.simulation.redis_memory import RedisMemory, Snapshot, Word

Command = tuple[Word, ...]


class Health(Enum):
    """How a server is."""

    SERVING = auto()
    DOWN = auto()
    """It refuses connections."""
    HUNG = auto()
    """It answers nobody, and does what it was asked meanwhile once it goes on."""


class RedisServer:
    """One server, and the state that it is in."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.memory = RedisMemory(network.loop.time)
        self.health = Health.SERVING
        self.old: Snapshot = ({}, {})
        self.on_executed: Callable[[], None] = lambda: None
        self._waiting: list[tuple[Sequence[Command], Future[Any], Process]] = []

    # What happens to it

    def hang(self) -> None:
        """SIGSTOP."""
        self.health = Health.HUNG

    def crash(self) -> None:
        """SIGKILL: what was sent to it is lost."""
        self.health = Health.DOWN
        for _, reply, _ in self._waiting:
            self.network.later(0, deliver, reply, RedisConnectionError("Connection closed by server."))
        self._waiting.clear()

    def serve(self) -> None:
        """Go on, or start again; what waited is done now, whoever still wants it."""
        self.health = Health.SERVING
        waiting, self._waiting = self._waiting, []
        for commands, reply, asker in waiting:
            self.network.later(self.network.delay_s(), self._arrive, commands, reply, asker)

    def wipe(self) -> None:
        """FLUSHALL, or an empty start."""
        self.memory.restore(({}, {}))

    def keep(self) -> None:
        """Remember what is there, as a file or a replica that falls behind does."""
        self.old = self.memory.snapshot()

    def go_back(self) -> None:
        """Start with the old file, or fail over to the old replica."""
        self.memory.restore(self.old)

    # What clients ask

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """The replies, or errors, to commands that are sent at once."""
        reply = self.network.future()
        self.network.later(self.network.delay_s(), self._arrive, commands, reply, current_process())
        replies: list[Any] = await reply
        return replies

    def _arrive(self, commands: Sequence[Command], reply: Future[Any], asker: Process) -> None:
        faults, happens = self.network.faults, self.network.happens
        if self.health is Health.HUNG:
            self._waiting.append((commands, reply, asker))
        elif self.health is Health.DOWN:
            self._break(reply, "Error 111 connecting to Redis. Connect call failed.")
        elif happens(faults.redis_request_lost):
            self._break(reply, "Connection reset by peer")
        elif happens(faults.redis_cut_off):
            self._execute(commands[: self.network.random.randrange(len(commands) + 1)])
            self._break(reply, "Connection reset by peer")
        else:
            replies = self._execute(commands)
            if happens(faults.redis_reply_lost):
                return  # The client's own deadline ends the waiting.
            self.network.answer(reply, replies, asker)

    def _break(self, reply: Future[Any], why: str) -> None:
        self.network.later(0, deliver, reply, RedisConnectionError(why))

    def _execute(self, commands: Sequence[Command]) -> list[Any]:
        return [self._execute_one(command) for command in commands]

    def _execute_one(self, command: Command) -> Any:
        try:
            reply = self.memory.execute(*command)
        except RedisError as error:
            return error
        self.on_executed()
        return reply


class RedisClient:
    """As much of redis-py's client as RedisStore uses."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    async def execute_command(self, *words: Word) -> Any:
        [reply] = await self._server.ask([words])
        if isinstance(reply, RedisError):
            raise reply
        return reply

    async def ping(self) -> Any:
        return await self.execute_command("PING")

    async def script_load(self, text: str) -> Any:
        return await self.execute_command("SCRIPT", "LOAD", text)

    async def aclose(self) -> None:
        """Nothing is open."""

    def pipeline(self, *, transaction: bool) -> _Pipeline:
        assert not transaction
        return _Pipeline(self._server)


class _Pipeline:
    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._commands: list[Command] = []

    def execute_command(self, *words: Word) -> None:
        self._commands.append(words)

    async def execute(self, *, raise_on_error: bool) -> list[Any]:
        assert not raise_on_error
        commands, self._commands = self._commands, []
        return await self._server.ask(commands) if commands else []
