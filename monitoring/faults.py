"""The faults of docs/operations.md, and the alerts that tell of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

PAGE: Final = Path(__file__).parents[1] / "docs" / "operations.md"

_HEADINGS: Final = ("fault", "what is seen", "what the system does", "what to do")
_BAR: Final = re.compile(r"(?<!\\)\|")


class Fault(NamedTuple):
    """A row of one of the tables."""

    section: str
    fault: str
    seen: str
    does: str
    to_do: str

    @property
    def anchor(self) -> str:
        """Where its table is, as GitHub names headings."""
        return re.sub(r"[^\w\- ]", "", self.section.lower()).replace(" ", "-")

    @property
    def alerts(self) -> list[str]:
        """The alerts that are named as telling of it."""
        return re.findall(r"\*\*(Boxoffice\w+)\*\*", self.seen)

    @property
    def wakes_nobody(self) -> bool:
        """Whether there is nothing to do, or the page says itself that there is no alert."""
        return self.to_do.startswith("nothing") or "no alert" in self.seen


def faults() -> list[Fault]:
    """Every fault, in the order of the page."""
    found: list[Fault] = []
    section, in_table = "", False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ")
        cells = tuple(cell.strip() for cell in _BAR.split(line)[1:-1])
        if cells == _HEADINGS:
            in_table = True
        elif not cells:
            in_table = False
        elif in_table and not set(cells[0]) <= {"-"}:
            found.append(Fault(section, *cells))
    return found
