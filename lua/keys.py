"""The keys of an event in Redis: their one definition."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from models.members import GENERAL


class EventKeys(NamedTuple):
    """An event's keys, in the order in which the scripts take them."""

    meta: str
    """Hash: the event, and how far it is."""
    purchases: str
    """Hash: request id → record of every accepted command."""
    queues: tuple[str, ...]
    """Lists, one of each category: names of the tickets that are left, the next one first."""

    @property
    def all(self) -> tuple[str, ...]:
        """All of them, one after the other."""
        return self.meta, self.purchases, *self.queues


ONLY_GENERAL: Final = (GENERAL,)


def event_keys(prefix: str, event_id: str, categories: Iterable[str] = ONLY_GENERAL) -> EventKeys:
    """The keys that serve an event. The braces are literal: they keep the keys on one slot of a cluster."""
    return _keys(f"{prefix}event:{{{event_id}}}", categories)


def loading_keys(prefix: str, event_id: str, attempt: str, categories: Iterable[str] = ONLY_GENERAL) -> EventKeys:
    """Where one attempt to load the event puts it, on the same slot, before it is switched in."""
    return _keys(f"{prefix}event:{{{event_id}}}:loading:{attempt}", categories)


def _keys(stem: str, categories: Iterable[str]) -> EventKeys:
    queues = (f"{stem}:tickets" if category == GENERAL else f"{stem}:tickets:{category}" for category in categories)
    return EventKeys(f"{stem}:meta", f"{stem}:purchases", tuple(queues))


def any_event_key(prefix: str) -> str:
    """A pattern of all keys of all events."""
    return f"{prefix}event:{{*}}:*"


def read_event_key(prefix: str, key: str) -> tuple[str, str] | None:
    """The event of a key that is one of an event's, and what lies there: ``meta``, ``stats``, ``tickets:ID``, ..."""
    event_id, is_event, what = key.removeprefix(f"{prefix}event:{{").partition("}:")
    return (event_id, what) if is_event and key.startswith(f"{prefix}event:{{") else None


def event_statistics_key(prefix: str, event_id: str) -> str:
    """Hash: the newest statistics of an event. Only the statistics process writes it."""
    return f"{prefix}event:{{{event_id}}}:stats"


def global_statistics_key(prefix: str) -> str:
    """Hash: partition → absolute figures of its events, as JSON; whoever reads it adds them up."""
    return f"{prefix}global:stats"


def process_key(prefix: str, process: str, instance: str) -> str:
    """String: what one running process says of itself, as JSON. It expires soon after the process ended."""
    return f"{prefix}process:{process}:{instance}"


def drill_key(prefix: str) -> str:
    """String: while it is there, workers leave Redis alone and decide locally. It expires when the drill is over."""
    return f"{prefix}global:drill"


def rebuild_key(prefix: str) -> str:
    """Set: ids of events that an operator wants rebuilt. Their owner takes them out when it has done so."""
    return f"{prefix}global:rebuild"


def probe_key(prefix: str) -> str:
    """String: written to see whether Redis takes writes. It expires at once."""
    return f"{prefix}probe"
