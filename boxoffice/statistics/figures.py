"""What is published of an event's row, and of a partition: on ``event-stats``, in Redis, and as JSON."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic_core import from_json, to_json

from boxoffice.batching import Outgoing, Removal
from models.facts import at_ms, at_text
from models.figures import (
    EVENT_MEMBERS,
    CategoryFigures,
    EventFigures,
    PartitionFigures,
    RevenueFigures,
    Status,
    UnreadableFiguresError,
    WindowFigures,
    read_figures,
    read_totals,
)
from models.members import EVENT_ID_PATTERN
from models.statistics_rows import (
    MINUTE_MS,
    SECOND_MS,
    CategoryStatistics,
    EventStatistics,
    PartitionStatistics,
    Window,
    added,
)

Figures = dict[str, Any]
"""An event's figures, as ``event-stats`` has them."""

Totals = dict[str, Any]
"""Figures of all events of a partition, or of all partitions."""

_EVENT_ID: Final = re.compile(EVENT_ID_PATTERN.encode())
_CE_TYPE: Final = b"boxoffice.event_stats.v1"
_CE_SOURCE: Final = b"boxoffice/stats"
_TICKETS: Final = ("issued", "removed", "remaining", "held", "sold", "expired", "released", "cancelled", "late")
_COUNTS: Final = (*_TICKETS, "purchases", "holds", "cancellations")
_BY_NAME: Final = ("rejected", "refused", "payments_refused", "decided_by")
_OF_NO_EVENT: Final = ("forwarded", "unreadable", "unknown_event")
_WINDOWS: Final = {"sold_by_second": SECOND_MS, "sold_by_minute": MINUTE_MS}
_SOLD_IN: Final = "sold in"
_ARCHIVED: Final = "archived"
_MONEY: Final = ("revenue", "refunded")
"""Sums by currency."""
_TEXTS: Final = frozenset(
    {
        *("event_id", "name", "venue", "starts_at", "status", "on_sale_at", "off_sale_at"),
        *("at", "first_sale_at", "last_sale_at"),
    }
)


def event_figures(event: EventStatistics, partition: int) -> Figures:
    """What is published of an event."""
    figures: EventFigures = {
        "event_id": event.event_id,
        "name": event.name,
        "venue": event.venue,
        "starts_at": event.starts_at,
        "status": event.status.value,
        "on_sale_at": event.on_sale_at,
        "off_sale_at": event.off_sale_at,
        "hold_s": event.hold_s,
        "max_per_order": event.max_per_order,
        "max_per_buyer": event.max_per_buyer,
        "partition": partition,
        "seq": event.seq,
        "offset": event.offset,
        "at": event.at,
        "issued": event.total("issued"),
        "removed": event.total("removed"),
        "remaining": event.total("remaining"),
        "held": event.total("held"),
        "sold": event.total("sold"),
        "expired": event.total("expired"),
        "released": event.total("released"),
        "cancelled": event.total("cancelled"),
        "late": event.total("late"),
        "purchases": event.purchases,
        "holds": event.holds,
        "cancellations": event.cancellations,
        "rejected": event.rejected,
        "refused": event.refused,
        "payments_refused": event.payments_refused,
        "decided_by": event.decided_by,
        "revenue": _revenue(event.total("revenue"), event.total("refunded"), event.currency),
        "closed": event.status is not Status.OPEN,
        "first_sale_at": event.first_sale,
        "last_sale_at": event.last_sale,
        "sold_by_second": window_members(event.seconds),
        "sold_by_minute": window_members(event.minutes),
        "categories": [_category(id_, category, event.currency) for id_, category in event.categories.items()],
    }
    return {**figures}


def _category(id_: str, category: CategoryStatistics, currency: str) -> CategoryFigures:
    return {
        "id": id_,
        "name": category.name,
        "price": {"amount": category.price, "currency": currency},
        "issued": category.issued,
        "removed": category.removed,
        "remaining": category.remaining,
        "held": category.held,
        "sold": category.sold,
        "expired": category.expired,
        "released": category.released,
        "cancelled": category.cancelled,
        "late": category.late,
        "rejected": category.rejected,
        "revenue": _revenue(category.revenue, category.refunded, currency),
    }


def _revenue(amount: int, refunded: int, currency: str) -> RevenueFigures:
    return {"amount": amount, "currency": currency, "refunded": refunded}


def is_archived(figures: Mapping[str, Any]) -> bool:
    """Whether the event was archived: Redis has no figures of it any more."""
    return figures.get("status") == Status.ARCHIVED


def window_members(window: Window) -> WindowFigures:
    """The window as JSON: when its newest span began, and what was sold in each, the newest last."""
    return {
        "newest_at": at_text(window.newest * window.width_ms) if any(window.sold) else None,
        "sold": window.sold,
    }


def read_window(members: Mapping[str, Any], width_ms: int) -> Window:
    """The inverse of :func:`window_members`."""
    newest_at = members["newest_at"]
    return Window(width_ms, at_ms(newest_at) // width_ms if newest_at else 0, members["sold"])


# On the topic


def stats_record(event_id: str, figures: Figures | None) -> Outgoing | Removal:
    """Key, value and headers of a record on ``event-stats``; without figures one that removes the event."""
    key = event_id.encode()
    if figures is None:
        return key, None, []
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_source", _CE_SOURCE),
        ("ce_type", _CE_TYPE),
        ("ce_id", b"%b-%d" % (key, figures["seq"])),
        ("ce_time", figures["at"].encode()),
        ("content-type", b"application/json"),
    ]
    return key, to_json(figures), headers


