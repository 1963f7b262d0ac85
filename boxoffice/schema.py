"""JSON Schemas and an AsyncAPI document of all messages, out of the definitions that read and write them.

The checked-in copies lie in ``docs/``; a test compares them, and ``boxoffice schema --write docs``
makes them again.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from boxoffice import __version__
from models.commands import BY_TYPE, Command, read_command
from models.facts import MODELS, Fact, Source, at_text, ce_id, ce_source, ce_type, write_fact
from models.inventory import Inventory, Position, decide, fold
from topics import TOPICS, TopicDefinition, dead_letters, purchase_requests, purchase_results
from topics.dead_letters import CUT_HEADER, POSITION_HEADER, REASON_HEADER
from topics.purchase_requests import ORIGIN_HEADER, TRACE_HEADER
from topics.purchase_results import READ_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
CONTENT_TYPE: Final = "application/json"


class _Generator(GenerateJsonSchema):
    """Without a title for each member: its name says it."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic calls it so
        return False


@cache
def _adapters() -> dict[str, TypeAdapter[Any]]:
    """By name: each type of command and of fact, and the two unions."""
    commands: dict[str, TypeAdapter[Any]] = {name: TypeAdapter(model) for name, model in BY_TYPE.items()}
    facts: dict[str, TypeAdapter[Any]] = {_fact_type(model): TypeAdapter(model) for model in MODELS}
    return {
        **commands,
        "command": TypeAdapter(Annotated[Command, Field(union_mode="left_to_right")]),
        **facts,
        "fact": TypeAdapter(Annotated[Fact, Field(discriminator="type")]),
    }


def _fact_type(model: Any) -> str:
    return str(TypeAdapter(model).json_schema()["properties"]["type"]["const"])


def json_schemas() -> dict[str, Json]:
    """A JSON Schema for each type of command and fact, and ``command`` and ``fact`` for any of them."""
    titles = {"command": "Command", "fact": "Fact"}
    return {
        name: {
            "$schema": DIALECT,
            **({"title": titles[name]} if name in titles else {}),
            **_readable(adapter.json_schema(schema_generator=_Generator)),
        }
        for name, adapter in _adapters().items()
    }


def _readable(schema: Any) -> Any:
    """The schema with descriptions in Markdown, as its readers expect, not in reStructuredText."""
    if isinstance(schema, dict):
        return {
            name: value.replace("``", "`") if name == "description" and isinstance(value, str) else _readable(value)
            for name, value in schema.items()
        }
    return [_readable(value) for value in schema] if isinstance(schema, list) else schema


# Examples, decided by the rules themselves

EXAMPLE_COMMANDS: Final[dict[str, Json]] = {
    "create_event": {
        "type": "create_event",
        "request_id": "c-1",
        "event_id": "42",
        "name": "Night at the Opera",
        "venue": "Main Hall",
        "starts_at": "2027-03-01T19:30:00Z",
        "capacity": 10000,
        "max_per_order": 8,
        "price": {"amount": 4500, "currency": "EUR"},
    },
    "purchase": {"type": "purchase", "request_id": "r-1", "event_id": "42", "buyer": "b-77", "quantity": 2},
    "cancel_purchase": {"type": "cancel_purchase", "request_id": "x-1", "event_id": "42", "purchase": "r-1"},
    "add_tickets": {"type": "add_tickets", "request_id": "a-1", "event_id": "42", "count": 500},
    "close_event": {"type": "close_event", "request_id": "z-1", "event_id": "42"},
}
_REFUSED: Final[tuple[Json, ...]] = (
    {"type": "purchase", "request_id": "r-2", "event_id": "42", "buyer": "b-78", "quantity": 9},
    {"type": "cancel_purchase", "request_id": "x-2", "event_id": "42", "purchase": "r-1"},
)
_EXAMPLE_HOME: Final = 4
_EXAMPLE_OFFSET: Final = 1233
_EXAMPLE_TIMESTAMP_MS: Final = 1_795_341_600_123


