"""On what terms an event is sold: as a person types them, and as an answer repeats them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from boxoffice.redis.terms import Terms
    from models.shapes import EventCreated


def typed_price(text: str, currency: str) -> int:
    """The price that a person typed, in the currency's smallest unit."""
    from models.money import WrongAmountError, is_currency, no_currency, parse_amount

    if not is_currency(currency):
        raise typer.BadParameter(f"{no_currency(currency)}.", param_hint="--currency")
    try:
        return parse_amount(text, currency)
    except WrongAmountError as wrong:
        raise typer.BadParameter(f"{wrong}.", param_hint="--price") from None


def terms_of(created: EventCreated) -> Terms:
    """The terms that an event was created with."""
    return {
        "starts_at": created["starts_at"],
        "amount": created["price"]["amount"],
        "currency": created["price"]["currency"],
        "max_per_order": created.get("max_per_order"),
    }


def all_terms(terms: Terms) -> str:
    """Price, date and limit, to follow a number of tickets."""
    from models.words import number_of, time_of

    most = terms["max_per_order"]
    limit = f"at most {number_of(most, 'ticket')} an order" if most is not None else "no limit to an order"
    return f"{_each(terms)}, {time_of(terms['starts_at'])}, {limit}"


def of_a_purchase(terms: Terms, tickets: int) -> str:
    """Price and date, to follow the names of the tickets that somebody bought."""
    from models.money import amount_text
    from models.words import time_of

    together = amount_text(tickets * terms["amount"], terms["currency"])
    price = f"at {together}" if tickets == 1 else f"{_each(terms)}, {together} together"
    return f"{price}, for {time_of(terms['starts_at'])}"


def _each(terms: Terms) -> str:
    from models.money import amount_text

    return f"at {amount_text(terms['amount'], terms['currency'])} each"


def with_price(members: Mapping[str, Any]) -> dict[str, Any]:
    """An event's members for people: its price as one amount, and what is none as it is."""
    from models.money import amount_text

    if "price_amount" not in members:
        return dict(members)
    amount, currency = members["price_amount"], members.get("price_currency", "")
    price = amount_text(amount, currency) if isinstance(amount, int) else f"{amount} {currency}"
    shown = {"price" if name == "price_amount" else name: value for name, value in members.items()}
    shown.pop("price_currency", None)
    return shown | {"price": price}


def unknown_currency(members: Mapping[str, Any]) -> str | None:
    """A sentence about an event whose price is in no currency; clients may send any three letters."""
    from models.money import is_currency

    currency = members.get("price_currency", "")
    if is_currency(currency):
        return None
    return f"ISO 4217 has no currency {currency}: its amounts are shown with 2 decimals."
