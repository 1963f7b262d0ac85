"""Keep commands that could not be read on ``dead-letters``, beside the sale: no sale waits for that, or ends of it.

The ledger accounts for such a command like for any other, whether or not its dead letter can be kept now. Once it is,
that is noted as an offset of ``purchase-requests``: all unreadable commands before it are kept. What lies between
that offset and the last unreadable command of the ledger is owed, and is read again from the log, by whoever owns the
partition by then. So nothing has to be remembered for it, in the ledger or elsewhere, and a letter may come twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from boxoffice import metrics
from boxoffice.kafka.clients import read_between
from boxoffice.kafka.letter_box import LetterBox, OpenLetterBox, letter_box
from boxoffice.kafka.side_records import SideRecord
from boxoffice.selling.deciding import Answer, OwnedPartition, letter_of
from boxoffice.settings import KafkaSettings
from boxoffice.tasks import end_tasks

log = structlog.get_logger(__name__)

DEADLINE_S: Final = 10.0
"""For one step: a portion of letters, or of commands that are read again."""
RETRY_S: Final = 5.0
LAST_WORDS_S: Final = 1.0
"""How long an orderly end waits for what is owed: another owner keeps it as well."""
MOST_LETTERS: Final = 2_000
"""Of all partitions in memory, at 64 KiB each at most; further ones are read again from the log."""
READ_AGAIN_AT_ONCE: Final = 10_000
"""Offsets of a partition that are looked at before others have their turn."""


@dataclass(slots=True)
class _Line:
    """What is owed of a partition.

    All unreadable commands before ``kept_to`` are kept (None: nobody has asked yet), and the last one lies at
    ``owed_to``. ``letters`` holds those between; unless ``read_again``: then the log alone does.
    """

    owed_to: int
    kept_to: int | None = None
    read_again: bool = True
    letters: list[SideRecord] = field(default_factory=list)
    count: int = 0
    """About how many are owed."""

    @property
    def owes(self) -> bool:
        return self.kept_to is None or self.kept_to <= self.owed_to


class Keeper:
    """Keeps the dead letters of the partitions that this worker owns."""

    def __init__(self, settings: KafkaSettings, partitions: int, open_box: OpenLetterBox = letter_box) -> None:
        self._settings = settings
        self._partitions = partitions
        self._open_box = open_box
        self._lines: dict[int, _Line] = {}
        self._wanted = asyncio.Event()
        self._working: asyncio.Task[None] | None = None
        self._fails = False

    @property
    def owed(self) -> int:
        """About how many unreadable commands are not kept yet."""
        return sum(line.count for line in self._lines.values() if line.owes)

    def adopt(self, owned: OwnedPartition) -> None:
        """Keep a partition's letters from now on, and those that its owners before have left."""
        if owned.number not in self._lines and owned.ledger.last_unreadable >= 0:
            self._want(owned.number, _Line(owned.ledger.last_unreadable, count=1))

    def drop(self, numbers: Iterable[int]) -> None:
        """Leave partitions to who owns them now."""
        for number in numbers:
            self._lines.pop(number, None)
        self._measure()

    def keep(self, owned: OwnedPartition, answers: Sequence[Answer]) -> None:
        """Keep the dead letters of answers that the ledger holds."""
        letters = [answer.dead_letter for answer in answers if answer.dead_letter is not None]
        if not letters:
            return
        last = max(answer.last for answer in answers if answer.dead_letter is not None)
        line = self._lines.get(owned.number) or _Line(last)
        line.count = line.count + len(letters) if line.owes else len(letters)
        line.owed_to = max(line.owed_to, last)
        if not line.read_again:
            line.letters += letters
            if sum(len(one.letters) for one in self._lines.values()) > MOST_LETTERS:
                line.letters, line.read_again = [], True
        self._want(owned.number, line)

    def _want(self, number: int, line: _Line) -> None:
        self._lines[number] = line
        self._wanted.set()
        self._measure()
        if self._working is None:
            self._working = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """End; what is owed has a moment, and is left to others then."""
        if self._working is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                while any(line.owes for line in self._lines.values()):
                    await asyncio.sleep(0.01)
        await end_tasks([self._working])

    # At work

    async def _work(self) -> None:
        """Nothing ends it, whatever a client raises: all that is owed is owed still, and tried again."""
        while True:
            try:
                async with self._open_box(self._settings, range(self._partitions)) as box:
                    while True:
                        await self._keep_all(box)
                        await self._wanted.wait()
            except Exception as error:  # noqa: BLE001  # whatever it is: no sale ends of it
                self._failed(error)
            await asyncio.sleep(RETRY_S)

    async def _keep_all(self, box: LetterBox) -> None:
        self._wanted.clear()
        while owing := {number: line for number, line in self._lines.items() if line.owes}:
            for number, line in owing.items():
                try:
                    async with asyncio.timeout(DEADLINE_S):
                        await self._go_on(box, number, line)
                except Exception:
                    if self._lines.get(number) is line:
                        self._lines[number] = self._lines.pop(number)  # The next time, others have their turn first.
                    raise
            self._measure()
        if self._fails:
            self._fails = False
            log.info("dead letters are kept again")

    async def _go_on(self, box: LetterBox, number: int, line: _Line) -> None:
        """Keep some of what a partition owes, and note it."""
        if line.kept_to is None:
            line.kept_to = await box.kept_to(number)
            line.count = line.count if line.owes else 0
        elif line.read_again:
            await self._read_again(box, number, line)
        else:
            await self._keep_from_memory(box, number, line)

    async def _keep_from_memory(self, box: LetterBox, number: int, line: _Line) -> None:
        letters, owed_to = line.letters, line.owed_to
        line.letters = []
        try:
            await box.keep({number: letters})
        except BaseException:
            line.letters, line.read_again = [], True
            raise
        await self._kept(box, number, line, len(letters), owed_to + 1)

    async def _read_again(self, box: LetterBox, number: int, line: _Line) -> None:
        """Read commands again, and keep those that cannot be read."""
        tp = box.commands(number)
        start = (await box.log.beginning_offsets([tp]))[tp]
        first = max(line.kept_to or 0, start)
        last = min(line.owed_to, first + READ_AGAIN_AT_ONCE - 1)
        if first > (line.kept_to or 0) > 0:
            log.warning("commands are gone that may have become dead letters", partition=number, up_to=first - 1)
        kept = 0
        async for records in read_between(box.log, tp, first, last + 1, _passed_over):
            letters = [letter for record in records if (letter := letter_of(record)) is not None]
            if letters:
                await box.keep({number: letters})
                kept += len(letters)
        line.read_again = line.owed_to > last
        await self._kept(box, number, line, kept, max(line.kept_to or 0, last + 1))

    async def _kept(self, box: LetterBox, number: int, line: _Line, count: int, kept_to: int) -> None:
        line.kept_to = kept_to
        line.count = max(line.count - count, 1) if line.owes else 0
        metrics.DEAD_LETTERS.labels("purchases").inc(count)
        await box.note({number: kept_to})

    def _failed(self, error: Exception) -> None:
        if not self._fails:
            log.error("dead letters cannot be kept now; they are kept later, from the log", error=repr(error))
        self._fails = True

    def _measure(self) -> None:
        metrics.DEAD_LETTERS_OWED.set(self.owed)


def _passed_over(*_: Any) -> None:
    """The disk has damaged them: nobody can say what they were."""
