"""How aiokafka's clients connect, and what is said when they cannot.

aiokafka logs why a connection failed, and raises that it could not bootstrap: whoever has a wrong password was asked
whether Kafka is running.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final
from weakref import WeakSet

import aiokafka.client
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from boxoffice.errors import UnreachableError
from boxoffice.securing import RereadContext
from boxoffice.settings import KafkaSettings

_NOT_LET_IN: Final = (SaslAuthenticationFailed, UnsupportedSaslMechanismError, IllegalSaslStateError)
_TELLING: Final = (*_NOT_LET_IN, ssl.SSLError)


class BrokerLostError(UnreachableError):
    """A broker answers, and one that is needed does not, such as the leader of a partition that has just died."""

    remedy = "Ask again: another broker takes over in seconds. If none does, bring back the brokers that are gone."


class Connections:
    """Those of a client: all that it made, and why others failed."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        """Of several brokers' reasons the one that says most."""
        self._made: WeakSet[AIOKafkaConnection] = WeakSet()

    def note(self, failure: BaseException) -> None:
        """Take the newest, unless an earlier one says more than that nobody is there."""
        if not isinstance(self.failure, _TELLING):
            self.failure = failure

    def keep(self, made: AIOKafkaConnection) -> None:
        """One more."""
        self._made.add(made)

    async def close(self) -> None:
        """Close those that the client has forgotten: it was cancelled, or ended, while it made them."""
        await asyncio.gather(*(made.close() for made in self._made if made.connected()))


_connections: ContextVar[Connections | None] = ContextVar("connections", default=None)


@contextmanager
def noting_connections() -> Iterator[Connections]:
    """Those of the client that is started inside, and of its tasks as long as they last."""
    connections = Connections()
    token = _connections.set(connections)
    try:
        yield connections
    finally:
        _connections.reset(token)


_create_connection: Final = aiokafka.client.create_conn  # type: ignore[attr-defined]


async def _noting(*arguments: Any, **options: Any) -> Any:
    """Connect with the certificates that there are now; what comes of it is noted."""
    connections = _connections.get()
    try:
        if isinstance(context := options.get("ssl_context"), RereadContext):
            options["ssl_context"] = context.newest()
        made = await _create_connection(*arguments, **options)  # type: ignore[no-untyped-call]
    except (OSError, KafkaError, TimeoutError) as error:
        if connections is not None:
            connections.note(error)
        raise
    if connections is not None:
        connections.keep(made)
    return made


# Every client of this process connects here.
aiokafka.client.create_conn = _noting  # type: ignore[attr-defined]


def unreachable(settings: KafkaSettings, error: BaseException) -> UnreachableError:
    """What a person is told who cannot connect."""
    kafka = f"Kafka at {settings.bootstrap_servers}"
    if isinstance(error, _NOT_LET_IN):
        return UnreachableError(
            f"{kafka} does not let the user {settings.sasl_username!r} in ({error}): are "
            "BOXOFFICE_KAFKA_SASL_USERNAME, BOXOFFICE_KAFKA_SASL_PASSWORD and BOXOFFICE_KAFKA_SASL_MECHANISM right?"
        )
    if isinstance(error, ssl.SSLError):
        return UnreachableError(
            f"The connection to {kafka} cannot be secured ({reason_of(error)}): is BOXOFFICE_KAFKA_SECURITY_PROTOCOL "
            "right, and are the BOXOFFICE_KAFKA_SSL files?"
        )
    right = "is BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS right?"
    if isinstance(error, KafkaConnectionError | ConnectionResetError | ConnectionAbortedError):
        # Whoever speaks otherwise than the listener expects is cut off.
        right = "are BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS and BOXOFFICE_KAFKA_SECURITY_PROTOCOL right?"
    return UnreachableError(f"{kafka} cannot be reached ({type(error).__name__}): is it running, and {right}")


def reason_of(error: ssl.SSLError) -> str:
    """What is wrong with a certificate or a handshake, without the place in OpenSSL's source."""
    verifying = getattr(error, "verify_message", "")
    return f"certificate verify failed: {verifying}" if verifying else error.reason or type(error).__name__


class Admin(AIOKafkaAdminClient):
    """An administration client that asks another broker where the one that it chose has just died."""

    async def _send_request(self, request: Any, node_id: int | None = None) -> Any:
        if node_id is not None:
            return await super()._send_request(request, node_id)
        nodes = [broker.nodeId for broker in self._client.cluster.brokers()]
        random.shuffle(nodes)
        for number in nodes[:-1]:
            try:
                return await super()._send_request(request, number)
            except NodeNotReadyError:
                pass
        return await super()._send_request(request, nodes[-1] if nodes else None)
