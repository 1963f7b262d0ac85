"""``boxoffice orders``: what became of a purchase, out of the ledger."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import typer

from boxoffice.cli.options import AsJson, EventArgument, check_event
from boxoffice.cli.purchases import PurchaseArgument
from boxoffice.cli.sentences import sentence
from boxoffice.cli.tables import print_json, print_table, tell
from boxoffice.errors import BoxOfficeError, ExitStatus

if TYPE_CHECKING:
    from boxoffice.operating.orders import Order

app = typer.Typer(help="See what became of purchases.", no_args_is_help=True)


class NothingToPayError(BoxOfficeError):
    """A purchase that nobody can pay for is to be confirmed, and it is not said with which amount."""

    exit_status = ExitStatus.REJECTED
    remedy = "Give the money back. With `--amount` the payment is refused on the ledger, so that it stays refused."


@app.callback()
def _orders() -> None:
    pass


@app.command()
def show(event: EventArgument, purchase: PurchaseArgument, as_json: AsJson = False) -> None:
    """Show what became of a purchase, and all that was decided about it, out of the ledger. Exit 3 if there is none.

    Archived events are in the ledger too. With --json amounts are in the currency's smallest unit: 4500 is 45.00 EUR.
    """
    order = order_from_ledger(event, purchase)
    if as_json:
        print_json(_members(order))
        return
    tell(what_became(order))
    rows = [(fact["at"], fact["seq"], sentence(fact)) for fact in order.facts]
    print_table(("at", "seq#", "decided"), rows)


def order_from_ledger(event: str, purchase: str) -> Order:
    """The purchase as the ledger has it."""
    from boxoffice.cli.waiting import telling
    from boxoffice.operating.orders import order_of
    from boxoffice.settings import load_settings

    check_event(event)
    settings = load_settings()
    with telling("reading the ledger"):
        return asyncio.run(order_of(settings.kafka, event, purchase))


def cost_of(order: Order) -> str:
    """What is to be paid for a purchase, in words.

    Raises:
        NothingToPayError: it has no tickets that could be paid for.
    """
    from boxoffice.operating.orders import Standing

    if order.standing not in {Standing.HELD, Standing.EXPIRED}:
        raise NothingToPayError(f"{what_became(order)} There is nothing to be paid.")
    return f"{what_became(order)} It is confirmed with {_amount(order.amount, order)}."


def what_became(order: Order) -> str:
    """How a purchase stands now, in words."""
    from models.words import number_of, time_of

    count = number_of(len(order.tickets), "ticket")
    named = f"Purchase {order.purchase} of event {order.event_id}, by {order.buyer},"
    match order.standing:
        case "held":
            cost = _amount(order.amount, order)
            return f"{named} is held until {time_of(order.due or '')}: {count}, {cost} to be paid."
        case "confirmed":
            paid = f", paid by {order.payment}" if order.payment else ""
            back = f"; {_amount(order.refund, order)} to be paid back" if order.refund else ""
            return f"{named} is confirmed: {count}, {_amount(order.amount, order)}{paid}{back}."
        case "expired":
            return f"{named} was not paid in time, and has no tickets; it would cost {_amount(order.amount, order)}."
        case "cancelled":
            return f"{named} is cancelled; {_amount(order.refund, order)} to be paid back."
    return f"{named} was refused."


def _amount(amount: int, order: Order) -> str:
    from models.money import amount_text

    return amount_text(amount, order.currency)


def _members(order: Order) -> dict[str, Any]:
    return {
        "event_id": order.event_id,
        "purchase": order.purchase,
        "buyer": order.buyer,
        "standing": order.standing,
        "tickets": order.tickets,
        "amount": order.amount,
        "refund": order.refund,
        "currency": order.currency,
        "due": order.due,
        "payment": order.payment,
        "facts": order.facts,
    }
