"""Whatever strangers write on a topic of ours, or into Redis: no reader fails, and each still reads what is ours."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from hypothesis import example, given
from hypothesis import strategies as st

from boxoffice.audit.event_view import _is_later
from boxoffice.audit.ledger_check import LedgerCheck, expected_fact
from boxoffice.audit.papers import Papers
from boxoffice.cli import dead_letters as cli_dead_letters
from boxoffice.cli.purchases import _line
from boxoffice.cli.stats import picture
from boxoffice.cli.tables import print_json
from boxoffice.demo.watching import Watcher
from boxoffice.documents.pages import _FIELDS, _known_by_redis, _take
from boxoffice.documents.progress import TakenLedger
from boxoffice.kafka.asking import _ledger_record
from boxoffice.kafka.dead_letters import DeadLetter, DeadLetters, Listed
from boxoffice.kafka.side_records import dead_letter, headers_bytes, read_marks, read_origin
from boxoffice.redis.presence import Presences, _read
from boxoffice.settings import settings_from
from boxoffice.showing.printing import printable
from boxoffice.statistics.counting import fold
from boxoffice.statistics.documents import Announced
from boxoffice.statistics.figures import (
    Sums,
    event_figures,
    partition_totals,
    stats_record,
    to_hash,
    totals_of_all,
)
from boxoffice.statistics.published import Published
from boxoffice.statistics.reading import Report, listed, members
from boxoffice.statistics.redis_figures import InRedis, _is_at, _take_event, _take_totals
from boxoffice.statistics.table import recovered_from, rows_of
from models.commands import Command, UnreadableCommandError, read_command
from models.documents import UnreadableAnnouncementError, read_announcement, write_announcement
from models.facts import NewerFactError, UnreadableFactError, read_fact
from models.ledger import Ledger
from models.statistics import Statistics
from models.statistics_rows import PartitionStatistics
from tests.unit.records import record
from tests.unit.strangers import HARD_VALUES, among, any_headers, any_keys, any_values, nearly, strange
from tests.unit.strategies import HOME, TIMES_MS, Arrival, opening, purchase, state
from tests.unit.test_documents_counting import cancelled, sold
from tests.unit.test_ledger import decide_after
from tests.unit.test_statistics import folded
from topics.purchase_results import READ_HEADER

Record = ConsumerRecord[bytes, bytes]

SETTINGS = settings_from({})
LETTERS = DeadLetters(SETTINGS.kafka)

_COMMANDS: list[Command] = [
    opening("42"),
    purchase("r-1", 2),
    purchase("r-2", 3),
    purchase("r-3", 9),
    opening("7", capacity=3),
    purchase("r-4", event_id="7"),
]
REQUESTS = [
    replace(record(offset, command.model_dump_json(exclude_none=True).encode(), partition=HOME), timestamp=TIMES_MS[0])
    for offset, command in enumerate(_COMMANDS)
]
LEDGER = decide_after(
    Ledger(HOME),
    [
        Arrival(command, offset, TIMES_MS[0], {"partition": HOME, "offset": offset})
        for offset, command in enumerate(_COMMANDS)
    ],
)
FACTS = [value for value, _ in LEDGER if value is not None]
STATISTICS = folded(LEDGER)
EVENTS = STATISTICS.events
FIGURES = {event_id: event_figures(event, HOME) for event_id, event in EVENTS.items()}
PUBLISHED = [stats_record(event_id, figures)[:2] for event_id, figures in FIGURES.items()]
ANNOUNCEMENTS = [
    write_announcement(one)
    for one in (sold(2, "42-000001", 10_000), sold(3, "42-000002", 20_000), cancelled(4, "42-000001", 2))
]
BEHIND = (None, b"", b"\xff", b"0-0", b"1-1", b"1-0", b"9223372036854775808-9223372036854775809", b"0-" + b"9" * 19)
"""What the chain does not take once it has begun."""


def totals() -> dict[str, Any]:
    sums = Sums()
    for event_id, figures in FIGURES.items():
        sums.put(event_id, figures)
    return partition_totals(sums, STATISTICS.row)


def on_ledger(value: bytes | None, accounts_for: bytes | None) -> Record:
    headers = () if accounts_for is None else ((READ_HEADER, accounts_for),)
    return record(0, value, partition=HOME, headers=headers)


def in_order(records: Sequence[Record]) -> list[Record]:
    return [replace(one, offset=offset) for offset, one in enumerate(records)]


def _says_something_new(value: bytes | None) -> bool:
    """Whether it is a whole fact, of whichever release, and none of ours: a forgery, and those the audit names."""
    try:
        return not any(read_fact(value) == read_fact(ours) for ours in FACTS)
    except NewerFactError:
        return True
    except UnreadableFactError:
        return False


OURS_ON_LEDGER = [on_ledger(value, header) for value, header in LEDGER]
STRANGE_ON_LEDGER = st.builds(
    on_ledger, strange(FACTS).filter(lambda value: not _says_something_new(value)), st.sampled_from(BEHIND)
)


@st.composite
def ledgers(draw: st.DrawFn) -> list[Record]:
    """The ledger with strangers' records behind its first one."""
    return in_order([OURS_ON_LEDGER[0], *draw(among(OURS_ON_LEDGER[1:], STRANGE_ON_LEDGER))])


