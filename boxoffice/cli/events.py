"""``boxoffice event``: put events on sale, change them, call them off, and look at them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boxoffice.cli.asking import WAIT_S, publish
from boxoffice.cli.calling_off import call_off
from boxoffice.cli.options import Actor, AsJson, EventArgument, RequestId, TimeoutS, whole_number
from boxoffice.cli.tables import print_json, print_table, say
from boxoffice.cli.terms import unknown_currency, with_price
from boxoffice.cli.typed import amount, categories, hold, hold_or_none, prices

if TYPE_CHECKING:
    from boxoffice.audit import EventView

app = typer.Typer(help="Put events on sale, change them, call them off, and look at them.", no_args_is_help=True)

_TIME = "RFC 3339 with offset: 2027-03-01T19:30:00+01:00."
_MAX_PER_BUYER = "No buyer has more than this, held ones too"
Category = Annotated[
    str | None, typer.Option(metavar="ID", help="Of an event with categories: the id of the one that is meant.")
]
Tickets = Annotated[int, typer.Argument(parser=whole_number(), metavar="TICKETS", help="How many.")]


@app.command()
def create(  # noqa: PLR0913, PLR0917 - each is an option of the command
    event: EventArgument,
    name: Annotated[str, typer.Option(help="What it is called.")],
    venue: Annotated[str, typer.Option(help="Where it takes place.")],
    starts_at: Annotated[str, typer.Option(metavar="TIME", help=_TIME)],
    capacity: Annotated[
        int | None, typer.Option(parser=whole_number(), metavar="TICKETS", help="Tickets on sale at first.")
    ] = None,
    price: Annotated[
        str | None,
        typer.Option(metavar="AMOUNT", help="Of one ticket, as people write it: 45.00, or 45, is 45 euros."),
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID:NAME:TICKETS:AMOUNT",
            help="In the place of --capacity and --price, once for each category: stalls:Stalls:600:45.00.",
        ),
    ] = None,
    currency: Annotated[str, typer.Option(metavar="CODE", help="Of all prices, by ISO 4217.")] = "EUR",
    max_per_order: Annotated[
        int | None,
        typer.Option(
            parser=whole_number(), metavar="TICKETS", help="No purchase gets more than this; no limit unless given."
        ),
    ] = None,
    max_per_buyer: Annotated[
        int | None,
        typer.Option(parser=whole_number(), metavar="TICKETS", help=f"{_MAX_PER_BUYER}; no limit unless given."),
    ] = None,
    on_sale_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When the sale begins; at once unless given.")
    ] = None,
    off_sale_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When the sale ends; never unless given.")
    ] = None,
    hold_s: Annotated[
        int | None,
        typer.Option(
            "--hold", parser=hold, metavar="SPAN", help="Purchases are held so long until they are paid: 90s, 10m, 1h."
        ),
    ] = None,
    request_id: RequestId = None,
    actor: Actor = None,
    timeout_s: TimeoutS = WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Put an event on sale: --capacity tickets at one --price, or those of each --category.

    With --json the answer is the fact, whose amounts are in the currency's smallest unit: 4500 is 45.00 EUR.
    """
    members: dict[str, Any] = {
        "type": "create_event",
        "request_id": request_id,
        "event_id": event,
        "name": name,
        "venue": venue,
        "starts_at": starts_at,
        **_tickets(capacity, price, category, currency),
        "max_per_order": max_per_order,
        "max_per_buyer": max_per_buyer,
        "on_sale_at": on_sale_at,
        "off_sale_at": off_sale_at,
        "hold_s": hold_s,
        "actor": actor,
    }
    publish(members, wanted=("event_created",), timeout_s=timeout_s, as_json=as_json)


def _tickets(capacity: int | None, price: str | None, category: list[str] | None, currency: str) -> dict[str, Any]:
    if category:
        if capacity is not None or price is not None:
            raise typer.BadParameter("stands in the place of --capacity and --price.", param_hint="--category")
        return {"categories": categories(category, currency)}
    for option, given in (("--capacity", capacity), ("--price", price)):
        if given is None:
            raise typer.BadParameter("is missing, and there is no --category either.", param_hint=option)
    return {"capacity": capacity, "price": {"amount": amount(price or "", currency, "--price"), "currency": currency}}


