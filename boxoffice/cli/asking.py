"""A command on its way: published, answered, and its fact shown."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from boxoffice.cli.sentences import NEED_TERMS, sentence
from boxoffice.cli.tables import print_json, tell
from boxoffice.errors import BoxOfficeError, ExitStatus

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
    """Publish the command with these members, and show its fact. Those that are None are left out.

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


async def _terms(settings: Settings, fact: Fact) -> Terms | None:
    """The terms that the answer repeats. Redis has them at hand; a whole ledger is not read for them."""
    from boxoffice.redis.terms import terms_in_redis

    if fact["type"] not in NEED_TERMS or fact["event_id"] is None:
        return None
    return await terms_in_redis(settings.redis, fact["event_id"])
