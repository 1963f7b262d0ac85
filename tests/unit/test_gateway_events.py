"""GET of events: pages with cursors, entity tags, and queries that strangers write."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.gateway import events
from boxoffice.gateway.conditional import is_current
from boxoffice.gateway.messages import Problem, Request, Response
from boxoffice.statistics.states import EventStates
from tests.support.figures import states_of, written

TAG = '"5"'


def get(query: str = "", method: str = "GET", **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, "/v1/events", query, named.get, b"", "127.0.0.1")


def told(response: Response) -> tuple[list[str], str | None]:
    members: dict[str, Any] = json.loads(response.body)
    return [event["event_id"] for event in members["events"]], members["next_cursor"]


def test_an_event_is_the_records_own_bytes_and_its_tag_is_its_seq() -> None:
    response = events.one(states_of(("42", 5)), get(), "42")
    headers = dict(response.headers)
    assert (response.status, response.body) == (200, written("42", 5)[1])
    assert headers == {"cache-control": "public, max-age=1", "content-type": "application/json", "etag": TAG}


def test_who_has_it_already_is_sent_nothing() -> None:
    response = events.one(states_of(("42", 5)), get(if_none_match=TAG), "42")
    assert (response.status, response.body) == (304, b"")
    assert dict(response.headers) == {"cache-control": "public, max-age=1", "etag": TAG}
    assert events.one(states_of(("42", 6)), get(if_none_match=TAG), "42").status == 200


@pytest.mark.parametrize(
    ("header", "has_it"),
    [
        (None, False),
        ("", False),
        (TAG, True),
        (f"W/{TAG}", True),
        ("*", True),
        (f'"4", W/{TAG} ,"6"', True),
        ('"4","6"', False),
        ("5", False),
        ('"55"', False),
        ('"5', False),
        ('"4,' + TAG, False),
        ("\xff\xfe", False),
        (f"{'x' * 5_000}{TAG}", False),
    ],
)
def test_tags_are_compared_weakly_and_in_lists(header: str | None, has_it: bool) -> None:
    assert is_current(header, TAG) is has_it


@given(st.text(max_size=60))
def test_no_header_breaks_the_comparison(header: str) -> None:
    assert is_current(header, TAG) in (True, False)


@pytest.mark.parametrize("event", ["7", "042", "", "-1", "1" * 19, "42%2F", "../42", "\uff14\uff12"])
def test_there_is_no_other_event(event: str) -> None:
    with pytest.raises(Problem) as problem:
        events.one(states_of(("42", 5)), get(), event)
    assert problem.value.name == "unknown-event"


def test_pages_follow_each_other_and_say_where_the_next_begins() -> None:
    states = states_of(("100", 1), ("7", 1), ("42", 1))
    first = events.listed(states, get("limit=2"))
    assert told(first) == (["7", "42"], "42")
    link = dict(first.headers)["link"]
    path, query = urlsplit(link[1 : link.index(">")])[2:4]
    assert (path, link[link.index(">") :]) == ("/v1/events", '>; rel="next"')
    last = events.listed(states, get(query))
    assert told(last) == (["100"], None)
    assert "link" not in dict(last.headers)
    assert told(events.listed(states, get("cursor=100"))) == ([], None)
    assert told(events.listed(states_of(), get())) == ([], None)


def test_a_page_has_a_tag_that_is_the_same_everywhere_until_an_event_in_it_changes() -> None:
    one, two = states_of(("7", 1), ("42", 3)), states_of(("42", 3), ("7", 1))
    tag = dict(events.listed(one, get()).headers)["etag"]
    assert dict(events.listed(two, get()).headers)["etag"] == tag
    assert events.listed(two, get(if_none_match=tag)).status == 304
    two.take(*written("42", 4))
    assert events.listed(two, get(if_none_match=tag)).status == 200
    assert dict(events.listed(one, get("limit=1")).headers)["etag"] != tag


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=1.5",
        "limit=",
        "limit=²",
        "limit=1&limit=2",
        "cursor=",
        "cursor=abc",
        "cursor=042",
        "cursor=1%00",
        "page=2",
        "limit",
        "&&&&&&&&&&&",
        "limit=1&" + "x" * 300,
    ],
)
def test_a_query_that_cannot_be_read_is_refused(query: str) -> None:
    with pytest.raises(Problem) as problem:
        events.listed(states_of(("42", 5)), get(query))
    assert problem.value.name == "invalid-query"
    assert problem.value.response().status == 400


@given(st.text(max_size=40))
def test_no_query_is_more_than_refused(query: str) -> None:
    assert answered(query) in ("a page", "invalid-query")


def answered(query: str) -> str:
    try:
        events.listed(states_of(("42", 5)), get(query))
    except Problem as problem:
        return problem.name
    return "a page"


def test_who_has_not_read_everything_says_so_and_shows_what_he_has() -> None:
    states = EventStates(10)
    states.take(*written("42", 5))
    assert events.one(states, get(), "42").status == 200
    with pytest.raises(Problem) as of_one:
        events.one(states, get(), "7")
    with pytest.raises(Problem) as of_all:
        events.listed(states, get())
    assert of_one.value.name == of_all.value.name == "not-loaded"
    assert of_all.value.response().status == 503


def test_an_event_is_only_read_here() -> None:
    with pytest.raises(Problem) as problem:
        events.one(states_of(("42", 5)), get(method="DELETE"), "42")
    assert (problem.value.name, problem.value.headers) == ("method-not-allowed", [("allow", "GET, HEAD")])
