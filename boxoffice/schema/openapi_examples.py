"""Examples of what callers send and get: decided by the rules themselves, and written by the gateway's own code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from pydantic_core import from_json, to_json

from boxoffice.gateway import commands, posting, preferences, problems
from boxoffice.gateway.answering import answer
from boxoffice.gateway.desk import Reply
from boxoffice.gateway.messages import Problem, Response
from boxoffice.gateway.waiters import Outcome, Result
from boxoffice.kafka.clients import home_partition
from boxoffice.schema.examples import COMMANDS, FURTHER_COMMANDS
from models.api_keys import ApiKey, KeptSecret, digest
from models.commands import read_command
from models.event import Position
from models.facts import RULES_VERSION, ce_type, write_fact
from models.inventory import Inventory, decide, fold
from models.times import moment

Json = dict[str, Any]

EVENT: Final = "42"
CALLER: Final = "Kq8ZbT3xYw"
"""The id of the key that asks."""
KEYS: Final = {
    "purchase": "order-1",
    "cancel_purchase": "return-1",
    "create_event": "event-1",
    "change_event": "change-1",
    "add_tickets": "more-1",
    "remove_tickets": "fewer-1",
    "close_event": "close-1",
    "cancel_event": "off-1",
    "archive_event": "archive-1",
}
"""The Idempotency-Key of each command that does what it asks for."""
ANSWERS: Final = {
    "purchase": ("purchase_confirmed", "purchase_held"),
    "cancel_purchase": ("purchase_cancelled",),
    "create_event": ("event_created",),
    "change_event": ("event_changed",),
    "add_tickets": ("tickets_added",),
    "remove_tickets": ("tickets_removed",),
    "close_event": ("event_closed",),
    "cancel_event": ("event_cancelled",),
    "archive_event": ("event_archived",),
}
"""The facts that say so."""
SINCE: Final = {"purchase": ("purchase_confirmed", "hold_expired", "purchase_cancelled")}
"""The facts that say what has become of it since."""

_WHO: Final = ApiKey(
    id=CALLER,
    name="a shop",
    scopes=("buy",),
    secrets=(KeptSecret(sha256=digest("an example")),),
    created_at="2026-11-22T10:00:00Z",
    order_secret=digest("an example's"),
)
_SMALL_EVENT: Final = "44"
_OLD_EVENT: Final = "45"
_HELD: Final = FURTHER_COMMANDS["create_event"]
_PARTITIONS: Final = 12
_FIRST_OFFSET: Final = 1233
_TIMESTAMP_MS: Final = 1_795_341_600_123
_EARLY_MS: Final = _TIMESTAMP_MS - 60_000
_DUE_MS: Final = _TIMESTAMP_MS + _HELD["hold_s"] * 1000
_LATE_MS: Final = round(moment(_HELD["off_sale_at"]).timestamp() * 1000)


def _body(command: Json) -> Json:
    """What a caller sends, for a command."""
    kind = command["type"]
    needless = commands.SAID_ELSEWHERE - ({"event_id"} if kind == "create_event" else set())
    members = {name: value for name, value in command.items() if name not in needless}
    if kind == "cancel_purchase":
        del members["buyer"]  # The key says whose it is.
    return members


BODIES: Final = {kind: _body(COMMANDS[kind]) for kind in ANSWERS}
HELD_EVENT_BODY: Final = _body(_HELD)
"""An event with all that one may have."""
HELD_BODY: Final = _body(FURTHER_COMMANDS["purchase"])
"""A purchase in it."""


def location(event_id: str, key: str) -> str:
    """Where it is said what has become of a request."""
    return posting.location(_WHO, event_id, key, commands.request_id(CALLER, key))


class _Asked(NamedTuple):
    """A command of the story that the examples tell. It comes at ``at_ms``, and creates what is sold by ``rules``."""

    kind: str
    key: str
    body: Json
    event_id: str = EVENT
    purchase: str | None = None
    at_ms: int = _TIMESTAMP_MS
    rules: int = RULES_VERSION


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
        _Asked("cancel_purchase", "return-9", {"tickets": ["42-000009"]}, purchase=KEYS["purchase"]),
        _Asked("cancel_purchase", KEYS["cancel_purchase"], {}, purchase=KEYS["purchase"]),
        _Asked("cancel_purchase", "return-2", {}, purchase=KEYS["purchase"]),
        _Asked("purchase", KEYS["purchase"], buy),
        _Asked("change_event", KEYS["change_event"], BODIES["change_event"]),
        _Asked("add_tickets", KEYS["add_tickets"], BODIES["add_tickets"]),
        _Asked("remove_tickets", KEYS["remove_tickets"], BODIES["remove_tickets"]),
        _Asked("archive_event", "archive-0", {}),
        _Asked("close_event", KEYS["close_event"], {}),
        _Asked("purchase", "order-3", buy),
        _Asked("archive_event", KEYS["archive_event"], {}),
        _Asked("purchase", "order-9", buy),
        _Asked("create_event", "event-3", small, _SMALL_EVENT),
        _Asked("purchase", "order-4", buy, _SMALL_EVENT),
        _Asked("purchase", "order-5", {**buy, "quantity": 1}, _SMALL_EVENT),
        _Asked("purchase", "order-6", {**buy, "quantity": 1}, _SMALL_EVENT),
        *_story_of_earlier_rules(),
        *_story_of_holds(),
    ]


def _story_of_earlier_rules() -> list[_Asked]:
    buy, event = BODIES["purchase"], {**BODIES["create_event"], "event_id": _OLD_EVENT}
    return [
        _Asked("create_event", "event-5", event, _OLD_EVENT, rules=1),
        _Asked("purchase", "order-7", buy, _OLD_EVENT),
        _Asked("cancel_purchase", "return-4", {"tickets": ["45-000001"]}, _OLD_EVENT, "order-7"),
    ]


def _story_of_holds() -> list[_Asked]:
    """The same of an event that has categories, and holds what is not paid for."""

    def asked(kind: str, key: str, body: Json, at_ms: int = _TIMESTAMP_MS, purchase: str | None = None) -> _Asked:
        return _Asked(kind, key, body, _HELD["event_id"], purchase, at_ms)

    stalls, balcony = _HELD["categories"]
    event = {**HELD_EVENT_BODY, "categories": [stalls, {**balcony, "capacity": 1}]}
    buys, watches = {"buyer": "b-79", "category": "stalls"}, {"buyer": "b-78", "category": "balcony"}
    payment = {"payment": "pay-1", "amount": stalls["price"]["amount"], "currency": "EUR"}
    return [
        asked("create_event", "event-4", event, _EARLY_MS),
        asked("purchase", "order-11", HELD_BODY, _EARLY_MS),
        asked("purchase", "order-12", {**watches, "category": "boxes"}),
        asked("purchase", "order-13", HELD_BODY),
        asked("purchase", "order-14", watches),
        asked("purchase", "order-15", {**HELD_BODY, "lines": [{"category": "stalls", "quantity": 4}]}),
        asked("purchase", "order-16", buys),
        asked("confirm_purchase", "paid-1", payment, purchase="order-16"),
        asked("purchase", "order-16", buys),
        asked("expire_hold", "expiry-1", {}, _DUE_MS, "order-13"),
        asked("purchase", "order-13", HELD_BODY, _DUE_MS),
        asked("cancel_purchase", "return-3", {}, _DUE_MS, "order-13"),
        asked("purchase", "order-17", watches, _LATE_MS),
        asked("cancel_event", KEYS["cancel_event"], {}, _LATE_MS),
        asked("purchase", "order-18", watches, _LATE_MS),
    ]


class _Told(NamedTuple):
    """The story's answers.

    Those that made something, and those that say what has become of it since, stand there by the types of their facts;
    problems by their names.
    """

    made: dict[str, Response]
    since: dict[str, Response]
    refused: dict[str, Response]


@cache
def _told() -> _Told:
    inventories = {home: Inventory(home) for home in range(_PARTITIONS)}
    told = _Told({}, {}, {})
    for offset, asked in enumerate(_story(), _FIRST_OFFSET):
        fact, home = _decided(inventories, asked, offset)
        if asked.kind not in ANSWERS:
            continue
        result = Result(Outcome.ANSWERED, write_fact(fact), ce_type(fact["type"]))
        try:
            response = _answered(result, asked.key, location(asked.event_id, asked.key), home, offset)
        except Problem as problem:
            told.refused.setdefault(problem.name, problem.response())
        else:
            answers = told.made if response.status == HTTPStatus.CREATED else told.since
            answers.setdefault(fact["type"], response)
    return told


def _decided(inventories: Mapping[int, Inventory], asked: _Asked, offset: int) -> Any:
    command = read_command(_command_of(asked))
    home = home_partition(asked.event_id, _PARTITIONS)
    position = Position(offset, asked.at_ms, {"partition": home, "offset": offset})
    fact = decide(inventories[home], command, position)
    if fact["type"] == "event_created":
        fact["rules"] = asked.rules
    fold(inventories[home], fact, offset)
    return fact, home


def _command_of(asked: _Asked) -> bytes:
    said = {} if asked.purchase is None else {"purchase": commands.request_id(CALLER, asked.purchase)}
    request = commands.request_id(CALLER, asked.key)
    if asked.kind not in ANSWERS:  # It does not come over HTTP.
        return to_json({"type": asked.kind, "event_id": asked.event_id, "request_id": request, **asked.body, **said})
    members = {name: value for name, value in asked.body.items() if name != "event_id"}
    if "purchase" not in asked.kind:
        said["actor"] = CALLER
    return commands.command(asked.kind, asked.event_id, request, members, **said)


def made(kind: str) -> Response:
    """The answer to a command that did what it asked for."""
    return _told().made[ANSWERS[kind][0]]


def fact(kind: str) -> Json:
    """The fact of a type that says that a command did what it asked for."""
    members: Json = from_json(_told().made[kind].body)
    return members


def fact_since(kind: str) -> Json:
    """The fact of a type that says what has become of a purchase since."""
    members: Json = from_json(_told().since[kind].body)
    return members


def accepted(kind: str) -> Response:
    """The answer to a command that waits for its decision."""
    return _answered(Result(Outcome.ACCEPTED), KEYS[kind], location(EVENT, KEYS[kind]))


def _answered(result: Result, key: str, place: str, home: int = 0, offset: int = 0) -> Response:
    """What the gateway makes of a command's end."""
    return answer(Reply(result, home, offset), commands.request_id(CALLER, key), place)


_BROKEN: Final[Mapping[str, Callable[[], Any]]] = {
    "idempotency-key-missing": lambda: preferences.idempotency_key(None),
    "invalid-header": lambda: preferences.idempotency_key("order 1"),
    "invalid-body": lambda: commands.command(
        "purchase", EVENT, commands.request_id(CALLER, "order-7"), {"quantity": 0, "note": "by the window"}
    ),
    "not-taken": lambda: _answered(Result(Outcome.REFUSED), KEYS["purchase"], ""),
    "outcome-unknown": lambda: _answered(Result(Outcome.UNKNOWN), KEYS["purchase"], ""),
}
"""What leads to a problem without the ledger."""


def problem(name: str) -> Json:
    """A problem of a type."""
    told = _told().refused.get(name) or _broken(name)
    members: Json = from_json(told.body if told else problems.problem(name, problems.TYPES[name].title))
    return members


def _broken(name: str) -> Response | None:
    try:
        _BROKEN.get(name, lambda: None)()
    except Problem as found:
        return found.response()
    return None
