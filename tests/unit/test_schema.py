"""The schemas and documents are true: to the definitions, to each other, and to what is checked in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.batching import Outgoing, Removal
from boxoffice.documents.announcing import announcement_record
from boxoffice.kafka.clients import home_partition
from boxoffice.kafka.side_records import MAX_DEAD_LETTER_BYTES, SideRecord, dead_letter
from boxoffice.schema import asyncapi, documents, internal_asyncapi, json_schemas, write_docs
from boxoffice.schema.examples import COMMANDS, FURTHER_COMMANDS, examples, further_facts
from boxoffice.schema.examples import facts as decided
from boxoffice.schema.files import beside_the_documents
from boxoffice.schema.headers import HEADERS
from boxoffice.schema.payloads import ANNOUNCEMENTS, FACTS, STATISTICS, UNIONS
from boxoffice.selling.deciding import MAX_TRACE_BYTES, Answer
from boxoffice.selling.publishing import ledger_record
from boxoffice.settings import KafkaSettings
from boxoffice.statistics.figures import event_figures, stats_record
from models.commands import UnreadableCommandError, read_command
from models.documents import (
    DocumentAnnouncement,
    UnreadableAnnouncementError,
    made,
    read_announcement,
    removed,
)
from models.facts import NewerFactError, UnreadableFactError, read_fact, write_fact
from models.inventory import Inventory
from models.ledger import Ledger
from models.members import MAX_QUANTITY
from models.shapes import Fact, PurchaseConfirmed
from models.statistics import Statistics
from models.statistics_rows import PartitionStatistics
from models.tickets import are_tickets_of, ticket_name
from tests.unit.records import record
from tests.unit.strategies import HOME, Arrival, arrivals, sell
from tests.unit.test_ledger import decide_after
from topics import (
    TOPICS,
    api_keys,
    clock_places,
    documents_places,
    purchase_requests,
    purchase_results,
    stats_changelog,
)
from topics.purchase_requests import ORIGIN_HEADER, TRACE_HEADER

Json = dict[str, Any]

DOCS = Path(__file__).parents[2] / "docs"
SCHEMAS = json_schemas()
DOCUMENTS = documents()
EXAMPLES = examples()
MEMBERS = {**COMMANDS, **{name: EXAMPLES[name].payload for name in (*FACTS, *ANNOUNCEMENTS, STATISTICS)}}
"""An example of each message that has a schema."""


# A validator of the keywords that our schemas use, and of no other: one that is new must be added here.

NOTES = {"title", "description", "default", "$schema", "$defs", "format"}
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def _is(value: Any, type_: str) -> bool:
    return isinstance(value, TYPES[type_]) and isinstance(value, bool) == (type_ == "boolean")


CHECKS: dict[str, Any] = {
    "type": lambda value, types: any(_is(value, type_) for type_ in ([types] if isinstance(types, str) else types)),
    "const": lambda value, const: value == const and type(value) is type(const),
    "enum": lambda value, enum: value in enum,
    "pattern": lambda value, pattern: not isinstance(value, str) or re.search(_whole(pattern), value),
    "minLength": lambda value, least: not isinstance(value, str) or len(value) >= least,
    "maxLength": lambda value, most: not isinstance(value, str) or len(value) <= most,
    "minimum": lambda value, least: not _is(value, "integer") or value >= least,
    "maximum": lambda value, most: not _is(value, "integer") or value <= most,
    "minItems": lambda value, least: not isinstance(value, list) or len(value) >= least,
    "maxItems": lambda value, most: not isinstance(value, list) or len(value) <= most,
    "uniqueItems": lambda value, _: (
        not isinstance(value, list) or len({json.dumps(one) for one in value}) == len(value)
    ),
    "required": lambda value, names: not isinstance(value, dict) or value.keys() >= set(names),
}


def _whole(pattern: str) -> str:
    # ECMA's $ is the very end, Python's also stands before a last line's end.
    return re.sub(r"\$$", r"\\Z", pattern)


def valid(value: Any, schema: Json, root: Json) -> bool:
    """Whether a value is what a schema asks for."""
    unknown = set(value) - set(schema.get("properties", ())) if isinstance(value, dict) else set()
    if schema.get("additionalProperties") is False and unknown:
        return False
    return all(_holds(value, keyword, argument, root) for keyword, argument in schema.items())


def _holds(value: Any, keyword: str, argument: Any, root: Json) -> bool:
    if keyword in NOTES:
        return True
    if keyword == "$ref":
        return valid(value, resolve(root, argument), root)
    if keyword in {"anyOf", "oneOf", "not"}:
        count = sum(valid(value, schema, root) for schema in (argument if keyword != "not" else [argument]))
        return {"anyOf": count > 0, "oneOf": count == 1, "not": count == 0}[keyword]
    if keyword == "properties":
        return not isinstance(value, dict) or all(
            valid(value[name], schema, root) for name, schema in argument.items() if name in value
        )
    if keyword == "additionalProperties" and isinstance(argument, bool):
        return True  # Whether further properties may be there: looked at above.
    if keyword in {"propertyNames", "additionalProperties"}:
        # Ours stand where no properties are named: they are about all of them.
        items = list(value if keyword == "propertyNames" else value.values()) if isinstance(value, dict) else []
        return all(valid(item, argument, root) for item in items)
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
    assert SCHEMAS.keys() == MEMBERS.keys() | UNIONS.keys()
    for schema in SCHEMAS.values():
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["title"]


@pytest.mark.parametrize("name", MEMBERS)
def test_an_example_fits_its_own_schema_and_the_union_and_no_other(name: str) -> None:
    unions = {"command": COMMANDS, "fact": FACTS, "announcement": ANNOUNCEMENTS}
    fitting = {other for other in SCHEMAS if fits(MEMBERS[name], other)}
    assert fitting == {name, *(union for union, of in unions.items() if name in of)}


FURTHER = [
    *((name, command) for name, command in FURTHER_COMMANDS.items()),
    *((fact["type"], json.loads(write_fact(fact))) for fact in further_facts()),
]
"""Examples of types that have another one, of which they have other members."""


@pytest.mark.parametrize(("name", "message"), FURTHER)
def test_a_further_example_fits_its_schema_and_shows_what_the_first_does_not(name: str, message: Json) -> None:
    fitting = {other for other in SCHEMAS if fits(message, other)}
    assert fitting == {name, "command" if name in COMMANDS else "fact"}
    assert message.keys() - MEMBERS[name].keys() or message["type"] == "purchase_held"


@pytest.mark.parametrize("command", [*COMMANDS.values(), *FURTHER_COMMANDS.values()])
def test_an_example_of_a_command_can_be_read(command: Json) -> None:
    assert read_command(json.dumps(command).encode()).model_dump(exclude_unset=True) == command


def test_every_optional_member_of_a_command_is_shown_somewhere_or_is_like_one_that_is() -> None:
    """But for those of ``change_event``, which are ``create_event``'s."""
    shown: dict[str, set[str]] = {name: {*COMMANDS[name], *FURTHER_COMMANDS.get(name, ())} for name in COMMANDS}
    assert {member for name, schema in SCHEMAS.items() if name in shown and name != "change_event"
            for member in schema["properties"].keys() - shown[name]} == {"actor", "category"}  # fmt: skip


