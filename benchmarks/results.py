"""What was measured: figures with names and units, and series of points to draw."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

OUT: Final = Path(__file__).parent / "out"

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Result:
    """One figure. ``contestant`` is who reached it."""

    name: str
    value: float
    unit: str
    contestant: str = "product"


@dataclass
class Outcome:
    """What one benchmark measured: its figures, and by name the series of its plots."""

    results: list[Result] = field(default_factory=list)
    series: dict[str, Points] = field(default_factory=dict)

    def add(self, name: str, value: float, unit: str, contestant: str = "product") -> None:
        """Note a figure."""
        self.results.append(Result(name, value, unit, contestant))

    def add_rounds(self, name: str, rounds: Sequence[float], unit: str, contestant: str = "product") -> None:
        """Note the median of several rounds, and the spread of the rounds around it."""
        self.add(name, statistics.median(rounds), unit, contestant)
        if len(rounds) > 1:
            self.add(f"{name}_min", min(rounds), unit, contestant)
            self.add(f"{name}_max", max(rounds), unit, contestant)

    def value(self, name: str, contestant: str = "product") -> float:
        """A figure that was noted."""
        return next(found.value for found in self.results if (found.name, found.contestant) == (name, contestant))

    def save(self, path: Path) -> None:
        """Write it all to a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Outcome:
        """What :meth:`save` wrote."""
        found = json.loads(path.read_text())
        return cls(
            [Result(**result) for result in found["results"]],
            {name: [(x, y) for x, y in points] for name, points in found["series"].items()},
        )


def write_results(results: Iterable[Result], path: Path) -> None:
    """Write figures as a JSON list of ``{"name", "value", "unit", "contestant"}``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(asdict(result)) for result in results)
    path.write_text(f"[\n{lines}\n]\n")


def print_results(title: str, results: Iterable[Result]) -> None:
    """Show figures as a table."""
    table = Table(title=title, title_justify="left")
    table.add_column("name", overflow="fold")
    table.add_column("contestant")
    table.add_column("value", justify="right")
    table.add_column("unit")
    for result in results:
        table.add_row(result.name, result.contestant, in_words(result.value), result.unit)
    Console().print(table)


def in_words(value: float) -> str:
    """A figure with as many digits as it deserves."""
    digits = next((digits for least, digits in ((1_000, 0), (10, 1), (0.1, 2)) if abs(value) >= least), 3)
    return f"{value:,.{digits}f}"
