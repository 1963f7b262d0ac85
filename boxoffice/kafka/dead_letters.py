"""Dead letters, for operators: which there are and why, and commands among them published again."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, Self

from aiokafka import ConsumerRecord, TopicPartition

from boxoffice.errors import BoxOfficeError, ExitStatus
from boxoffice.kafka.clients import Headers, group_id, producer, read_all, reader, record_at
from boxoffice.kafka.side_records import (
    MAX_DEAD_LETTER_BYTES,
    MAX_DEAD_LETTER_KEY_BYTES,
    Marks,
    counted_bytes,
    headers_bytes,
    read_marks,
)
from boxoffice.kafka.topics import partitions_of
from boxoffice.settings import KafkaSettings
from models.commands import MAX_HEADER_BYTES
from topics import dead_letters, purchase_requests, purchase_results
from topics.purchase_requests import PRIVATE_HEADER_PREFIX

_POSITION: Final = re.compile(r"(0|[1-9][0-9]{0,8}):(0|[1-9][0-9]{0,17})")
_DIGITS: Final = re.compile(r"[0-9]+")
_MAX_REASON_CHARACTERS: Final = 300
_MOST_KINDS: Final = 1_000
_OTHER_REASONS: Final = "other reasons"


class WrongPositionError(BoxOfficeError):
    """What was given is no position on ``dead-letters``."""

    exit_status = ExitStatus.USAGE
    remedy = "Give PARTITION:OFFSET, as `boxoffice dead-letters list` shows it."

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is no position of a dead letter: it is PARTITION:OFFSET, like 3:17.")


class NoDeadLetterError(BoxOfficeError):
    """There is nothing at a position."""

    exit_status = ExitStatus.REJECTED
    remedy = "See which there are with `boxoffice dead-letters list`."

    def __init__(self, position: Position) -> None:
        super().__init__(
            f"There is no dead letter at {position}: see which there are with 'boxoffice dead-letters list'."
        )


class Position(NamedTuple):
    """Where a record lies on its topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


def read_position(text: str) -> Position:
    """The position that an operator writes as PARTITION:OFFSET.

    Raises:
        WrongPositionError: it is none.
    """
    match = _POSITION.fullmatch(text)
    if match is None:
        raise WrongPositionError(text)
    return Position(int(match[1]), int(match[2]))


class Kind(StrEnum):
    """What a dead letter is of."""

    COMMAND = "command"
    DOCUMENT = "document"
    FOREIGN = "foreign"
    """Not the box office's: somebody else put it there."""


@dataclass(frozen=True)
class DeadLetter:
    """A record of ``dead-letters``: the original as far as it is there, and its marks, if they are right."""

    position: Position
    at_ms: int
    key: bytes | None
    value: bytes
    headers: Headers
    marks: Marks | None

    @classmethod
    def read(cls, record: ConsumerRecord[bytes, bytes]) -> Self:
        """The dead letter in a record, whatever it is."""
        headers, marks = read_marks(record.headers)
        return cls(
            Position(record.partition, record.offset), record.timestamp, record.key, record.value or b"", headers, marks
        )

    @property
    def reason(self) -> str:
        """What is wrong with it, as text that may hold anything."""
        return "" if self.marks is None else self.marks.reason.decode(errors="replace")

    @property
    def reason_kind(self) -> str:
        """What it has in common with others: its reason with N for every number."""
        return _DIGITS.sub("N", self.reason)

    @property
    def size_bytes(self) -> int:
        """How large the original was: key, value and headers."""
        if self.marks is not None and self.marks.cut_bytes is not None:
            return self.marks.cut_bytes
        return len(self.key or b"") + len(self.value) + headers_bytes(self.headers)

    @property
    def fits(self) -> bool:
        """Whether it is as small as the box office makes them."""
        return (
            len(self.key or b"") <= MAX_DEAD_LETTER_KEY_BYTES
            and len(self.value) <= MAX_DEAD_LETTER_BYTES
            and counted_bytes(self.headers) <= MAX_HEADER_BYTES
        )

    def has_reason(self, text: str) -> bool:
        """Whether the text is part of its reason, as it stands there or with N for every number."""
        return text in self.reason or text in self.reason_kind


@dataclass(frozen=True, order=True)
class Listed:
    """A dead letter in a list, ordered by time; ``original`` is TOPIC:PARTITION:OFFSET, ``reason`` its beginning."""

    at_ms: int
    position: Position
    kind: Kind
    original: str
    size_bytes: int
    cut: bool
    reason: str


@dataclass
class Listing:
    """The newest dead letters, the newest first, and how many there are of each kind of reason."""

    letters: list[Listed] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Retried:
    """What became of a dead letter that was to be published again: where it lies now, or why it was refused.

    Neither where it only would be published.
    """

    position: Position
    landed: Position | None = None
    refused: str | None = None


