"""docs/http.md is true, as far as can be said without a server: to the OpenAPI document, settings and problems."""

from __future__ import annotations

import re
from typing import Any

import pytest

from boxoffice.gateway import problems
from boxoffice.gateway.connections import BODY_WITHIN_S, HEADERS_WITHIN_S, MOST_AT_ONCE
from boxoffice.gateway.desk import ACKNOWLEDGED_WITHIN_S
from boxoffice.gateway.preferences import DEFAULT_WAIT_S, LONGEST_WAIT_S, MOST_KEY
from boxoffice.gateway.reader import MOST_HEADER_BYTES
from boxoffice.settings import SETTINGS, GatewaySettings
from models.api_keys import SCOPES
from models.commands import MAX_COMMAND_BYTES
from tests.support.http_guide import GUIDE, PAGE, Call, calls
from tests.unit.test_openapi import OPERATIONS, resolved, validator

Json = dict[str, Any]

CALLS = calls()


def operation_of(call: Call) -> str:
    """The request of the OpenAPI document that a call is."""
    found = [
        operation
        for operation in OPERATIONS
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", operation.replace(".", r"\.")), f"{call.method} {call.path}")
    ]
    assert len(found) == 1, (str(call), found)
    return found[0]


def test_every_request_has_its_curl() -> None:
    shown = {operation_of(call) for call in CALLS}
    assert OPERATIONS.keys() == shown


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_what_is_sent_is_what_is_documented(call: Call) -> None:
    document = OPERATIONS[operation_of(call)]
    parameters = [resolved(one) for one in document["parameters"]]
    known = {one["name"] for one in parameters if one["in"] == "header"} | {"Authorization", "Content-Type"}
    assert call.headers.keys() <= known | {"Accept"}
    assert {one["name"] for one in parameters if one["in"] == "header" and one.get("required")} <= call.headers.keys()
    if document["security"]:
        assert "Authorization" in call.headers
    if call.body is not None:
        schema = document["requestBody"]["content"]["application/json"]["schema"]
        is_refused = call.answer is not None and call.answer.status == 422
        assert validator(schema).is_valid(call.body) != is_refused


@pytest.mark.parametrize("call", [call for call in CALLS if call.answer], ids=str)
def test_the_answer_that_is_shown_is_one_that_is_documented(call: Call) -> None:
    assert call.answer is not None
    response = OPERATIONS[operation_of(call)]["responses"][str(call.answer.status)]
    shown = dict(call.answer.headers)
    media_type = shown.pop("Content-Type", None)
    assert shown.keys() <= response["headers"].keys()
    for name, value in shown.items():
        assert validator(resolved(response["headers"][name])["schema"]).is_valid(_read(value)), name
    if media_type is not None:
        content = response["content"][media_type]
        if call.answer.body is not None:
            assert [error.message for error in validator(content["schema"]).iter_errors(call.answer.body)] == []
    else:
        assert call.answer.body is None


def _read(value: str) -> str | int:
    return int(value) if value.isdigit() else value


def test_every_problem_that_is_named_is_one() -> None:
    named = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", GUIDE)) - {"respond-async"}
    assert named <= problems.TYPES.keys()


def test_every_setting_that_is_named_is_one() -> None:
    named = set(re.findall(r"BOXOFFICE_[A-Z_]+", GUIDE))
    assert named <= SETTINGS.keys()


def test_the_scopes_are_the_definitions() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", GUIDE.split("## Keys")[1].split("\n## ")[0], re.MULTILINE)
    assert rows == list(SCOPES.items())


def test_the_bounds_are_the_definitions() -> None:
    default = {name: field.default for name, field in GatewaySettings.model_fields.items()}
    for said in (
        f"{default['rate']:,} a second, {default['burst']:,} at once",
        f"{default['most_waiting_of_one']:,} (`BOXOFFICE_GATEWAY_MOST_WAITING_OF_ONE`)",
        f"{default['most_waiting']:,} (`BOXOFFICE_GATEWAY_MOST_WAITING`)",
        f"{default['most_connections']:,} (`BOXOFFICE_GATEWAY_MOST_CONNECTIONS`)",
        f"{default['address_rate']:,} a second, {default['address_burst']:,} at once",
        f"{default['most_reading']:,} (`BOXOFFICE_GATEWAY_MOST_READING`)",
        f"| a body | {MAX_COMMAND_BYTES // 1024} KiB |",
        f"| requests that are sent on a connection before the answer of an earlier one | {MOST_AT_ONCE} |",
        f"| headers | {MOST_HEADER_BYTES // 1024} KiB in all |",
        f"| the gateway for your headers, and for the next request on a connection | {HEADERS_WITHIN_S:g} s,",
        f"keeps an idle connection for less than {HEADERS_WITHIN_S:g} s",
        f"| the gateway for your body | {BODY_WITHIN_S:g} s,",
        f"{DEFAULT_WAIT_S} s unless it says something, {LONGEST_WAIT_S} s at most",
        f"| {ACKNOWLEDGED_WITHIN_S:g} s more, then 503 `outcome-unknown` |",
        f"1 to {MOST_KEY} of `A-Z a-z 0-9 . _ : -`",
        f"waits for {DEFAULT_WAIT_S} s",
        f"0 to {LONGEST_WAIT_S} |",
    ):
        assert said in GUIDE, said
    # Whoever waits has to wait for longer than the gateway may take.
    assert DEFAULT_WAIT_S + ACKNOWLEDGED_WITHIN_S < DEFAULT_WAIT_S + 15
    assert LONGEST_WAIT_S + ACKNOWLEDGED_WITHIN_S < 45


def _headings(text: str) -> set[str]:
    lines = [line for line in text.splitlines() if line.startswith("#")]
    return {re.sub(r"[^a-z ]", "", line.lower()).strip().replace(" ", "-") for line in lines}


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", GUIDE):
        if target.startswith("https://"):
            continue
        file, _, heading = target.partition("#")
        page = PAGE.parent / file if file else PAGE
        assert page.exists(), target
        assert not heading or heading in _headings(page.read_text(encoding="utf-8")), target
