"""The files that are made from the definitions, and checked in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from boxoffice.gateway.haproxy import example
from boxoffice.schema.asyncapi import asyncapi, internal_asyncapi
from boxoffice.schema.payloads import json_schemas
from boxoffice.schema.reference import errors_page, settings_page


def documents() -> dict[str, str]:
    """The text of every file, by its path in ``docs/``."""
    schemas = {f"schemas/{name}.json": schema for name, schema in json_schemas().items()}
    described = {**schemas, "asyncapi.json": asyncapi(), "asyncapi-internal.json": internal_asyncapi()}
    made = {path: _text(document) for path, document in described.items()}
    return {**made, "settings.md": settings_page(), "errors.md": errors_page(), "haproxy.cfg": example()}


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write_docs(folder: Path) -> list[Path]:
    """Write every file; their paths."""
    written = []
    for name, text in documents().items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written
