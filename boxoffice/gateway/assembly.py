"""Puts the gateway together: which part gets which, and which settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Final

from boxoffice import tracing
from boxoffice.gateway.administration import Administration
from boxoffice.gateway.admission import Admission
from boxoffice.gateway.callers import Callers
from boxoffice.gateway.counting import Counting
from boxoffice.gateway.cross_origin import CrossOrigin
from boxoffice.gateway.desk import Desk
from boxoffice.gateway.events import Events
from boxoffice.gateway.limits import Rate, Waiting
from boxoffice.gateway.looking import Looking
from boxoffice.gateway.lookup import Lookup
from boxoffice.gateway.openings import Openings
from boxoffice.gateway.posting import Posting
from boxoffice.gateway.rebuilding import Rebuilding
from boxoffice.gateway.recent import Recent
from boxoffice.gateway.records import Records
from boxoffice.gateway.routes import Routes
from boxoffice.gateway.service import Gateway, table
from boxoffice.gateway.tickets import Tickets
from boxoffice.settings import GatewaySettings, Settings
from boxoffice.statistics.states import EventStates
from boxoffice.storage.store import DocumentStore

READING_OF_ONE: Final = 0.25
"""One address has this share of the room for GETs at most."""


@asynccontextmanager
async def opened_gateway(
    settings: Settings, desk: Desk, callers: Callers, states: EventStates
) -> AsyncIterator[Gateway]:
    """The gateway, on a desk and its callers; what it opened is closed behind it."""
    own = settings.gateway
    admission = _admission(own, callers)
    recent, counting = Recent(own.recent, own.recent_bytes, desk.gave_up), Counting()
    async with AsyncExitStack() as owned:
        records = await owned.enter_async_context(aclosing(Records(settings.redis)))
        rebuilding = await owned.enter_async_context(aclosing(Rebuilding()))
        lookup = Lookup(recent, records, lambda: admission.draining)
        traces = owned.enter_context(tracing.opened(settings.tracing, "gateway"))
        routes = table(
            Posting(admission, desk, recent, counting, own.patience_s, openings=Openings(states), tracing=traces),
            Looking(admission, lookup),
            Tickets(admission, lookup, DocumentStore(settings.documents)),
            Events(states),
            Administration(admission, rebuilding, settings.redis),
        )
        yield Gateway(Routes(routes), admission, recent, counting, CrossOrigin(own.allowed_origins))


def _admission(settings: GatewaySettings, callers: Callers) -> Admission:
    return Admission(
        callers,
        Rate(settings.rate, settings.burst),
        Rate(settings.address_rate, settings.address_burst),
        Waiting(settings.most_waiting, settings.most_waiting_of_one),
        Waiting(settings.most_reading, max(1, round(settings.most_reading * READING_OF_ONE))),
    )
