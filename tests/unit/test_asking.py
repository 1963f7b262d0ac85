"""A command is sent as it was given."""

from __future__ import annotations

from typing import Any

import pytest

from boxoffice.kafka.asking import as_sent, command_from
from boxoffice.schema.examples import COMMANDS, FURTHER_COMMANDS
from models.commands import read_command


@pytest.mark.parametrize("members", [*COMMANDS.values(), *FURTHER_COMMANDS.values()])
def test_a_command_that_was_checked_is_read_again_as_it_was(members: dict[str, Any]) -> None:
    """What was left out is not sent: ``quantity`` has a default, and must not stand beside ``lines``."""
    command = command_from({**members, "actor": members.get("actor")})
    assert read_command(as_sent(command)) == command
    assert b"null" not in as_sent(command)