ODD: st.SearchStrategy[Any] = st.sampled_from(
    ["", "0", "042", "42\n", "9" * 19, "r 1", "x" * 64, "x" * 65, "x" * 128, "x" * 129, "x" * 201, "b\u0000", "\x7f",
     "\x9f", "\xa0", "😀" * 128, "2027-03-01T19:30:00Z", "2027-03-01T24:00:00Z", "2027-03-01", "EUR", "fact",
     -1, 0, 1, 100, 101, 10**6, 10**6 + 1, 10**12 + 1, 10**18 - 1, 10**18, 2**63, True, False, None, [], [1], ["a"],
     {}, {"amount": 0, "currency": "EUR"}, {"amount": 10**12 + 1, "currency": "EUR"}, {"amount": 1, "currency": "E"},
     {"amount": 1}, {"partition": 0, "offset": 0}, {"partition": -1, "offset": 0}, {"partition": 0}, "redis",
     "sold_out", "2026-11-22T10:00:00.123Z", ["x"] * 100, ["x"] * 101, "42-000001", "42-00001", "042-000001",
     "42-1000000", "a" * 64, "A" * 64, 2**63 - 1, 59, 60, 86_400, 86_401, "stalls", "Stalls", "-", "s" * 33,
     ["42-000001", "42-000002"], ["42-000001"] * 2, [f"42-{number:06d}" for number in range(101)],
     [{"category": "stalls", "quantity": 2}], [{"category": "stalls", "quantity": 0}], [{"category": "stalls"}],
     [{"category": "stalls", "quantity": 1, "note": None}], [{"category": "stalls", "quantity": 60}] * 2,
     [{"category": "stalls", "amount": 4500}], [{"category": "stalls", "amount": 1}, {"category": "rear", "amount": 0}],
     [{"id": "a", "name": "A", "capacity": 1, "price": {"amount": 0, "currency": "EUR"}}],
     [{"id": "a", "name": "A", "capacity": 1, "price": {"amount": 0, "currency": currency}} for currency in
      ("EUR", "USD")],
     [{"id": f"c{number}", "name": "C", "capacity": 10**6, "price": {"amount": 1, "currency": "EUR"}} for number in
      range(2)],
     [{"id": f"c{number}", "name": "C", "capacity": 1, "price": {"amount": 1, "currency": "EUR"}} for number in
      range(51)],
     [{"id": "a", "name": "", "capacity": 1, "price": {"amount": 0, "currency": "EUR"}}]]
)  # fmt: skip

