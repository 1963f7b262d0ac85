"""What can go wrong, as classes whose message is one sentence for a person.

The command line prints the sentence and exits with ``exit_status``; nobody is shown a stack trace
for something that they can mend. ``docs/errors.md`` is made from these classes: a class's docstring says what
happened, its ``remedy`` what to do.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar, Self


class ExitStatus(IntEnum):
    """How a command or a process ended, for scripts and supervisors; ``meaning`` says it in words."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Self:
        """A status with its number and its meaning."""
        status = int.__new__(cls, value)
        status._value_ = value
        status.meaning = meaning
        return status

    OK = 0, "All went well."
    DIFFERS = 1, "`audit` found a difference, `doctor` a problem, or `topics create` a topic with other settings."
    USAGE = 2, "A setting, an option or an argument is wrong."
    REJECTED = 3, "The command was decided, and refused; or what was asked for does not exist."
    NO_ANSWER = 4, "No decision was seen in time."
    UNREACHABLE = 5, "Kafka, Redis or the document store could not be reached."
    REFUSED = 6, "The topics are not what a process needs: starting it again does not help."
    BAD_CODE = 7, "A ticket's code is not good: forged, void, or no longer the ticket's."
    PUBLISH_FAILED = 70, "A publish failed or passed its deadline: nothing was committed."
    LEDGER_DISAGREES = 71, "Somebody else's records are in the ledger: the process begins again from the chain."
    COMMANDS_SKIPPED = 72, "A record between two offsets was not delivered: the process reads it again."
    AGENT_FAILED = 73, "An exception left the agent's body: nothing was committed."
    NEWER_RELEASE = 74, "A newer release wrote what this one does not know; nothing was committed."
    CRASHED = 75, "Something happened that nobody foresaw: a fault of boxoffice; nothing was committed."
    UNWRITABLE = 76, "What a command printed could not be written."


RESTARTABLE = frozenset(
    {
        ExitStatus.UNREACHABLE,
        ExitStatus.PUBLISH_FAILED,
        ExitStatus.LEDGER_DISAGREES,
        ExitStatus.COMMANDS_SKIPPED,
        ExitStatus.AGENT_FAILED,
        ExitStatus.NEWER_RELEASE,
        ExitStatus.CRASHED,
    }
)
"""Ends after which the same process, started again, goes on where it stopped."""


class BoxOfficeError(Exception):
    """Something a person is told in one sentence."""

    exit_status: ClassVar[ExitStatus] = ExitStatus.DIFFERS
    remedy: ClassVar[str] = "Read the sentence."


class SettingsError(BoxOfficeError):
    """A setting has a value that cannot be used."""

    exit_status = ExitStatus.USAGE
    remedy = "Set the variable that the sentence names to what `boxoffice settings` allows."


class UnreachableError(BoxOfficeError):
    """A server did not answer."""

    exit_status = ExitStatus.UNREACHABLE
    remedy = "See that the server runs and that its variable is right; a process that is started again waits for it."


class TopicsError(BoxOfficeError):
    """The topics on the broker are not what the box office needs."""

    exit_status = ExitStatus.REFUSED
    remedy = "Create the topics with `boxoffice topics create`, or alter what the sentence names."


class PartitionsChangedError(TopicsError):
    """The topics have another number of partitions than the ledger was written with.

    An event's home depends on that number: elsewhere nobody knows what it sold, and its tickets would be sold again.
    """

    remedy = (
        "Kafka cannot take partitions away: move to new topics with `boxoffice topics grow`, as docs/operations.md "
        "says under Growing. Until then nothing is decided, and nothing is lost."
    )


class PublishError(BoxOfficeError):
    """The broker did not acknowledge what was published."""

    exit_status = ExitStatus.PUBLISH_FAILED
    remedy = "Nothing for this process: its supervisor starts it again. See that the brokers are well."


class LedgerError(BoxOfficeError):
    """The ledger holds what this worker did not write and cannot explain."""

    exit_status = ExitStatus.LEDGER_DISAGREES
    remedy = "The supervisor starts the process again. If it happens again, see who else may write to the ledger."


class CommandsSkippedError(BoxOfficeError):
    """Records between two offsets were not delivered."""

    exit_status = ExitStatus.COMMANDS_SKIPPED
    remedy = "The supervisor starts the process again, and it reads them. If they are gone, see docs/operations.md."


class NewerReleaseError(BoxOfficeError):
    """The ledger holds a fact of a newer release, of which this one does not know what follows."""

    exit_status = ExitStatus.NEWER_RELEASE
    remedy = "Run the newer release here too: docs/upgrading.md says in which order."

    def __init__(self, ledger: str, partition: int, what: str) -> None:
        super().__init__(f"{ledger} partition {partition} was {what}. Upgrade this one: docs/upgrading.md.")


class CrashError(BoxOfficeError):
    """Something happened that nobody foresaw."""

    exit_status = ExitStatus.CRASHED
    remedy = "Report it: CONTRIBUTING.md says how. With `BOXOFFICE_LOG_LEVEL=debug` the stack trace is shown too."

    def __init__(self, what: str, where: str) -> None:
        super().__init__(
            f"boxoffice crashed, which is a fault of its own ({what}; at {where}): please report it. "
            "With BOXOFFICE_LOG_LEVEL=debug the stack trace is shown too."
        )
