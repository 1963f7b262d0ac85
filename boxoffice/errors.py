"""What can go wrong, as classes whose message is one sentence for a person.

The command line prints the sentence and exits with ``exit_status``; nobody is shown a stack trace
for something that they can mend.
"""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """How a command or a process ended, for scripts and supervisors."""

    OK = 0
    DIFFERS = 1
    """``audit`` found a difference, or ``topics create`` a topic with other settings."""
    USAGE = 2
    """A wrong setting, option or argument."""
    REJECTED = 3
    """The command was decided, and refused."""
    NO_ANSWER = 4
    """No decision was seen in time."""
    UNREACHABLE = 5
    """The broker or Redis could not be reached."""
    REFUSED = 6
    """The topics are not what a worker needs: starting again does not help."""
    PUBLISH_FAILED = 70
    """A publish failed or passed its deadline: nothing was committed, start again."""
    LEDGER_DISAGREES = 71
    """Somebody else's records in the ledger: begin again from the chain."""
    COMMANDS_SKIPPED = 72
    """A record between two offsets was not delivered: read them again."""
    AGENT_FAILED = 73
    """An exception left the agent's body: nothing was committed, start again."""


RESTARTABLE = frozenset(
    {
        ExitStatus.UNREACHABLE,
        ExitStatus.PUBLISH_FAILED,
        ExitStatus.LEDGER_DISAGREES,
        ExitStatus.COMMANDS_SKIPPED,
        ExitStatus.AGENT_FAILED,
    }
)
"""Ends after which the same process, started again, goes on where it stopped."""


class BoxOfficeError(Exception):
    """Something a person is told in one sentence."""

    exit_status = ExitStatus.DIFFERS


class SettingsError(BoxOfficeError):
    """A setting has a value that cannot be used."""

    exit_status = ExitStatus.USAGE


class UnreachableError(BoxOfficeError):
    """A server did not answer."""

    exit_status = ExitStatus.UNREACHABLE


class TopicsError(BoxOfficeError):
    """The topics on the broker are not what the box office needs."""

    exit_status = ExitStatus.REFUSED


class PublishError(BoxOfficeError):
    """The broker did not acknowledge what was published."""

    exit_status = ExitStatus.PUBLISH_FAILED


class LedgerError(BoxOfficeError):
    """The ledger holds what this worker did not write and cannot explain."""

    exit_status = ExitStatus.LEDGER_DISAGREES


class CommandsSkippedError(BoxOfficeError):
    """Records between two offsets were not delivered."""

    exit_status = ExitStatus.COMMANDS_SKIPPED
