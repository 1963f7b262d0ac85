"""Records of the topics, and what is told of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

Members = dict[str, Any]
Position = tuple[int, int]
"""Partition and offset."""

SHOWN_OF_A_KIND = 5


@dataclass(frozen=True, slots=True)
class Record:
    """A record of any of the topics."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp_ms: int = 0

    @property
    def position(self) -> Position:
        """Where it lies."""
        return self.partition, self.offset

    def header(self, name: str) -> bytes | None:
        """The last header of this name."""
        values = [value for header, value in self.headers if header == name]
        return values[-1] if values else None


class Verdict(NamedTuple):
    """What is wrong, in sentences (nothing, if all is well), and the figures of the sale."""

    problems: list[str]
    summary: Members


class Problems:
    """Sentences by kind: one fault can show in every record, and a few of them tell enough."""

    def __init__(self) -> None:
        self.by_kind: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, kind: str, sentence: str) -> None:
        self.by_kind[kind].append(sentence)

    def sentences(self) -> list[str]:
        told = []
        for kind, sentences in self.by_kind.items():
            told += sentences[:SHOWN_OF_A_KIND]
            if len(sentences) > SHOWN_OF_A_KIND:
                told.append(f"... and {len(sentences) - SHOWN_OF_A_KIND} more: {kind}.")
        return told
