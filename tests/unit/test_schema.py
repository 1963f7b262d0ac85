"""The schemas and documents are true: to the definitions, to each other, and to what is checked in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.kafka import home_partition
from boxoffice.publishing import ledger_record
from boxoffice.schema import EXAMPLE_COMMANDS, HEADERS, asyncapi, documents, example_facts, json_schemas, write_docs
from boxoffice.settings import Settings
from models.commands import BY_TYPE, MAX_COMMAND_BYTES, MAX_HEADER_BYTES, UnreadableCommandError, read_command
from models.facts import MODELS, Reason, UnreadableFactError, read_fact, write_fact
from topics import TOPICS, dead_letters
from topics.definition import DAY_MS

Json = dict[str, Any]

DOCS = Path(__file__).parents[2] / "docs"
SCHEMAS = json_schemas()
DOCUMENTS = documents()
FACTS = {name: json.loads(write_fact(fact)) for name, fact in example_facts().items()}
UNIONS = {"command", "fact"}


# A validator of the keywords that our schemas use, and of no other: one that is new must be added here.

NOTES = {"title", "description", "default", "$schema", "$defs", "discriminator", "format"}
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "null": (type(None),),
}


def _is(value: Any, type_: str) -> bool:
    return isinstance(value, TYPES[type_]) and not isinstance(value, bool)


CHECKS: dict[str, Any] = {
    "type": _is,
    "const": lambda value, const: value == const and type(value) is type(const),
    "enum": lambda value, enum: value in enum,
    "pattern": lambda value, pattern: not isinstance(value, str) or re.search(_whole(pattern), value),
    "minLength": lambda value, least: not isinstance(value, str) or len(value) >= least,
    "maxLength": lambda value, most: not isinstance(value, str) or len(value) <= most,
    "minimum": lambda value, least: not _is(value, "integer") or value >= least,
    "maximum": lambda value, most: not _is(value, "integer") or value <= most,
    "minItems": lambda value, least: not isinstance(value, list) or len(value) >= least,
    "maxItems": lambda value, most: not isinstance(value, list) or len(value) <= most,
    "required": lambda value, names: not isinstance(value, dict) or value.keys() >= set(names),
}


def _whole(pattern: str) -> str:
    # ECMA's $ is the very end, Python's also stands before a last line's end.
    return re.sub(r"\$$", r"\\Z", pattern)


def valid(value: Any, schema: Json, root: Json) -> bool:
    """Whether a value is what a schema asks for."""
    return all(_holds(value, keyword, argument, root) for keyword, argument in schema.items())


def _holds(value: Any, keyword: str, argument: Any, root: Json) -> bool:
    if keyword in NOTES:
        return True
    if keyword == "$ref":
        return valid(value, resolve(root, argument), root)
    if keyword in {"anyOf", "oneOf"}:
        count = sum(valid(value, schema, root) for schema in argument)
        return count == 1 if keyword == "oneOf" else count > 0
    if keyword == "properties":
        return not isinstance(value, dict) or all(
            valid(value[name], schema, root) for name, schema in argument.items() if name in value
        )
    if keyword == "items":
        return not isinstance(value, list) or all(valid(item, argument, root) for item in value)
    return bool(CHECKS[keyword](value, argument))


def resolve(root: Json, reference: str) -> Any:
    """What a reference within a document points to."""
    assert reference.startswith("#/")
    found: Any = root
    for part in reference[2:].split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def fits(value: Any, name: str) -> bool:
    return valid(value, SCHEMAS[name], SCHEMAS[name])


# JSON Schemas


def test_there_is_a_schema_for_each_type_and_each_union() -> None:
    assert SCHEMAS.keys() == BY_TYPE.keys() | FACTS.keys() | UNIONS
    assert len(FACTS) == len(MODELS)
    for schema in SCHEMAS.values():
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["title"]


@pytest.mark.parametrize("name", [*EXAMPLE_COMMANDS, *FACTS])
def test_an_example_fits_its_own_schema_and_the_union_and_no_other(name: str) -> None:
    example = {**EXAMPLE_COMMANDS, **FACTS}[name]
    fitting = {other for other in SCHEMAS if fits(example, other)}
    assert fitting == {name, "command" if name in EXAMPLE_COMMANDS else "fact"}


@pytest.mark.parametrize("command", EXAMPLE_COMMANDS.values(), ids=EXAMPLE_COMMANDS)
def test_an_example_of_a_command_can_be_read(command: Json) -> None:
    assert read_command(json.dumps(command).encode()).model_dump() == command


ODD: st.SearchStrategy[Any] = st.sampled_from(
    ["", "0", "042", "42\n", "9" * 19, "r 1", "x" * 64, "x" * 65, "x" * 128, "x" * 129, "x" * 201, "b\u0000", "\x7f",
     "\x9f", "\xa0", "😀" * 128, "2027-03-01T19:30:00Z", "2027-03-01T24:00:00Z", "2027-03-01", "EUR", "fact",
     -1, 0, 1, 100, 101, 10**6, 10**6 + 1, 10**12 + 1, 10**18 - 1, 10**18, 2**63, True, False, None, [], [1], ["a"],
     {}, {"amount": 0, "currency": "EUR"}, {"amount": 10**12 + 1, "currency": "EUR"}, {"amount": 1, "currency": "E"},
     {"amount": 1}, {"partition": 0, "offset": 0}, {"partition": -1, "offset": 0}, {"partition": 0}, "redis",
     "sold_out", "2026-11-22T10:00:00.123Z", ["x"] * 100, ["x"] * 101]
)  # fmt: skip


@given(st.sampled_from(sorted(EXAMPLE_COMMANDS)), st.data())
def test_a_schema_takes_the_commands_that_a_worker_reads(name: str, data: st.DataObject) -> None:
    """But for days that are on no calendar, which a pattern cannot know, and 2.0, an integer to JSON Schema."""
    command = {**EXAMPLE_COMMANDS[name]}
    _change(command, data)
    readable = True
    try:
        read_command(json.dumps(command).encode())
    except UnreadableCommandError:
        readable = False
    assert fits(command, "command") == readable


@given(st.sampled_from(sorted(FACTS)), st.data())
def test_a_schema_takes_the_facts_that_a_worker_reads(name: str, data: st.DataObject) -> None:
    fact = {**FACTS[name]}
    _change(fact, data)
    readable = True
    try:
        read_fact(json.dumps(fact).encode())
    except UnreadableFactError:
        readable = False
    assert fits(fact, "fact") == readable


def _change(message: Json, data: st.DataObject) -> None:
    member = data.draw(st.sampled_from([*message, "note"]))
    if data.draw(st.booleans()):
        message.pop(member, None)
    else:
        message[member] = data.draw(ODD)


def test_descriptions_are_markdown() -> None:
    assert "``" not in json.dumps([SCHEMAS, DOCUMENT])


# AsyncAPI


DOCUMENT = asyncapi()


def references(value: Any) -> list[str]:
    """Every reference in a document."""
    if isinstance(value, list):
        return [found for item in value for found in references(item)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for item in value.values() for found in references(item)]


def test_every_reference_leads_somewhere() -> None:
    assert references(DOCUMENT)
    for reference in references(DOCUMENT):
        assert resolve(DOCUMENT, reference), reference


def test_the_document_has_the_shape_of_asyncapi_3() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT.keys() <= {
        "asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components",
    }  # fmt: skip
    assert DOCUMENT["info"].keys() >= {"title", "version"}
    for channel in DOCUMENT["channels"].values():
        assert channel.keys() <= {"address", "title", "summary", "description", "messages", "bindings"}
    for message in DOCUMENT["components"]["messages"].values():
        assert message.keys() <= {
            "name", "title", "summary", "contentType", "correlationId", "headers", "payload", "bindings", "examples",
        }  # fmt: skip
    for name in [*DOCUMENT["channels"], *DOCUMENT["operations"], *DOCUMENT["components"]["schemas"]]:
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name)


def test_every_topic_is_a_channel_with_its_settings() -> None:
    assert list(DOCUMENT["channels"]) == [topic.name for topic in TOPICS]
    for topic in TOPICS:
        channel = DOCUMENT["channels"][topic.name]
        assert channel["address"] == topic.name
        configured = channel["bindings"]["kafka"]["topicConfiguration"]
        told = {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in configured.items()}
        assert told == topic.config


def test_every_message_is_sent_or_received() -> None:
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in {"send", "receive"}
        channel = resolve(DOCUMENT, operation["channel"]["$ref"])
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"{operation['channel']['$ref']}/messages/")
            assert resolve(DOCUMENT, message["$ref"]) in channel["messages"].values()
    told = {message["$ref"].rpartition("/")[2] for op in DOCUMENT["operations"].values() for message in op["messages"]}
    assert told == DOCUMENT["components"]["messages"].keys()
    assert told >= BY_TYPE.keys() | FACTS.keys()


@pytest.mark.parametrize("name", [*EXAMPLE_COMMANDS, *FACTS])
def test_a_messages_examples_fit_its_payload_and_headers(name: str) -> None:
    message = DOCUMENT["components"]["messages"][name]
    payload, headers = (resolve(DOCUMENT, message[part]["$ref"]) for part in ("payload", "headers"))
    for example in message["examples"]:
        assert valid(example["payload"], payload, DOCUMENT)
        assert valid(example.get("headers", {}), headers, DOCUMENT)


@pytest.mark.parametrize("name", FACTS)
def test_the_headers_told_are_those_that_are_published(name: str) -> None:
    from boxoffice.deciding import Answer

    schema = HEADERS["factHeaders"]
    _, _, headers = ledger_record(Answer(example_facts()[name], 7, 9, b"00-1-2-01"))
    published = {header: value.decode() for header, value in headers}
    assert published.keys() == schema["properties"].keys()
    assert valid(published, schema, schema)
    (example,) = DOCUMENT["components"]["messages"][name]["examples"]
    read = schema["required"][-1]
    assert {**example["headers"], read: "7-9"} == {header: published[header] for header in schema["required"]}


def test_the_examples_lie_at_their_home() -> None:
    home = home_partition("42", Settings.model_fields["partitions"].default)
    assert FACTS["purchase_confirmed"]["source"]["partition"] == home
    assert FACTS["command_forwarded"]["home"] == home


# What is checked in


def test_documents_are_the_same_each_time() -> None:
    assert documents() == DOCUMENTS


@pytest.mark.parametrize("path", DOCUMENTS)
def test_the_checked_in_copy_is_true(path: str) -> None:
    file = DOCS / path
    assert file.is_file(), f"docs/{path} is missing: make it with 'boxoffice schema --write docs'"
    assert file.read_text(encoding="utf-8") == DOCUMENTS[path], "make it anew with 'boxoffice schema --write docs'"


def test_no_schema_is_checked_in_that_is_not_made_any_more() -> None:
    assert {f"schemas/{file.name}" for file in (DOCS / "schemas").iterdir()} == DOCUMENTS.keys() - {"asyncapi.json"}


def test_documents_are_written_where_one_asks_for_them(tmp_path: Path) -> None:
    written = write_docs(tmp_path / "new")
    assert {str(path.relative_to(tmp_path / "new")) for path in written} == DOCUMENTS.keys()
    for path in written:
        assert json.loads(path.read_text(encoding="utf-8"))


# docs/messages.md

GUIDE = (DOCS / "messages.md").read_text(encoding="utf-8")


def tables() -> list[list[list[str]]]:
    """The guide's tables, as rows of cells, with the head row and without the ruler."""
    found = re.findall(r"(?:^\|.*\|\n)+", GUIDE, re.MULTILINE)
    rows = [[[cell.strip() for cell in row[1:-1].split("|")] for row in table.splitlines()] for table in found]
    return [[table[0], *table[2:]] for table in rows]


