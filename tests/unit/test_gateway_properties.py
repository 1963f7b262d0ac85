"""What holds of the gateway's pure parts for all that can come: headers, keys, problems."""

from __future__ import annotations

import json
import re
import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.gateway import problems
from boxoffice.gateway.commands import request_id
from boxoffice.gateway.messages import Problem
from boxoffice.gateway.preferences import DEFAULT_WAIT_S, KEY_PATTERN, LONGEST_WAIT_S, idempotency_key, wait_s
from models.api_keys import ID_LENGTH, BadKeyError, digest, id_of, new_id, new_key
from models.commands import Purchase

IDS = st.text(string.ascii_letters + string.digits, min_size=ID_LENGTH, max_size=ID_LENGTH)
KEYS = st.from_regex(KEY_PATTERN, fullmatch=True)
HEADER_TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=60)
PREFERENCES = st.sampled_from(
    [
        *("respond-async", "RESPOND-ASYNC", "wait=3", "wait = 3", 'wait="3"', "Wait=29; x=y", "wait=99", "wait="),
        *("wait=x", "return=minimal", "handling=strict; a=b", "", "wait=-1", "wait=1.5", "waits=1", "wait=99999999999"),
    ]
)


# Idempotency-Key


@given(KEYS, st.sampled_from(["{}", '"{}"', ' "{}" ', "  {}\t"]))
def test_a_key_is_the_same_bare_and_in_quotes(key: str, form: str) -> None:
    assert idempotency_key(form.format(key)) == key


@given(HEADER_TEXT, IDS)
def test_whatever_is_read_as_a_key_makes_a_request_id(text: str, caller: str) -> None:
    with suppress(Problem):
        request = request_id(caller, idempotency_key(text))
        assert Purchase(request_id=request, event_id="42", buyer="b").request_id == request


@given(IDS, IDS, KEYS, KEYS)
def test_no_two_callers_and_no_two_keys_make_the_same_request_id(one: str, two: str, first: str, second: str) -> None:
    assert (request_id(one, first) == request_id(two, second)) == ((one, first) == (two, second))


# Prefer


@given(HEADER_TEXT)
def test_any_preference_is_a_wait_within_bounds(text: str) -> None:
    assert 0 <= wait_s(text) <= LONGEST_WAIT_S


@given(st.lists(PREFERENCES, max_size=5))
def test_of_several_preferences_those_count_that_are_understood(several: list[str]) -> None:
    read = wait_s(", ".join(several))
    if any(one.lower() == "respond-async" for one in several):
        assert read == 0
    else:
        understood = [one.partition(";")[0] for one in several]
        asked = [found for one in understood if (found := re.fullmatch(r'(?i)wait ?= ?"?([0-9]{1,9})"?', one))]
        assert read == (min(int(asked[-1][1]), LONGEST_WAIT_S) if asked else DEFAULT_WAIT_S)


# API keys


@given(IDS)
def test_a_key_says_whose_it_is(caller: str) -> None:
    key = new_key(caller)
    assert id_of(key) == caller
    assert re.fullmatch(r"bo_[0-9A-Za-z]{10}_[0-9A-Za-z]{49}", key)
    assert re.fullmatch("[0-9a-f]{64}", digest(key))


@given(st.integers(0, 61), st.integers(1, 61))
def test_a_key_of_which_characters_changed_places_is_none(at: int, further: int) -> None:
    key = new_key(new_id())
    other = (at + further) % len(key)
    characters = list(key)
    characters[at], characters[other] = characters[other], characters[at]
    changed = "".join(characters)
    if changed != key:
        with pytest.raises(BadKeyError):
            id_of(changed)


@given(st.integers(0, 62) | st.integers(64, 90))
def test_a_key_that_is_cut_or_goes_on_is_none(length: int) -> None:
    key = new_key(new_id())
    with pytest.raises(BadKeyError):
        id_of((key * 2)[:length])


@given(st.text(max_size=80))
def test_any_text_is_a_key_or_is_said_to_be_none(text: str) -> None:
    with pytest.raises(BadKeyError):
        id_of(text)


# Problems

FACTS = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.none(), max_size=4)


@given(st.sampled_from(sorted(problems.TYPES)), st.text(max_size=200), FACTS, FACTS)
def test_a_problem_is_json_with_the_fact_in_it_as_it_lies_in_the_ledger(
    name: str, detail: str, members: dict[str, object], fact: dict[str, object]
) -> None:
    written = json.dumps(fact, separators=(" ,", " : ")).encode()
    further = {f"x{member}": value for member, value in members.items()}
    body = problems.problem(name, detail, further, written)
    read = json.loads(body)
    kind = problems.TYPES[name]
    assert body.endswith(b'"fact":' + written + b"}")
    assert (read["type"], read["title"], read["status"]) == (f"/v1/problems/{name}", kind.title, kind.status)
    assert (read["detail"], read["fact"]) == (detail, fact)
    assert read.items() >= further.items()
    assert read.get("outcome") == kind.taken


@pytest.mark.parametrize("name", problems.TYPES)
def test_a_problems_name_stands_in_its_path_as_it_is(name: str) -> None:
    assert re.fullmatch("[a-z]+(-[a-z]+)*", name)
    assert problems.TYPES[name].name == name
