"""What can go wrong with keys, and what can be wrong with a ticket's code."""

from __future__ import annotations

from pathlib import Path

from boxoffice.errors import BoxOfficeError, ExitStatus
from models.codes import Claim


class KeyRingError(BoxOfficeError):
    """The key ring cannot be read or changed."""

    exit_status = ExitStatus.USAGE
    remedy = "See that `BOXOFFICE_DOOR_KEYS` names the ring, as docs/operations.md says under Keys of the door."


class NoKeysError(KeyRingError):
    """There is no key ring."""

    remedy = (
        "Make the keys with `boxoffice door keys create`, or let `BOXOFFICE_DOOR_KEYS` name the ring that there is."
    )

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"There are no keys at {path}: make them with 'boxoffice door keys create', "
            "or let BOXOFFICE_DOOR_KEYS name the ring that there is."
        )


class NoSigningKeyError(KeyRingError):
    """None of the keys can sign: their seeds are not there, or they are revoked."""

    remedy = "Add a key with `boxoffice door keys rotate`, or let `BOXOFFICE_DOOR_KEYS` name the ring with the seeds."

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"None of the keys {path} can sign tickets: add one with 'boxoffice door keys rotate', "
            "or let BOXOFFICE_DOOR_KEYS name the ring with the seeds."
        )


class LedgerTooLongError(BoxOfficeError):
    """The event's partition of the ledger was not read to its end in time."""

    exit_status = ExitStatus.NO_ANSWER
    remedy = "Give it more time with `--timeout`, or see what is wrong with `boxoffice doctor`."

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"The ledger was not read to its end within {timeout_s:g} s: nothing is said of the ticket.")


class BadCodeError(BoxOfficeError):
    """A code is not good."""

    exit_status = ExitStatus.BAD_CODE
    remedy = "Read the sentence; let nobody in by this code."


class MalformedCodeError(BadCodeError):
    """What was given is no ticket's code."""

    remedy = "Scan again, or give the code between single quotes: docs/codes.md says what it looks like."

    def __init__(self, why: str) -> None:
        super().__init__(f"This is no ticket's code: {why}.")


class UnknownKeyError(BadCodeError):
    """A code names a key that is not among those that were given."""

    remedy = "See that the public keys are the newest: `boxoffice door keys list --public`. Else the code is forged."

    def __init__(self, claim: Claim) -> None:
        super().__init__(f"Key {claim.key_id} is not known: the code that says {says(claim)} may be forged.")


class WrongSignatureError(BadCodeError):
    """A code was not made by who has the key that it names."""

    remedy = "The code is forged or was damaged: let nobody in by it."

    def __init__(self, claim: Claim) -> None:
        super().__init__(f"The signature is wrong: the code that says {says(claim)} is forged or damaged.")


class RevokedKeyError(BadCodeError):
    """A code was signed with a key that was revoked."""

    remedy = "Have the ticket's document made again, as docs/operations.md says: it gets a code by another key."

    def __init__(self, claim: Claim, revoked_at: str) -> None:
        super().__init__(f"Key {claim.key_id} was revoked at {revoked_at}: the code that says {says(claim)} is void.")


class NeverSoldError(BadCodeError):
    """The signature is right, and the ledger has no such sale."""

    remedy = "See that the settings are those of the box office that sold it; else somebody else signs with its key."

    def __init__(self, claim: Claim, known_seq: int) -> None:
        super().__init__(
            f"Not sold: the ledger, which goes to seq {known_seq} of event {claim.event_id}, has no sale of ticket "
            f"{claim.ticket} with seq {claim.seq} (key {claim.key_id})."
        )


class NotPaidError(BadCodeError):
    """The ticket was kept for a purchase, which was not paid for with the fact that the code names."""

    remedy = "Let nobody in by it: a ticket has a code from the fact on that made it its buyer's, and no earlier one."

    def __init__(self, claim: Claim) -> None:
        super().__init__(f"Held, and not sold: {says(claim)} names a hold, of which no ticket has a code.")


class CancelledTicketError(BadCodeError):
    """The ticket's sale was cancelled."""

    remedy = "Nothing: the ticket is on sale again."

    def __init__(self, claim: Claim, cancelled_seq: int) -> None:
        super().__init__(f"Cancelled with seq {cancelled_seq}: {says(claim)} is nobody's ticket any more.")


class SoldAgainError(BadCodeError):
    """The ticket's sale was cancelled, and the ticket is somebody else's now."""

    remedy = "Nothing: another code is the ticket's now."

    def __init__(self, claim: Claim, cancelled_seq: int, sold_seq: int) -> None:
        super().__init__(
            f"Sold again with seq {sold_seq}, after it was cancelled with seq {cancelled_seq}: {says(claim)} "
            "is the old owner's ticket."
        )


def says(claim: Claim) -> str:
    """A claim in words."""
    return f"ticket {claim.ticket} (event {claim.event_id}, seq {claim.seq}, key {claim.key_id})"
