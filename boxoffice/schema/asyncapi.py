"""The AsyncAPI document: topics, messages, and who sends and receives them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from boxoffice import __version__
from boxoffice.schema.examples import COMMANDS, FURTHER_COMMANDS, Example, examples, further_examples
from boxoffice.schema.headers import CONTENT_TYPE, HEADERS, INTERNAL_HEADERS
from boxoffice.schema.payloads import ANNOUNCEMENTS, FACTS, STATISTICS, components, json_schemas
from models.commands import BY_TYPE
from topics import (
    TOPICS,
    TopicDefinition,
    api_keys,
    clock_places,
    dead_letters,
    documents_places,
    event_stats,
    purchase_requests,
    purchase_results,
    stats_changelog,
    ticket_documents,
)
from topics.purchase_requests import ORIGIN_HEADER

Json = dict[str, Any]

_CORRELATED: Final = {"correlationId": {"$ref": "#/components/correlationIds/requestId"}}
_CORRELATED_BY_CLAIM: Final = {"correlationId": {"$ref": "#/components/correlationIds/claimedRequestId"}}

_CORRELATION_IDS: Final = {
    "requestId": {
        "description": "The command's `request_id`, in its fact and all that follows from that too.",
        "location": "$message.payload#/request_id",
    },
    "claimedRequestId": {
        "description": "The `request_id` that stands in a command that could not be read, if it can be.",
        "location": "$message.payload#/claimed_request_id",
    },
}
_NULL: Final = {"type": "null"}
_PUBLIC: Final = {"name": "public", "description": "For whoever sends commands, or reads what comes of them."}
_INTERNAL: Final = {"name": "internal", "description": "The box office's own: it may change with each release."}
_SERVERS: Final = {
    "practice": {"host": "127.0.0.1:9092", "protocol": "kafka", "description": "What `boxoffice up` starts."},
    "production": {
        "host": "{host}:{port}",
        "protocol": "kafka-secure",
        "description": "A cluster of yours: `kafka` where it is without TLS.",
        "variables": {"host": {"description": "Any of its brokers."}, "port": {"default": "9093"}},
    },
}
INTERNAL_TOPICS: Final = (stats_changelog.TOPIC, documents_places.TOPIC, clock_places.TOPIC, api_keys.TOPIC)
PUBLIC_TOPICS: Final = tuple(topic for topic in TOPICS if topic not in INTERNAL_TOPICS)
"""The topics of which others need to know."""


def asyncapi() -> Json:
    """The AsyncAPI 3.0 document of the box office, for whoever sends commands or reads what comes of them."""
    messages = _messages()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Box office",
            "version": __version__,
            "description": "Commands in, facts out: tickets are sold in the order in which they were asked for. "
            "`messages.md` beside this file says in words what a producer and a consumer have to know.",
            "tags": [_PUBLIC],
        },
        "servers": _SERVERS,
        "defaultContentType": CONTENT_TYPE,
        "channels": {topic.name: _channel(topic, messages[topic.name], _PUBLIC) for topic in PUBLIC_TOPICS},
        "operations": _operations(messages),
        "components": {
            "messages": _by_name(messages),
            "schemas": {**components(), **HEADERS},
            "correlationIds": _CORRELATION_IDS,
        },
    }


def internal_asyncapi() -> Json:
    """What the box office sends to itself: it may change with each release."""
    messages = _internal_messages()
    requests, results = purchase_requests.TOPIC, purchase_results.TOPIC
    rows, places, clocks, keys = INTERNAL_TOPICS
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Box office, within",
            "version": __version__,
            "description": "What the box office sends to itself. Nobody else may send it, nobody needs to read it, and "
            "it may change with each release. What others send and read is in `asyncapi.json`.",
            "tags": [_INTERNAL],
        },
        "servers": _SERVERS,
        "defaultContentType": CONTENT_TYPE,
        "channels": {
            topic.name: _channel(topic, messages[topic.name], _INTERNAL)
            for topic in (requests, results, *INTERNAL_TOPICS)
        },
        "operations": {
            "forwardCommands": _operation("send", requests, messages, "What was found away from home is sent there."),
            "decideForwards": _operation("receive", requests, messages, "There it is decided."),
            "followFacts": _operation("receive", results, messages, "Documents and statistics are made from facts."),
            "keepStatistics": _operation("send", rows, messages, f"The statistics process keeps {rows.holds}."),
            "recoverStatistics": _operation("receive", rows, messages, "It reads them again when it starts."),
            "keepPlaces": _operation("send", places, messages, f"The documents process keeps {places.holds}."),
            "recoverPlaces": _operation("receive", places, messages, "It goes on from there when it starts."),
            "keepClocks": _operation("send", clocks, messages, f"The clock keeps {clocks.holds}."),
            "recoverClocks": _operation("receive", clocks, messages, "It begins there when it starts."),
            "keepCallers": _operation("send", keys, messages, f"`boxoffice keys` keeps {keys.holds}."),
            "followCallers": _operation("receive", keys, messages, "Every gateway knows who may ask for what."),
        },
        "components": {
            "messages": _by_name(messages),
            "schemas": {**components(), **HEADERS, **INTERNAL_HEADERS},
            "correlationIds": _CORRELATION_IDS,
        },
    }


def _by_name(messages: dict[str, list[Json]]) -> Json:
    return {message["name"]: message for of_topic in messages.values() for message in of_topic}


# Messages


def _messages() -> dict[str, list[Json]]:
    """The messages by their topics' names."""
    shown = {name: _example(name, example) for name, example in examples().items()}
    further: dict[str, list[Json]] = {}
    for example in further_examples():
        name = example.payload["type"]
        of_type = further.setdefault(name, [])
        of_type.append(_example(f"{name}_{len(of_type) + 2}", example))
    of = {
        purchase_requests.TOPIC.name: [_described(name, "commandHeaders", *_commands(name)) for name in BY_TYPE],
        purchase_results.TOPIC.name: [
            _described(name, "factHeaders", shown[name], *further.get(name, ())) for name in FACTS
        ],
        ticket_documents.TOPIC.name: [_described(name, "announcementHeaders", shown[name]) for name in ANNOUNCEMENTS],
        event_stats.TOPIC.name: [
            _described(STATISTICS, "statisticsHeaders", shown[STATISTICS]),
            _removal(shown["event_stats_removed"]),
        ],
        dead_letters.TOPIC.name: [
            _command_dead_letter(shown["command_dead_letter"]),
            _document_dead_letter(shown["document_dead_letter"]),
        ],
    }
    return _with_keys(of, PUBLIC_TOPICS)


