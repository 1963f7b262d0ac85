"""One partition in memory: its commands, the owner that decides them by the rules, and its ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from models.commands import read_command
from models.event import Position
from models.facts import write_fact
from models.inventory import Inventory, decide, fold
from models.shapes import Fact

NUMBER = 3
"""The partition's."""
BEGIN_MS = 1_795_341_600_000
"""When it begins, by the broker's time."""


class LedgerRecord(NamedTuple):
    """What lies on the ledger at an offset, with the header ``boxoffice-read``."""

    offset: int
    value: bytes | None
    read: bytes | None


class OnePartition:
    """The log and its only owner. ``waiting`` are commands that are not decided yet."""

    def __init__(self) -> None:
        self.inventory = Inventory(NUMBER)
        self.commands: list[tuple[bytes, int]] = []
        self.decided = 0
        self.ledger: list[LedgerRecord] = []

    def send(self, command: Mapping[str, Any] | bytes, at_ms: int = BEGIN_MS) -> int:
        """Append a command; returns its offset."""
        value = command if isinstance(command, bytes) else json.dumps(command).encode()
        self.commands.append((value, at_ms))
        return len(self.commands) - 1

    def decide(self, most: int = 1_000_000) -> list[Fact]:
        """Decide the next commands, in their order."""
        facts: list[Fact] = []
        for offset in range(self.decided, min(self.decided + most, len(self.commands))):
            value, at_ms = self.commands[offset]
            position = Position(offset, at_ms, {"partition": NUMBER, "offset": offset})
            fact = decide(self.inventory, read_command(value), position)
            fold(self.inventory, fact, offset)
            self.write(write_fact(fact), b"%d-%d" % (offset, offset))
            self.decided = offset + 1
            facts.append(fact)
        return facts

    def ask(self, command: Mapping[str, Any], at_ms: int = BEGIN_MS) -> Fact:
        """Send a command and have it decided."""
        self.send(command, at_ms)
        return self.decide()[-1]

    def write(self, value: bytes | None, read: bytes | None) -> None:
        """Write a record on the ledger, whoever does."""
        self.ledger.append(LedgerRecord(len(self.ledger), value, read))


def holding(event_id: str = "42", capacity: int = 100, hold_s: int = 600) -> dict[str, Any]:
    """A create_event whose purchases are held."""
    return {
        "type": "create_event",
        "request_id": "create",
        "event_id": event_id,
        "name": "Night at the Opera",
        "venue": "Main Hall",
        "starts_at": "2027-03-01T19:30:00Z",
        "categories": [
            {"id": "stalls", "name": "Stalls", "capacity": capacity, "price": {"amount": 4_500, "currency": "EUR"}},
            {"id": "balcony", "name": "Balcony", "capacity": capacity, "price": {"amount": 2_000, "currency": "EUR"}},
        ],
        "hold_s": hold_s,
    }


def buying(request_id: str, event_id: str = "42", quantity: int = 2) -> dict[str, Any]:
    """A purchase of stalls."""
    return {
        "type": "purchase",
        "request_id": request_id,
        "event_id": event_id,
        "buyer": "b-77",
        "lines": [{"category": "stalls", "quantity": quantity}],
    }


def paying(purchase: str, event_id: str = "42", quantity: int = 2) -> dict[str, Any]:
    """A confirm_purchase of such a purchase."""
    return {
        "type": "confirm_purchase",
        "request_id": f"pay-{purchase}",
        "event_id": event_id,
        "purchase": purchase,
        "payment": f"p-{purchase}",
        "amount": 4_500 * quantity,
        "currency": "EUR",
    }


def cancelling(purchase: str, event_id: str = "42", *tickets: str) -> dict[str, Any]:
    """A cancel_purchase of all its tickets, or of some."""
    members: dict[str, Any] = {
        "type": "cancel_purchase",
        "request_id": f"cancel-{purchase}-{len(tickets)}",
        "event_id": event_id,
        "purchase": purchase,
    }
    return {**members, "tickets": list(tickets)} if tickets else members
