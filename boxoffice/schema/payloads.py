"""JSON Schemas of the messages' values."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, Final, get_args, get_type_hints

from pydantic import Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from models import documents, facts
from models.commands import BY_TYPE, Command
from models.documents import DocumentAnnouncement
from models.facts import Fact
from models.figures import EventFigures

Json = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def _by_type(models: Iterable[Any]) -> dict[str, Any]:
    return {get_args(get_type_hints(model)["type"])[0]: model for model in models}


FACTS: Final = _by_type(facts.MODELS)
ANNOUNCEMENTS: Final = _by_type(documents.MODELS)
STATISTICS: Final = "event_stats"
UNIONS: Final = {"command": "Command", "fact": "Fact", "announcement": "Announcement"}
"""By name, the titles of what is any of several types."""


class _Generator(GenerateJsonSchema):
    """Without a title for each member: its name says it."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic calls it so
        return False


@cache
def _adapters() -> dict[str, TypeAdapter[Any]]:
    """By name: each type of command, fact and announcement, what is any of them, and the statistics."""
    return {
        **{name: TypeAdapter(model) for name, model in BY_TYPE.items()},
        "command": TypeAdapter(Annotated[Command, Field(union_mode="left_to_right")]),
        **{name: TypeAdapter(model) for name, model in FACTS.items()},
        "fact": TypeAdapter(Annotated[Fact, Field(discriminator="type")]),
        **{name: TypeAdapter(model) for name, model in ANNOUNCEMENTS.items()},
        "announcement": TypeAdapter(Annotated[DocumentAnnouncement, Field(discriminator="type")]),
        STATISTICS: TypeAdapter(EventFigures),
    }


@cache
def json_schemas() -> dict[str, Json]:
    """A JSON Schema for each type of message, by its name, and for each of :data:`UNIONS`."""
    return {
        name: {
            "$schema": DIALECT,
            **({"title": UNIONS[name]} if name in UNIONS else {}),
            **_readable(adapter.json_schema(schema_generator=_Generator)),
        }
        for name, adapter in _adapters().items()
    }


def components() -> Json:
    """The same for one document: by title, and with what they refer to beside them."""
    _, definitions = TypeAdapter.json_schemas(
        [(name, "validation", adapter) for name, adapter in _adapters().items()],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Generator,
    )
    return dict(sorted(_readable(definitions["$defs"]).items()))


def _readable(schema: Any) -> Any:
    """The schema with descriptions in Markdown, as its readers expect, not in reStructuredText."""
    if isinstance(schema, dict):
        return {
            name: value.replace("``", "`") if name == "description" and isinstance(value, str) else _readable(value)
            for name, value in schema.items()
        }
    return [_readable(value) for value in schema] if isinstance(schema, list) else schema
