"""On what terms an event is sold: as an answer repeats them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boxoffice.redis.terms import CategoryTerms, Terms
    from models.shapes import EventChanged, EventCreated


def terms_of(event: EventCreated | EventChanged) -> Terms:
    """The terms that an event was created with, or is sold on since it was changed."""
    from models.members import GENERAL

    said: Any = event
    categories = said.get("categories") or [{"id": GENERAL, "name": "", "price": said["price"]}]
    return {
        "starts_at": event["starts_at"],
        "currency": categories[0]["price"]["currency"],
        "categories": [
            {"id": category["id"], "name": category["name"], "price": category["price"]["amount"]}
            for category in categories
        ],
        "max_per_order": event.get("max_per_order"),
        "max_per_buyer": event.get("max_per_buyer"),
        "hold_s": event.get("hold_s"),
        "on_sale_at": event.get("on_sale_at"),
        "off_sale_at": event.get("off_sale_at"),
    }


def tickets_of(event: EventCreated | EventChanged) -> str:
    """How many tickets an event has, of which category, and on what terms they are sold."""
    from models.words import number_of

    said: Any = event
    terms = terms_of(event)
    if "categories" not in said:
        return f"{number_of(said['capacity'], 'ticket')} {all_terms(terms)}"
    each = [
        f"{category['capacity']:,} of {named['id']} ({named['name']}) {_each(named, terms['currency'])}"
        for category, named in zip(said["categories"], terms["categories"], strict=True)
    ]
    count = sum(category["capacity"] for category in said["categories"])
    return f"{number_of(count, 'ticket')}, {', '.join(each)}, {_date_and_limits(terms)}"


def all_terms(terms: Terms, category: str | None = None) -> str:
    """Price, date and limits, to follow a number of tickets: of all categories, or of one."""
    of_these = [one for one in terms["categories"] if category is None or one["id"] == category]
    prices = [_each(one, terms["currency"]) for one in of_these]
    return ", ".join([*prices, _date_and_limits(terms)])


def _date_and_limits(terms: Terms) -> str:
    from models.words import duration_of, number_of, time_of

    most, most_of_buyer, hold_s = terms["max_per_order"], terms["max_per_buyer"], terms["hold_s"]
    on_sale, off_sale = terms["on_sale_at"], terms["off_sale_at"]
    said = [
        time_of(terms["starts_at"]),
        f"at most {number_of(most, 'ticket')} an order" if most is not None else "no limit to an order",
        f"at most {number_of(most_of_buyer, 'ticket')} a buyer" if most_of_buyer is not None else "",
        f"held for {duration_of(hold_s)} until they are paid" if hold_s is not None else "",
        f"sold from {time_of(on_sale)} on" if on_sale is not None else "",
        f"sold until {time_of(off_sale)}" if off_sale is not None else "",
    ]
    return ", ".join(filter(None, said))


def of_a_purchase(fact: Any, terms: Terms | None) -> str:
    """Names, prices and date of the tickets that somebody has bought, or that are held for him."""
    from models.words import time_of

    date = f", for {time_of(terms['starts_at'])}" if terms is not None else ""
    lines = _priced_lines(fact, terms)
    if lines is None:
        return f"{', '.join(fact['tickets'])}{date}"
    currency = fact.get("currency") or (terms["currency"] if terms is not None else "")
    together = _together(lines, currency)
    if len(lines) == 1 and lines[0]["category"] is None:
        return f"{', '.join(fact['tickets'])} {_cost(lines[0], currency)}{together}{date}"
    named = (f"{', '.join(line['tickets'])} ({line['category']}) {_cost(line, currency)}" for line in lines)
    return f"{'; '.join(named)}{together}{date}"


def _priced_lines(fact: Any, terms: Terms | None) -> list[dict[str, Any]] | None:
    """The tickets by category, where what they cost is known; ``general`` needs no name."""
    from models.members import GENERAL

    if "lines" in fact:
        return [
            {**line, "category": None if line["category"] == GENERAL else line["category"]} for line in fact["lines"]
        ]
    if terms is None or len(terms["categories"]) != 1:
        return None
    return [{"category": None, "price": terms["categories"][0]["price"], "tickets": fact["tickets"]}]


def _cost(line: Mapping[str, Any], currency: str) -> str:
    from models.money import amount_text

    each = " each" if len(line["tickets"]) > 1 else ""
    return f"at {amount_text(line['price'], currency)}{each}"


def _together(lines: Iterable[Mapping[str, Any]], currency: str) -> str:
    from models.money import amount_text

    prices = [line["price"] for line in lines for _ in line["tickets"]]
    return f", {amount_text(sum(prices), currency)} together" if len(prices) > 1 else ""


def _each(category: CategoryTerms, currency: str) -> str:
    from models.money import amount_text

    return f"at {amount_text(category['price'], currency)} each"


def with_price(members: Mapping[str, Any]) -> dict[str, Any]:
    """An event's members for people: prices as amounts, a line for each category, and the others as they are."""
    from models.money import amount_text

    if isinstance(members.get("categories"), list):
        return _with_categories(members)
    if "price_amount" not in members:
        return dict(members)
    amount, currency = members["price_amount"], members.get("price_currency", "")
    price = amount_text(amount, currency) if isinstance(amount, int) else f"{amount} {currency}"
    shown = {"price" if name == "price_amount" else name: value for name, value in members.items()}
    shown.pop("price_currency", None)
    if isinstance(members.get("first_price"), int):
        shown["first_price"] = amount_text(members["first_price"], currency)
    return shown | {"price": price}


def _with_categories(members: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in members.items():
        if name == "categories":
            shown |= {f"category {one['id']}": _category(one, members.get("price_currency", "")) for one in value}
        else:
            shown[name] = value
    return shown


def _category(category: Mapping[str, Any], currency: str) -> str:
    """``Stalls at 45.00 EUR: 600 issued, 3 sold, 1 held, 596 left``."""
    from models.money import amount_text

    figures = ("issued", "removed", "sold", "held", "left")
    counted = ", ".join(f"{category[name]} {name}" for name in figures if category.get(name) or name == "issued")
    price = category.get("price")
    amount = amount_text(price, currency) if isinstance(price, int) else f"{price} {currency}"
    return f"{category.get('name')} at {amount}: {counted}"


def unknown_currency(members: Mapping[str, Any]) -> str | None:
    """A sentence about an event whose price is in no currency; clients may send any three letters."""
    from models.money import is_currency

    currency = members.get("price_currency", "")
    if is_currency(currency):
        return None
    return f"ISO 4217 has no currency {currency}: its amounts are shown with 2 decimals."