def example_facts() -> dict[str, Fact]:
    """A fact of each type: what the example commands are answered with, one after the other."""
    inventory = Inventory(_EXAMPLE_HOME)
    facts: list[Fact] = []
    asked = [*EXAMPLE_COMMANDS.values()]
    for offset, members in enumerate([*asked[:2], _REFUSED[0], asked[2], _REFUSED[1], *asked[3:]], _EXAMPLE_OFFSET):
        position = Position(offset, _EXAMPLE_TIMESTAMP_MS, {"partition": _EXAMPLE_HOME, "offset": offset})
        fact = decide(inventory, read_command(json.dumps(members).encode()), position)
        fold(inventory, fact, offset)
        facts.append(fact)
    elsewhere: Source = {"partition": 5, "offset": 99}
    facts.append(
        {
            "type": "command_forwarded",
            "event_id": "42",
            "seq": 0,
            "request_id": "r-1",
            "home": _EXAMPLE_HOME,
            "source": elsewhere,
            "at": at_text(_EXAMPLE_TIMESTAMP_MS),
        }
    )
    facts.append(
        {
            "type": "command_unreadable",
            "event_id": None,
            "seq": 0,
            "request_id": None,
            "reason": "quantity: Input should be less than or equal to 100",
            "source": elsewhere,
            "at": at_text(_EXAMPLE_TIMESTAMP_MS),
        }
    )
    return {fact["type"]: fact for fact in facts}


# AsyncAPI


def _header(description: str, **schema: Any) -> Json:
    return {"type": "string", "description": description, **schema}


_TRACE: Final = {TRACE_HEADER: _header("W3C trace context; what came with the command goes on with its fact.")}
_CLOUD_EVENT: Final = {
    "ce_specversion": _header("CloudEvents, Kafka binary mode.", const="1.0"),
    "ce_source": _header("Who says it.", pattern="^boxoffice/[a-z_]+$"),
    "ce_type": _header("Like `boxoffice.purchase_confirmed.v1`."),
    "ce_id": _header("EVENT-SEQ, or PARTITION-OFFSET of the command with seq 0: the same in every repeat."),
    "ce_time": _header("The fact's `at`.", format="date-time"),
    "content-type": _header("What the value is.", const=CONTENT_TYPE),
}
_RANGE_PATTERN: Final = "^(0|[1-9][0-9]*)-(0|[1-9][0-9]*)$"

HEADERS: Final[dict[str, Json]] = {
    "commandHeaders": {
        "type": "object",
        "description": "None is needed. Together they have at most 16 KiB, names and values.",
        "properties": {
            **_TRACE,
            ORIGIN_HEADER: _header(
                "PARTITION:OFFSET at which the box office found the command, before it forwarded it. "
                "Only the box office sets it: leave it out.",
                pattern="^(0|[1-9][0-9]*):(0|[1-9][0-9]*)$",
            ),
        },
    },
    "factHeaders": {
        "type": "object",
        "properties": {
            **_CLOUD_EVENT,
            READ_HEADER: _header(
                f"FROM-TO: the offsets of `{purchase_requests.TOPIC.name}`, on the same partition, that this record "
                "accounts for; TO is the command that it answers.",
                pattern=_RANGE_PATTERN,
            ),
            **_TRACE,
        },
        "required": [*_CLOUD_EVENT, READ_HEADER],
    },
    "deadLetterHeaders": {
        "type": "object",
        "description": "Those of the original, and these.",
        "properties": {
            REASON_HEADER: _header("One sentence: what is wrong with it."),
            POSITION_HEADER: _header("TOPIC:PARTITION:OFFSET at which the original lies."),
            CUT_HEADER: _header("How many bytes the original had; only where it was cut."),
        },
        "required": [REASON_HEADER, POSITION_HEADER],
    },
}


def _components_schemas() -> Json:
    """The payloads by the names of their definitions, with what they refer to."""
    adapters = _adapters()
    schemas, definitions = TypeAdapter.json_schemas(
        [(name, "validation", adapter) for name, adapter in adapters.items()],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Generator,
    )
    del schemas  # each of them is a reference to its definition, or a union of such
    return dict(sorted(_readable(definitions["$defs"]).items()))


def _command_message(name: str, schema: Json) -> Json:
    return {
        **_message(name, schema, "commandHeaders"),
        "examples": [{"name": name, "payload": EXAMPLE_COMMANDS[name]}],
    }


def _fact_message(name: str, schema: Json, fact: Fact) -> Json:
    offset = fact["source"]["offset"]
    headers = {
        "ce_specversion": "1.0",
        "ce_source": ce_source(fact),
        "ce_type": ce_type(name),
        "ce_id": ce_id(fact),
        "ce_time": fact["at"],
        "content-type": CONTENT_TYPE,
        READ_HEADER: f"{offset}-{offset}",
    }
    return {
        **_message(name, schema, "factHeaders"),
        "examples": [{"name": name, "headers": headers, "payload": json.loads(write_fact(fact))}],
    }


