"""A second opinion on a whole sale: the rules written once more, from the text, sharing no code with the product.

:func:`check` takes every record of ``purchase-requests`` and ``purchase-results`` (and of ``dead-letters``),
decides all commands itself with lists and dictionaries, and says in sentences where the ledger is not what
the rules ask for. Only the standard library is imported here, and nothing of the product ever is.

The requests have to be all there are from offset 0 on, read committed.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Members = dict[str, Any]
Position = tuple[int, int]
"""Partition and offset."""

KIB = 1024
MAX_VALUE_BYTES = 16 * KIB
MAX_HEADERS_BYTES = 16 * KIB
MAX_LETTER_BYTES = 64 * KIB
MAX_LETTER_KEY_BYTES = KIB
MAX_NESTING = 200
SHOWN_OF_A_KIND = 5
ORIGINS_KEPT = 64


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


def check(  # noqa: PLR0913  # what only some tests know is named
    requests: Iterable[Record],
    results: Iterable[Record],
    partitions: int,
    dead_letters: Iterable[Record] | None = None,
    *,
    harmed: bool = False,
    forged: bool = False,
    origins_kept: int = ORIGINS_KEPT,
    ends: Mapping[int, int] | None = None,
) -> Verdict:
    """Compare a ledger with the rules.

    Args:
        requests: every record of ``purchase-requests``, in any order.
        results: every record of ``purchase-results``.
        partitions: how many partitions each of the two has.
        dead_letters: every record of ``dead-letters``; None leaves them unchecked.
        harmed: the test itself damaged the ledger: records that are not what they should be are
            counted and passed over, as a worker passes over them, and only the chain must close.
        forged: clients of the test say that their commands were forwarded.
        origins_kept: how many origins of a partition are remembered.
        ends: where the partitions of the requests end; behind their last records, unless markers follow them.
    """
    problems = _Problems()
    requests = sorted(requests, key=lambda record: record.position)
    results = sorted(results, key=lambda record: record.position)
    sale = _Sale(partitions, requests, _sources_told(results), origins_kept)
    sale.ends.update(ends or {})
    for record in requests:
        sale.take(record)
    ledger = _Ledger(sale, problems, harmed)
    for record in results:
        ledger.take(record)
    ledger.close()
    _check_forwards(sale, problems, forged)
    if dead_letters is not None:
        _check_dead_letters(sale, dead_letters, problems)
    return Verdict(problems.sentences(), _summary(sale, ledger))


class _Problems:
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


# What can be read


class _UnreadableError(Exception):
    """The command breaks a bound."""


def _counted(header: tuple[str, bytes | None]) -> int:
    """What a header counts: its name and value, and 16 at least."""
    name, value = header
    return max(16, len(name.encode()) + len(value or b""))


def _read(record: Record) -> Members:
    """The command's members: those that its type has, with what was left out filled in."""
    headers_bytes = sum(_counted(header) for header in record.headers if header[0] != "boxoffice-origin")
    if headers_bytes > MAX_HEADERS_BYTES or not record.value or len(record.value) > MAX_VALUE_BYTES:
        raise _UnreadableError
    members = _json(record.value)
    if not isinstance(members, dict):
        raise _UnreadableError
    members = _without_nulls(members)
    type_ = members.get("type", "purchase")
    if not isinstance(type_, str) or type_ not in _MEMBERS:
        raise _UnreadableError
    known = {**_ALL_HAVE, **_MEMBERS[type_]}
    if members.keys() - known.keys() - {"type"}:
        raise _UnreadableError
    command = {"type": type_}
    for name, read_member in known.items():
        command[name] = read_member(members.get(name, _LEFT_OUT))
    return command


def _without_nulls(members: Members) -> Members:
    """What is null counts as left out, in a price too."""
    return {
        name: _without_nulls(member) if isinstance(member, dict) else member
        for name, member in members.items()
        if member is not None
    }


