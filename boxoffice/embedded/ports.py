"""Free ports on loopback.

They lie below the range from which the system numbers outgoing connections. A client that dials a dead
server on loopback again and again would otherwise be given the server's own port one day, connect to
itself, and keep the server from coming back.
"""

from __future__ import annotations

import asyncio
import random
import socket
from pathlib import Path

from boxoffice.embedded.errors import NoFreePortError

HOST = "127.0.0.1"

_LOWEST_PORT = 15_000
_USUAL_FIRST_OUTGOING_PORT = 32_768
_OUTGOING_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 200

_random = random.SystemRandom()
_given: set[int] = set()


def free_port() -> int:
    """A port nobody listens on now, which this process was not given before and which none of its servers will take.

    Between the pick and its use another program may take it: whoever binds it must be ready to pick
    again, as ``ServerProcess.launch`` is.
    """
    for _ in range(_TRIES):
        port = _random.randrange(_LOWEST_PORT, _first_outgoing_port())
        if port not in _given and can_listen(port):
            _given.add(port)
            return port
    raise NoFreePortError(_TRIES)


def keep_port(port: int) -> None:
    """Never give this one: a server will listen there that does not yet."""
    _given.add(port)


def can_listen(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


async def accepts_connections(port: int) -> bool:
    """Whether somebody listens on this port now."""
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


def _first_outgoing_port() -> int:
    try:
        first = int(_OUTGOING_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first = _USUAL_FIRST_OUTGOING_PORT
    # A system that hands out low ports too leaves no range apart: share it.
    return first if first > _LOWEST_PORT + _TRIES else _USUAL_FIRST_OUTGOING_PORT
