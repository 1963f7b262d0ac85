"""``GET …/tickets/{ticket}.pdf``: the ticket itself, for whoever has the secret of its order.

A document's name in the store is made of the ticket and of the purchase, so one that is there under the name of this
order is this order's. What is known of the order says why there is none, and that it was cancelled a moment ago. If
the event was changed since, the ticket was drawn again, or is about to be: until then the older one is handed out.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any, Final, Protocol

import structlog
from pydantic_core import from_json

from boxoffice.gateway.admission import Admission
from boxoffice.gateway.commands import event_id_in
from boxoffice.gateway.conditional import is_current
from boxoffice.gateway.looking import not_known, not_served
from boxoffice.gateway.lookup import Known, Lookup, State
from boxoffice.gateway.messages import PDF, Headers, Problem, Request, Response, again_in
from boxoffice.storage.errors import NoStoreError, StoreError
from boxoffice.storage.store import Stored
from models.documents import SUFFIX, document_name, name_stem, page_in, purchase_in
from models.tickets import are_tickets_of

log = structlog.get_logger(__name__)

SIGNED_FOR: Final = timedelta(seconds=60)
"""So long the store hands a document out by itself, to whoever was sent there."""
STORE_WITHIN_S: Final = 5.0
DRAWN_IN_S: Final = 2.0
"""About so long a ticket takes to be drawn."""
PAID_IN_S: Final = 10.0
"""So often it is worth looking whether a purchase was paid for."""

_PRIVATE: Final = [
    ("cache-control", "private, no-cache"),
    # The address has the order's secret in it.
    ("referrer-policy", "no-referrer"),
]


class Documents(Protocol):
    """Where documents lie."""

    @property
    def signs(self) -> bool:
        """Whether it can hand a document out by itself."""

    async def read(self, name: str) -> bytes | None:
        """A document; None if there is none of that name."""

    async def signed_url(self, name: str, valid_for: timedelta) -> str | None:
        """Where it hands a document out for a while; None if there is none of that name."""

    async def beginning_with(self, stem: str) -> Sequence[Stored]:
        """The documents whose names begin so."""


class Tickets:
    """Hands out tickets."""

    def __init__(self, admission: Admission, lookup: Lookup, documents: Documents) -> None:
        self._admission = admission
        self._lookup = lookup
        self._documents = documents

    async def ticket(self, request: Request, event: str, file: str) -> Response:
        """A ticket's document."""
        event_id = event_id_in(event)
        name = file.removesuffix(SUFFIX)
        if name == file or not are_tickets_of(event_id, [name]):
            raise Problem("not-found", "A ticket's document is called EVENT-NNNNNN.pdf, by its own event.")
        key = request.parameters().get("request")
        if key is None:
            raise Problem("invalid-query", "The parameter 'request' is missing: the Idempotency-Key of the purchase.")
        purchase = self._admission.request_of(request, event_id, key)
        known = await self._lookup.find(event_id, purchase)
        _see_that_it_is_held(known, name)
        found = await self._found(request, event_id, name, purchase)
        if found is None:
            raise _why_none(known)
        return found

    async def _found(self, request: Request, event_id: str, ticket: str, purchase: str) -> Response | None:
        """The document, or where the store hands it out; None if there is none."""
        try:
            async with asyncio.timeout(STORE_WITHIN_S):
                async for document in self._names(event_id, ticket, purchase):
                    if self._documents.signs and (sent := await self._sent_there(document)) is not None:
                        return sent
                    if (pdf := await self._documents.read(document)) is not None:
                        return _handed_out(request, ticket, pdf)
        except NoStoreError as error:
            # Whoever draws documents has drawn none yet, or draws them elsewhere, which the operator has to mend.
            log.warning("there is no document store", error=str(error), seldom=True)
            return None
        except (StoreError, TimeoutError) as error:
            log.warning("the document store cannot be read", error=str(error) or "it does not answer", seldom=True)
            raise Problem("unavailable", "The document store does not answer.", headers=[again_in(0)]) from None
        return None

    async def _names(self, event_id: str, ticket: str, purchase: str) -> AsyncIterator[str]:
        """What the document may be called: as it was first, as it is by the event's newest page, or as by one between.

        It has one name at a time, but for the moment in which it is drawn again.
        """
        yield document_name(event_id, ticket, purchase)
        page_since = await self._lookup.page_since(event_id)
        if page_since == 1:
            return
        yield document_name(event_id, ticket, purchase, page_since)
        found = [one.name for one in await self._documents.beginning_with(name_stem(event_id, ticket))]
        if own := [name for name in found if purchase_in(name) == purchase]:
            yield max(own, key=page_in)

    async def _sent_there(self, document: str) -> Response | None:
        """Where the store hands it out; None if it has no such document, or cannot sign with the credentials given."""
        try:
            url = await self._documents.signed_url(document, SIGNED_FOR)
        except StoreError as error:
            log.warning("the document store does not sign: documents go through here", error=str(error), seldom=True)
            return None
        return Response(303, [("location", url), *_PRIVATE]) if url is not None else None


def _handed_out(request: Request, ticket: str, pdf: bytes) -> Response:
    tag = f'"{hashlib.sha256(pdf).hexdigest()[:32]}"'
    headers: Headers = [("etag", tag), *_PRIVATE]
    if is_current(request.header("if-none-match"), tag):
        return Response(304, headers)
    headers += [
        ("content-type", PDF),
        ("content-disposition", f'inline; filename="{ticket}{SUFFIX}"'),
        ("x-content-type-options", "nosniff"),
    ]
    return Response(200, headers, pdf)


def _see_that_it_is_held(known: Known, ticket: str) -> None:
    """End a request for a ticket that its order does not have, as far as is known of the order.

    Raises:
        Problem: it does not.
    """
    if known.state is not State.ANSWERED:
        return
    fact: dict[str, Any] = from_json(known.fact)
    remains = ticket in fact.get("remaining", ())
    if not remains and ticket not in fact.get("tickets", ()):
        raise Problem("no-such-ticket", "This request has no such ticket.")
    match fact["type"]:
        case "purchase_cancelled" if not remains:
            raise Problem("ticket-cancelled", "It was given back, and is on sale again.")
        case "hold_expired":
            raise Problem("ticket-cancelled", "It was not paid for in time, and is on sale again.")
        case "purchase_held" | "purchase_cancelled" if fact["type"] == "purchase_held" or fact.get("held"):
            raise Problem("not-yet", "The ticket is held, and not paid for yet.", headers=[again_in(PAID_IN_S)])


def _why_none(known: Known) -> Problem:
    match known.state:
        case State.NOT_KNOWN:
            return not_known()
        case State.NOT_SERVED:
            return not_served()
    detail = "The ticket is not drawn yet." if known.state is State.ANSWERED else "The purchase is not decided yet."
    return Problem("not-yet", detail, headers=[again_in(DRAWN_IN_S)])