def _json(value: bytes) -> Any:
    try:
        text = value.decode()
        if _nesting(text) > MAX_NESTING:
            raise _UnreadableError
        parsed = json.loads(text)
        # A lone surrogate can be escaped in JSON, but is no character.
        json.dumps(parsed, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise _UnreadableError from None
    return parsed


def _nesting(text: str) -> int:
    deepest = depth = 0
    for bracket in re.findall(r'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])', text, re.DOTALL):
        depth += bool(bracket[0]) - bool(bracket[1])
        deepest = max(deepest, depth)
    return deepest


_LEFT_OUT = object()


def _event_id(value: Any) -> str:
    if type(value) is int and 0 <= value < 10**18:
        return str(value)
    if isinstance(value, str) and re.fullmatch("0|[1-9][0-9]{0,17}", value):
        return value
    raise _UnreadableError


def _request_id(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch("[A-Za-z0-9._:-]{1,64}", value):
        return value
    raise _UnreadableError


class _Text:
    def __init__(self, longest: int, *, may_lack: bool = False) -> None:
        self.longest, self.may_lack = longest, may_lack

    def __call__(self, value: Any) -> str | None:
        if value is _LEFT_OUT and self.may_lack:
            return None
        if not isinstance(value, str) or not 1 <= len(value) <= self.longest:
            raise _UnreadableError
        if any(ord(character) < 0x20 or 0x7F <= ord(character) <= 0x9F for character in value):
            raise _UnreadableError
        return value


class _Integer:
    """``left_out`` is what it is where it is not there; without that, it must be."""

    def __init__(self, least: int, most: int, left_out: Any = _LEFT_OUT) -> None:
        self.least, self.most, self.left_out = least, most, left_out

    def __call__(self, value: Any) -> Any:
        if value is _LEFT_OUT and self.left_out is not _LEFT_OUT:
            return self.left_out
        if type(value) is not int or not self.least <= value <= self.most:
            raise _UnreadableError
        return value


_FIRST_SHAPE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
"""A time as every release reads it; of another one the fact says so."""


def _starts_at(value: Any) -> str:
    clock = "([01][0-9]|2[0-3]):[0-5][0-9]"
    shape = rf"([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}})[Tt ]{clock}(:[0-5][0-9](\.[0-9]{{1,9}})?)?([Zz]|[+-]{clock})"
    match = re.fullmatch(shape, value) if isinstance(value, str) else None
    if match is None:
        raise _UnreadableError
    try:
        datetime(int(match[1]), int(match[2]), int(match[3]), tzinfo=UTC)
    except ValueError:
        raise _UnreadableError from None
    return match[0]


def _price(value: Any) -> Members:
    if not isinstance(value, dict) or value.keys() - {"amount", "currency"}:
        raise _UnreadableError
    amount, currency = value.get("amount"), value.get("currency")
    if not isinstance(currency, str) or not re.fullmatch("[A-Z]{3}", currency):
        raise _UnreadableError
    return {"amount": _Integer(0, 10**12)(amount), "currency": currency}


_ALL_HAVE: dict[str, Any] = {"event_id": _event_id, "request_id": _request_id}
_MEMBERS: dict[str, dict[str, Any]] = {
    "purchase": {"buyer": _Text(128), "quantity": _Integer(1, 100, left_out=1)},
    "cancel_purchase": {"purchase": _request_id, "buyer": _Text(128, may_lack=True)},
    "create_event": {
        "name": _Text(200),
        "venue": _Text(200),
        "starts_at": _starts_at,
        "capacity": _Integer(1, 1_000_000),
        "max_per_order": _Integer(1, 1_000_000, left_out=None),
        "price": _price,
    },
    "add_tickets": {"count": _Integer(1, 1_000_000)},
    "close_event": {},
}


# What an unreadable command shows

MAX_SHOWN_BYTES = 64 * KIB


def claimed(value: bytes | None) -> Members:
    """The ids that stand in a command that cannot be read, as the fact about it repeats them."""
    if not value or len(value) > MAX_SHOWN_BYTES:
        return {}
    shown = _shown(value)
    claims = {}
    for name in ("event_id", "request_id"):
        member = shown.get(name)
        if type(member) is int and abs(member) < 2**63:
            member = str(member)
        if isinstance(member, str) and 1 <= len(member) <= 128 and all(" " <= one <= "~" for one in member):
            claims[f"claimed_{name}"] = member
    return claims


def _shown(value: bytes) -> Members:
    """The object in a value: framed, in another encoding, encoded twice, alone in an array, or in an envelope.

    Of what is broken, the ids that stand in its text.
    """
    text = _unwrapped(value)
    try:
        found = _json(text)
    except _UnreadableError:
        return _ids_in(text)
    if text != value or value[:1] == b"\0":
        return found if isinstance(found, dict) else _ids_in(text)
    if isinstance(found, str):
        with suppress(ValueError):
            found = _parsed(found.encode()) or _parsed(b64decode(found, validate=True))
    elif isinstance(found, list) and len(found) == 1:
        found = found[0]
    elif isinstance(found, dict):
        is_cloud_event = isinstance(found.get("specversion"), str) and {"data", "data_base64"} & found.keys()
        for name, stands in (("data", is_cloud_event), ("payload", found.keys() == {"schema", "payload"})):
            if stands and isinstance(found.get(name), dict) and found[name]:
                found = found[name]
    return found if isinstance(found, dict) else {}


def _ids_in(text: bytes) -> Members:
    space = r"[ \t\r\n]*"
    pattern = rf'"(event_id|request_id)"{space}:{space}(?:"([^"\\]{{1,128}})"|(-?[0-9]{{1,18}})(?={space}[,}}]))'
    found = re.findall(pattern, text.decode(errors="replace"))
    return {name: string or number for name, string, number in found}


def _unwrapped(value: bytes) -> bytes:
    for mark, codec in (
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe\0\0", "utf-32-le"),
        (b"\0\0\xfe\xff", "utf-32-be"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
    ):
        if value.startswith(mark):
            return value[len(mark) :].decode(codec, "replace").encode()
    for shape, codec in (
        (rb"\0\0\0[^\0]\0\0\0[^\0]", "utf-32-be"),
        (rb"[^\0]\0\0\0[^\0]\0\0\0", "utf-32-le"),
        (rb"\0[^\0]\0[^\0]", "utf-16-be"),
        (rb"[^\0]\0[^\0]\0", "utf-16-le"),
    ):
        if re.match(shape, value, re.DOTALL) and value.strip(b"\0")[:1] in b' \t\r\n{["':
            return value.decode(codec, "replace").encode()
    for frame in (5, 9) if value[:1] == b"\0" else (18,) if value[:2] in (b"\3\0", b"\3\5") else ():
        if value[frame:].lstrip(b" \t\r\n")[:1] == b"{":
            return value[frame:]
    return value


def _parsed(value: bytes) -> Any:
    try:
        return _json(value)
    except _UnreadableError:
        return None


# Where it is decided


def home_of(event_id: str, partitions: int) -> int:
    """The partition that Java's default partitioner gives to this key."""
    return (murmur2(event_id.encode()) & 0x7FFFFFFF) % partitions


def murmur2(key: bytes) -> int:
    """Kafka's murmur2, as a number of 32 bits."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(key)) & mask
    whole = len(key) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at : at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if tail := key[whole:]:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def _origin(record: Record, partitions: int) -> Position | None:
    """Where a command was found before it was forwarded; None where it was not."""
    match = re.fullmatch(rb"(0|[1-9][0-9]{0,18}):(0|[1-9][0-9]{0,18})", record.header("boxoffice-origin") or b"")
    if match is None:
        return None
    partition, offset = int(match[1]), int(match[2])
    return (partition, offset) if partition < partitions and partition != record.partition and offset < 2**63 else None


def _at(timestamp_ms: int) -> str:
    last_ms = 253_402_300_799_999  # the end of the year 9999
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=min(max(timestamp_ms, 0), last_ms))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# How it is decided


@dataclass
class _Event:
    """What the rules know of one event."""

    created: Members
    seq: int = 0
    closed: bool = False
    issued: int = 0
    queue: list[str] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)
    accepted: dict[str, tuple[Members, Members]] = field(default_factory=dict)
    """By request id: the command, and the fact that answers it from now on."""

    def issue(self, count: int) -> None:
        """Put further tickets at the queue's tail."""
        event_id = self.created["event_id"]
        self.queue += [f"{event_id}-{self.issued + number:06d}" for number in range(1, count + 1)]
        self.issued += count

    def cancellable(self, purchase: str, buyer: str | None) -> Members | None:
        """The fact that sold the tickets of a purchase, or the one that cancelled it; None if another bought them."""
        command, fact = self.accepted.get(purchase, ({}, None))
        if command.get("type") != "purchase" or buyer not in (None, command["buyer"]):
            return None
        return fact


def _reason_against(event: _Event, command: Members) -> str | None:
    """The first reason against a request that is new."""
    match command["type"]:
        case "create_event":
            return "event_exists"
        case "cancel_purchase":
            fact = event.cancellable(command["purchase"], command["buyer"])
            if fact is None:
                return "no_such_purchase"
            return "already_cancelled" if fact["type"] == "purchase_cancelled" else None
        case "purchase" if not event.closed:
            return _reason_against_purchase(event, command["quantity"])
        case _:
            return "event_closed" if event.closed else None


def _reason_against_purchase(event: _Event, quantity: int) -> str | None:
    limit = event.created["max_per_order"]
    if limit is not None and quantity > limit:
        return "over_order_limit"
    if not event.queue:
        return "sold_out"
    return "not_enough_left" if quantity > len(event.queue) else None


def _accept(event: _Event, command: Members, fact: Members) -> Members:
    """Let an accepted command have its effect, and complete the fact that says so."""
    request_id: str = command["request_id"]
    match command["type"]:
        case "purchase":
            tickets = event.queue[: command["quantity"]]
            del event.queue[: command["quantity"]]
            event.owners |= dict.fromkeys(tickets, request_id)
            fact |= {"type": "purchase_confirmed", "buyer": command["buyer"], "quantity": command["quantity"]}
            fact["tickets"] = tickets
        case "cancel_purchase":
            sold = event.accepted[command["purchase"]][1]
            event.queue += sold["tickets"]
            for ticket in sold["tickets"]:
                del event.owners[ticket]
            fact |= {"type": "purchase_cancelled", "purchase": command["purchase"]}
            fact |= {"buyer": sold["buyer"], "tickets": sold["tickets"]}
            event.accepted[command["purchase"]] = (event.accepted[command["purchase"]][0], fact)
        case "add_tickets":
            event.issue(command["count"])
            fact |= {"type": "tickets_added", "count": command["count"]}
        case "close_event":
            event.closed = True
            fact["type"] = "event_closed"
    event.accepted[request_id] = (command, fact)
    return fact


def _create(command: Members, fact: Members) -> _Event:
    event = _Event(command)
    event.issue(command["capacity"])
    fact |= {name: command[name] for name in ("name", "venue", "starts_at", "capacity", "price")}
    fact |= {"type": "event_created", "rules": 1}
    if command["max_per_order"] is not None:
        fact["max_per_order"] = command["max_per_order"]
    if not _FIRST_SHAPE.fullmatch(command["starts_at"]):
        fact["starts_at_form"] = "rfc_3339"
    event.accepted[command["request_id"]] = (command, fact)
    return event


def _rejection(command: Members, reason: str, fact: Members) -> Members:
    fact |= {"reason": reason}
    if command["type"] == "purchase":
        return fact | {"type": "purchase_rejected", "buyer": command["buyer"], "quantity": command["quantity"]}
    return fact | {"type": "command_rejected", "command": command["type"]}


def _asks_the_same(asked: Members, command: Members, answer: Members) -> bool:
    """Whether an accepted request is repeated; a cancellation may name the buyer the one time, and not the other."""
    if command["type"] != "cancel_purchase" or command["buyer"] not in (None, answer.get("buyer")):
        return asked == command
    return {**asked, "buyer": None} == {**command, "buyer": None}


class _Answered(NamedTuple):
    """What the ledger must say of a range of offsets: the last of them is the command."""

    first: int
    fact: Members
    command: Members | None
    record: Record


class _Forwarded(NamedTuple):
    """A forwarded command that was answered."""

    offset: int
    event_id: str
    request_id: str


class _Partition:
    """One partition of the requests, decided from its beginning to its end."""

    def __init__(self, number: int, origins_kept: int) -> None:
        self.number = number
        self.events: dict[str, _Event] = {}
        self.origins_kept = origins_kept
        self.highest_origins: defaultdict[int, list[_Forwarded]] = defaultdict(list)
        self.answers: dict[int, _Answered] = {}
        self.bookmark = -1

    def answer(self, record: Record, fact: Members, command: Members | None) -> None:
        """The record at this offset has to be answered so."""
        self.answers[record.offset] = _Answered(self.bookmark + 1, fact, command, record)
        self.bookmark = record.offset

    def needing_an_answer(self, first: int, end: int) -> list[int]:
        """The offsets from ``first`` on, before ``end``, at which something lies that has to be answered."""
        return [offset for offset in range(first, end) if offset in self.answers]

    def is_second_copy(self, origin: Position | None, command: Members) -> bool:
        """Whether it was answered before, or lies below all that are remembered, if those are as many as may be."""
        if origin is None:
            return False
        remembered = self.highest_origins[origin[0]]
        forwarded = _Forwarded(origin[1], command["event_id"], command["request_id"])
        return forwarded in remembered or (len(remembered) == self.origins_kept and forwarded < min(remembered))

    def decide(self, command: Members, source: Position, at: str) -> Members:
        """The fact that answers a command; it has had its effect."""
        fact = {
            "event_id": command["event_id"],
            "seq": 0,
            "request_id": command["request_id"],
            "source": {"partition": source[0], "offset": source[1]},
            "at": at,
        }
        event = self.events.get(command["event_id"])
        if event is not None and command["request_id"] in event.accepted:
            asked, answer = event.accepted[command["request_id"]]
            if _asks_the_same(asked, command, answer):
                return answer
        if source[0] != self.number:
            answered = _Forwarded(source[1], command["event_id"], command["request_id"])
            remembered = {*self.highest_origins[source[0]], answered}
            self.highest_origins[source[0]] = sorted(remembered)[-self.origins_kept :]
        return self._decide_anew(event, command, fact)

    def _decide_anew(self, event: _Event | None, command: Members, fact: Members) -> Members:
        if event is None:
            if command["type"] != "create_event":
                return _rejection(command, "unknown_event", fact)
            event = self.events[command["event_id"]] = _create(command, fact)
            event.seq = fact["seq"] = 1
            return fact
        event.seq += 1
        fact["seq"] = event.seq
        reused = command["request_id"] in event.accepted
        reason = "request_id_reused" if reused else _reason_against(event, command)
        return _rejection(command, reason, fact) if reason else _accept(event, command, fact)


class _Sale:
    """All commands, decided."""

    def __init__(
        self, partitions: int, requests: Sequence[Record], told: dict[Position, Position], origins_kept: int
    ) -> None:
        self.partitions = [_Partition(number, origins_kept) for number in range(partitions)]
        self.requests = {record.position: record for record in requests}
        self.ends = {record.partition: record.offset + 1 for record in requests}
        self.told = told
        self.records: dict[Position, Record] = {}
        self.unreadable: list[Record] = []
        self.forwarded: list[Record] = []
        self.copies: defaultdict[Position, list[Record]] = defaultdict(list)
        self.second_copies: list[Record] = []

    def take(self, record: Record) -> None:
        """Decide the next record of its partition."""
        if record.position in self.records:
            raise ValueError(f"the request at {record.position} was given twice")
        self.records[record.position] = record
        partition = self.partitions[record.partition]
        source: Members = {"partition": record.partition, "offset": record.offset}
        common = {"seq": 0, "source": source, "at": _at(record.timestamp_ms)}
        try:
            command = _read(record)
        except _UnreadableError:
            self.unreadable.append(record)
            fact = {
                "type": "command_unreadable",
                "event_id": None,
                "request_id": None,
                **claimed(record.value),
                **common,
            }
            partition.answer(record, fact, None)
            return
        home = home_of(command["event_id"], len(self.partitions))
        if home == record.partition:
            self._take_at_home(partition, record, command)
            return
        self.forwarded.append(record)
        ids = {"event_id": command["event_id"], "request_id": command["request_id"]}
        partition.answer(record, {"type": "command_forwarded", **ids, **common, "home": home}, command)

    def _take_at_home(self, partition: _Partition, record: Record, command: Members) -> None:
        origin = self._believed(record)
        if origin is not None:
            self.copies[origin].append(record)
        if partition.is_second_copy(origin, command):
            self.second_copies.append(record)
            return
        fact = partition.decide(command, origin or record.position, _at(record.timestamp_ms))
        # A cancellation replaces the fact of the purchase, but not what the ledger said of it.
        partition.answer(record, dict(fact), command)

    def _believed(self, record: Record) -> Position | None:
        """Where a command was forwarded from, if it says so and it can be true.

        What names a place that its partition did not have when it was decided counts as not forwarded. How far the
        partition went then nobody can tell afterwards, so the ledger may say either; not of one that was forwarded.
        """
        origin = _origin(record, len(self.partitions))
        if origin is None or origin[1] >= self.ends.get(origin[0], 0):
            return None
        original = self.requests.get(origin)
        if original is not None and original.value == record.value:
            return origin
        return None if self.told.get(record.position) == record.position else origin


# What the ledger says


def _sources_told(results: Sequence[Record]) -> dict[Position, Position]:
    """By the request that a record of the chain answers: where the ledger says that it was produced."""
    bookmarks: defaultdict[int, int] = defaultdict(lambda: -1)
    told: dict[Position, Position] = {}
    for record in results:
        entry = _entry(record)
        if entry is None or entry.first != bookmarks[record.partition] + 1:
            continue
        source = entry.fact.get("source")
        if isinstance(source, dict) and type(source.get("partition")) is type(source.get("offset")) is int:
            bookmarks[record.partition] = entry.last
            told[record.partition, entry.last] = source["partition"], source["offset"]
    return told


class _Entry(NamedTuple):
    """A ledger record as it is: its range, its fact."""

    first: int
    last: int
    fact: Members
    record: Record


def _entry(record: Record) -> _Entry | None:
    """The record's range and fact; None where it is damaged."""
    match = re.fullmatch(rb"(0|[1-9][0-9]*)-(0|[1-9][0-9]*)", record.header("boxoffice-read") or b"")
    try:
        fact = json.loads((record.value or b"").decode())
    except ValueError:
        return None
    if match is None or not isinstance(fact, dict) or int(match[1]) > int(match[2]):
        return None
    return _Entry(int(match[1]), int(match[2]), fact, record)


def _decision(fact: Members) -> Members:
    """What two records of one decision have in common."""
    left_out = {"decided_by"} | ({"reason"} if fact.get("type") == "command_unreadable" else set())
    return {name: value for name, value in fact.items() if name not in left_out}


def _difference(expected: Members, found: Members) -> str:
    one, other = _decision(expected), _decision(found)
    return "; ".join(
        f"{name} should be {one.get(name, 'left out')!r}, is {other.get(name, 'left out')!r}"
        for name in sorted(one.keys() | other.keys())
        if name not in one or name not in other or one[name] != other[name]
    )


class _Ledger:
    """The results, followed record by record and compared with what was decided here."""

    def __init__(self, sale: _Sale, problems: _Problems, harmed: bool) -> None:
        self.sale, self.problems, self.harmed = sale, problems, harmed
        self.chains: list[list[_Entry]] = [[] for _ in sale.partitions]
        self.ignored: list[_Entry] = []
        self.records = self.damaged = self.repeats = 0
        self.deciders: Counter[str] = Counter()
        self.new: defaultdict[str, list[Members]] = defaultdict(list)
        self.live: dict[str, str] = {}

    def take(self, record: Record) -> None:
        """The next record of its ledger partition."""
        self.records += 1
        entry = _entry(record)
        if entry is None:
            self.damaged += 1
            if not self.harmed:
                self.problems.add("damaged", f"The ledger record at {record.position} is damaged.")
            return
        chain = self.chains[record.partition]
        if entry.first != (chain[-1].last + 1 if chain else 0):
            self.ignored.append(entry)
            return
        difference = self._difference_from_the_rules(entry)
        if difference and self.harmed:
            self.damaged += 1
            return
        if difference:
            self.problems.add("differs from the rules", difference)
        chain.append(entry)
        self._check_headers(entry)
        self._consume(entry)

    def _difference_from_the_rules(self, entry: _Entry) -> str | None:
        partition = self.sale.partitions[entry.record.partition]
        answer = partition.answers.get(entry.last)
        where = f"The ledger record at {entry.record.position}"
        passes = entry.fact.get("type") == "offsets_passed"
        if passed_over := partition.needing_an_answer(entry.first, entry.last + passes):
            return f"{where} accounts for {entry.first}-{entry.last} and passes over {passed_over}."
        if passes:
            return self._wrongly_passed(entry, where)
        if answer is None:
            return f"{where} answers the request at offset {entry.last}, where nothing is to be answered."
        if _decision(answer.fact) != _decision(entry.fact):
            return f"{where}, for offset {entry.last}: {_difference(answer.fact, entry.fact)}."
        return None

    def _wrongly_passed(self, entry: _Entry, where: str) -> str | None:
        source = {"partition": entry.record.partition, "offset": entry.last}
        expected = {"type": "offsets_passed", "event_id": None, "seq": 0, "request_id": None, "source": source}
        found = {name: member for name, member in entry.fact.items() if name != "at"}
        return None if found == expected else f"{where}, for offset {entry.last}: {_difference(expected, found)}."

    def _check_headers(self, entry: _Entry) -> None:
        fact, record = entry.fact, entry.record
        source = fact.get("source") or {}
        ce_id = f"{fact.get('event_id')}-{fact.get('seq')}"
        if not fact.get("seq"):
            ce_id = f"{source.get('partition')}-{source.get('offset')}"
        expected = {
            "ce_specversion": "1.0",
            "ce_type": f"boxoffice.{fact.get('type')}.v1",
            "ce_id": ce_id,
            "ce_time": str(fact.get("at")),
            "content-type": "application/json",
            "boxoffice-partitions": str(len(self.chains)),
        }
        for name, value in expected.items():
            if record.header(name) != value.encode():
                told = f"The ledger record at {record.position} has {name} {record.header(name)!r}, not {value!r}."
                self.problems.add(f"wrong {name}", told)
        if not record.header("ce_source"):
            self.problems.add("no ce_source", f"The ledger record at {record.position} has no ce_source.")
        if (record.key or b"") != (fact.get("event_id") or "").encode():
            self.problems.add("wrong key", f"The ledger record at {record.position} has the key {record.key!r}.")
        if b"\n" in (record.value or b""):
            self.problems.add("lines", f"The ledger record at {record.position} is not one line.")
        self._check_trace(entry)

    def _check_trace(self, entry: _Entry) -> None:
        answer = self.sale.partitions[entry.record.partition].answers.get(entry.last)
        if answer is None or answer.command is None:
            return
        came = answer.record.header("traceparent")
        if came is not None and len(came) <= 256 and entry.record.header("traceparent") != came:
            told = f"The ledger record at {entry.record.position} does not pass on the traceparent {came!r}."
            self.problems.add("traceparent lost", told)

    def _consume(self, entry: _Entry) -> None:
        """As a consumer: exactly seq + 1 of an event counts, and what is behind is a repeat."""
        fact, where = entry.fact, f"the ledger record at {entry.record.position}"
        if "decided_by" in fact:
            self.deciders[fact["decided_by"]] += 1
            if fact["decided_by"] not in {"redis", "local"}:
                self.problems.add("decided_by", f"In {where} decided_by is {fact['decided_by']!r}.")
        seq, event_id = fact.get("seq"), fact.get("event_id")
        if not isinstance(seq, int) or seq <= 0 or not isinstance(event_id, str):
            return
        if home_of(event_id, len(self.chains)) != entry.record.partition:
            self.problems.add("not at home", f"Event {event_id} is decided away from home in {where}.")
        taken = self.new[event_id]
        if seq > len(taken) + 1:
            self.problems.add("gap in seq", f"Event {event_id} goes from seq {len(taken)} to {seq} in {where}.")
        elif seq <= len(taken):
            self.repeats += 1
            if _decision(taken[seq - 1]) != _decision(fact):
                difference = _difference(taken[seq - 1], fact)
                told = f"Event {event_id}, seq {seq} is repeated otherwise in {where}: {difference}."
                self.problems.add("repeated otherwise", told)
        else:
            taken.append(fact)
            self._hand_over(fact, where)

    def _hand_over(self, fact: Members, where: str) -> None:
        """Each ticket has one live owner."""
        request = f"{fact.get('request_id')} of event {fact.get('event_id')}"
        if fact.get("type") == "purchase_confirmed":
            for ticket in fact["tickets"]:
                if ticket in self.live:
                    told = f"Ticket {ticket} belongs to {self.live[ticket]} and is sold to {request} in {where}."
                    self.problems.add("sold twice", told)
                self.live[ticket] = request
        elif fact.get("type") == "purchase_cancelled":
            for ticket in fact["tickets"]:
                if self.live.pop(ticket, None) != f"{fact['purchase']} of event {fact['event_id']}":
                    told = f"Ticket {ticket} is given back by {fact['purchase']}, who has not got it, in {where}."
                    self.problems.add("given back by another", told)

    def close(self) -> None:
        """After the last record: what has no answer, and what was said beside the chain."""
        for partition, chain in zip(self.sale.partitions, self.chains, strict=True):
            answered = {entry.last for entry in chain}
            for offset, answer in partition.answers.items():
                if offset not in answered:
                    kind = (answer.command or {"type": "unreadable record"})["type"]
                    self.problems.add("no answer", f"The {kind} at {answer.record.position} has no answer.")
        if not self.harmed:
            self._check_ignored()

    def _check_ignored(self) -> None:
        """Records beside the chain may only repeat it."""
        chained = {(entry.record.partition, entry.last): entry for chain in self.chains for entry in chain}
        for entry in self.ignored:
            where = f"The ledger record at {entry.record.position}"
            taken = chained.get((entry.record.partition, entry.last))
            if entry.fact.get("type") == "offsets_passed" or (taken and taken.fact.get("type") == "offsets_passed"):
                if difference := self._difference_from_the_rules(entry):
                    self.problems.add("beside the chain", difference)
            elif taken is None:
                self.problems.add("beside the chain", f"{where}, for {entry.first}-{entry.last}, is not in the chain.")
            elif passed_over := self.sale.partitions[entry.record.partition].needing_an_answer(entry.first, entry.last):
                told = f"{where} accounts for {entry.first}-{entry.last} and passes over {passed_over}."
                self.problems.add("other range", told)
            elif _decision(taken.fact) != _decision(entry.fact) and not self._believed_otherwise(taken, entry):
                told = f"{where} repeats another otherwise: {_difference(taken.fact, entry.fact)}."
                self.problems.add("repeated otherwise", told)

    def _believed_otherwise(self, taken: _Entry, entry: _Entry) -> bool:
        """Whether one owner believed a command to be forwarded, and another did not, before that could be true."""
        answer = self.sale.partitions[entry.record.partition].answers.get(entry.last)
        if answer is None:
            return False
        claimed = _origin(answer.record, len(self.sale.partitions))
        places = [{"partition": place[0], "offset": place[1]} for place in (answer.record.position, claimed) if place]
        sources = [one.fact.get("source") for one in (taken, entry)]
        alike = _decision({**taken.fact, "source": None}) == _decision({**entry.fact, "source": None})
        return alike and all(source in places for source in sources)


# What became of the others


def _without_origin(record: Record) -> list[tuple[str, bytes | None]]:
    return [(name, value) for name, value in record.headers if name != "boxoffice-origin"]


def _check_forwards(sale: _Sale, problems: _Problems, forged: bool) -> None:
    """Every forwarded command arrived at home, unchanged, and was answered there."""
    forwarded = {record.position for record in sale.forwarded}
    for record in sale.forwarded:
        copies = sale.copies.get(record.position, [])
        if forged:
            copies = [copy for copy in copies if copy.value == record.value]
        if not copies:
            problems.add("never arrived", f"The command forwarded from {record.position} never arrived at home.")
        elif not any(copy.offset in sale.partitions[copy.partition].answers for copy in copies):
            told = (
                f"The command forwarded from {record.position} was never answered: every copy counts as a second one."
            )
            problems.add("never answered", told)
        for copy in copies:
            if copy.value != record.value or _without_origin(copy) != _without_origin(record):
                told = f"The command forwarded from {record.position} arrived changed at {copy.position}."
                problems.add("changed on the way", told)
            event_id = _read(record)["event_id"]
            if copy.key != event_id.encode():
                problems.add("key of a forward", f"The forwarded command at {copy.position} has the key {copy.key!r}.")
    for origin, copies in sale.copies.items():
        if origin not in forwarded and not forged:
            told = f"The command at {copies[0].position} says it comes from {origin}, where nothing was forwarded."
            problems.add("unknown origin", told)


def _check_dead_letters(sale: _Sale, dead_letters: Iterable[Record], problems: _Problems) -> None:
    """Every unreadable command is a dead letter, whole or as far as it fits, and no other command is."""
    letters: defaultdict[Position, list[Record]] = defaultdict(list)
    for letter in dead_letters:
        match = re.fullmatch(rb"(.*):([0-9]+):([0-9]+)", letter.header("boxoffice-position") or b"")
        if match is None:
            problems.add("lost position", f"The dead letter at {letter.position} does not say where it comes from.")
        elif match[1].endswith(b"purchase-requests"):
            letters[int(match[2]), int(match[3])].append(letter)
    unreadable = {record.position: record for record in sale.unreadable}
    for position in unreadable.keys() - letters.keys():
        problems.add("no dead letter", f"The unreadable command at {position} is not among the dead letters.")
    for position, copies in letters.items():
        original = unreadable.get(position)
        if original is None:
            problems.add("dead but readable", f"A dead letter comes from {position}, where no unreadable command is.")
            continue
        for letter in copies:
            for fault in _faults(letter, original):
                problems.add("dead letter", f"The dead letter at {letter.position}, from {position}: {fault}.")


def _faults(letter: Record, original: Record) -> list[str]:
    faults = []
    value, key = original.value or b"", original.key
    kept_key = key[:MAX_LETTER_KEY_BYTES] if key is not None else None
    if (letter.value or b"") != value[:MAX_LETTER_BYTES]:
        faults.append("its value is not the original's")
    if (letter.key or b"") != (kept_key or b""):
        faults.append("its key is not the original's")
    if not letter.header("boxoffice-reason"):
        faults.append("it gives no reason")
    lacks_headers = bool(Counter(original.headers) - Counter(letter.headers))
    headers_bytes = sum(map(_counted, original.headers))
    if lacks_headers and headers_bytes <= MAX_HEADERS_BYTES:
        faults.append("it lacks headers of the original")
    is_cut = len(value) > MAX_LETTER_BYTES or kept_key != key or lacks_headers
    if is_cut != (letter.header("boxoffice-cut") is not None):
        faults.append("it does not say that it was cut" if is_cut else "it says that it was cut")
    return faults


def _summary(sale: _Sale, ledger: _Ledger) -> Members:
    copies = sum(len(records) for records in sale.copies.values())
    facts = [entry.fact for chain in ledger.chains for entry in chain]
    new = [fact for taken in ledger.new.values() for fact in taken]
    unknown = [fact for fact in facts if fact.get("reason") == "unknown_event" and fact.get("seq") == 0]
    types = Counter(fact["type"] for fact in new)
    return {
        "commands": len(sale.records) - copies,
        "readable": len(sale.records) - copies - len(sale.unreadable),
        "unreadable": len(sale.unreadable),
        "forwarded": len(sale.forwarded),
        "second_copies": len(sale.second_copies),
        "created": types["event_created"],
        "confirmed": types["purchase_confirmed"],
        "cancelled": types["purchase_cancelled"],
        "added": types["tickets_added"],
        "closed": types["event_closed"],
        "rejected": dict(sorted(Counter(fact["reason"] for fact in [*new, *unknown] if "reason" in fact).items())),
        "repeats": ledger.repeats,
        "decided_by": dict(sorted(ledger.deciders.items())),
        "ledger": {
            "records": ledger.records,
            "chain": len(facts),
            "ignored": len(ledger.ignored),
            "damaged": ledger.damaged,
        },
        "events": {
            event_id: {
                "partition": partition.number,
                "seq": event.seq,
                "closed": event.closed,
                "sold": event.issued - len(event.queue),
                "left": len(event.queue),
                "queue": list(event.queue),
                "owners": dict(event.owners),
            }
            for partition in sale.partitions
            for event_id, event in partition.events.items()
        },
    }