# The ledger


@given(ledgers())
def test_statistics_count_what_is_ours_on_the_ledger(records: list[Record]) -> None:
    statistics = Statistics(PartitionStatistics(HOME))
    fold(statistics, records)
    if statistics.contested:
        statistics = Statistics.by_the_rules(Ledger(HOME))
        fold(statistics, records)
    found = {event_id: event_figures(event, HOME) for event_id, event in statistics.events.items()}
    assert {event_id: {**figures, "offset": 0} for event_id, figures in found.items()} == {
        event_id: {**figures, "offset": 0} for event_id, figures in FIGURES.items()
    }


@given(ledgers())
def test_documents_are_made_of_what_is_ours_on_the_ledger(records: list[Record]) -> None:
    """One that repeats ours in other words may come first: it makes the same document."""
    taken = TakenLedger(0)
    facts = [fact for one in records if (fact := taken.take(one))]
    for event_id in EVENTS:
        expected = [read_fact(value) for value in FACTS]
        assert [one for one in facts if one["event_id"] == event_id] == [
            one for one in expected if one["event_id"] == event_id
        ]
    assert len(facts) == len(FACTS)


@given(nearly(FACTS))
@example(FACTS[1].replace(b'"42-000001"', b'"../../../etc/passwd"'))
def test_no_document_is_named_as_strangers_like(value: bytes) -> None:
    """Its name is made of the ticket's, and would lead anywhere in the store, or keep it from working."""
    taken = TakenLedger(0, _seqs={"42": 1, "7": 1})
    fact = taken.take(on_ledger(value, b"0-0"))
    for ticket in cast(dict[str, Any], fact or {}).get("tickets", ()):
        assert ticket.startswith(("42-", "7-"))
        assert len(ticket) < 40


@given(ledgers())
def test_an_audit_judges_what_is_ours_on_the_ledger(records: list[Record]) -> None:
    check = LedgerCheck(HOME, 1, ends={HOME: len(REQUESTS)})
    check.first_kept = len(REQUESTS)
    for one in records:
        check.take(one)
    check.finish(len(REQUESTS))
    alone = LedgerCheck(HOME, 1, first_kept=len(REQUESTS))
    for one in in_order(OURS_ON_LEDGER):
        alone.take(one)
    assert (check.facts, check.differences) == (len(FACTS), [])
    assert state(check.ledger.inventory) == state(alone.ledger.inventory)
    assert check.damaged + check.repeated == len(records) - len(FACTS)


@given(ledgers())
def test_facts_are_shown_on_a_line_each_and_all_else_is_left_out(records: list[Record]) -> None:
    shown = [found for one in records if (found := _ledger_record(one))]
    for found in shown:
        assert printable(_line(found)).isprintable()
        assert found.line.isprintable()
        assert read_fact(found.line.encode()) == found.fact
    assert [found.fact for found in shown if found.value in FACTS][: len(FACTS)] != []


@given(ledgers(), st.sampled_from((0, 5, datetime.now(UTC))))
def test_a_ledger_is_read_up_to_a_time_whatever_lies_in_it(records: list[Record], then: int | datetime) -> None:
    ledger = Ledger(HOME)
    for one in records:
        _is_later(one, then, ledger)
        _take({}, one.value, None)
        ledger.read(one.value, dict(one.headers).get(READ_HEADER))


