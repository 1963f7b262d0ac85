"""Requests out of bytes, however these come; and what is refused, since it can be read in two ways or is too much."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.gateway.messages import Problem, Request
from boxoffice.gateway.reader import MOST_HEADER_BYTES, Reader, Stage
from models.commands import MAX_COMMAND_BYTES

HOST = b"Host: x\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


class Got(NamedTuple):
    """A request as it was read."""

    method: str
    path: str
    query: str
    body: bytes
    is_last: bool
    address: str


class Caller:
    """A connection's reader, and what came of it."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.told_to_go_on = 0
        self.headers: list[dict[str, str | None]] = []
        self.problem: Problem | None = None
        self.reader = Reader(lambda forwarded: f"by {forwarded}", self._take, self._go_on)

    def _take(self, request: Request, is_last: bool) -> None:
        self.got.append(Got(request.method, request.path, request.query, request.body, is_last, request.address))
        names = ("host", "prefer", "traceparent", "upgrade", "idempotency-key", "trailer")
        self.headers.append({name: request.header(name) for name in names})

    def _go_on(self) -> None:
        self.told_to_go_on += 1

    def send(self, *parts: bytes) -> Caller:
        """Read these, until there is a problem."""
        try:
            for part in parts:
                self.reader.read(part)
        except Problem as problem:
            self.problem = problem
        return self


def problem_of(*parts: bytes) -> Problem:
    caller = Caller().send(*parts)
    assert caller.problem is not None
    assert caller.got == []
    return caller.problem


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The same bytes, cut at some places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[begin:end] for begin, end in pairwise(places)]


SEVERAL = (
    b"POST /v1/events/42/purchases?a=b%20c HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc"
    b"GET /?x HTTP/1.1\r\n" + HOST + H2C + b"\r\n"
    b"POST /b HTTP/1.1\r\n" + HOST + H2C + b"Content-Length: 2\r\n\r\nde"
    b"OPTIONS * HTTP/1.1\r\n" + HOST + b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\n\r\n"
    b"POST /c HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n1\r\nf\r\n2;x=y\r\ngh\r\n0\r\nTrailer: x\r\n\r\n"
)  # fmt: skip
READ = [
    Got("POST", "/v1/events/42/purchases", "a=b%20c", b"abc", False, "by None"),
    Got("GET", "/", "x", b"", False, "by None"),
    Got("POST", "/b", "", b"de", False, "by None"),
    Got("OPTIONS", "*", "", b"", False, "by 1.2.3.4, 5.6.7.8"),
    Got("POST", "/c", "", b"fgh", True, "by None"),
]


@given(st.lists(st.integers(0, len(SEVERAL)), max_size=12))
def test_requests_are_read_however_their_bytes_come(cuts: list[int]) -> None:
    caller = Caller().send(*pieces(SEVERAL, cuts))
    assert (caller.problem, caller.got) == (None, READ)
    assert [headers["trailer"] for headers in caller.headers] == [None] * len(READ)


def test_requests_are_read_byte_by_byte() -> None:
    caller = Caller().send(*(SEVERAL[at : at + 1] for at in range(len(SEVERAL))))
    assert (caller.problem, caller.got) == (None, READ)


@given(st.lists(st.binary(max_size=200), max_size=10), st.booleans())
def test_no_bytes_are_too_odd_to_be_read_or_refused(parts: list[bytes], is_begun: bool) -> None:
    Caller().send(*([SEVERAL[:40]] if is_begun else []), *parts)


@given(st.integers(0, len(SEVERAL) - 1), st.integers(0, 255))
def test_a_damaged_request_is_read_or_refused(at: int, byte: int) -> None:
    Caller().send(SEVERAL[:at] + bytes([byte]) + SEVERAL[at + 1 :])


def test_headers_are_found_in_small_letters_and_several_of_a_name_are_one() -> None:
    caller = Caller().send(
        b"POST / HTTP/1.1\r\nHOST: x\r\nPrefer: wait=1\r\nprefer:  respond-async \r\nTraceparent:\r\n\r\n"
    )
    [headers] = caller.headers
    assert (headers["host"], headers["prefer"], headers["traceparent"]) == ("x", "wait=1, respond-async", "")
    assert headers["idempotency-key"] is None


