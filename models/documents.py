"""Documents: what is announced on ``ticket-documents``, and how a ticket's document is named.

Announcements are made of facts and of the document's bytes, so that repeating one says the same again. Of
several about one ticket the one with the highest ``seq`` holds. Consumers must accept members that they
do not know.

What a page says of its event is what the event was when the ticket became its buyer's; and when the event is changed so
that the page says something else, the ticket is drawn again, under another name. So a name leads to one page for
ever, and who comes late with an older page puts it in no newer one's place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import to_json
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from models.facts import purchase_of
from models.members import Buyer, EventIdText, RequestId
from models.shapes import At, EventChanged, PurchaseCancelled, PurchaseConfirmed
from models.tickets import Ticket, are_tickets_of

SUFFIX: Final = ".pdf"

_CAPITALS: Final = "="
_PAGE: Final = "@"
_SEQ: Final = re.compile("[2-9]|[1-9][0-9]{1,18}")

Location = Annotated[str, Field(min_length=1, description="The document's URL in the store, without credentials.")]
SeqOfFact = Annotated[
    int,
    Field(
        ge=1,
        le=2**63 - 1,
        description="The number of the fact that it follows from; of a ticket's announcements the highest holds.",
    ),
]
Flaws = Annotated[
    list[str],
    Field(
        min_length=1,
        description="What cannot be read in the document as it was written, a sentence each; left out if all can.",
    ),
]
SeqOfSale = Annotated[
    int,
    Field(
        ge=1,
        le=2**63 - 1,
        description="There if the ticket was drawn again: the number of the fact that made it its buyer's.",
    ),
]
_strict = with_config(ConfigDict(strict=True))


class Announcement(TypedDict):
    """What every announcement has; ``seq`` and ``at`` are those of the fact that it follows from."""

    event_id: EventIdText
    seq: SeqOfFact
    ticket: Ticket
    request_id: RequestId
    buyer: Buyer
    location: Location
    at: At


@_strict
class DocumentMade(Announcement):
    """The ticket's document lies at ``location``; ``request_id`` is the purchase's.

    If it was drawn again because the event was changed, ``seq`` and ``at`` are those of that fact.
    """

    type: Literal["document_made"]
    sale_seq: NotRequired[SeqOfSale]
    size_bytes: Annotated[int, Field(ge=1, le=2**63 - 1)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="Of the document's bytes, in hexadecimal.")]
    flaws: NotRequired[Flaws]


@_strict
class DocumentRemoved(Announcement):
    """The document that ``purchase`` had of a cancelled ticket is gone; ``request_id`` is the cancellation's."""

    type: Literal["document_removed"]
    purchase: RequestId


DocumentAnnouncement = DocumentMade | DocumentRemoved
MODELS: Final = (DocumentMade, DocumentRemoved)

_ANNOUNCEMENTS: Final[TypeAdapter[DocumentAnnouncement]] = TypeAdapter(
    Annotated[DocumentAnnouncement, Field(discriminator="type")]
)


class UnreadableAnnouncementError(Exception):
    """A record of ``ticket-documents`` that is no announcement."""


def document_name(event_id: str, ticket: str, purchase: str, page_since: int = 1) -> str:
    """The name in the store of the document that a purchase has of a ticket.

    A ticket that is sold again gets another one: nobody who comes late, or does a thing twice, can put
    the old buyer's document in the place of the new one's. Also where the store takes ``R-1`` and ``r-1`` for
    the same: which letters are capitals stands behind a sign that no purchase has. So does ``page_since``, the seq
    of the fact since which the event's pages say what this one says, unless that is the event's creation.
    """
    capitals = sum(1 << at for at, letter in enumerate(purchase) if letter.isupper())
    told = f"{_CAPITALS}{capitals:x}" if capitals else ""
    page = f"{_PAGE}{page_since}" if page_since > 1 else ""
    return f"{name_stem(event_id, ticket)}{purchase}{told}{page}{SUFFIX}"


def former_name(event_id: str, ticket: str, purchase: str) -> str:
    """The name of the same document in earlier releases, where it may still lie."""
    return f"{name_stem(event_id, ticket)}{purchase}{SUFFIX}"


def name_stem(event_id: str, ticket: str) -> str:
    """What the names of all documents of a ticket begin with."""
    return f"{event_id}/{ticket}."


def purchase_in(name: str) -> str:
    """The purchase in a document's name, a former one too."""
    return _told_in(name)[0].partition(_CAPITALS)[0]


def page_in(name: str) -> int:
    """The seq since which the event's pages say what the document of that name says; 0 where nobody writes such a name.

    Of one purchase's documents of a ticket the one with the highest is the newest.
    """
    _, is_later, page_since = _told_in(name)
    if not is_later:
        return 1
    return int(page_since) if _SEQ.fullmatch(page_since) else 0


def _told_in(name: str) -> tuple[str, str, str]:
    return name.rpartition("/")[2].partition(".")[2].removesuffix(SUFFIX).partition(_PAGE)


def made(  # noqa: PLR0917  # each is a member
    sale: PurchaseConfirmed,
    ticket: str,
    location: str,
    size_bytes: int,
    sha256: str,
    flaws: Sequence[str] = (),
    change: EventChanged | None = None,
) -> DocumentMade:
    """The announcement that a ticket's document lies in the store; with ``change`` it was drawn again for that."""
    fact = sale if change is None else change
    announcement: DocumentMade = {
        "type": "document_made",
        "event_id": sale["event_id"],
        "seq": fact["seq"],
        "ticket": ticket,
        "request_id": purchase_of(sale),
        "buyer": sale["buyer"],
        "location": location,
        "size_bytes": size_bytes,
        "sha256": sha256,
        "at": fact["at"],
    }
    if change is not None:
        announcement["sale_seq"] = sale["seq"]
    if flaws:
        announcement["flaws"] = list(flaws)
    return announcement


def removed(fact: PurchaseCancelled, ticket: str, location: str) -> DocumentRemoved:
    """The announcement that a cancelled ticket's document is gone."""
    return {
        "type": "document_removed",
        "event_id": fact["event_id"],
        "seq": fact["seq"],
        "ticket": ticket,
        "request_id": fact["request_id"],
        "purchase": fact["purchase"],
        "buyer": fact["buyer"],
        "location": location,
        "at": fact["at"],
    }


def announcement_id(announcement: DocumentAnnouncement) -> str:
    """TICKET-SEQ: the CloudEvents id, the same in every repeat."""
    return f"{announcement['ticket']}-{announcement['seq']}"


def write_announcement(announcement: DocumentAnnouncement) -> bytes:
    """The announcement as one line of JSON."""
    return to_json(announcement)


def read_announcement(value: bytes | None) -> DocumentAnnouncement:
    """The announcement in a record's value.

    Raises:
        UnreadableAnnouncementError: it is none.
    """
    try:
        announcement = _ANNOUNCEMENTS.validate_json(value or b"")
    except ValidationError as error:
        raise UnreadableAnnouncementError(str(error)) from None
    if not are_tickets_of(announcement["event_id"], [announcement["ticket"]]):
        raise UnreadableAnnouncementError("the ticket is another event's")
    return announcement