def test_a_time_that_is_none_is_not_later() -> None:
    value = FACTS[0].replace(b'"at":"2026-', b'"at":"2026-99')
    nowhen = json.dumps({**json.loads(FACTS[3]), "at": "2026-99-99T10:00:00.000Z"}).encode()
    for one in (value, nowhen):
        assert not _is_later(on_ledger(one, b"0-0"), datetime.now(UTC), Ledger(HOME))


# Commands


@given(strange([cast(bytes, one.value) for one in REQUESTS]), any_keys, any_headers)
def test_a_command_is_read_or_said_to_be_unreadable(
    value: bytes | None, key: bytes | None, headers: tuple[tuple[str, bytes], ...]
) -> None:
    found = record(5, value, partition=HOME, key=key, headers=headers)
    assert read_origin(headers, HOME, 4) is None or headers_bytes(headers) >= 0
    expected_fact(found, Ledger(HOME), 1)
    original, marks = read_marks(dead_letter(found, "no JSON")[2])
    assert marks is not None
    assert len(original) <= len(headers)
    with suppress(UnreadableCommandError):
        read_command(value)


# Dead letters


@given(strange(FACTS), any_keys, any_headers)
def test_a_dead_letter_is_listed_and_shown_whatever_it_is(
    value: bytes | None, key: bytes | None, headers: tuple[tuple[str, bytes], ...]
) -> None:
    letter = DeadLetter.read(record(5, value, partition=HOME, key=key, headers=headers))
    listed = LETTERS.listed(letter)
    assert isinstance(listed, Listed)
    LETTERS._refusal(letter)
    shown = io.StringIO()
    with redirect_stdout(shown):
        print_json(cli_dead_letters._members(LETTERS, letter))
        cli_dead_letters._print(LETTERS, letter)
    assert cli_dead_letters._row(listed)
    assert "\x1b" not in shown.getvalue()


# Announcements


def in_the_store(values: Sequence[bytes | None]) -> Announced:
    announced = Announced()
    for value in values:
        announced.read(value)
    return announced


def _announces(value: bytes | None) -> bool:
    try:
        read_announcement(value)
    except UnreadableAnnouncementError:
        return False
    return True


STRANGE_ANNOUNCEMENTS = strange(ANNOUNCEMENTS).filter(lambda value: not _announces(value))


@given(among(ANNOUNCEMENTS, STRANGE_ANNOUNCEMENTS))
@example([*ANNOUNCEMENTS, *HARD_VALUES])
def test_documents_are_counted_by_what_is_ours(values: list[bytes | None]) -> None:
    announced = in_the_store(values)
    assert (announced.tickets, announced.size_bytes) == (1, 20_000)
    assert announced.strange == len(values) - len(ANNOUNCEMENTS)


@given(strange(ANNOUNCEMENTS))
@example(ANNOUNCEMENTS[0].replace(b"42-000001", b"42-" + b"9" * 5_000))
@example(ANNOUNCEMENTS[0].replace(b'"event_id":"42"', b'"event_id":"7"'))
def test_an_audit_bears_any_announcement(value: bytes | None) -> None:
    ledger = Ledger(HOME)
    for one in LEDGER:
        ledger.read(*one)
    if _announces(value):
        announcement = read_announcement(value)
        if event := ledger.inventory.events.get(announcement["event_id"]):
            Papers(event).take(announcement)
            assert announcement["ticket"].startswith(f"{event.event_id}-")


# Statistics on the topic


def is_figures(key: bytes | None, value: bytes | None) -> bool:
    """Whether readers take it, so that it is a forgery, or removes an event."""
    published = Published()
    published.take(record(0, value, key=key))
    return not published.strange


STRANGE_FIGURES = st.tuples(any_keys, strange([cast(bytes, value) for _, value in PUBLISHED])).filter(
    lambda found: not is_figures(*found)
)


def taken(found: Sequence[tuple[bytes | None, bytes | None]]) -> Published:
    published = Published()
    for key, value in found:
        published.take(record(0, value, key=key))
    return published


