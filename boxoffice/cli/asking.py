"""A command on its way: published, answered, and its fact shown."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from boxoffice.cli.tables import print_json, say
from boxoffice.errors import BoxOfficeError, ExitStatus

if TYPE_CHECKING:
    from models.facts import Fact

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

    members["request_id"] = members["request_id"] or str(uuid.uuid4())
    command = command_from(members)
    fact = asyncio.run(ask(load_settings().kafka, command, timeout_s))
    if as_json:
        print_json(fact)
    elif fact["type"] in wanted:
        say(sentence(fact))
    if fact["type"] not in wanted:
        raise RejectedError(sentence(fact))


def sentence(fact: Fact) -> str:
    """A fact in words."""
    return f"{_what(fact)} ({_which(fact)})."


def _what(fact: Fact) -> str:
    return _WORDS[fact["type"]](fact)


_WORDS: dict[str, Callable[[Any], str]] = {
    "purchase_confirmed": lambda fact: f"Sold {_names(fact)}",
    "purchase_rejected": lambda fact: f"Not sold, {fact['reason']}",
    "purchase_cancelled": lambda fact: f"Purchase {fact['purchase']} is cancelled: {_names(fact)} on sale again",
    "event_created": lambda fact: f"Event {fact['event_id']} is on sale: {fact['capacity']} tickets",
    "tickets_added": lambda fact: f"Event {fact['event_id']} has {fact['count']} more tickets",
    "event_closed": lambda fact: f"Event {fact['event_id']} is closed",
    "command_rejected": lambda fact: f"Refused, {fact['reason']}",
    "command_forwarded": lambda fact: f"Forwarded to partition {fact['home']}",
    "command_unreadable": lambda fact: f"Unreadable, {fact['reason']}",
    "offsets_passed": lambda _: "Nothing to answer",
}


def _which(fact: Fact) -> str:
    if fact["type"] == "command_unreadable" or fact["type"] == "offsets_passed":
        return f"position {fact['source']['partition']}:{fact['source']['offset']}"
    decider = f", decided by {fact['decided_by']}" if fact["type"] != "command_forwarded" else ""
    return f"request {fact['request_id']}, seq {fact['seq']}{decider}"


def _names(fact: Any) -> str:
    return ", ".join(fact["tickets"])