def _commands(name: str) -> list[Json]:
    """A command's examples."""
    further = [{"name": f"{name}_2", "payload": FURTHER_COMMANDS[name]}] if name in FURTHER_COMMANDS else []
    return [{"name": name, "payload": COMMANDS[name]}, *further]


def _internal_messages() -> dict[str, list[Json]]:
    shown = {name: _example(name, example) for name, example in examples().items()}
    origin = {ORIGIN_HEADER: "5:99"}
    of = {
        purchase_requests.TOPIC.name: [
            _described(name, "forwardHeaders", {"name": name, "headers": origin, "payload": COMMANDS[name]})
            for name in BY_TYPE
        ],
        purchase_results.TOPIC.name: [_described(name, "factHeaders", shown[name]) for name in FACTS],
        **{topic.name: [_row(topic)] for topic in INTERNAL_TOPICS},
    }
    return _with_keys(of, (purchase_requests.TOPIC, purchase_results.TOPIC, *INTERNAL_TOPICS))


def _with_keys(messages: dict[str, list[Json]], of: Sequence[TopicDefinition]) -> dict[str, list[Json]]:
    return {topic.name: [{**message, "bindings": _key(topic)} for message in messages[topic.name]] for topic in of}


def _key(topic: TopicDefinition) -> Json:
    return {"kafka": {"key": {"type": "string", "description": topic.key}}}