SUMS = ("in all", "comes more than once", "must have one currency")
"""Of what no schema can say: of sums, and of ids that differ."""


@given(st.sampled_from([*COMMANDS.values(), *FURTHER_COMMANDS.values()]), st.data())
def test_a_schema_takes_the_commands_that_a_worker_reads(example: Json, data: st.DataObject) -> None:
    """What may stand beside what included; null counts as left out for both.

    But for days that are on no calendar, which a pattern cannot know, 2.0, an integer to JSON Schema, sums, and ids
    that must differ. What nobody knows may be null and is better not sent: no schema has it.
    """
    command = {**example}
    names = [*SCHEMAS[example["type"]]["properties"], "note"]
    for _ in range(data.draw(st.integers(1, 3))):
        _change(command, data, names)
    known = {member: value for member, value in command.items() if value is not None or member in names[:-1]}
    why = why_unreadable(command)
    assert fits(known, "command") == (why is None) or any(what in str(why) for what in SUMS), why


def why_unreadable(command: Json) -> str | None:
    """What a worker finds wrong with a command; None if it reads it."""
    try:
        read_command(json.dumps(command).encode())
    except UnreadableCommandError as error:
        return str(error)
    return None


COMBINED: dict[str, list[tuple[Json, bool]]] = {
    "create_event": [
        ({}, True),
        ({"capacity": None}, False),
        ({"price": ...}, False),
        ({"categories": None}, True),
        ({"categories": FURTHER_COMMANDS["create_event"]["categories"]}, False),
        ({"categories": FURTHER_COMMANDS["create_event"]["categories"], "capacity": None, "price": None}, True),
        ({"categories": FURTHER_COMMANDS["create_event"]["categories"], "capacity": ..., "price": ...}, True),
        ({"categories": FURTHER_COMMANDS["create_event"]["categories"], "capacity": ...}, False),
        ({"categories": FURTHER_COMMANDS["create_event"]["categories"], "price": ...}, False),
    ],
    "purchase": [
        ({"quantity": ...}, True),
        ({"category": "stalls"}, True),
        ({"lines": None}, True),
        ({"lines": [{"category": "stalls", "quantity": 1}]}, False),
        ({"lines": [{"category": "stalls", "quantity": 1}], "quantity": None, "category": None}, True),
        ({"lines": [{"category": "stalls", "quantity": 1}], "quantity": ...}, True),
        ({"lines": [{"category": "stalls", "quantity": 1}], "quantity": ..., "category": "rear"}, False),
    ],
    "change_event": [({"hold_s": hold_s}, hold_s in (None, 0, 60)) for hold_s in (None, 0, 1, 59, 60, -1)],
}
"""Members that are added to an example, or left out of it (...), and whether it can be read then."""


@pytest.mark.parametrize(
    ("name", "members", "readable"),
    [(name, members, readable) for name, cases in COMBINED.items() for members, readable in cases],
)
def test_schema_and_reader_agree_on_what_may_stand_beside_what(name: str, members: Json, *, readable: bool) -> None:
    command = {member: value for member, value in (COMMANDS[name] | members).items() if value is not ...}
    assert fits(command, name) == (why_unreadable(command) is None) == readable