class DeadLetters:
    """The dead letters of a box office."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._topic = dead_letters.TOPIC.full_name(settings.topic_prefix)
        self._ledger = purchase_results.TOPIC.full_name(settings.topic_prefix)
        self.requests = purchase_requests.TOPIC.full_name(settings.topic_prefix)

    def kind(self, letter: DeadLetter) -> Kind:
        """What it is of."""
        if letter.marks is None or not letter.fits:
            return Kind.FOREIGN
        kinds = {self.requests: Kind.COMMAND, self._ledger: Kind.DOCUMENT}
        return kinds.get(letter.marks.topic, Kind.FOREIGN)

    async def newest(self, limit: int, reason: str | None = None) -> Listing:
        """The newest dead letters, all or those with a reason, and how many there are of each kind of it.

        Raises:
            UnreachableError: no broker answered.
            TopicsError: the topics cannot be used.
        """
        listing = Listing()
        async for letters in self._chosen(None, reason):
            for letter in letters:
                kind = letter.reason_kind[:_MAX_REASON_CHARACTERS]
                known = kind in listing.reasons or len(listing.reasons) < _MOST_KINDS
                listing.reasons[kind if known else _OTHER_REASONS] += 1
                add = heapq.heappush if len(listing.letters) < limit else heapq.heappushpop
                add(listing.letters, self.listed(letter))
        listing.letters.sort(reverse=True)
        return listing

    def listed(self, letter: DeadLetter) -> Listed:
        """A dead letter as it stands in a list."""
        marks = letter.marks
        return Listed(
            letter.at_ms,
            letter.position,
            self.kind(letter),
            "" if marks is None else f"{marks.topic}:{marks.partition}:{marks.offset}",
            letter.size_bytes,
            marks is not None and marks.cut_bytes is not None,
            letter.reason[:_MAX_REASON_CHARACTERS],
        )

    async def at(self, position: Position) -> DeadLetter:
        """The dead letter at a position.

        Raises:
            NoDeadLetterError: there is none.
            UnreachableError: no broker answered.
            TopicsError: the topics cannot be used.
        """
        tp = TopicPartition(self._topic, position.partition)
        if tp not in await partitions_of(self._settings, dead_letters.TOPIC):
            raise NoDeadLetterError(position)
        async with reader(self._settings, [tp]) as consumer:
            begin, end = (await consumer.beginning_offsets([tp]))[tp], (await consumer.end_offsets([tp]))[tp]
            found = await record_at(consumer, tp, position.offset) if begin <= position.offset < end else None
        if found is None:
            raise NoDeadLetterError(position)
        return DeadLetter.read(found)

    async def retry(
        self, position: Position | None = None, reason: str | None = None, *, dry_run: bool = False
    ) -> AsyncGenerator[Retried, None]:
        """Publish commands again, as they were: the one at a position, those with a reason, or all there are now.

        Each is acknowledged before it is told. With ``dry_run`` nothing is published.

        Raises:
            NoDeadLetterError: there is none at the position.
            UnreachableError: no broker answered.
            TopicsError: the topics cannot be used.
        """
        async with AsyncExitStack() as opened:
            sender = None if dry_run else await opened.enter_async_context(producer(self._settings))
            async for letters in self._chosen(position, reason):
                judged = [(letter, self._refusal(letter)) for letter in letters]
                sent = {
                    letter.position: await sender.send(
                        self.requests, letter.value, key=letter.key, headers=original_headers(letter)
                    )
                    for letter, refused in judged
                    if sender is not None and refused is None
                }
                for letter, refused in judged:
                    landed = await sent[letter.position] if letter.position in sent else None
                    yield Retried(letter.position, landed and Position(landed.partition, landed.offset), refused)

    async def _chosen(self, position: Position | None, reason: str | None) -> AsyncIterator[Sequence[DeadLetter]]:
        if position is not None:
            yield [await self.at(position)]
            return
        partitions = await partitions_of(self._settings, dead_letters.TOPIC)
        async with reader(self._settings, partitions) as consumer:
            async for records in read_all(consumer, partitions):
                letters = map(DeadLetter.read, records)
                yield [letter for letter in letters if reason is None or letter.has_reason(reason)]

    def _refusal(self, letter: DeadLetter) -> str | None:
        """Why a dead letter is not published again; None if it can be."""
        marks = letter.marks
        if marks is None:
            return "its marks are missing or wrong: the box office did not put it there"
        if not letter.fits:
            return "it is larger than a dead letter can be: the box office did not put it there"
        original = f"{marks.topic}:{marks.partition}:{marks.offset}"
        if marks.topic == self._ledger:
            return (
                f"it is the sale at {original} of ticket {marks.ticket}, which has no document, and a sale is never "
                f"published again; to have the document made, set the group {group_id(self._settings, 'documents')} "
                "back to that offset while no documents process runs: see docs/dead-letters.md"
            )
        if marks.topic != self.requests:
            return f"it says that it comes from {original}, and only commands on {self.requests} are published again"
        if marks.cut_bytes is not None:
            return f"it was cut: the original, at {original}, has {marks.cut_bytes} bytes"
        return None


def original_headers(letter: DeadLetter) -> list[tuple[str, bytes]]:
    """The headers without those that only the box office writes."""
    return [(name, value) for name, value in letter.headers if not name.startswith(PRIVATE_HEADER_PREFIX)]
