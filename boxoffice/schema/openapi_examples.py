"""Examples of what callers send and get: decided by the rules themselves, and written by the gateway's own code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

from pydantic_core import from_json

from boxoffice.gateway import commands, posting, preferences, problems
from boxoffice.gateway.answering import answer
from boxoffice.gateway.desk import Reply
from boxoffice.gateway.messages import Problem, Response
from boxoffice.gateway.waiters import Outcome, Result
from boxoffice.kafka.clients import home_partition
from boxoffice.schema.examples import COMMANDS
from models.api_keys import ApiKey, KeptSecret, digest
from models.commands import read_command
from models.event import Position
from models.facts import ce_type, write_fact
from models.inventory import Inventory, decide, fold

Json = dict[str, Any]

EVENT: Final = "42"
CALLER: Final = "Kq8ZbT3xYw"
"""The id of the key that asks."""
KEYS: Final = {
    "create_event": "event-1",
    "purchase": "order-1",
    "cancel_purchase": "return-1",
    "add_tickets": "more-1",
    "close_event": "close-1",
}
"""The Idempotency-Key of each command that does what it asks for."""
ANSWERS: Final = {
    "create_event": "event_created",
    "purchase": "purchase_confirmed",
    "cancel_purchase": "purchase_cancelled",
    "add_tickets": "tickets_added",
    "close_event": "event_closed",
}
"""The fact that says so."""

_WHO: Final = ApiKey(
    id=CALLER,
    name="a shop",
    scopes=("buy",),
    secrets=(KeptSecret(sha256=digest("an example")),),
    created_at="2026-11-22T10:00:00Z",
    order_secret=digest("an example's"),
)
_SMALL_EVENT: Final = "43"
_PARTITIONS: Final = 12
_FIRST_OFFSET: Final = 1233
_TIMESTAMP_MS: Final = 1_795_341_600_123


def body(kind: str) -> Json:
    """What a caller sends, as an example."""
    needless = commands.SAID_ELSEWHERE - ({"event_id"} if kind == "create_event" else set())
    members = {name: value for name, value in COMMANDS[kind].items() if name not in needless}
    if kind == "cancel_purchase":
        del members["buyer"]  # The key says whose it is.
    return members


BODIES: Final = {kind: body(kind) for kind in ANSWERS}


def location(event_id: str, key: str) -> str:
    """Where it is said what has become of a request."""
    return posting.location(_WHO, event_id, key, commands.request_id(CALLER, key))


class _Asked(NamedTuple):
    """A command of the story that the examples tell."""

    kind: str
    key: str
    body: Json
    event_id: str = EVENT
    purchase: str | None = None


def _story() -> list[_Asked]:
    """Commands that are answered, one after the other, with every fact that there is, and every reason."""
    buy, small = BODIES["purchase"], {**BODIES["create_event"], "event_id": _SMALL_EVENT, "capacity": 1}
    del small["max_per_order"]
    return [
        _Asked("add_tickets", "early-1", BODIES["add_tickets"]),
        _Asked("create_event", KEYS["create_event"], BODIES["create_event"]),
        _Asked("create_event", "event-2", BODIES["create_event"]),
        _Asked("purchase", KEYS["purchase"], buy),
        _Asked("purchase", KEYS["purchase"], {**buy, "quantity": 1}),
        _Asked("purchase", "order-2", {**buy, "quantity": 9}),
        _Asked("cancel_purchase", "return-0", {}, purchase="order-2"),
        _Asked("cancel_purchase", KEYS["cancel_purchase"], {}, purchase=KEYS["purchase"]),
        _Asked("cancel_purchase", "return-2", {}, purchase=KEYS["purchase"]),
        _Asked("add_tickets", KEYS["add_tickets"], BODIES["add_tickets"]),
        _Asked("close_event", KEYS["close_event"], {}),
        _Asked("purchase", "order-3", buy),
        _Asked("create_event", "event-3", small, _SMALL_EVENT),
        _Asked("purchase", "order-4", buy, _SMALL_EVENT),
        _Asked("purchase", "order-5", {**buy, "quantity": 1}, _SMALL_EVENT),
        _Asked("purchase", "order-6", {**buy, "quantity": 1}, _SMALL_EVENT),
    ]


@cache
def _told() -> tuple[Mapping[str, Response], Mapping[str, Response]]:
    """The story's answers: those that made something, by the command; and the problems, by their names."""
    inventories = {home: Inventory(home) for home in range(_PARTITIONS)}
    made: dict[str, Response] = {}
    refused: dict[str, Response] = {}
    for offset, asked in enumerate(_story(), _FIRST_OFFSET):
        fact, home = _decided(inventories, asked, offset)
        result = Result(Outcome.ANSWERED, write_fact(fact), ce_type(fact["type"]))
        try:
            response = _answered(result, asked.kind, location(asked.event_id, asked.key), home, offset)
        except Problem as problem:
            refused.setdefault(problem.name, problem.response())
        else:
            made.setdefault(asked.kind, response)
    return made, refused


def _decided(inventories: Mapping[int, Inventory], asked: _Asked, offset: int) -> Any:
    members = {name: value for name, value in asked.body.items() if name != "event_id"}
    said = {} if asked.purchase is None else {"purchase": commands.request_id(CALLER, asked.purchase)}
    request = commands.request_id(CALLER, asked.key)
    command = read_command(commands.command(asked.kind, asked.event_id, request, members, **said))
    home = home_partition(asked.event_id, _PARTITIONS)
    position = Position(offset, _TIMESTAMP_MS, {"partition": home, "offset": offset})
    fact = decide(inventories[home], command, position)
    fold(inventories[home], fact, offset)
    return fact, home


def made(kind: str) -> Response:
    """The answer to a command that did what it asked for."""
    return _told()[0][kind]


def fact(kind: str) -> Json:
    """The fact in that answer."""
    members: Json = from_json(made(kind).body)
    return members


def accepted(kind: str) -> Response:
    """The answer to a command that waits for its decision."""
    return _answered(Result(Outcome.ACCEPTED), kind, location(EVENT, KEYS[kind]))


def _answered(result: Result, kind: str, place: str, home: int = 0, offset: int = 0) -> Response:
    """What the gateway makes of a command's end."""
    return answer(Reply(result, home, offset), ANSWERS[kind], place)


_BROKEN: Final[Mapping[str, Callable[[], Any]]] = {
    "idempotency-key-missing": lambda: preferences.idempotency_key(None),
    "invalid-header": lambda: preferences.idempotency_key("order 1"),
    "invalid-body": lambda: commands.command(
        "purchase", EVENT, commands.request_id(CALLER, "order-7"), {"quantity": 0, "note": "by the window"}
    ),
    "not-taken": lambda: _answered(Result(Outcome.REFUSED), "purchase", ""),
    "outcome-unknown": lambda: _answered(Result(Outcome.UNKNOWN), "purchase", ""),
}
"""What leads to a problem without the ledger."""


def problem(name: str) -> Json:
    """A problem of a type."""
    told = _told()[1].get(name) or _broken(name)
    members: Json = from_json(told.body if told else problems.problem(name, problems.TYPES[name].title))
    return members


def _broken(name: str) -> Response | None:
    try:
        _BROKEN.get(name, lambda: None)()
    except Problem as found:
        return found.response()
    return None
