"""The OpenAPI document is valid, and true: to the definitions, to what the gateway reads and writes, to its copies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError as DoesNotFit
from jsonschema.validators import extend
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, ValidationError

from boxoffice.gateway import commands, contract, preferences, problems
from boxoffice.gateway.administration import LONGEST_DRILL_S, MOST_EVENTS, Drill, Rebuild
from boxoffice.gateway.messages import Problem
from boxoffice.gateway.service import table
from boxoffice.schema import openapi, write_docs
from boxoffice.schema.files import served_contract
from boxoffice.schema.openapi_examples import BODIES, EVENT, HELD_BODY, HELD_EVENT_BODY, made
from boxoffice.schema.openapi_parts import body_name
from boxoffice.schema.openapi_problems import schema_name
from boxoffice.schema.openapi_requests import OPERATIONS as REQUESTS
from models.api_keys import SCOPES
from models.commands import BY_TYPE, read_command
from models.inventory import Inventory
from models.reasons import Reason
from tests.fuzz.bodies import command_of
from tests.unit.strategies import HOME, Arrival, answer, arrivals
from tests.unit.test_schema import ODD

Json = dict[str, Any]

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENT = openapi()


def resolved(value: Json) -> Json:
    """A component that is referred to, or what stands there itself."""
    if "$ref" not in value:
        return value
    found: Any = DOCUMENT
    for part in value["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found


OPERATIONS: dict[str, Json] = {
    f"{method.upper()} {path}": {
        **operation,
        "responses": {status: resolved(response) for status, response in operation["responses"].items()},
    }
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


def matches(_: Any, pattern: str, value: Any, __: Json) -> Iterator[ValidationError]:
    """As ECMA-262 reads a pattern, which JSON Schema means: unlike in Python, "$" fits before no line's end."""
    if isinstance(value, str) and not re.search(pattern.replace("$", r"\Z"), value):
        yield DoesNotFit(f"{value!r} does not match {pattern!r}")


Validator = extend(Draft202012Validator, {"pattern": matches})


def validator(schema: Json) -> Any:
    """Of a schema in the document, whose references lead into it."""
    return Validator({**schema, "components": DOCUMENT["components"]})


def fits(value: Any, name: str) -> bool:
    return bool(validator({"$ref": f"#/components/schemas/{name}"}).is_valid(value))


# The document


def test_it_is_valid() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_its_schemas_are_valid(name: str) -> None:
    Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"][name])


def shown(value: Any, place: str = "") -> Iterator[tuple[str, Json, Any]]:
    """Every example in the document: where it stands, its schema, and itself."""
    if isinstance(value, list):
        for number, one in enumerate(value):
            yield from shown(one, f"{place}/{number}")
    if not isinstance(value, dict):
        return
    for name, schema, example in _shown_here(value):
        yield f"{place}{name}", schema, example
    for name, inner in value.items():
        if name not in {"example", "examples"}:
            yield from shown(inner, f"{place}/{name}")


def _shown_here(value: Json) -> Iterator[tuple[str, Json, Any]]:
    examples = value.get("examples")
    if "example" in value and "schema" in value:
        yield "", value["schema"], value["example"]
    if isinstance(examples, list):
        yield from ((f"/{number}", value, example) for number, example in enumerate(examples))
    elif examples is not None and "schema" in value:
        yield from ((f"/{name}", value["schema"], example["value"]) for name, example in examples.items())


EXAMPLES = list(shown(DOCUMENT))


@pytest.mark.parametrize(("schema", "example"), [of[1:] for of in EXAMPLES], ids=[of[0] for of in EXAMPLES])
def test_its_examples_are_what_they_are_examples_of(schema: Json, example: Any) -> None:
    assert [error.message for error in validator(schema).iter_errors(example)] == []


def test_every_command_and_every_problem_has_an_example() -> None:
    places = {place for place, _, _ in EXAMPLES}
    for operation, document in OPERATIONS.items():
        method, path = operation.split()
        here = f"/paths/{path}/{method.lower()}"
        if "requestBody" in document:
            body = f"{here}/requestBody/content/application/json"
            assert {body, f"{body}/plain"} & places, operation
    for name in problems.TYPES:
        assert f"/components/schemas/{schema_name(name)}/0" in places


def test_requests_have_names_of_their_own_and_say_who_may_make_them() -> None:
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(names) == len(set(names))
    schemes = DOCUMENT["components"]["securitySchemes"]
    for operation in OPERATIONS.values():
        for scheme, scopes in (pair for one in operation["security"] for pair in one.items()):
            assert scheme in schemes
            assert set(scopes) <= set(SCOPES)


def test_every_variable_of_a_path_is_a_parameter() -> None:
    for operation, document in OPERATIONS.items():
        parameters = [resolved(one) for one in document["parameters"]]
        told = {one["name"] for one in parameters if one["in"] == "path"}
        assert told == set(re.findall(r"{(\w+)}", operation)), operation


