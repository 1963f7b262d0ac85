"""Hypothesis strategies for what strangers may write: any bytes, JSON of any shape, and what is nearly ours."""

from __future__ import annotations

import json
from base64 import b64encode
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Json = Any


def _recoded(value: bytes, codec: str) -> bytes:
    return value.decode(errors="replace").encode(codec)


def _cloud_event(value: bytes) -> bytes:
    return b'{"specversion":"1.0","id":"1","source":"/shop","type":"order","data":' + value + b"}"


WRAPPINGS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "a zero byte and a schema's id": lambda value: b"\0\0\0\0\x07" + value,
    "eight bytes of a schema's id": lambda value: b"\0" + bytes(7) + b"\x07" + value,
    "AWS Glue's frame": lambda value: b"\x03\0" + bytes(range(16)) + value,
    "a byte order mark": lambda value: BOM_UTF8 + value,
    "UTF-16": lambda value: BOM_UTF16_LE + _recoded(value, "utf-16-le"),
    "UTF-16, the big end first": lambda value: BOM_UTF16_BE + _recoded(value, "utf-16-be"),
    "UTF-16 without a mark": lambda value: _recoded(value, "utf-16-le"),
    "UTF-16 without a mark, the big end first": lambda value: _recoded(value, "utf-16-be"),
    "UTF-32": lambda value: _recoded(value, "utf-32"),
    "UTF-32 without a mark": lambda value: _recoded(value, "utf-32-be"),
    "encoded twice": lambda value: json.dumps(value.decode(errors="replace")).encode(),
    "base64": lambda value: b'"' + b64encode(value) + b'"',
    "an array": lambda value: b"[" + value + b"]",
    "an array of two": lambda value: b"[" + value + b"," + value + b"]",
    "a CloudEvent in structured mode": _cloud_event,
    "Kafka Connect's envelope": lambda value: b'{"schema":{"type":"struct"},"payload":' + value + b"}",
    "a zero byte at the end": lambda value: value + b"\0",
    "cut": lambda value: value[:-1],
    "a comma too many": lambda value: value[:-1] + b",}",
    "a byte that is no UTF-8": lambda value: value[:-1] + b',"note":"\xe4"}',
}
"""What serializers and people put around JSON that is right, by name: most of it cannot be seen in a Kafka UI."""

TIMES: Final = (
    "2027-03-01T19:30:00Z",  # Go, Rust, Java's Instant
    "2027-03-01T19:30:00.000Z",  # JavaScript
    "2027-03-01T19:30+01:00",  # Java's OffsetDateTime, without seconds
    "2027-03-01T19:30Z",
    "2027-03-01T19:30:00.123456789+01:00",  # Java, Go and Rust with nanoseconds
    "2027-03-01T19:30:00.0000000+01:00",  # .NET's round trip
    "2027-03-01T19:30:00.1-23:59",
    "2027-03-01 19:30:00+01:00",  # Python's str, Ruby on Rails
    "2027-03-01t19:30:00z",  # RFC 3339 allows small letters
    "2028-02-29T23:59:59.999999-00:00",
)
"""Times as languages write them by default, all of them read."""

HARD_VALUES: tuple[bytes | None, ...] = (
    None,
    b"",
    b"{}",
    b"[]",
    b"77",
    b"null",
    b"NaN",
    b"-Infinity",
    b'"',
    b"\xff\xfe\x00",
    b"\xef\xbb\xbf{}",
    b"[" * 5_000,
    b"[" * 150 + b"]" * 150,
    b'{"a":' * 300 + b"1" + b"}" * 300,
    b"1" * 4_300,
    b"1" * 5_000,
    b'"\\ud800"',
    b'{"seq":"\\ud83d"}',
    b'{"seq":1,"seq":2}',
)
"""What parsers stumble over."""

HARD_JSON: tuple[Json, ...] = (
    None,
    True,
    -1,
    0,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    10**400,
    1.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "\x1b[2J",
    "\u009b31m",
    "42\n",
    "-000001",
    "../../../etc/passwd",
    "42-" + "9" * 5_000,
    "2026-13-45T99:00:00.000Z",
    "0000-00-00T00:00:00.000Z",
    [],
    {},
    [[]],
    ["42-000001"],
    [0] * 60,
    [-1] * 60,
    {"partition": -1, "offset": "0"},
    {"amount": 10**400, "currency": "eur"},
    {"newest_at": "9999-99-99T00:00:00.000Z", "sold": [1] * 60},
    {"newest_at": None, "sold": [1]},
)
"""What may stand in the place of any member."""

