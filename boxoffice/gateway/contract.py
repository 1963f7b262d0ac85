"""The contract: what can be asked of the gateway, as an OpenAPI document.

It is made out of the definitions by ``boxoffice schema --write docs``, in a room that stands above this one, and comes
with the code as a file. A test holds it true.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from boxoffice.gateway.messages import JSON, Request, Response


@cache
def document() -> bytes:
    """The document, as it is served."""
    return files(__package__).joinpath("openapi.json").read_bytes()


async def contract(request: Request) -> Response:  # noqa: ARG001 - handlers are called with it
    """What is answered to who asks for it."""
    return Response(200, [("cache-control", "public, max-age=60"), ("content-type", JSON)], document())
