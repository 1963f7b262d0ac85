"""What can go wrong with a document."""

from __future__ import annotations

from boxoffice.errors import BoxOfficeError, ExitStatus


class DrawingError(BoxOfficeError):
    """A ticket could not be drawn: it hung, its process ended, or drawing raised."""

    remedy = "Nothing: it is tried again, and becomes a dead letter in the end; see docs/dead-letters.md."


class UnknownEventError(BoxOfficeError):
    """Nobody knows what the event is called: a ticket of it cannot be drawn."""

    remedy = "Nothing: the ticket becomes a dead letter; see docs/dead-letters.md."

    def __init__(self, event_id: str) -> None:
        super().__init__(f"Event {event_id} is neither in Redis nor in the ledger.")


class NoDocumentError(BoxOfficeError):
    """There is no document of a ticket; the sentence says what the ledger says of the ticket."""

    exit_status = ExitStatus.REJECTED
    remedy = "If it is not drawn yet, wait for it with `--wait`; if it was drawn, look into the store."

    def __init__(self, ticket: str, why: str) -> None:
        super().__init__(f"There is no document of ticket {ticket}: {why}.")


class WrongTicketError(BoxOfficeError):
    """What was given is no ticket's name."""

    exit_status = ExitStatus.USAGE
    remedy = "Give EVENT-NNNNNN, as the fact names it."

    def __init__(self, ticket: str) -> None:
        super().__init__(f"{ticket!r} is no ticket: its name is EVENT-NNNNNN, like 42-000001.")