def _message(name: str, schema: Json, headers: str) -> Json:
    return {
        "name": name,
        "title": schema["title"],
        "summary": schema["description"],
        "contentType": CONTENT_TYPE,
        "correlationId": {"$ref": "#/components/correlationIds/requestId"},
        "headers": {"$ref": f"#/components/schemas/{headers}"},
        "payload": {"$ref": f"#/components/schemas/{schema['title']}"},
        "bindings": {"kafka": {"key": {"type": "string", "description": "The event's id, UTF-8."}}},
    }


def _other_message(topic: TopicDefinition) -> Json:
    """A message whose value is not described by a model."""
    if topic is dead_letters.TOPIC:
        return {
            "name": topic.name,
            "title": "Dead letter",
            "summary": topic.holds,
            "contentType": "application/octet-stream",
            "headers": {"$ref": "#/components/schemas/deadLetterHeaders"},
            "payload": {"description": topic.value},
            "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}}},
        }
    return {
        "name": topic.name,
        "summary": topic.holds,
        "contentType": CONTENT_TYPE,
        "payload": {"type": "object", "description": topic.holds},
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}}},
    }


def _messages() -> dict[str, dict[str, Json]]:
    """By topic's name, its messages by their names."""
    schemas = json_schemas()
    messages = {topic.name: {topic.name: _other_message(topic)} for topic in TOPICS}
    messages[purchase_requests.TOPIC.name] = {name: _command_message(name, schemas[name]) for name in BY_TYPE}
    messages[purchase_results.TOPIC.name] = {
        name: _fact_message(name, schemas[name], fact) for name, fact in example_facts().items()
    }
    return messages


def _channel(topic: TopicDefinition, messages: Iterable[str]) -> Json:
    return {
        "address": topic.name,
        "title": topic.name,
        "summary": topic.holds[0].upper() + topic.holds[1:] + ".",
        "description": f"Key: {topic.key}. Value: {_value(topic)}. BOXOFFICE_TOPIC_PREFIX goes before the name. "
        "Partitions: BOXOFFICE_PARTITIONS, the same number for every topic.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "topicConfiguration": {name: _configured(name, value) for name, value in topic.config.items()},
                "bindingVersion": "0.5.0",
            }
        },
    }


def _value(topic: TopicDefinition) -> str:
    # Where the definition lies matters to who reads the code.
    return topic.value.partition(", models/")[0]


def _configured(name: str, value: str) -> Any:
    """A topic's setting as AsyncAPI's binding for Kafka has it."""
    if name == "cleanup.policy":
        return value.split(",")
    return int(value) if value.lstrip("-").isdigit() else value


def _operation(action: str, topic: TopicDefinition, summary: str, messages: Iterable[str]) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{name}"} for name in messages],
    }


def _operations(messages: dict[str, dict[str, Json]]) -> Json:
    requests, results = purchase_requests.TOPIC, purchase_results.TOPIC
    commands, facts = messages[requests.name], messages[results.name]
    return {
        "decideCommands": _operation("receive", requests, "The box office decides what clients ask for.", commands),
        "forwardCommands": _operation("send", requests, "What was found away from home is sent there.", commands),
        "publishFacts": _operation("send", results, "Every command is answered with a fact.", facts),
        "followFacts": _operation("receive", results, "Documents and statistics are made from facts.", facts),
        **{
            f"publish{''.join(word.title() for word in topic.name.split('-'))}": _operation(
                "send", topic, f"The box office says {topic.holds}.", messages[topic.name]
            )
            for topic in TOPICS
            if topic not in (requests, results)
        },
    }


def asyncapi() -> Json:
    """The AsyncAPI 3.0 document of the box office: topics, messages, and who sends and receives them."""
    messages = _messages()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Box office",
            "version": __version__,
            "description": "Commands in, facts out: tickets are sold in the order in which they were asked for. "
            "`messages.md` beside this file says in words what a producer and a consumer have to know.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {topic.name: _channel(topic, messages[topic.name]) for topic in TOPICS},
        "operations": _operations(messages),
        "components": {
            "messages": {name: message for of_topic in messages.values() for name, message in of_topic.items()},
            "schemas": {**_components_schemas(), **HEADERS},
            "correlationIds": {
                "requestId": {
                    "description": "The command's `request_id`, in its fact too.",
                    "location": "$message.payload#/request_id",
                }
            },
        },
    }


# Files


def documents() -> dict[str, str]:
    """The text of every file that is made from the definitions, by its path in ``docs/``."""
    schemas = {f"schemas/{name}.json": schema for name, schema in json_schemas().items()}
    return {path: _text(document) for path, document in {**schemas, "asyncapi.json": asyncapi()}.items()}


def _text(document: Json) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write_docs(folder: Path) -> list[Path]:
    """Write every file that is made from the definitions; their paths."""
    written = []
    for name, text in documents().items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written
