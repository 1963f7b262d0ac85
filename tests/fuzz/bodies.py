"""What is fuzzed: the way from a request's bytes to a command's, for every command that there is.

``python -m tests.fuzz`` lets atheris choose the bytes; a unit test tries the corpus, and what hypothesis makes of it.
"""

from __future__ import annotations

import json
from typing import Any, Final

from boxoffice.gateway import commands, preferences, problems
from boxoffice.gateway.messages import Problem, Request
from boxoffice.schema.openapi_examples import BODIES, CALLER, EVENT, HELD_BODY, HELD_EVENT_BODY
from models.commands import BY_TYPE, MAX_COMMAND_BYTES, read_command

DEEP: Final = 5_000
LONG_NUMBER: Final = b"9" * 4_000
"""About as long as a number may be that Python makes a text of; longer ones are refused as JSON."""

CORPUS: Final[tuple[bytes, ...]] = (
    *(json.dumps(body).encode() for body in (*BODIES.values(), HELD_BODY, HELD_EVENT_BODY)),
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b'{"buyer": "b\xc3\x28"}',
    b'{"buyer": "\\ud800"}',
    b'{"buyer": "b", "quantity": 2.0}',
    b'{"buyer": "b", "quantity": 1e999}',
    b'{"buyer": "b", "quantity": NaN}',
    b'{"buyer": "b", "quantity": true}',
    b'{"buyer": null, "quantity": null}',
    b'{"buyer": "b", "buyer": "c"}',
    b'{"buyer": "b", "": 1, "/": 2, "~": 3, "a/b~c": 4, "\\u0000": 5}',
    b'{"buyer": "b", "type": "close_event", "request_id": "x", "event_id": "7", "purchase": "p"}',
    b'{"event_id": ' + LONG_NUMBER + b"}",
    b'{"count": ' + LONG_NUMBER * 2 + b"}",
    b'{"buyer": "' + b"\\u0001" * 2_000 + b'"}',
    b'{"' + b"n" * 16_000 + b'": 1}',
    b'{"price": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    b'{"price": {"amount": 1, "currency": "EUR", "tax": null}}',
    b'{"buyer": "b", "lines": [{"category": "a", "quantity": null}]}',
    b'{"buyer": "b", "lines": [' + b",".join([b'{"category":"a","quantity":1}'] * 51) + b"]}",
    b'{"tickets": ["42-000001", "42-000001", "42-1"]}',
    b"{" + b",".join(b'"m%d":0' % number for number in range(1_500)) + b"}",
)


def one_input(data: bytes) -> None:
    """Try bytes as the body of every command, and as the headers that are read.

    Raises:
        AssertionError: they became neither a command that workers read, nor a problem that callers can.
    """
    body = data[:MAX_COMMAND_BYTES]
    for kind in commands.KINDS:
        _try_body(kind, body)
    text = data[:200].decode("latin-1")
    _told(lambda: preferences.idempotency_key(text))
    assert 0 <= preferences.wait_s(text) <= preferences.LONGEST_WAIT_S


def _try_body(kind: str, body: bytes) -> None:
    command = _told(lambda: command_of(kind, body))
    if command is None:
        return
    assert len(command) <= MAX_COMMAND_BYTES
    read = read_command(command)
    assert type(read) is BY_TYPE[kind], "a body never chooses its command"
    assert read.request_id == commands.request_id(CALLER, "key"), "nor the request that it is"
    assert kind == "create_event" or read.event_id == EVENT, "nor another event than the path's"
    assert read.actor == (None if "purchase" in kind else CALLER), "nor who has sent it"


def command_of(kind: str, body: bytes) -> bytes:
    """What the gateway publishes for a body.

    Raises:
        Problem: it is not what it has to be.
    """
    members = commands.read_body(Request("POST", "/", "", lambda _: None, body, "192.0.2.1"))
    event_id = commands.event_id_of(members) if kind == "create_event" else EVENT
    said = {"purchase": commands.request_id(CALLER, "order-1")} if kind == "cancel_purchase" else {}
    if "purchase" not in kind:
        said["actor"] = CALLER
    return commands.command(kind, event_id, commands.request_id(CALLER, "key"), members, **said)


def _told(attempt: Any) -> Any:
    """What comes of it; None where it is a problem, which has to be one that can be told."""
    try:
        return attempt()
    except Problem as problem:
        response = problem.response()
        told = json.loads(response.body)
        kind = problems.TYPES[problem.name]
        assert (told["type"], told["status"]) == (problems.TYPES_PATH + kind.name, response.status)
        assert response.status in (400, 413, 422), "a body is never our fault"
        return None