@pytest.mark.parametrize("name", [b"Idempotency-Key", b"authorization", b"Content-Type", b"Host"])
def test_a_second_header_that_says_something_else_is_refused(name: bytes) -> None:
    problem = problem_of(b"POST / HTTP/1.1\r\n" + HOST + name + b": a\r\n" + name.upper() + b": b\r\n\r\n")
    assert problem.name == "invalid-header"
    assert problem.detail.endswith(": it came more than once.")


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\n\r\n",  # no host
        b"GET /\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET http://[/ HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n c\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\nA: b\x00\r\n" + HOST + b"\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n" + CHUNKED + b"\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + b"Content-Length: 3\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3, 3\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\nzz\r\n",
    ],
)
def test_what_can_be_read_in_two_ways_or_not_at_all_is_refused(head: bytes) -> None:
    assert problem_of(head).name == "invalid-header"


def test_nobody_is_connected_to_elsewhere() -> None:
    assert problem_of(b"CONNECT elsewhere:443 HTTP/1.1\r\n" + HOST + b"\r\n").name == "method-not-allowed"


@pytest.mark.parametrize("length", [MAX_COMMAND_BYTES + 1, 60_000_000])
def test_a_length_beyond_the_bound_is_refused_before_its_body_comes(length: int) -> None:
    assert problem_of(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % length).name == "too-large"


def test_of_a_body_without_a_length_no_more_is_kept_than_the_bound() -> None:
    chunk = b"1000\r\n" + b"x" * 4_096 + b"\r\n"
    fits = MAX_COMMAND_BYTES // 4_096
    head = b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n"
    assert Caller().send(head, *[chunk] * fits, b"0\r\n\r\n").got[0].body == b"x" * 4_096 * fits
    assert problem_of(head, *[chunk] * (fits + 1)).name == "too-large"


@pytest.mark.parametrize(
    "parts",
    [
        [b"GET /" + b"a" * MOST_HEADER_BYTES + b" HTTP/1.1\r\n" + HOST + b"\r\n"],
        [b"GET /", *[b"a" * 100] * (MOST_HEADER_BYTES // 100 + 1)],
        [b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"a" * MOST_HEADER_BYTES + b"\r\n\r\n"],
        [b"GET / HTTP/1.1\r\n" + HOST + b"A: ", *[b"a" * 100] * (MOST_HEADER_BYTES // 100 + 1)],
        [b"GET / HTTP/1.1\r\n" + HOST + b"A:\r\n" * (MOST_HEADER_BYTES // 4) + b"\r\n"],
        [b"\r\n"] * MOST_HEADER_BYTES,
    ],
    ids=["address", "address without end", "header", "header without end", "many headers", "nothing"],
)
def test_of_headers_no_more_is_kept_than_the_bound(parts: list[bytes]) -> None:
    problem = problem_of(*parts)
    assert problem.name == "invalid-header"
    assert str(MOST_HEADER_BYTES) in problem.detail


def test_many_requests_that_come_at_once_are_no_large_head() -> None:
    one = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
    many = MOST_HEADER_BYTES // len(one) * 3
    caller = Caller().send(one * many + one[:10], one[10:])
    assert (caller.problem, len(caller.got)) == (None, many + 1)


def test_whoever_waits_for_it_is_told_to_go_on_unless_his_body_is_not_wanted() -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-Continue\r\nContent-Length: %d\r\n\r\n"
    assert Caller().send(head % 3).told_to_go_on == 1
    assert Caller().send(head % (MAX_COMMAND_BYTES + 1)).told_to_go_on == 0


@pytest.mark.parametrize(
    ("head", "is_last"),
    [
        (b"GET / HTTP/1.1\r\n" + HOST, False),
        (b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n", True),
        (b"GET / HTTP/1.0\r\n", True),
        (b"GET / HTTP/1.1\r\n" + HOST + H2C, False),
    ],
)
def test_a_caller_says_whether_he_asks_again(head: bytes, is_last: bool) -> None:
    assert Caller().send(head + b"\r\n").got[0].is_last is is_last


def test_an_address_may_be_written_as_for_a_proxy() -> None:
    [got] = Caller().send(b"GET http://box.example/v1/events?a=b#c HTTP/1.1\r\n" + HOST + b"\r\n").got
    assert (got.path, got.query) == ("/v1/events", "a=b")


def test_it_says_what_comes_next() -> None:
    caller = Caller()
    stages = []
    for part in (b"P", b"OST / HTTP/1.1\r\n", HOST + b"Content-Length: 2\r\n\r\n", b"a", b"b"):
        caller.send(part)
        stages.append(caller.reader.stage)
    assert stages == [Stage.HEAD, Stage.HEAD, Stage.BODY, Stage.BODY, Stage.BETWEEN]
