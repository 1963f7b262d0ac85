"""A command on its way: published, answered, and its fact shown."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from boxoffice.cli.tables import print_json, tell
from boxoffice.cli.terms import all_terms, of_a_purchase, terms_of
from boxoffice.errors import BoxOfficeError, ExitStatus
from models.words import number_of

if TYPE_CHECKING:
    from boxoffice.redis.terms import Terms
    from boxoffice.settings import Settings
    from models.shapes import Fact

WAIT_S = 10.0
"""How long a command waits for its answer unless told otherwise."""


class RejectedError(BoxOfficeError):
    """The command was decided, and has no effect."""

    exit_status = ExitStatus.REJECTED
    remedy = "Read the fact's reason: docs/messages.md says what each means."


def publish(members: dict[str, Any], *, wanted: Collection[str], timeout_s: float, as_json: bool) -> None:
    """Publish the command with these members, and show its fact.

    Raises:
        RejectedError: the fact's type is none of those ``wanted``.
        WrongCommandError: the command would be unreadable.
        NoAnswerError: no fact was seen in time.
    """
    from boxoffice.kafka.asking import ask, command_from
    from boxoffice.settings import load_settings

    if members["request_id"] is None:
        members["request_id"] = str(uuid.uuid4())
    command = command_from(members)
    settings = load_settings()
    fact = asyncio.run(ask(settings.kafka, command, timeout_s))
    if as_json:
        print_json(fact)
    elif fact["type"] in wanted:
        tell(sentence(fact, asyncio.run(_terms(settings, fact))))
    if fact["type"] not in wanted:
        raise RejectedError(sentence(fact))


def sentence(fact: Fact, terms: Terms | None = None) -> str:
    """A fact in words; of tickets with the event's terms, where they are known."""
    return f"{_what(fact, terms)} ({_which(fact)})."


def _what(fact: Fact, terms: Terms | None) -> str:
    what = _WORDS[fact["type"]](fact)
    if terms is None:
        return what
    if fact["type"] == "purchase_confirmed":
        return f"{what} {of_a_purchase(terms, fact['quantity'])}"
    return f"{what} {all_terms(terms)}" if fact["type"] == "tickets_added" else what


async def _terms(settings: Settings, fact: Fact) -> Terms | None:
    """The terms that the answer repeats. Redis has them at hand; a whole ledger is not read for them."""
    from boxoffice.redis.terms import terms_in_redis

    if fact["type"] != "purchase_confirmed" and fact["type"] != "tickets_added":
        return None
    return await terms_in_redis(settings.redis, fact["event_id"])


_WORDS: dict[str, Callable[[Any], str]] = {
    "purchase_confirmed": lambda fact: f"Sold {_names(fact)}",
    "purchase_rejected": lambda fact: f"Not sold, {fact['reason']}",
    "purchase_cancelled": lambda fact: f"Purchase {fact['purchase']} is cancelled: {_names(fact)} on sale again",
    "event_created": lambda fact: (
        f"Event {fact['event_id']} is on sale: {number_of(fact['capacity'], 'ticket')} {all_terms(terms_of(fact))}"
    ),
    "tickets_added": lambda fact: f"Event {fact['event_id']} has {number_of(fact['count'], 'more ticket')}",
    "event_closed": lambda fact: f"Event {fact['event_id']} is closed",
    "command_rejected": lambda fact: f"Refused, {fact['reason']}",
    "command_forwarded": lambda fact: f"Forwarded to partition {fact['home']}",
    "command_unreadable": lambda fact: f"Unreadable, {fact['reason']}",
    "offsets_passed": lambda _: "Nothing to answer",
}


def _which(fact: Fact) -> str:
    if fact["type"] == "command_unreadable" or fact["type"] == "offsets_passed":
        claimed = f"request {request_id}, " if (request_id := fact.get("claimed_request_id")) is not None else ""
        return f"{claimed}position {fact['source']['partition']}:{fact['source']['offset']}"
    decider = f", decided by {fact['decided_by']}" if fact["type"] != "command_forwarded" else ""
    return f"request {fact['request_id']}, seq {fact['seq']}{decider}"


def _names(fact: Any) -> str:
    return ", ".join(fact["tickets"])