@given(st.sampled_from(sorted(FACTS)), st.data())
def test_a_schema_takes_the_facts_that_a_worker_reads(name: str, data: st.DataObject) -> None:
    fact = {**MEMBERS[name]}
    _change(fact, data, [*SCHEMAS[name]["properties"], "note"])
    readable = True
    try:
        read_fact(json.dumps(fact).encode())
    except NewerFactError:
        return  # Whoever else reads it is to accept what a newer release adds to an event.
    except UnreadableFactError:
        readable = False
    assert fits(fact, "fact") == readable


@given(st.sampled_from(sorted(ANNOUNCEMENTS)), st.data())
def test_a_schema_takes_the_announcements_that_are_read(name: str, data: st.DataObject) -> None:
    announcement = {**MEMBERS[name]}
    _change(announcement, data, [*announcement, "note"])
    readable = True
    try:
        read_announcement(json.dumps(announcement).encode())
    except UnreadableAnnouncementError:
        readable = False
    # That a ticket is its event's a schema cannot say.
    of_its_event = are_tickets_of(str(announcement.get("event_id")), [str(announcement.get("ticket"))])
    assert (fits(announcement, "announcement") and of_its_event) == readable


def _change(message: Json, data: st.DataObject, names: list[str]) -> None:
    member = data.draw(st.sampled_from(names))
    if data.draw(st.booleans()):
        message.pop(member, None)
    else:
        message[member] = data.draw(ODD)


def subschemas(schema: Any) -> Iterator[Json]:
    """A schema and all within it."""
    if isinstance(schema, bool):
        return
    yield schema
    for keyword in ("properties", "$defs"):
        for inner in schema.get(keyword, {}).values():
            yield from subschemas(inner)
    for keyword in ("anyOf", "oneOf"):
        for inner in schema.get(keyword, ()):
            yield from subschemas(inner)
    for keyword in ("items", "additionalProperties", "propertyNames", "not"):
        if keyword in schema:
            yield from subschemas(schema[keyword])


OF_TYPE = {
    "minimum": "number", "maximum": "number", "pattern": "string", "minLength": "string", "maxLength": "string",
    "minItems": "array", "maxItems": "array", "items": "array", "properties": "object", "required": "object",
    "additionalProperties": "object", "propertyNames": "object", "uniqueItems": "array",
}  # fmt: skip
"""Keywords of JSON Schema, 2020-12, that say something of one type only; and that type."""
OTHER_KEYWORDS = {
    "$schema", "$defs", "$ref", "title", "description", "default", "type", "const", "enum", "anyOf", "oneOf", "not",
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEMAS)
def test_strict_validators_take_the_schemas(name: str) -> None:
    """As ajv is by default: a keyword that it does not know is an error, and so is a format that nobody gave it.

    What it only warns of (strictTypes): a keyword without the type of which it says something; two types, but for null.
    """
    for schema in subschemas(SCHEMAS[name]):
        assert schema.keys() <= OF_TYPE.keys() | OTHER_KEYWORDS
        types = schema["type"] if isinstance(schema.get("type"), list) else [schema.get("type")]
        assert len([type_ for type_ in types if type_ != "null"]) <= 1
        for keyword in OF_TYPE.keys() & schema.keys():
            assert OF_TYPE[keyword] in ["number" if type_ == "integer" else type_ for type_ in types], keyword
        if "$ref" in schema:
            assert resolve(SCHEMAS[name], schema["$ref"])


def test_descriptions_are_markdown() -> None:
    assert "``" not in json.dumps([SCHEMAS, DOCUMENT, WITHIN])


# AsyncAPI


DOCUMENT, WITHIN = asyncapi(), internal_asyncapi()
DOCUMENTED = pytest.mark.parametrize("document", [DOCUMENT, WITHIN], ids=["public", "internal"])


def references(value: Any) -> list[str]:
    """Every reference in a document."""
    if isinstance(value, list):
        return [found for item in value for found in references(item)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for item in value.values() for found in references(item)]


@DOCUMENTED
def test_every_reference_leads_somewhere(document: Json) -> None:
    assert references(document)
    for reference in references(document):
        assert resolve(document, reference), reference


@DOCUMENTED
def test_the_document_has_the_shape_of_asyncapi_3(document: Json) -> None:
    assert document["asyncapi"] == "3.0.0"
    assert document.keys() <= {
        "asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components",
    }  # fmt: skip
    assert document["info"].keys() >= {"title", "version"}
    for channel in document["channels"].values():
        assert channel.keys() <= {"address", "title", "tags", "summary", "description", "messages", "bindings"}
    for message in document["components"]["messages"].values():
        assert message.keys() <= {
            "name", "title", "summary", "contentType", "correlationId", "headers", "payload", "bindings", "examples",
        }  # fmt: skip
    for name in [*document["channels"], *document["operations"], *document["components"]["schemas"]]:
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
    for server in document["servers"].values():
        assert server.keys() <= {"host", "protocol", "description", "variables"}
        assert set(re.findall(r"\{(\w+)\}", server["host"])) == server.get("variables", {}).keys()


