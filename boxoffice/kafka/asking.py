"""Ask the box office: publish a command, wait for the fact that answers it, follow the ledger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from pydantic_core import to_json

from boxoffice.errors import BoxOfficeError, ExitStatus, NewerReleaseError
from boxoffice.kafka.clients import header, home_partition, producer, reader, topic_partitions
from boxoffice.kafka.connecting import BrokerLostError
from boxoffice.kafka.topics import check_topics
from boxoffice.settings import KafkaSettings
from models.commands import Command, UnreadableCommandError, read_command
from models.facts import NewerFactError, UnreadableFactError, read_fact, read_range
from models.members import shows_something
from models.shapes import Fact
from topics import purchase_requests, purchase_results

_POLL_MS = 200
_AGAIN_S = 0.2


class WrongCommandError(BoxOfficeError):
    """A command that would be unreadable: it is not published."""

    exit_status = ExitStatus.USAGE
    remedy = "Correct the member that the sentence names; nothing was published."

    def __init__(self, why: str) -> None:
        super().__init__(f"This command cannot be published: {why}.")


class NoAnswerError(BoxOfficeError):
    """No fact answered a command in time. It may be decided yet."""

    exit_status = ExitStatus.NO_ANSWER
    remedy = "Ask again with the same request id, which buys nothing twice; see what is wrong with `boxoffice doctor`."

    def __init__(self, command: Command, timeout_s: float) -> None:
        super().__init__(
            f"No answer to request {command.request_id} within {timeout_s:g} s: "
            "see what is wrong with 'boxoffice doctor'; the same request id again gets its answer, "
            "and buys nothing twice."
        )


@dataclass(frozen=True)
class LedgerRecord:
    """A fact, and where it lies on the ledger."""

    partition: int
    offset: int
    value: bytes
    fact: Fact

    @property
    def line(self) -> str:
        """The fact as it lies there, on one line whoever wrote it."""
        text = self.value.decode()
        return text if text.isprintable() else json.dumps(json.loads(text))


def command_from(members: Mapping[str, Any]) -> Command:
    """The command with these members, judged as a worker would judge it.

    Raises:
        WrongCommandError: it would be unreadable, or its ticket would say nothing where a name belongs.
    """
    try:
        command = read_command(to_json({name: value for name, value in members.items() if value is not None}))
    except UnreadableCommandError as error:
        raise WrongCommandError(str(error)) from None
    for member in _SHOWN.get(command.type, ()):
        if not shows_something(getattr(command, member)):
            raise WrongCommandError(f"{member}: nothing of it can be seen")
    return command


_SHOWN: Final = {"create_event": ("name", "venue"), "purchase": ("buyer",)}
"""What stands on a ticket. A worker takes them all the same: see ``shows_something``."""


def as_sent(command: Command) -> bytes:
    """A command as it was given: a quantity that nobody gave must not stand beside lines."""
    return command.model_dump_json(exclude_unset=True, exclude_none=True).encode()


async def ask(settings: KafkaSettings, command: Command, timeout_s: float) -> Fact:
    """Publish a command at its event's home, and return the fact that answers it.

    Raises:
        NoAnswerError: none was seen in time.
        NewerReleaseError: a newer release decided it, in a way that this one does not know.
        UnreachableError: no broker answered.
        TopicsError: the topics cannot be used.
    """
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    return await _ask(settings, command)
                except BrokerLostError:
                    pass
                except KafkaError as error:
                    if not error.retriable:
                        raise
                # Another broker takes over. The command may lie there by now: with its request id it counts once.
                await asyncio.sleep(_AGAIN_S)
    except TimeoutError:
        raise NoAnswerError(command, timeout_s) from None


async def _ask(settings: KafkaSettings, command: Command) -> Fact:
    home = home_partition(command.event_id, await check_topics(settings))
    results = TopicPartition(purchase_results.TOPIC.full_name(settings.topic_prefix), home)
    async with reader(settings, [results]) as consumer, producer(settings) as sender:
        end = (await consumer.end_offsets([results]))[results]
        consumer.seek(results, end)
        consumer.resume(results)
        sent = await sender.send_and_wait(
            purchase_requests.TOPIC.full_name(settings.topic_prefix),
            as_sent(command),
            key=command.event_id.encode(),
            partition=home,
        )
        return await _answer(consumer, results, sent.offset)


async def _answer(consumer: AIOKafkaConsumer, results: TopicPartition, offset: int) -> Fact:
    """The fact of the ledger record that accounts for the command at ``offset`` last: the one it answers."""
    while True:
        for record in (await consumer.getmany(results, timeout_ms=_POLL_MS)).get(results, ()):
            accounted = read_range(header(record.headers, purchase_results.READ_HEADER))
            if accounted and accounted[1] == offset:
                try:
                    return read_fact(record.value)
                except NewerFactError as error:
                    raise NewerReleaseError(record.topic, record.partition, str(error)) from None
                except UnreadableFactError:
                    pass


async def ledger_records(
    settings: KafkaSettings, *, event_id: str | None, from_beginning: bool, follow: bool
) -> AsyncIterator[LedgerRecord]:
    """What the ledger holds, of all events or of one; ``follow`` goes on with what is added.

    An event's are also the commands that could not be read, lie at its home, and claim to be about it. Repeats are
    shown as they come, and records that are no facts are passed over.

    Raises:
        UnreachableError: no broker answered.
        TopicsError: the topics cannot be used.
    """
    partitions = await _partitions(settings, event_id)
    async with reader(settings, partitions) as consumer:
        ends = await consumer.end_offsets(partitions)
        starts = await consumer.beginning_offsets(partitions) if from_beginning else ends
        for partition in partitions:
            consumer.seek(partition, starts[partition])
        consumer.resume(*partitions)
        while follow or await _before(consumer, ends):
            for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                for record in records:
                    found = _ledger_record(record)
                    if found and (event_id is None or event_id in (found.fact["event_id"], _claimed(found.fact))):
                        yield found


def _claimed(fact: Fact) -> str | None:
    return fact.get("claimed_event_id") if fact["type"] == "command_unreadable" else None


async def _partitions(settings: KafkaSettings, event_id: str | None) -> list[TopicPartition]:
    topic = purchase_results.TOPIC.full_name(settings.topic_prefix)
    partitions = topic_partitions(topic, await check_topics(settings))
    return partitions if event_id is None else [partitions[home_partition(event_id, len(partitions))]]


async def _before(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    for partition, end in ends.items():
        if await consumer.position(partition) < end:
            return True
    return False


def _ledger_record(record: ConsumerRecord[bytes, bytes]) -> LedgerRecord | None:
    try:
        fact = read_fact(record.value)
    except UnreadableFactError:
        return None
    return LedgerRecord(record.partition, record.offset, record.value or b"", fact)