@given(among(PUBLISHED, STRANGE_FIGURES))
@example([*PUBLISHED, (b"77", b"[]"), (b"\xff", None), (None, b"{}"), (b"42", b"{}"), (b"42", PUBLISHED[1][1])])
def test_figures_on_the_topic_are_read_among_any_records(found: list[tuple[bytes | None, bytes | None]]) -> None:
    published = taken(found)
    assert published.figures == FIGURES
    assert published.strange == len(found) - len(PUBLISHED)


@given(strange([cast(bytes, value) for _, value in PUBLISHED]))
def test_whatever_passes_for_figures_can_be_added_up_and_shown(value: bytes | None) -> None:
    for key in (b"42", b"7"):
        show(InRedis(), taken([*PUBLISHED, (key, value)]))


@given(nearly([cast(bytes, value) for _, value in PUBLISHED]))
def test_members_that_are_not_known_are_left_out(value: bytes) -> None:
    for figures in taken([(b"42", value), (b"7", value)]).figures.values():
        # Some may be missing, as of an earlier release.
        assert figures.keys() <= FIGURES["42"].keys()


def show(found: InRedis, published: Published) -> dict[str, Any]:
    events = [*{**published.figures, **{one["event_id"]: one for one in found.events}}.values()]
    report = Report(
        totals_of_all(found.totals, events),
        listed(events),
        True,
        Presences(),
        None,
        found.unreadable,
        {"event-stats": 1},
    )
    picture(report)
    shown = members(report)
    json.dumps(shown, allow_nan=False)
    return shown


# Statistics in Redis

HASH = {name.encode(): value for name, value in to_hash(FIGURES["42"]).items()}
FIELDS: st.SearchStrategy[dict[bytes, bytes]] = st.dictionaries(
    st.sampled_from([*HASH, b"\xff", b"", b"version", b"sold_by_hour"]) | st.binary(max_size=8),
    any_values.map(lambda value: value or b""),
    max_size=3,
)


@given(FIELDS)
@example({b"sold": b"{"})
@example({b"sold_by_second": json.dumps({"newest_at": "2026-99-99T00:00:00.000Z", "sold": [0] * 60}).encode()})
@example({b"\xff": b"\xff", b"sold_by_hour": b"{}"})
def test_an_event_s_hash_is_read_or_named(fields: dict[bytes, bytes]) -> None:
    found = InRedis()
    _take_event(found, b"event:{42}:stats", "42", {**HASH, **fields})
    _take_event(found, b"event:{7}:stats", "7", {name.encode(): value for name, value in to_hash(FIGURES["7"]).items()})
    assert found.events[-1] == FIGURES["7"]
    assert len(found.events) + len(found.unreadable) == 2
    assert found.unreadable in ([], ["event:{42}:stats"])
    if not fields.keys() & HASH.keys():
        assert found.events[0] == FIGURES["42"]
    show(found, taken(PUBLISHED))


@given(st.dictionaries(any_keys.map(lambda key: key or b""), strange([json.dumps(totals()).encode()]), max_size=4))
@example({b"3": b"{", b"5": json.dumps(totals()).encode(), b"\xff": b"\xff", b"\xd9\xa3": b"1"})
def test_partitions_figures_are_read_or_named(fields: dict[bytes, bytes | None]) -> None:
    found = InRedis()
    others = {name: value or b"" for name, value in fields.items() if name != b"3"}
    _take_totals(found, "global:stats", {b"3": json.dumps(totals()).encode(), **others})
    assert found.totals[0] == totals()
    assert len(found.totals) + len(found.unreadable) == len(others) + 1
    shown = show(found, taken(PUBLISHED))
    if len(found.totals) == 1:
        assert shown["global"]["totalSold"] == 6
    for value in others.values():
        assert _is_at(HOME, -5, value) is False


def test_figures_that_cannot_be_read_in_redis_are_those_of_the_topic() -> None:
    found = InRedis()
    _take_totals(found, "global:stats", {b"3": b"{"})
    assert show(found, taken(PUBLISHED))["global"]["totalSold"] == 6


@given(strange([b'{"process":"stats","host":"h","pid":1}']))
@example(
    json.dumps(
        {
            "process": "stats",
            "host": "h",
            "pid": 1,
            "health": "h",
            "started_at": "",
            "uptime_s": 1e300,
            "memory_bytes": 1,
            "cpu_s": 1,
            "live": True,
            "ready": True,
            "waits_for": [],
            "using_fallback": None,
        }
    ).encode()
)
def test_what_processes_say_is_read_or_named(value: bytes | None) -> None:
    presences = _read([(b"process:stats:\xff", value)])
    report = Report(totals_of_all([], []), [], True, presences, None)
    picture(report)
    members(report)


