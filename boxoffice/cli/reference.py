"""``boxoffice settings`` and ``schema``: what can be set, and what messages look like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boxoffice.cli.options import AsJson
from boxoffice.cli.tables import print_json, print_table, say

if TYPE_CHECKING:
    from boxoffice.settings import Settings


def settings(as_json: AsJson = False) -> None:
    """Show every setting with value, default, unit and meaning. Secrets are masked."""
    from boxoffice.settings import load_settings

    rows = _rows(load_settings())
    if as_json:
        print_json(rows)
    else:
        print_table(("variable", "value", "default", "unit", "meaning"), [tuple(row.values()) for row in rows])


def schema(
    write: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the schemas and their documentation there.")
    ] = None,
) -> None:
    """Print the JSON Schemas and the AsyncAPI documents of all messages, and the OpenAPI document of the gateway."""
    from boxoffice.schema import asyncapi, internal_asyncapi, json_schemas, openapi, write_docs

    if write is None:
        documents = {"asyncapi": asyncapi(), "asyncapiInternal": internal_asyncapi(), "openapi": openapi()}
        print_json({**documents, "schemas": json_schemas()})
    else:
        for path in write_docs(write):
            say(str(path))


def _rows(values: Settings) -> list[dict[str, Any]]:
    from boxoffice.settings import SETTINGS
    from boxoffice.showing.masking import masked

    return [
        {
            "variable": setting.variable,
            "value": masked(setting.value(values)),
            "default": masked(setting.field.default),
            "unit": setting.unit,
            "meaning": setting.field.description or "",
        }
        for setting in SETTINGS.values()
    ]


COMMANDS = (settings, schema)