def test_the_gateways_paths_are_those_that_are_documented() -> None:
    """Those of other processes, and of the process' own port, are asked for there."""
    paths = table(*(Mock() for _ in signature(table).parameters))
    served = {f"{method} {_nameless(path)}" for path, methods in paths.items() for method in methods}
    documented = {name for name, document in OPERATIONS.items() if "servers" not in document}
    assert served == {_nameless(name) for name in documented}


def _nameless(path: str) -> str:
    # A path's part is a variable whole, or not at all: the file's name is looked at by whoever hands it out.
    return re.sub(r"\{\w+\}(\.pdf)?", "{}", path)


# Problems


def test_no_problem_is_told_that_there_is_not() -> None:
    assert {name for operation in REQUESTS for name in operation.problems} <= problems.TYPES.keys()


def told(document: Json) -> set[str]:
    """The problems that a request may be answered with."""
    found = json.dumps([response.get("content") for response in document["responses"].values()])
    return {name for name in problems.TYPES if f'/{schema_name(name)}"' in found}


def test_every_problem_is_told_where_it_can_come() -> None:
    told_of = {name for document in OPERATIONS.values() for name in told(document)}
    # Of what is no request there can be no description.
    assert told_of | {"not-found", "method-not-allowed"} == problems.TYPES.keys()


def test_what_was_not_taken_says_when_to_come_again() -> None:
    for operation, document in OPERATIONS.items():
        for status, response in document["responses"].items():
            is_problem = problems.MEDIA_TYPE in response.get("content", {})
            if status == "202" or (status in {"429", "503"} and is_problem):
                assert "Retry-After" in response["headers"], (operation, status)


@pytest.mark.parametrize("name", problems.TYPES)
def test_a_problem_fits_its_own_schema_and_no_others(name: str) -> None:
    [example] = DOCUMENT["components"]["schemas"][schema_name(name)]["examples"]
    assert {other for other in problems.TYPES if fits(example, schema_name(other))} == {name}
    assert fits(example, "Problem")


@given(arrivals())
def test_whatever_a_command_is_refused_for_is_among_what_its_request_may_be_told(arrived: list[Arrival]) -> None:
    inventory = Inventory(HOME)
    for arrival in arrived:
        fact: Any = answer(inventory, arrival)
        kind = arrival.command.type
        if kind in BODIES and fact is not None and "reason" in fact:
            assert problems.OF_REASON[fact["reason"]] in TOLD_OF[kind], (kind, fact["reason"])


def test_every_reason_of_a_fact_is_told_as_a_problem_with_the_fact_in_it() -> None:
    for name in problems.OF_REASON.values():
        [example] = DOCUMENT["components"]["schemas"][schema_name(name)]["examples"]
        assert problems.OF_REASON[example["fact"]["reason"]] == name


def test_of_what_does_not_come_over_http_no_reason_is_told() -> None:
    assert set(Reason) - problems.OF_REASON.keys() == {Reason.NOT_DUE, Reason.PAYMENT_REUSED}


@given(st.sampled_from(sorted(problems.TYPES)), st.text(max_size=100))
def test_whatever_a_detail_says_the_problem_fits(name: str, detail: str) -> None:
    [example] = DOCUMENT["components"]["schemas"][schema_name(name)]["examples"]
    members = {member: example[member] for member in ("errors", "reason") if member in example}
    fact = json.dumps(example["fact"]).encode() if "fact" in example else None
    assert fits(json.loads(problems.problem(name, detail, members, fact)), schema_name(name))


# What the gateway reads and writes


SENT = [*BODIES.items(), ("purchase", HELD_BODY), ("create_event", HELD_EVENT_BODY)]


@pytest.mark.parametrize(("kind", "body"), SENT)
def test_an_example_of_a_body_makes_a_command_that_workers_read(kind: str, body: Json) -> None:
    assert fits(body, body_name(kind))
    assert as_command(kind, body) is not None


@given(st.sampled_from(SENT), st.data())
def test_a_schema_takes_the_bodies_that_the_gateway_takes(sent: tuple[str, Json], data: st.DataObject) -> None:
    """But for days that are on no calendar, which a pattern cannot know, and 2.0, an integer to JSON Schema.

    Nor can it know sums, and what comes twice. What nobody knows may be null and is better not sent: no schema has it.
    """
    kind, body = sent[0], {**sent[1]}
    for _ in range(data.draw(st.integers(1, 3))):
        member = data.draw(st.sampled_from(MEMBERS))
        body[member] = data.draw(ODD | st.sampled_from([one[member] for _, one in SENT if member in one] or [1]))
        if data.draw(st.booleans()):
            del body[member]
    command = as_command(kind, body)
    known = set(DOCUMENT["components"]["schemas"][body_name(kind)]["properties"])
    told = {member: value for member, value in body.items() if value is not None or member in known}
    assert fits(told, body_name(kind)) == (command is not None)
    if command is not None:
        assert read_command(command).event_id == (str(body["event_id"]) if kind == "create_event" else EVENT)


