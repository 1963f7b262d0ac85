"""The spans of a batch, and of those of its commands that are traced.

A command's spans stand in the trace of who sent it: that it was decided, that Redis' script ran, that its fact was
published. Of a batch there is one span, in a trace of its own, which links to its commands: a thousand of them have as
many parents.
"""

from __future__ import annotations

from collections.abc import Collection
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Final, NamedTuple

from boxoffice.selling.deciding import Answer
from boxoffice.tracing.harmless import harmlessly
from lua import PURCHASE
from models.shapes import Decider, Fact
from topics import purchase_requests, purchase_results

if TYPE_CHECKING:
    from boxoffice.selling.publishing import Sold
    from boxoffice.tracing.spans import Begun, Ids, Tracing

DECIDING: Final = f"process {purchase_requests.TOPIC.name}"
ASKING: Final = f"{PURCHASE.name}.lua"
SENDING: Final = f"send {purchase_results.TOPIC.name}"
BATCH: Final = "batch"

_REFUSALS: Final = frozenset({"purchase_rejected", "command_rejected"})

Times = tuple[int, int]


class _Command(NamedTuple):
    """A command that is traced; ``sent`` is the span under which it was published."""

    partition: int
    answer: Answer
    sent: Ids
    deciding: Begun


class TracedBatches:
    """Looks which commands of a batch are traced."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def decided(self, sold: Sold, since_s: float) -> TracedBatch | None:
        """The traced commands of a batch that was just decided, and came at ``since_s``; None where there is none."""
        ended_ns = time_ns()
        with harmlessly():
            commands = self._commands(sold)
            if commands:
                times_ns = ended_ns - int((monotonic() - since_s) * 1e9), ended_ns
                return TracedBatch(self._tracing, commands, sum(len(answers) for _, answers in sold), times_ns)
        return None

    def _commands(self, sold: Sold) -> list[_Command]:
        tracing = self._tracing
        return [
            _Command(owned.number, answer, sent, tracing.child(sent))
            for owned, answers in sold
            for answer in answers
            if answer.trace is not None and (sent := tracing.follow(answer.trace)) is not None
        ]


class TracedBatch:
    """A batch of which commands are traced: notes its times, and writes its spans when its facts are published."""

    def __init__(self, tracing: Tracing, commands: list[_Command], size: int, times_ns: Times) -> None:
        self._tracing = tracing
        self._commands = commands
        self._size = size
        self._decided_ns = times_ns
        self._asked_ns: Times = (0, 0)
        self._asked: Collection[str] = ()

    def asked(self, events: Collection[str], began_ns: int) -> None:
        """Redis was asked about these events, and has answered or failed."""
        self._asked, self._asked_ns = events, (began_ns, time_ns())

    def published(self, partitions: Collection[int], began_ns: int) -> None:
        """The facts of these partitions are acknowledged."""
        times_ns = began_ns, time_ns()
        with harmlessly():
            for command in self._commands:
                self._write(command, times_ns if command.partition in partitions else None)
            links = [command.deciding.context for command in self._commands[: self._tracing.most_links]]
            attributes = {"boxoffice.commands": self._size, "boxoffice.traced": len(self._commands)}
            batch_ns = self._decided_ns[0], times_ns[1]
            self._tracing.write(BATCH, "INTERNAL", self._tracing.alone(), batch_ns, attributes, links=links)

    def _write(self, command: _Command, published_ns: Times | None) -> None:
        """The spans of a command; its fact's only if that was published."""
        tracing, fact, deciding = self._tracing, command.answer.fact, command.deciding
        tracing.write(DECIDING, "CONSUMER", deciding, self._decided_ns, self._about(command))
        if command.answer.decided is not None and fact["event_id"] in self._asked:
            agreed = fact.get("decided_by") == Decider.REDIS.value
            tracing.write(
                ASKING,
                "CLIENT",
                tracing.child(deciding.context),
                self._asked_ns,
                error="" if agreed else "Redis did not decide it",
            )
        if published_ns is not None:
            sending = deciding._replace(context=tracing.of_fact(command.sent, fact), parent=deciding.context)
            tracing.write(SENDING, "PRODUCER", sending, published_ns, {"boxoffice.outcome": _outcome(fact)})

    def _about(self, command: _Command) -> dict[str, str | int]:
        about: dict[str, str | int] = {"messaging.kafka.offset": command.answer.last}
        if command.answer.fact["event_id"] is not None:
            about["boxoffice.event_id"] = command.answer.fact["event_id"]
        return about


def _outcome(fact: Fact) -> str:
    """What was decided: a refusal's reason, or the fact's type."""
    reason = fact.get("reason") if fact["type"] in _REFUSALS else None
    return str(reason or fact["type"])
