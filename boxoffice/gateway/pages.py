"""What people see who open the gateway's addresses in a browser: an index, and a page for each type of problem."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from html import escape
from typing import Final

from pydantic_core import to_json

from boxoffice.gateway import problems
from boxoffice.gateway.messages import HTML, JSON, Headers, Problem, Request, Response
from boxoffice.gateway.problems import TYPES, TYPES_PATH, ProblemType, Taken

INDEX: Final[Mapping[str, str]] = {
    "/v1/events": "events; POST puts one on sale",
    "/v1/events/{event}/purchases": "POST buys tickets",
    "/v1/events/{event}/purchases/{key}/cancellation": "POST gives them back, or some of them",
    "/v1/events/{event}/requests/{key}": "what became of a request",
    "/v1/events/{event}/tickets/{ticket}.pdf": "a ticket, for whoever has its order's secret",
    "/v1/problems": "what can go wrong, and what to do then",
    "/openapi.json": "the whole interface",
}
"""What there is, for people."""

_TAKEN: Final[Mapping[Taken, str]] = {
    "not-taken": "Nothing was taken: nothing was bought, and nothing will be by this request.",
    "outcome-unknown": "It may have been: the same Idempotency-Key again gets the answer, and buys nothing twice.",
}
_STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{font:1rem/1.6 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1.25rem}"
    "h1{font-size:1.5rem;line-height:1.3}code{font-size:.95em}dt{font-weight:600;margin-top:1rem}dd{margin:0}"
)
_STYLE_HASH: Final = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final[Headers] = [
    ("content-type", HTML),
    ("cache-control", "public, max-age=3600"),
    ("vary", "accept"),
    ("x-content-type-options", "nosniff"),
    (
        "content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
    ),
]


async def index(request: Request) -> Response:
    """What there is: a page for browsers, JSON for everybody else."""
    if not _wants_a_page(request):
        return _json({"name": "boxoffice", "links": INDEX})
    return _page("boxoffice", f"<p>The front door of a box office.</p><dl>{''.join(map(_entry, INDEX))}</dl>")


async def all_problems(request: Request) -> Response:
    """Every type of problem."""
    if not _wants_a_page(request):
        return _json({"problems": [_members(kind) for kind in TYPES.values()]})
    entries = "".join(
        f'<dt><a href="{TYPES_PATH}{kind.name}">{kind.name}</a> · {kind.status.value}</dt><dd>{escape(kind.title)}</dd>'
        for kind in TYPES.values()
    )
    return _page("What can go wrong", f"<dl>{entries}</dl>")


async def problem(request: Request, name: str) -> Response:
    """One type of problem."""
    kind = TYPES.get(name)
    if kind is None:
        raise Problem("not-found", f"There is no type of problem called {name[:100]}.")
    return _page(kind.title, _told(kind)) if _wants_a_page(request) else _json(_members(kind))


@lru_cache(maxsize=len(problems.TYPES))
def _told(kind: ProblemType) -> str:
    taken = f"<dt>Was it taken?</dt><dd>{escape(_TAKEN[kind.taken])}</dd>" if kind.taken is not None else ""
    return (
        f"<dl><dt>Type</dt><dd><code>{TYPES_PATH}{kind.name}</code></dd>"
        f"<dt>Status</dt><dd>{kind.status.value} {escape(kind.status.phrase)}</dd>"
        f"<dt>What to do</dt><dd>{escape(kind.remedy)}</dd>{taken}</dl>"
        f'<p><a href="{TYPES_PATH.rstrip("/")}">All types of problems</a></p>'
    )


def _members(kind: ProblemType) -> dict[str, object]:
    members: dict[str, object] = {
        "type": TYPES_PATH + kind.name,
        "status": kind.status.value,
        "title": kind.title,
        "remedy": kind.remedy,
    }
    return members if kind.taken is None else members | {"outcome": kind.taken}


def _entry(path: str) -> str:
    shown = escape(path)
    link = shown if "{" in path else f'<a href="{shown}">{shown}</a>'
    return f"<dt><code>{link}</code></dt><dd>{escape(INDEX[path])}</dd>"


def _wants_a_page(request: Request) -> bool:
    return "text/html" in (request.header("accept") or "")


def _page(title: str, body: str) -> Response:
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )
    return Response(200, list(_HEADERS), text.encode())


def _json(members: dict[str, object]) -> Response:
    return Response(200, [("content-type", JSON), ("vary", "accept")], to_json(members))