MEMBERS = sorted({name for _, body in SENT for name in body} | {"type", "actor", "payment", "tickets", "note"})


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("purchase", {**HELD_BODY, "quantity": 1}),
        ("purchase", {**HELD_BODY, "category": "stalls"}),
        ("change_event", {"hold_s": 30}),
        ("create_event", {**HELD_EVENT_BODY, "capacity": 1}),
        ("create_event", {**HELD_EVENT_BODY, "price": BODIES["create_event"]["price"]}),
        *(
            ("create_event", {name: value for name, value in BODIES["create_event"].items() if name != without})
            for without in ("capacity", "price")
        ),
    ],
)
def test_a_schema_says_which_members_stand_instead_of_others(kind: str, body: Json) -> None:
    assert as_command(kind, body) is None
    assert not fits(body, body_name(kind))


def as_command(kind: str, body: Json) -> bytes | None:
    """What the gateway would publish; None where it says that the body is not what it has to be."""
    try:
        return command_of(kind, json.dumps(body).encode())
    except Problem as problem:
        if problem.name != "invalid-body":
            raise
        return None


REBUILDS: list[Json] = [
    {}, {"all": True}, {"all": False}, {"events": []}, {"events": ["42"]}, {"events": ["42"], "all": False},
    {"events": ["42"], "all": True}, {"events": [], "all": True}, {"events": ["042"]}, {"events": "42"}, {"all": 1},
    {"events": ["1"] * MOST_EVENTS}, {"events": ["1"] * (MOST_EVENTS + 1)}, {"all": True, "note": 1}, {"events": [42]},
]  # fmt: skip
DRILLS: list[Json] = [
    {}, {"on": True}, {"on": False}, {"on": 1}, {"on": True, "duration_s": 1}, {"on": True, "duration_s": 0},
    {"on": True, "duration_s": LONGEST_DRILL_S + 1}, {"duration_s": 5}, {"on": True, "note": "n"},
]  # fmt: skip


@pytest.mark.parametrize("body", REBUILDS)
def test_a_schema_takes_the_rebuilds_that_the_gateway_takes(body: Json) -> None:
    assert fits(body, "NewRebuild") == _takes(Rebuild, body)


@pytest.mark.parametrize("body", DRILLS)
def test_a_schema_takes_the_drills_that_the_gateway_takes(body: Json) -> None:
    assert fits(body, "NewDrill") == _takes(Drill, body)


def _takes(model: type[BaseModel], body: Json) -> bool:
    try:
        model.model_validate(body)
    except ValidationError:
        return False
    return True


@given(st.text("aZ0._:-\" \t\n;'é", max_size=50) | st.from_regex(preferences.KEY_PATTERN, fullmatch=True))
def test_a_schema_takes_the_keys_that_the_gateway_takes(key: str) -> None:
    schema = DOCUMENT["components"]["parameters"]["idempotencyKey"]["schema"]
    try:
        read = preferences.idempotency_key(key)
    except Problem:
        read = None
    # Servers leave away the space around a header's value, which a schema does not.
    assert (read is not None) == validator(schema).is_valid(key.strip())


@pytest.mark.parametrize("kind", BODIES)
def test_an_answer_has_the_headers_that_are_told(kind: str) -> None:
    document = _about(kind)
    headers = {name.lower() for name in document["responses"]["201"]["headers"]}
    assert {name for name, _ in made(kind).headers} - {"content-type"} <= headers


def _about(kind: str) -> Json:
    """The request that becomes a command of that kind."""
    named = f'/{body_name(kind)}"'
    [document] = [one for one in OPERATIONS.values() if named in json.dumps(one.get("requestBody"))]
    return document


TOLD_OF = {kind: told(_about(kind)) for kind in BODIES}
"""The problems that each command's request may be told."""


def test_what_comes_over_http_is_documented_and_nothing_else() -> None:
    assert BODIES.keys() == set(commands.KINDS)
    assert BY_TYPE.keys() - BODIES.keys() == {"confirm_purchase", "expire_hold"}


# Copies


def test_the_gateway_serves_what_is_documented() -> None:
    assert contract.document().decode() == served_contract(), "make it anew with 'boxoffice schema --write docs'"
    assert json.loads(contract.document()) == json.loads((DOCS / "openapi.json").read_text(encoding="utf-8"))


def test_the_gateways_copy_is_written_with_the_documents(tmp_path: Path) -> None:
    (tmp_path / "boxoffice" / "gateway").mkdir(parents=True)
    written = write_docs(tmp_path / "docs")
    copy = tmp_path / "boxoffice" / "gateway" / "openapi.json"
    assert copy in written
    assert json.loads(copy.read_text(encoding="utf-8")) == DOCUMENT


@pytest.mark.parametrize("buyer", ["42\n", "\n42", "42\r"])
def test_a_pattern_is_of_a_whole_text_and_of_no_line_of_it(buyer: str) -> None:
    assert fits({"buyer": "42", "quantity": 1}, "NewPurchase")
    assert not fits({"buyer": buyer, "quantity": 1}, "NewPurchase")
