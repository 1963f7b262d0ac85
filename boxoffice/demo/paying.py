"""The demo's ticket window: it takes the buyers' money for what is held, and tells the box office so.

It is a trusted producer: no request over HTTP confirms a purchase. It knows of holds what any consumer of the ledger
sees, and what each buyer is going to do by the script.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pydantic_core import to_json

from boxoffice.demo.script import EVENT_ID, Kind, Offered, Paying

ACTOR: Final = "demo-window"
_TOO_LITTLE: Final = 100
"""A euro."""

Send = Callable[[Offered], Awaitable[None]]


def own_id(purchase: str) -> str:
    """A purchase's id as the script has it: over HTTP the caller's id stands before it."""
    return purchase.rpartition(":")[2]


class Window:
    """Pays for what is held, and gives single tickets back; ``offered`` are its commands."""

    def __init__(self, paying: Paying) -> None:
        self._paying = paying
        self._facts: asyncio.Queue[Any] = asyncio.Queue()
        self._working = False
        self.offered: list[Offered] = []

    @property
    def is_idle(self) -> bool:
        """Whether all that was seen is dealt with."""
        return self._facts.empty() and not self._working

    def see(self, fact: Any) -> None:
        """Take a fact that counts, to deal with it later."""
        if fact["type"] in {"purchase_held", "purchase_confirmed"}:
            self._facts.put_nowait(fact)

    async def work(self, send: Send) -> None:
        """Deal with what is seen, until cancelled."""
        while True:
            fact = await self._facts.get()
            self._working = True
            for offered in self.commands_after(fact):
                self.offered.append(offered)
                await send(offered)
            self._working = False

    def commands_after(self, fact: Any) -> list[Offered]:
        """What the buyers do whose purchase is held, or is paid for now."""
        purchase = own_id(fact["purchase"])
        if fact["type"] == "purchase_held":
            return self._commands_for_hold(fact, purchase)
        if "payment" in fact and purchase in self._paying.gives_back:
            return [self._give_back(fact, purchase)]
        return []

    def _commands_for_hold(self, fact: Any, purchase: str) -> list[Offered]:
        if purchase in self._paying.underpaid:
            return [self._payment(Kind.UNDERPAID, fact, purchase, "u", fact["amount"] - _TOO_LITTLE)]
        if purchase not in self._paying.pays:
            return []
        paid = [self._payment(Kind.PAYMENT, fact, purchase, "p", fact["amount"])]
        if purchase in self._paying.paid_twice:
            # The payment is the same, and so is its id: whoever took the money tells it once more.
            paid.append(self._payment(Kind.PAYMENT_AGAIN, fact, purchase, "q", fact["amount"]))
        return paid

    def _payment(self, kind: Kind, fact: Any, purchase: str, prefix: str, amount: int) -> Offered:
        members = {
            "type": "confirm_purchase",
            "request_id": f"{prefix}-{purchase}",
            "event_id": EVENT_ID,
            "purchase": fact["purchase"],
            "payment": f"pay-{'small-' if kind is Kind.UNDERPAID else ''}{purchase}",
            "amount": amount,
            "currency": fact["currency"],
            "actor": ACTOR,
        }
        return Offered(kind, 1, to_json(members), members["request_id"], purchase)

    def _give_back(self, fact: Any, purchase: str) -> Offered:
        members = {
            "type": "cancel_purchase",
            "request_id": f"g-{purchase}",
            "event_id": EVENT_ID,
            "purchase": fact["purchase"],
            "tickets": fact["tickets"][:1],
            "actor": ACTOR,
        }
        return Offered(Kind.GIVE_BACK, 1, to_json(members), members["request_id"], purchase)