def test_the_practice_server_is_where_a_client_looks_by_default() -> None:
    assert DOCUMENT["servers"]["practice"]["host"] == KafkaSettings.model_fields["bootstrap_servers"].default


def test_a_command_is_a_request_and_a_fact_its_reply() -> None:
    asked = DOCUMENT["operations"]["decideCommands"]
    assert (asked["action"], asked["channel"]["$ref"]) == ("receive", "#/channels/purchase-requests")
    reply = asked["reply"]
    assert reply["channel"]["$ref"] == "#/channels/purchase-results"
    answers = [message["$ref"].rpartition("/")[2] for message in reply["messages"]]
    assert answers == [name for name in FACTS if name != "offsets_passed"]


def test_whoever_waits_is_told_by_which_member() -> None:
    by = {name: message.get("correlationId", {}).get("$ref") for name, message in MESSAGES.items()}
    assert by["purchase_confirmed"] == by["purchase"] == "#/components/correlationIds/requestId"
    assert by["command_unreadable"] == "#/components/correlationIds/claimedRequestId"
    assert by["offsets_passed"] is None
    for name, of in {"requestId": "purchase_confirmed", "claimedRequestId": "command_unreadable"}.items():
        member = DOCUMENT["components"]["correlationIds"][name]["location"].rpartition("/")[2]
        assert isinstance(MEMBERS[of][member], str)


def test_what_is_internal_stands_apart_and_is_said_to_be() -> None:
    assert stats_changelog.TOPIC.name not in DOCUMENT["channels"]
    assert ORIGIN_HEADER not in json.dumps(DOCUMENT)
    assert WITHIN["channels"].keys() == {
        purchase_requests.TOPIC.name,
        purchase_results.TOPIC.name,
        stats_changelog.TOPIC.name,
        documents_places.TOPIC.name,
        clock_places.TOPIC.name,
        api_keys.TOPIC.name,
    }
    assert not DOCUMENT["operations"].keys() & WITHIN["operations"].keys()
    for document, tag in ((DOCUMENT, "public"), (WITHIN, "internal")):
        tagged = [document["info"], *document["channels"].values()]
        assert [one["tags"][0]["name"] for one in tagged] == [tag] * len(tagged)


def test_code_is_generated_with_wide_integers_and_names_for_what_is_shared() -> None:
    generated = DOCUMENT["components"]["schemas"]
    assert generated["PurchaseConfirmed"]["properties"]["seq"]["format"] == "int64"
    assert generated["Source"]["properties"]["offset"]["format"] == "int64"
    assert generated["Source"]["properties"]["partition"].get("format") is None
    assert generated["Purchase"]["properties"]["quantity"]["type"] == ["integer", "null"]
    anonymous = [
        (title, name)
        for title, schema in generated.items()
        for name, member in schema.get("properties", {}).items()
        if "enum" in member or "anyOf" in member
    ]
    # Of an object that may be left out or null there is no shorter way to say so.
    assert {name for _, name in anonymous} == {"event_id", "price"}
    assert generated["CreateEvent"]["properties"]["price"]["anyOf"] == [{"$ref": "#/components/schemas/Price"}, NULL]
    assert not any("anyOf" in schema for schema in generated.values())
    wide = [one for schema in generated.values() for one in subschemas(schema) if one.get("maximum", 0) > 2**31 - 1]
    assert all(one["format"] == "int64" for one in wide)
    assert generated["DecidedBy"]["enum"] == ["redis", "local"]


def test_every_topic_is_a_channel_with_its_settings() -> None:
    documents = {**WITHIN["channels"], **DOCUMENT["channels"]}
    assert documents.keys() == {topic.name for topic in TOPICS}
    for topic in TOPICS:
        channel = documents[topic.name]
        assert channel["address"] == topic.name
        configured = channel["bindings"]["kafka"]["topicConfiguration"]
        told = {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in configured.items()}
        assert told == topic.config