def _example(name: str, example: Example) -> Json:
    return {"name": name, "headers": example.headers, "payload": example.payload}


def _described(name: str, headers: str, *shown: Json) -> Json:
    """A message whose value has a schema of its own."""
    schema = json_schemas()[name]
    return {
        "name": name,
        "title": schema["title"],
        "summary": schema["description"],
        "contentType": CONTENT_TYPE,
        **_correlation(schema["properties"]),
        "headers": _schema(headers),
        "payload": _schema(schema["title"]),
        "examples": [*shown],
    }


def _correlation(members: Json) -> Json:
    if "claimed_request_id" in members:
        return _CORRELATED_BY_CLAIM
    return _CORRELATED if members.get("request_id", _NULL) != _NULL else {}


def _schema(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _removal(example: Json) -> Json:
    return {
        "name": example["name"],
        "title": "EventFiguresRemoved",
        "summary": "A tombstone: there is no such event, and never was.",
        "payload": {"type": "null"},
        "examples": [example],
    }


def _row(topic: TopicDefinition) -> Json:
    return {
        "name": topic.name,
        "summary": topic.holds,
        "contentType": CONTENT_TYPE,
        "payload": {"type": "object", "description": topic.holds},
    }


def _command_dead_letter(example: Json) -> Json:
    return {
        "name": example["name"],
        "title": "Dead letter of a command",
        "summary": "A record that could not be read as a command.",
        "contentType": "application/octet-stream",
        "headers": _schema("commandDeadLetterHeaders"),
        "payload": {"description": dead_letters.TOPIC.value},
        "examples": [example],
    }


def _document_dead_letter(example: Json) -> Json:
    return {
        "name": example["name"],
        "title": "Dead letter of a document",
        "summary": "A sale of which one ticket's document could not be drawn.",
        "contentType": CONTENT_TYPE,
        **_CORRELATED,
        "headers": _schema("documentDeadLetterHeaders"),
        "payload": _schema(json_schemas()["purchase_confirmed"]["title"]),
        "examples": [example],
    }


# Channels and operations


def _channel(topic: TopicDefinition, messages: Sequence[Json], tag: Json) -> Json:
    return {
        "address": topic.name,
        "title": topic.name,
        "tags": [tag],
        "summary": topic.holds[0].upper() + topic.holds[1:] + ".",
        "description": f"Key: {topic.key}. Value: {_value(topic)}. BOXOFFICE_TOPIC_PREFIX goes before the name. "
        "Partitions: BOXOFFICE_PARTITIONS, the same number for every topic.",
        "messages": {message["name"]: {"$ref": f"#/components/messages/{message['name']}"} for message in messages},
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


def _operation(action: str, topic: TopicDefinition, messages: dict[str, list[Json]], summary: str) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": summary,
        "messages": _on_channel(topic, (message["name"] for message in messages[topic.name])),
    }


def _on_channel(topic: TopicDefinition, names: Iterable[str]) -> list[Json]:
    return [{"$ref": f"#/channels/{topic.name}/messages/{name}"} for name in names]


def _operations(messages: dict[str, list[Json]]) -> Json:
    requests, results = purchase_requests.TOPIC, purchase_results.TOPIC
    answers = [name for name in FACTS if name != "offsets_passed"]
    return {
        "decideCommands": {
            **_operation("receive", requests, messages, "The box office decides what clients ask for."),
            "reply": {"channel": {"$ref": f"#/channels/{results.name}"}, "messages": _on_channel(results, answers)},
        },
        "publishFacts": _operation("send", results, messages, "Every command is answered with a fact."),
        **{
            f"publish{''.join(word.title() for word in topic.name.split('-'))}": _operation(
                "send", topic, messages, f"The box office says {topic.holds}."
            )
            for topic in PUBLIC_TOPICS
            if topic not in (requests, results)
        },
    }
