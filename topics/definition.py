"""What a topic is: its name, what its key and value are, and the configuration it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True)
class TopicDefinition:
    """One topic. ``config`` holds Kafka's topic settings, as strings, that the product relies on.

    ``vital`` are those of them without which nothing may be sold, each with what would come of it, in a few words.
    """

    name: str
    holds: str
    key: str
    value: str
    config: Mapping[str, str] = field(default_factory=dict)
    vital: Mapping[str, str] = field(default_factory=dict)

    def full_name(self, prefix: str) -> str:
        """The name on the broker."""
        return prefix + self.name