@DOCUMENTED
def test_every_message_is_sent_or_received(document: Json) -> None:
    for operation in document["operations"].values():
        assert operation["action"] in {"send", "receive"}
        channel = resolve(document, operation["channel"]["$ref"])
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"{operation['channel']['$ref']}/messages/")
            assert resolve(document, message["$ref"]) in channel["messages"].values()
    told = {message["$ref"].rpartition("/")[2] for op in document["operations"].values() for message in op["messages"]}
    assert told == document["components"]["messages"].keys()
    assert document is WITHIN or told >= MEMBERS.keys()


MESSAGES = DOCUMENT["components"]["messages"]
NULL = {"type": "null"}


@pytest.mark.parametrize("name", [name for name, message in MESSAGES.items() if "examples" in message])
def test_a_messages_examples_fit_its_payload_and_headers(name: str) -> None:
    for example in MESSAGES[name]["examples"]:
        assert_fits(name, example["payload"], example.get("headers", {}))


def test_only_what_is_nobody_elses_has_no_example() -> None:
    messages = {**MESSAGES, **WITHIN["components"]["messages"]}
    internal = [
        stats_changelog.TOPIC.name,
        documents_places.TOPIC.name,
        clock_places.TOPIC.name,
        api_keys.TOPIC.name,
    ]
    assert sorted(name for name, message in messages.items() if "examples" not in message) == sorted(internal)


def test_the_examples_lie_at_their_home() -> None:
    home = home_partition("42", KafkaSettings.model_fields["partitions"].default)
    assert MEMBERS["purchase_confirmed"]["source"]["partition"] == home
    assert MEMBERS["command_forwarded"]["home"] == home
    home_of_holds = home_partition("43", KafkaSettings.model_fields["partitions"].default)
    assert MEMBERS["purchase_held"]["source"]["partition"] == home_of_holds
    assert MEMBERS[STATISTICS]["partition"] == home


# What the running processes write

