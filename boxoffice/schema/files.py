"""The files that are made from the definitions, and checked in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from boxoffice.gateway.haproxy import deployed, example
from boxoffice.schema.asyncapi import asyncapi, internal_asyncapi
from boxoffice.schema.openapi import openapi
from boxoffice.schema.openapi_problems import problems_page
from boxoffice.schema.payloads import json_schemas
from boxoffice.schema.reference import errors_page, settings_page

CONTRACT: Final = "openapi.json"


def documents() -> dict[str, str]:
    """The text of every file, by its path in ``docs/``."""
    schemas = {f"schemas/{name}.json": schema for name, schema in json_schemas().items()}
    described = {
        **schemas,
        "asyncapi.json": asyncapi(),
        "asyncapi-internal.json": internal_asyncapi(),
        CONTRACT: openapi(),
    }
    made = {path: _text(document) for path, document in described.items()}
    pages = {"settings.md": settings_page(), "errors.md": errors_page(), "problems.md": problems_page()}
    return {**made, **pages, "haproxy.cfg": example()}


def served_contract() -> str:
    """The OpenAPI document as the gateway serves it: on one line."""
    return json.dumps(openapi(), separators=(",", ":"), ensure_ascii=False) + "\n"


def beside_the_documents() -> dict[str, str]:
    """The text of every file that lies elsewhere in the source, by its path there."""
    return {f"boxoffice/gateway/{CONTRACT}": served_contract(), **deployed()}


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write_docs(folder: Path) -> list[Path]:
    """Write every file; their paths.

    The gateway serves its contract out of a file that comes with its code, and the deployments beside it have
    configurations of haproxy. Where the folder belongs to the source, those files are written too.
    """
    files = {Path(folder, name): text for name, text in documents().items()}
    source = folder.resolve().parent
    if (source / "boxoffice" / "gateway").is_dir():
        files |= {source / path: text for path, text in beside_the_documents().items()}
    written = []
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written