NUMBERS = st.integers().map(lambda number: b"%d" % number)


@given(st.lists(any_values | NUMBERS, min_size=len(_FIELDS), max_size=len(_FIELDS)))
@example([b"1", b"1", b"N", b"H", b"2027", b"EUR", b"1", None, b'[{"id":[],"name":1}]'])
def test_what_a_page_says_is_read_or_looked_for_in_the_ledger(values: list[bytes | None]) -> None:
    _known_by_redis("42", values, 0)


# Rows

ROWS = rows_of(STATISTICS.row, EVENTS.values())
STRANGE_KEYS = any_keys.filter(lambda key: key not in ROWS and not (key or b"x").isdigit())


@given(st.dictionaries(STRANGE_KEYS, any_values.map(lambda value: value or b""), max_size=4))
@example({None: b"", b"\xff": b"1", b"partition-0": ROWS[b"partition-3"] or b"", b"042": b"{}"})
def test_rows_are_read_among_any_others(others: dict[bytes | None, bytes]) -> None:
    recovered = recovered_from(HOME, cast(Mapping[bytes | None, bytes], {**others, **ROWS}))
    assert (recovered.statistics.row, recovered.statistics.events) == (STATISTICS.row, EVENTS)
    assert not recovered.unsure


@given(st.sampled_from([*ROWS, b"77"]), strange([cast(bytes, value) for value in ROWS.values()]))
@example(b"42", ROWS[b"7"])
@example(b"partition-3", cast(bytes, ROWS[b"partition-3"]).replace(b'"partition":3', b'"partition":2'))
@example(
    b"77", cast(bytes, ROWS[b"42"]).replace(b'"event_id":"42"', b'"event_id":"77"').replace(b'"seq":4', b'"seq":0')
)
@example(b"42", cast(bytes, ROWS[b"42"]).replace(b'"width_ms":1000', b'"width_ms":0'))
def test_a_partition_whose_rows_cannot_be_believed_is_counted_anew(key: bytes, value: bytes | None) -> None:
    """Whatever is believed can be counted on from, published and written."""
    recovered = recovered_from(HOME, cast(Mapping[bytes | None, bytes], {**ROWS, key: value or b""}))
    statistics = recovered.statistics
    assert statistics.row.partition == HOME
    if recovered.unsure:
        assert {"42", "7"} <= recovered.unsure
        assert statistics.events == {}
    fold(statistics, in_order(OURS_ON_LEDGER))
    sums = Sums()
    for event_id, event in statistics.events.items():
        figures = event_figures(event, HOME)
        sums.put(event_id, figures)
        assert taken([stats_record(event_id, figures)[:2]]).figures == {event_id: figures}
        assert _hash_of(event_id, to_hash(figures)) == figures
    found = InRedis()
    _take_totals(found, "", {b"3": json.dumps(partition_totals(sums, statistics.row)).encode()})
    assert found.unreadable == []


def _hash_of(event_id: str, fields: Mapping[str, bytes]) -> dict[str, Any]:
    found = InRedis()
    _take_event(found, b"", event_id, {name.encode(): value for name, value in fields.items()})
    return found.events[0]


# The demo


@pytest.mark.parametrize("topic", ["purchase-results", "dead-letters", "ticket-documents", "event-stats"])
@given(found=st.tuples(strange([*FACTS, *ANNOUNCEMENTS]), any_keys, any_headers))
def test_an_outside_consumer_bears_any_record(topic: str, found: tuple[Any, Any, Any]) -> None:
    value, key, headers = found
    seen: list[Any] = []
    watcher = Watcher(SETTINGS.kafka, 4, seen.append)
    see: Callable[..., None] = watcher._see
    see({TopicPartition(topic, 0): [record(0, value, key=key, headers=headers)]})
    ours = [replace(one, offset=one.offset + 1) for one in in_order(OURS_ON_LEDGER)]
    see({TopicPartition("purchase-results", 0): ours})
    assert {fact["seq"] for fact in seen} >= {1}
    assert watcher.sold >= 0
