"""What people type of events and purchases, as commands have it: amounts, spans of time, categories, lines.

Whatever is no such thing is refused in a sentence that says how it is written. What a worker would refuse too, such as
an id with other characters, is left to its own reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import typer

from boxoffice.cli.options import whole_number

Members = dict[str, Any]

_SPAN: Final = re.compile(r"([0-9]{1,9})([smh])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_MOST_SHOWN: Final = 40


def seconds(text: str) -> int:
    """The seconds of a span of time as people write it: ``90s``, ``10m``, ``1h``; 0 may stand alone."""
    if text == "0":
        return 0
    found = _SPAN.fullmatch(text)
    if found is None:
        raise typer.BadParameter(
            f"{_shown(text)} is no span of time: write digits and s, m or h behind them, such as 90s, 10m or 1h."
        )
    return int(found[1]) * _SECONDS[found[2]]


def hold(text: str) -> int:
    """For how long purchases are held, in seconds."""
    from models.members import LEAST_HOLD_S, MAX_HOLD_S
    from models.words import duration_of

    span_s = seconds(text)
    if not LEAST_HOLD_S <= span_s <= MAX_HOLD_S:
        raise typer.BadParameter(
            f"{_shown(text)} cannot be: a purchase is held for {duration_of(LEAST_HOLD_S)} at least, and for "
            f"{duration_of(MAX_HOLD_S)} at most."
        )
    return span_s


def hold_or_none(text: str) -> int:
    """The same, or 0, which ends holding."""
    return hold(text) if text != "0" else 0


def amount(text: str, currency: str, option: str, tickets: int = 1) -> int:
    """The amount that a person typed, of so many tickets, in the currency's smallest unit."""
    from models.money import WrongAmountError, is_currency, no_currency, parse_amount

    if not is_currency(currency):
        raise typer.BadParameter(f"{no_currency(currency)}.", param_hint="--currency")
    try:
        return parse_amount(text, currency, tickets)
    except WrongAmountError as wrong:
        raise typer.BadParameter(f"{wrong}.", param_hint=option) from None


def categories(texts: Iterable[str], currency: str) -> list[Members]:
    """Categories as they are typed, ``stalls:Stalls:600:45.00``: id, name, tickets, price. A name may have colons."""
    return [_category(text, currency) for text in texts]


def _category(text: str, currency: str) -> Members:
    id_, _, rest = text.partition(":")
    parts = rest.rsplit(":", 2)
    if len(parts) != 3:  # noqa: PLR2004 - name, tickets, price
        raise typer.BadParameter(
            f"{_shown(text)} is no category: write its id, name, tickets and price, such as stalls:Stalls:600:45.00.",
            param_hint="--category",
        )
    name, capacity, price = parts
    return {
        "id": id_,
        "name": name,
        "capacity": _count(capacity, "--category"),
        "price": {"amount": amount(price, currency, "--category"), "currency": currency},
    }


def prices(texts: Iterable[str], currency: str) -> list[Members]:
    """New prices as they are typed: ``45.00``, or of an event with categories ``stalls:45.00``."""
    from models.members import GENERAL

    found = []
    for text in texts:
        category, colon, price = text.rpartition(":")
        found.append({"category": category if colon else GENERAL, "amount": amount(price, currency, "--price")})
    return found


def lines(texts: Iterable[str]) -> list[Members]:
    """What is bought of which category, as it is typed: ``stalls:2``."""
    found = []
    for text in texts:
        category, colon, quantity = text.rpartition(":")
        if not colon:
            raise typer.BadParameter(
                f"{_shown(text)} is no line: write a category's id and how many tickets, such as stalls:2.",
                param_hint="--line",
            )
        found.append({"category": category, "quantity": _count(quantity, "--line")})
    return found


def _count(text: str, option: str) -> int:
    try:
        return whole_number()(text)
    except typer.BadParameter as wrong:
        raise typer.BadParameter(wrong.message, param_hint=option) from None


def _shown(text: str) -> str:
    return repr(text[:_MOST_SHOWN]) + ("…" if len(text) > _MOST_SHOWN else "")