_ANY_JSON = st.recursive(
    st.sampled_from(HARD_JSON) | st.integers() | st.text(max_size=8) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)

_WRAPPED = st.builds(
    lambda name, value: WRAPPINGS[name](value),
    st.sampled_from([*WRAPPINGS]),
    st.sampled_from([b"{}", b'{"event_id":"42","request_id":"r-1"}', b'{"event_id":{},"request_id":""}']),
)

any_values: st.SearchStrategy[bytes | None] = (
    st.sampled_from(HARD_VALUES)
    | _WRAPPED
    | st.binary(max_size=64)
    | _ANY_JSON.map(lambda value: json.dumps(value).encode())
)

any_keys: st.SearchStrategy[bytes | None] = st.sampled_from(
    (None, b"", b"42", b"7", b"77", b"042", b"42 ", b"\xff\xfe", b"partition-0", b"partition-3", b"9" * 5_000)
) | st.binary(max_size=16)

_HEADER_NAMES = (
    "ce_type",
    "ce_id",
    "boxoffice-read",
    "boxoffice-origin",
    "boxoffice-reason",
    "boxoffice-position",
    "boxoffice-ticket",
    "boxoffice-cut",
    "\\xff",
)
_HEADER_VALUES = (
    None,
    b"",
    b"\xff",
    b"0-0",
    b"1-0",
    b"-1-5",
    b"5-9999999999999999999",
    b"0:9223372036854775807",
    b"0:9999999999999999999",
    b"purchase-requests:0:5",
    b"purchase-results:0:5",
    b"purchase-results:9999999999:9999999999999999999",
    b"42-000001",
    b"42-" + b"9" * 5_000,
    b"boxoffice.event_created.v1",
    b"boxoffice.event_created.v2",
    b"1" * 19,
)
any_headers: st.SearchStrategy[tuple[tuple[str, Any], ...]] = st.lists(
    st.tuples(
        st.sampled_from(_HEADER_NAMES) | st.text(max_size=8),
        st.sampled_from(_HEADER_VALUES) | st.binary(max_size=16),
    ),
    max_size=5,
).map(tuple)


@st.composite
def nearly(draw: st.DrawFn, ours: Sequence[bytes]) -> bytes:
    """A message of ours with members taken out, of another type, added, or of a later version."""
    message: Json = json.loads(draw(st.sampled_from(ours)))
    for _ in range(draw(st.integers(1, 3))):
        _change(draw, message)
    text = json.dumps(message, ensure_ascii=draw(st.booleans()), separators=(",", ":"))
    return text.encode(errors="surrogatepass")


def _change(draw: st.DrawFn, message: dict[str, Json]) -> None:
    where = message
    while isinstance(inner := where.get(draw(st.sampled_from([*where] or [""]))), dict) and inner:
        where = inner
    if not where:
        return
    name = draw(st.sampled_from([*where]))
    match draw(st.sampled_from(("remove", "put", "put", "put", "add", "newer"))):
        case "remove":
            del where[name]
        case "put":
            where[name] = deepcopy(draw(st.sampled_from(HARD_JSON)))
        case "add":
            where[draw(st.text(max_size=8))] = deepcopy(draw(st.sampled_from(HARD_JSON)))
        case "newer":
            where |= {"version": 2, "rules": 2}
            if "type" in where:
                where["type"] = "seat_swapped"


def strange(ours: Sequence[bytes]) -> st.SearchStrategy[bytes | None]:
    """A value that is nobody's, or one that is nearly one of ours."""
    return any_values | nearly(ours)


@st.composite
def among(draw: st.DrawFn, ours: Sequence[Any], others: st.SearchStrategy[Any], most: int = 6) -> list[Any]:
    """All of ours in their order, with others at any places."""
    mixed = [*ours]
    for _ in range(draw(st.integers(1, most))):
        mixed.insert(draw(st.integers(0, len(mixed))), draw(others))
    return mixed