def table(head: str) -> list[list[str]]:
    """The rows of the first table whose first column is so named."""
    return next(rows[1:] for rows in tables() if rows[0][0] == head)


def code(cell: str) -> str:
    return cell.strip("`")


def test_the_guide_shows_every_command_and_every_fact_as_it_is() -> None:
    shown = {
        message["type"]: message for message in map(json.loads, re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL))
    }
    assert shown == {**EXAMPLE_COMMANDS, **FACTS}


def test_the_guides_topics_are_the_definitions() -> None:
    def kept(config: Any) -> str:
        if config["cleanup.policy"] == "compact":
            return "compacted"
        retention_ms = int(config["retention.ms"])
        return "for ever" if retention_ms < 0 else f"{retention_ms // DAY_MS} days"

    told = [[code(row[0]), *row[1:]] for row in table("topic")]
    assert told == [[topic.name, topic.holds, topic.key, kept(topic.config)] for topic in TOPICS]


def test_the_guides_reasons_are_the_definitions() -> None:
    assert [code(row[0]) for row in table("reason")] == [reason.value for reason in Reason]


def _bounds(schema: Any) -> set[int]:
    """Every bound in a member's schema, but the ones that a pattern hides."""
    if isinstance(schema, list):
        return {bound for item in schema for bound in _bounds(item)}
    if not isinstance(schema, dict):
        return set()
    own = {schema[name] for name in ("minimum", "maximum", "minLength", "maxLength") if name in schema}
    return own | {bound for item in schema.values() for bound in _bounds(item)}