@app.command()
def change(  # noqa: PLR0913, PLR0917 - each is an option of the command
    event: EventArgument,
    name: Annotated[str | None, typer.Option(help="What it is called.")] = None,
    venue: Annotated[str | None, typer.Option(help="Where it takes place.")] = None,
    starts_at: Annotated[str | None, typer.Option(metavar="TIME", help=_TIME)] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[ID:]AMOUNT", help="Of a ticket from now on: 45.00, or of a category, once for each, stalls:45.00."
        ),
    ] = None,
    max_per_order: Annotated[
        int | None, typer.Option(parser=whole_number(), metavar="TICKETS", help="0 takes the limit away.")
    ] = None,
    max_per_buyer: Annotated[
        int | None,
        typer.Option(parser=whole_number(), metavar="TICKETS", help=f"{_MAX_PER_BUYER}; 0 takes the limit away."),
    ] = None,
    on_sale_at: Annotated[str | None, typer.Option(metavar="TIME", help="When the sale begins.")] = None,
    off_sale_at: Annotated[str | None, typer.Option(metavar="TIME", help="When the sale ends.")] = None,
    hold_s: Annotated[
        int | None,
        typer.Option(
            "--hold",
            parser=hold_or_none,
            metavar="SPAN",
            help="New purchases are held so long: 90s, 10m, 1h; 0: they are not held any more.",
        ),
    ] = None,
    request_id: RequestId = None,
    actor: Actor = None,
    timeout_s: TimeoutS = WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Change of an event what is given. What was bought, and what is held, keeps its price."""
    given: dict[str, Any] = {
        "name": name,
        "venue": venue,
        "starts_at": starts_at,
        "max_per_order": max_per_order,
        "max_per_buyer": max_per_buyer,
        "on_sale_at": on_sale_at,
        "off_sale_at": off_sale_at,
        "hold_s": hold_s,
    }
    if not price and all(value is None for value in given.values()):
        raise typer.BadParameter("give at least one option that says what is to change.")
    if price:
        given["prices"] = prices(price, _currency(event))
    members = {"type": "change_event", "request_id": request_id, "event_id": event, **given, "actor": actor}
    publish(members, wanted=("event_changed",), timeout_s=timeout_s, as_json=as_json)


def _currency(event: str) -> str:
    """In which the event is sold: a price that somebody types has so many decimals."""
    from boxoffice.cli.options import check_event
    from boxoffice.operating.terms import currency_of
    from boxoffice.settings import load_settings

    check_event(event)
    return asyncio.run(currency_of(load_settings(), event))


@app.command()
def add(  # noqa: PLR0917 - each is an option of the command
    event: EventArgument,
    count: Tickets,
    category: Category = None,
    request_id: RequestId = None,
    actor: Actor = None,
    timeout_s: TimeoutS = WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Put further tickets on sale, behind all others of their category."""
    members = {"type": "add_tickets", **_of(event, request_id, actor), "category": category, "count": count}
    publish(members, wanted=("tickets_added",), timeout_s=timeout_s, as_json=as_json)


@app.command()
def remove(  # noqa: PLR0917 - each is an option of the command
    event: EventArgument,
    count: Tickets,
    category: Category = None,
    request_id: RequestId = None,
    actor: Actor = None,
    timeout_s: TimeoutS = WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Take tickets from sale that are left, the last ones of their category first: all of them or none."""
    members = {"type": "remove_tickets", **_of(event, request_id, actor), "category": category, "count": count}
    publish(members, wanted=("tickets_removed",), timeout_s=timeout_s, as_json=as_json)


@app.command()
def close(
    event: EventArgument,
    request_id: RequestId = None,
    actor: Actor = None,
    timeout_s: TimeoutS = WAIT_S,
    as_json: AsJson = False,
) -> None:
    """End the sale; what is held can still be paid, and what was bought can be cancelled."""
    members = {"type": "close_event", **_of(event, request_id, actor)}
    publish(members, wanted=("event_closed",), timeout_s=timeout_s, as_json=as_json)


@app.command()
def cancel(
    event: EventArgument,
    rate_per_s: Annotated[
        int,
        typer.Option(
            "--rate", parser=whole_number(1, 10_000), metavar="N", help="So many purchases a second, at most."
        ),
    ] = 200,
    actor: Actor = None,
    timeout_s: TimeoutS = WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Call an event off: end its sale, and cancel all its purchases, one by one; what is held too.

    Whatever stops it, run it again: it goes on where it stopped, and cancels nothing twice. What is to be paid
    back stands in each purchase's fact. Exit 4 if no answer comes for as long as --timeout says.
    """
    call_off(event, rate_per_s=rate_per_s, actor=actor, timeout_s=timeout_s, as_json=as_json)


@app.command()
def archive(
    event: EventArgument,
    request_id: RequestId = None,
    actor: Actor = None,
    timeout_s: TimeoutS = WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Let workers and Redis forget an event that is closed or called off; its facts stay in the ledger.

    Nothing can be asked of it any more: no purchase can be cancelled, and no ticket be sold.
    """
    members = {"type": "archive_event", **_of(event, request_id, actor)}
    publish(members, wanted=("event_archived",), timeout_s=timeout_s, as_json=as_json)


def _of(event: str, request_id: str | None, actor: str | None) -> dict[str, Any]:
    return {"request_id": request_id, "event_id": event, "actor": actor}


@app.command()
def show(event: EventArgument, as_json: AsJson = False) -> None:
    """Show an event as the ledger has it, and beside it what Redis says. Exit 3 if there is none.

    With --json its price_amount is in the currency's smallest unit: 4500 is 45.00 EUR.
    """
    from boxoffice.audit import view_event
    from boxoffice.settings import load_settings

    view = asyncio.run(view_event(load_settings(), event))
    if as_json:
        print_json({"ledger": view.ledger, "redis": view.redis, "differences": list(view.differences)})
        return
    _print(view)


def _print(view: EventView) -> None:
    ledger, redis = with_price(view.ledger), with_price(view.redis or {})
    rows = [(name, value, redis.get(name, "")) for name, value in ledger.items()]
    print_table(("", "ledger", "Redis"), rows)
    for difference in view.differences:
        say(difference)
    if (about := unknown_currency(view.ledger)) is not None:
        say(about)
