"""The desk where codes are shown, one after the other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from boxoffice.door.errors import says
from boxoffice.door.ring_file import KeptRing
from boxoffice.door.verifying import verify

if TYPE_CHECKING:
    # Kafka's client takes its time to import, and who verifies by the keys alone needs none.
    from boxoffice.door.holding import Holdings


class Desk:
    """Judges codes by the keys alone or, with ``holdings``, by the ledger too."""

    def __init__(self, keys: Path, holdings: Holdings | None) -> None:
        self._kept = KeptRing(keys)
        self._holdings = holdings

    def check(self) -> None:
        """See that the keys can be read.

        Raises:
            KeyRingError: they cannot.
        """
        self._kept.ring()

    def judge(self, text: str) -> str:
        """A sentence about a code that is good.

        Raises:
            BadCodeError: it is not.
            BoxOfficeError: the ledger could not be asked.
        """
        claim = verify(text, self._kept.ring())
        if self._holdings is None:
            return f"Good by its signature: {says(claim)}."
        held = asyncio.run(self._holdings.held(claim))
        archived = "; its event is archived" if held.is_archived else ""
        return (
            f"Good: {says(claim)} was sold to purchase {held.purchase} at {held.at}, and is still held by it{archived}."
        )
