"""The ledger's chain: which of the records on a ledger partition count.

Every record carries the range of command offsets that it accounts for. The chain takes exactly the
record whose range follows its bookmark and ignores every other: repeats, a replaced owner's, whatever
lies behind a gap or a damaged record. What is missing is decided again, alike, and the chain closes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from models.event import FoldError
from models.facts import NewerFactError, UnreadableFactError, read_fact, read_range
from models.inventory import Inventory, fold
from models.shapes import Fact


class Taken(Enum):
    """What the chain did with a record."""

    TAKEN = auto()
    IGNORED = auto()
    DAMAGED = auto()
    NEWER = auto()
    """A newer release wrote it, and this one does not know what follows: the fold stands before it for good."""


@dataclass(slots=True)
class Ledger:
    """The fold of one ledger partition.

    ``bookmark`` is the offset of the last command accounted for, -1 before the first; ``last`` the
    fact that answers it; ``last_unreadable`` the offset of the last one that could not be read, or -1;
    ``newer`` says what a newer release wrote in the place of the next one.
    ``ends`` is where the partitions of commands end, for :class:`models.inventory.Inventory`.
    """

    partition: int
    bookmark: int = -1
    last_unreadable: int = -1
    last: Fact | None = None
    newer: str | None = None
    ends: Mapping[int, int] | None = None
    inventory: Inventory = field(init=False)

    def __post_init__(self) -> None:
        self.inventory = Inventory(self.partition, ends=self.ends)

    def read(self, value: bytes | None, read_header: bytes | None) -> Taken:
        """Take a record from the ledger, if it is the chain's next."""
        if self.newer is not None:
            return Taken.IGNORED  # What an older owner still writes there is decided on without the newer one's rules.
        last = self.bookmark + 1
        if read_header != b"%d-%d" % (last, last):  # as nearly all are: of the next command alone
            offsets = read_range(read_header)
            if offsets is None:
                return Taken.DAMAGED
            first, last = offsets
            if first != self.bookmark + 1:
                return Taken.IGNORED
        try:
            fact = read_fact(value)
            fold(self.inventory, fact, last)
        except NewerFactError as error:
            self.newer = str(error)
            return Taken.NEWER
        except (UnreadableFactError, FoldError):
            return Taken.DAMAGED
        self.bookmark, self.last = last, fact
        if fact["type"] == "command_unreadable":
            self.last_unreadable = last
        return Taken.TAKEN
