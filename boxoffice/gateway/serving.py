"""The gateway's port: open until the process ends, and then closed so that no answer is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from boxoffice.errors import SettingsError
from boxoffice.gateway.addresses import Addresses
from boxoffice.gateway.connections import Connections
from boxoffice.gateway.service import Gateway
from boxoffice.process.listening import why
from boxoffice.process.open_files import allow_connections_of
from boxoffice.settings import GatewaySettings
from boxoffice.tasks import end_tasks

CLOSED_WITHIN_S: Final = 2.0
_BACKLOG: Final = 4_096
_LOOK_S: Final = 0.02


@asynccontextmanager
async def serving(gateway: Gateway, settings: GatewaySettings) -> AsyncIterator[Connections]:
    """Serve until the block ends.

    Raises:
        SettingsError: nothing can listen there.
    """
    loop = asyncio.get_running_loop()
    most = allow_connections_of(settings.most_connections)
    connections = Connections(gateway, Addresses(settings.networks), most)
    try:
        server = await loop.create_server(connections.connect, settings.host, settings.port, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        raise SettingsError(
            f"BOXOFFICE_GATEWAY_HOST and BOXOFFICE_GATEWAY_PORT name {settings.host}:{settings.port}, "
            f"where nothing can listen ({why(error)})."
        ) from None
    sweeping = asyncio.create_task(connections.sweep())
    try:
        yield connections
    finally:
        server.close()
        connections.close()
        until_s = loop.time() + CLOSED_WITHIN_S
        while len(connections) and loop.time() < until_s:
            await asyncio.sleep(_LOOK_S)
        connections.abort()
        await end_tasks([sweeping])