TRACE = (TRACE_HEADER, b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


def assert_fits(name: str, payload: Any, headers: dict[str, str]) -> None:
    """A value and its headers are what the AsyncAPI document says of a message, and nothing that it does not name."""
    message = MESSAGES[name]
    told = _resolved(message["payload"])
    assert valid(payload, told, DOCUMENT), payload
    if isinstance(payload, dict) and "properties" in told:
        assert payload.keys() <= told["properties"].keys()
    of_headers = _resolved(message.get("headers", {"properties": {}}))
    assert valid(headers, of_headers, DOCUMENT), headers
    assert headers.keys() <= of_headers["properties"].keys()


def assert_published_fits(name: str, record: Outgoing | Removal | SideRecord) -> None:
    """A record that a process would publish is what the AsyncAPI document says of a message."""
    _, value, headers = record
    payload = None if value is None else json.loads(value)
    assert_fits(name, payload, {header: text.decode() for header, text in headers})
    if name in SCHEMAS:
        assert fits(payload, name)


def _resolved(schema: Json) -> Json:
    found: Json = resolve(DOCUMENT, schema["$ref"]) if "$ref" in schema else schema
    return found


@given(arrivals(), st.sampled_from([None, TRACE[1]]))
def test_every_fact_that_is_decided_fits(arrived: list[Arrival], trace: bytes | None) -> None:
    for fact in sell(Inventory(HOME), arrived):
        assert_published_fits(fact["type"], ledger_record(Answer(fact, 7, 9, trace), 12))


@given(arrivals(), st.integers(1, 10**7), st.binary(max_size=8), st.sampled_from([(), (TRACE,)]))
def test_every_announcement_fits(
    arrived: list[Arrival], size_bytes: int, pdf: bytes, headers: tuple[tuple[str, bytes], ...]
) -> None:
    for fact in sell(Inventory(HOME), arrived):
        for announcement in announcements(fact, size_bytes, sha256(pdf).hexdigest()):
            written = announcement_record(announcement, record(7, write_fact(fact), headers=headers))
            assert_published_fits(announcement["type"], written)
            assert fits(announcement, "announcement")


def announcements(fact: Fact, size_bytes: int, digest: str) -> list[DocumentAnnouncement]:
    """What a fact's tickets lead to."""
    location = "file:///srv/Eintrittskarten für alle/42/42-000001.r-1.pdf"
    if fact["type"] == "purchase_confirmed":
        return [made(fact, ticket, location, size_bytes, digest) for ticket in fact["tickets"]]
    if fact["type"] == "purchase_cancelled":
        return [removed(fact, ticket, location) for ticket in fact["tickets"]]
    return []


@given(arrivals())
def test_every_events_statistics_fit(arrived: list[Arrival]) -> None:
    statistics = Statistics(PartitionStatistics(HOME))
    for offset, ledger in enumerate(decide_after(Ledger(HOME), arrived)):
        statistics.read(offset, *ledger)
        for event in statistics.touched.values():
            assert_published_fits(STATISTICS, stats_record(event.event_id, event_figures(event, HOME)))
            assert sum(event.decided_by.values()) == event.seq
        statistics.touched.clear()


def test_an_event_that_is_none_is_removed_by_a_tombstone() -> None:
    tombstone = stats_record("42", None)
    assert tombstone[:2] == (b"42", None)
    assert_published_fits("event_stats_removed", tombstone)


def test_the_headers_told_are_those_that_are_published() -> None:
    published = {
        "factHeaders": ledger_record(Answer(decided()["purchase_confirmed"], 7, 9, TRACE[1]), 12),
        "announcementHeaders": announcement_record(
            read_announcement(json.dumps(MEMBERS["document_made"]).encode()), record(7, b"", headers=(TRACE,))
        ),
        "statisticsHeaders": stats_record("42", MEMBERS[STATISTICS]),
    }
    for name, (_, _, headers) in published.items():
        assert {header for header, _ in headers} == HEADERS[name]["properties"].keys()


def test_a_sale_without_a_document_is_never_cut() -> None:
    """Its dead letter holds the fact as it is, however large."""
    sale = cast(PurchaseConfirmed, decided()["purchase_confirmed"])
    largest = cast(
        PurchaseConfirmed,
        {
            **sale,
            "event_id": "9" * 18,
            "request_id": "r" * 64,
            "buyer": "😀" * 128,
            "quantity": MAX_QUANTITY,
            "tickets": [ticket_name("9" * 18, 10**18 + number) for number in range(MAX_QUANTITY)],
        },
    )
    key, value, headers = ledger_record(Answer(largest, 7, 9, b"x" * MAX_TRACE_BYTES), 12)
    on_ledger = replace(
        record(7, value, key=key, headers=tuple(headers)), topic=purchase_results.TOPIC.full_name("box-office-2.")
    )
    ticket = largest["tickets"][0]
    letter = dead_letter(on_ledger, f"Ticket {ticket} could not be drawn: it took longer than 10 s", ticket)
    assert_published_fits("document_dead_letter", letter)
    assert letter[:2] == (key, value)


@pytest.mark.parametrize("value", [None, b"", b"garbage", b"\xff", b"x" * (MAX_DEAD_LETTER_BYTES + 1)])
def test_dead_letters_of_commands_fit(value: bytes | None) -> None:
    _, _, headers = dead_letter(record(7, value), "no JSON: it is garbage")
    assert_fits("command_dead_letter", None, {name: text.decode() for name, text in headers})


# What is checked in


def test_documents_are_the_same_each_time() -> None:
    assert documents() == DOCUMENTS


@pytest.mark.parametrize("path", DOCUMENTS)
def test_the_checked_in_copy_is_true(path: str) -> None:
    file = DOCS / path
    assert file.is_file(), f"docs/{path} is missing: make it with 'boxoffice schema --write docs'"
    assert file.read_text(encoding="utf-8") == DOCUMENTS[path], "make it anew with 'boxoffice schema --write docs'"


@pytest.mark.parametrize("path", beside_the_documents())
def test_the_copy_that_lies_elsewhere_in_the_source_is_true(path: str) -> None:
    text = (DOCS.parent / path).read_text(encoding="utf-8")
    assert text == beside_the_documents()[path], "make it anew with 'boxoffice schema --write docs'"


def test_no_schema_is_checked_in_that_is_not_made_any_more() -> None:
    assert {f"schemas/{file.name}" for file in (DOCS / "schemas").iterdir()} == {
        path for path in DOCUMENTS if path.startswith("schemas/")
    }


def test_documents_are_written_where_one_asks_for_them(tmp_path: Path) -> None:
    written = write_docs(tmp_path / "new")
    assert {str(path.relative_to(tmp_path / "new")) for path in written} == DOCUMENTS.keys()
    for path in written:
        text = path.read_text(encoding="utf-8")
        assert json.loads(text) if path.suffix == ".json" else text.startswith("# ")