def read_stats_record(key: bytes | None, value: bytes | None) -> tuple[str, Figures | None]:
    """The event that a record on ``event-stats`` is about, and its figures; None where it removes them.

    Raises:
        UnreadableFiguresError: nobody of ours wrote it.
    """
    if key is None or not _EVENT_ID.fullmatch(key):
        raise UnreadableFiguresError("its key is no event")
    event_id = key.decode()
    if value is None:
        return event_id, None
    return event_id, _of_event(event_id, read_figures(value))


def _of_event(event_id: str, figures: EventFigures) -> Figures:
    if figures["event_id"] != event_id:
        raise UnreadableFiguresError("they are another event's")
    return {**figures}


# In Redis


def to_hash(figures: Figures) -> dict[str, bytes]:
    """An event's figures as a hash: texts as they are, all else as JSON."""
    return {name: (value or "").encode() if name in _TEXTS else to_json(value) for name, value in figures.items()}


def from_hash(event_id: str, found: Mapping[bytes, bytes]) -> Figures:
    """The inverse of :func:`to_hash`; empty where nothing was found. Fields that are not known are passed over.

    Raises:
        UnreadableFiguresError: they are no figures of the event.
    """
    if not found:
        return {}
    return _of_event(event_id, read_figures(dict(_members(found))))


def _members(found: Mapping[bytes, bytes]) -> Iterable[tuple[str, Any]]:
    for field, value in found.items():
        name = field.decode(errors="replace")
        if name in EVENT_MEMBERS:
            yield name, _member(name, value)


def _member(name: str, value: bytes) -> Any:
    try:
        return (value.decode() or None) if name in _TEXTS else from_json(value)
    except ValueError as error:
        raise UnreadableFiguresError(f"{name}: {error}") from None


def read_totals_field(field: bytes, value: bytes) -> Totals:
    """A partition's figures, as ``global:stats`` has them under the partition's number.

    Raises:
        UnreadableFiguresError: they are none.
    """
    totals: PartitionFigures = read_totals(value)
    if field != b"%d" % totals["partition"]:
        raise UnreadableFiguresError("they are another partition's")
    return {**totals}


# All events


class Sums:
    """Figures of many events added up, where single events change."""

    def __init__(self) -> None:
        self._of: dict[str, Counter[tuple[str, ...]]] = {}
        self._sum: Counter[tuple[str, ...]] = Counter()

    def put(self, event_id: str, figures: Figures | None) -> None:
        """Count an event's figures in the place of those it had; None counts it no more."""
        self._sum.subtract(self._of.pop(event_id, {}))
        if figures is not None:
            counts = self._of[event_id] = _counts(figures)
            self._sum.update(counts)

    def totals(self) -> Totals:
        """The sums."""
        found: Totals = {
            "events": len(self._of),
            **dict.fromkeys((_ARCHIVED, *_COUNTS), 0),
            **{name: {} for name in (*_BY_NAME, *_MONEY)},
        }
        for (name, *of), count in sorted(self._sum.items()):
            if not of:
                found[name] = count
            elif name == _SOLD_IN:
                # Of a currency in which nothing was paid too, but not of one in which nothing is sold any more.
                if count:
                    for sum_of in _MONEY:
                        found[sum_of][of[0]] = self._sum[sum_of, of[0]]
            elif count and name not in _MONEY:
                found[name][of[0]] = count
        return found


def _counts(figures: Figures) -> Counter[tuple[str, ...]]:
    counts: Counter[tuple[str, ...]] = Counter({(name,): figures.get(name, 0) for name in _COUNTS})
    for name in _BY_NAME:
        counts.update({(name, key): count for key, count in figures.get(name, {}).items()})
    revenue = figures["revenue"]
    currency = revenue["currency"]
    counts["revenue", currency] = revenue["amount"]
    counts["refunded", currency] = revenue.get("refunded", 0)
    counts[_SOLD_IN, currency] = 1
    counts[_ARCHIVED,] = int(is_archived(figures))
    return counts


def partition_totals(sums: Sums, row: PartitionStatistics) -> Totals:
    """What is published of a partition."""
    return {
        "partition": row.partition,
        "offset": row.offset,
        **sums.totals(),
        **{name: getattr(row, name) for name in _OF_NO_EVENT},
        "sold_by_second": window_members(row.seconds),
        "sold_by_minute": window_members(row.minutes),
    }


def totals_of_events(events: Sequence[Figures]) -> Totals:
    """All events' figures added up; what belongs to no event is not known."""
    sums = Sums()
    for figures in events:
        sums.put(figures["event_id"], figures)
    return {**sums.totals(), **_windows(events)}


def totals_of_all(partitions: Sequence[Totals], events: Sequence[Figures]) -> Totals:
    """All partitions' figures added up, and those of events whose partition has none."""
    told = {of["partition"] for of in partitions}
    untold = totals_of_events([figures for figures in events if figures["partition"] not in told])
    parts = [*partitions, untold]
    # What an earlier release does not tell was nothing then.
    total: Totals = {name: sum(of.get(name, 0) for of in parts) for name in ("events", _ARCHIVED, *_COUNTS)}
    total |= {name: sum(of[name] for of in partitions) for name in _OF_NO_EVENT}
    for name in _BY_NAME:
        total[name] = _added(of.get(name, {}) for of in parts)
    for name in _MONEY:
        total[name] = _added(of.get(name, dict.fromkeys(of["revenue"], 0)) for of in parts)
    return {**total, **_windows(parts)}


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counts by name, added up. Counters' own ``+`` would leave out what is 0, such as the revenue of free events."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items()))


def _windows(figures: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    rows = list(figures)
    return {
        name: window_members(added((read_window(of[name], width_ms) for of in rows), width_ms))
        for name, width_ms in _WINDOWS.items()
    }