def test_the_guides_bounds_are_the_definitions() -> None:
    rows = {(code(row[0]), code(of)): row for row in table("member") for of in row[1].split(", ")}
    defined = {
        (member, "all" if member in {"type", "event_id", "request_id"} else name): (schema, SCHEMAS[name])
        for name in BY_TYPE
        for member, schema in SCHEMAS[name]["properties"].items()
    }
    assert rows.keys() == defined.keys()
    for (member, of), (schema, whole) in defined.items():
        told = {int(number) for number in re.findall(r"\d+", rows[member, of][2])}
        expected = _bounds(resolve(whole, schema["$ref"]) if "$ref" in schema else schema)
        if member in {"request_id", "purchase"}:
            expected = {1, 64}
            assert "{1,64}" in schema["pattern"]
        if member not in {"type", "event_id", "starts_at"}:
            assert expected <= told, member
        if of != "all":
            assert (rows[member, of][3] == "yes") == (member in whole["required"])


def test_the_guides_sizes_are_the_definitions() -> None:
    assert f"at most {MAX_COMMAND_BYTES} bytes" in GUIDE
    assert f"together at most {MAX_HEADER_BYTES} " in GUIDE


def test_the_guides_headers_are_the_definitions() -> None:
    facts, letters = (rows[1:] for rows in tables() if rows[0][0] == "header")
    assert {code(row[0]) for row in facts} == HEADERS["factHeaders"]["properties"].keys()
    assert [code(row[0]) for row in letters] == [
        dead_letters.REASON_HEADER,
        dead_letters.POSITION_HEADER,
        dead_letters.CUT_HEADER,
    ]


def test_the_guides_links_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^a-z ]", "", line.lower()).strip().replace(" ", "-") for line in GUIDE.splitlines() if line[:1] == "#"
    }
    for target in re.findall(r"\]\(([^)]+)\)", GUIDE):
        assert target[1:] in headings if target.startswith("#") else (DOCS / target).exists(), target
