"""The OpenAPI document of the gateway, out of the models that commands and facts are read and written by.

The gateway serves it as a file, since it stands below this room; a test holds the file true.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any, Final

from boxoffice import __version__
from boxoffice.schema.openapi_operations import Operation
from boxoffice.schema.openapi_parts import PARAMETERS, RESPONSE_HEADERS, SECURITY_SCHEMES, body_schemas
from boxoffice.schema.openapi_problems import problem_schemas
from boxoffice.schema.openapi_requests import OPERATIONS, SCHEMAS
from boxoffice.schema.payloads import DIALECT, components

Json = dict[str, Any]

_TAGS: Final = {
    "buying": "For shops: buy, give back, see what has become of a request, fetch tickets.",
    "watching": "What is on sale, and how many tickets are left: for everybody.",
    "events": "For who puts events on sale.",
    "operating": "For operators.",
    "about": "This API itself.",
}
_REFERENCE: Final = re.compile(r"#/components/([A-Za-z]+)/([A-Za-z0-9-]+)")


def openapi() -> Json:
    """The OpenAPI 3.1 document of the gateway, for whoever buys over HTTP."""
    paths = _paths(OPERATIONS)
    everything = {
        "schemas": {**components(), **body_schemas(), **SCHEMAS, **problem_schemas()},
        "parameters": PARAMETERS,
        "headers": RESPONSE_HEADERS,
        "responses": dict(response for operation in OPERATIONS for response in operation.told().values()),
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Box office",
            "version": __version__,
            "summary": "Tickets, over HTTP.",
            "description": "`http.md` beside this file says in words what a client has to know, with a `curl` for each "
            "request. What is refused is a problem of RFC 9457.",
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "jsonSchemaDialect": DIALECT,
        "servers": [{"url": "http://127.0.0.1:8080", "description": "What `boxoffice up` starts."}],
        "tags": [{"name": name, "description": description} for name, description in _TAGS.items()],
        "paths": paths,
        "components": {**_used(everything, paths), "securitySchemes": SECURITY_SCHEMES},
    }


def _paths(operations: tuple[Operation, ...]) -> Json:
    paths: defaultdict[str, Json] = defaultdict(dict)
    for operation in operations:
        paths[operation.path][operation.method] = operation.document()
    return dict(paths)


def _used(everything: dict[str, Json], paths: Json) -> dict[str, Json]:
    """The components that the paths refer to, and those that these refer to, in turn; every problem among them."""
    used = {("schemas", name) for name in problem_schemas()}
    found = _references(paths) | used
    while found:
        used |= found
        found = _references([everything[kind][name] for kind, name in found]) - used
    return {
        kind: {name: schema for name, schema in sorted(of_kind.items()) if (kind, name) in used}
        for kind, of_kind in everything.items()
    }


def _references(value: Any) -> set[tuple[str, str]]:
    if isinstance(value, list):
        return {found for one in value for found in _references(one)}
    if not isinstance(value, dict):
        return set()
    own = value.get("$ref")
    match = _REFERENCE.fullmatch(own) if isinstance(own, str) else None
    return ({(match[1], match[2])} if match else set()) | _references(list(value.values()))
