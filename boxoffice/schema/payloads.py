"""JSON Schemas of the messages' values."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, Final, get_args, get_type_hints

from pydantic import Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from models import documents, shapes
from models.commands import BY_TYPE, Command
from models.documents import DocumentAnnouncement
from models.figures import EventFigures
from models.shapes import Fact

Json = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def _by_type(models: Iterable[Any]) -> dict[str, Any]:
    return {get_args(get_type_hints(model)["type"])[0]: model for model in models}


FACTS: Final = _by_type(shapes.MODELS)
ANNOUNCEMENTS: Final = _by_type(documents.MODELS)
STATISTICS: Final = "event_stats"
UNIONS: Final = {"command": "Command", "fact": "Fact", "announcement": "Announcement"}
"""By name, the titles of what is any of several types."""


class _Generator(GenerateJsonSchema):
    """Without a title for each member, as its name says it, and with nothing in it but JSON Schema.

    ``discriminator`` is OpenAPI's, and strict validators refuse what they do not know.
    """

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic calls it so
        return False

    def tagged_union_schema(self, schema: Any) -> Json:
        """The types of a message, any of which it may have."""
        union = super().tagged_union_schema(schema)
        union.pop("discriminator", None)
        return union


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
    """The same for one document: by title, and with what they refer to beside them.

    Code is generated from it: so an integer says how wide it is, and what has a name of its own is a component. What
    narrows a type by alternatives is said by the JSON Schemas alone.
    """
    _, definitions = TypeAdapter.json_schemas(
        [(name, "validation", adapter) for name, adapter in _adapters().items()],
        ref_template=f"{_COMPONENTS}{{model}}",
        schema_generator=_Generator,
    )
    defined: Json = _readable(definitions["$defs"])
    named: Json = {}
    whole = {title: _for_generators(schema, named) for title, schema in defined.items()}
    return dict(sorted({**whole, **named}.items()))


_COMPONENTS: Final = "#/components/schemas/"
_LARGEST_INT32: Final = 2**31 - 1
_NULL: Final = {"type": "null"}


def _for_generators(schema: Any, named: Json, *, is_component: bool = True) -> Any:
    """The schema with wide integers marked, and with references to what has a title; that is put into ``named``."""
    if isinstance(schema, list):
        return [_for_generators(value, named, is_component=False) for value in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _for_generators(value, named, is_component=False) for name, value in schema.items()}
    if "type" in made:
        # It says no more than what may stand beside what, for which no language has a type.
        made.pop("anyOf", None)
    if made.get("type") == "integer" and made.get("maximum", 0) > _LARGEST_INT32:
        made["format"] = "int64"
    if is_component or not isinstance(made.get("title"), str):
        return made
    named[made["title"]] = made
    return {"$ref": f"{_COMPONENTS}{made['title']}"}


def _readable(schema: Any) -> Any:
    """The schema with descriptions in Markdown, as its readers expect, not in reStructuredText.

    What may be null has two types, and not two schemas: code that is generated from those knows no type for it.
    """
    if isinstance(schema, list):
        return [_readable(value) for value in schema]
    if not isinstance(schema, dict):
        return schema
    readable: Json = {
        name: value.replace("``", "`") if name == "description" and isinstance(value, str) else _readable(value)
        for name, value in schema.items()
    }
    alternatives = readable.get("anyOf")
    if alternatives and _NULL in alternatives and len(alternatives) == 2:  # noqa: PLR2004 - a type and null
        [other] = [one for one in alternatives if one != _NULL]
        if isinstance(other.get("type"), str):
            del readable["anyOf"]
            return {**_or_null(other), **readable}
    return readable


def _or_null(schema: Json) -> Json:
    made = {**schema, "type": [schema["type"], "null"]}
    if "const" in made:
        made["enum"] = [made.pop("const")]
    if "anyOf" in made:
        made["anyOf"] = [_or_null(one) for one in made["anyOf"]]
    return made | ({"enum": [*made["enum"], None]} if "enum" in made else {})
