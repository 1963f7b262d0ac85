"""``boxoffice event``: put events on sale, and look at them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boxoffice.cli.asking import WAIT_S, publish
from boxoffice.cli.options import AsJson, EventArgument, RequestId, TimeoutS, whole_number
from boxoffice.cli.tables import print_json, print_table, say
from boxoffice.cli.terms import typed_price, unknown_currency, with_price

if TYPE_CHECKING:
    from boxoffice.audit import EventView

app = typer.Typer(help="Put events on sale, and look at them.", no_args_is_help=True)


@app.command()
def create(  # noqa: PLR0913, PLR0917 - each is an option of the command
    event: EventArgument,
    name: Annotated[str, typer.Option(help="What it is called.")],
    venue: Annotated[str, typer.Option(help="Where it takes place.")],
    starts_at: Annotated[str, typer.Option(metavar="TIME", help="RFC 3339 with offset: 2027-03-01T19:30:00+01:00.")],
    capacity: Annotated[int, typer.Option(parser=whole_number(), metavar="TICKETS", help="Tickets on sale at first.")],
    price: Annotated[
        str, typer.Option(metavar="AMOUNT", help="Of one ticket, as people write it: 45.00, or 45, is 45 euros.")
    ],
    currency: Annotated[str, typer.Option(metavar="CODE", help="Of the price, by ISO 4217.")] = "EUR",
    max_per_order: Annotated[
        int | None,
        typer.Option(
            parser=whole_number(), metavar="TICKETS", help="No purchase gets more than this; no limit unless given."
        ),
    ] = None,
    request_id: RequestId = None,
    timeout_s: TimeoutS = WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Put an event on sale. The price can never be changed: look at it in the answer.

    With --json the answer is the fact, whose amounts are in the currency's smallest unit: 4500 is 45.00 EUR.
    """
    members: dict[str, Any] = {
        "type": "create_event",
        "request_id": request_id,
        "event_id": event,
        "name": name,
        "venue": venue,
        "starts_at": starts_at,
        "capacity": capacity,
        "max_per_order": max_per_order,
        "price": {"amount": typed_price(price, currency), "currency": currency},
    }
    publish(members, wanted=("event_created",), timeout_s=timeout_s, as_json=as_json)


@app.command()
def add(
    event: EventArgument,
    count: Annotated[int, typer.Argument(parser=whole_number(), metavar="TICKETS", help="How many more.")],
    request_id: RequestId = None,
    timeout_s: TimeoutS = WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Put further tickets on sale, behind all others."""
    members = {"type": "add_tickets", "request_id": request_id, "event_id": event, "count": count}
    publish(members, wanted=("tickets_added",), timeout_s=timeout_s, as_json=as_json)


@app.command()
def close(
    event: EventArgument, request_id: RequestId = None, timeout_s: TimeoutS = WAIT_S, as_json: AsJson = False
) -> None:
    """End the sale; purchases can still be cancelled."""
    members = {"type": "close_event", "request_id": request_id, "event_id": event}
    publish(members, wanted=("event_closed",), timeout_s=timeout_s, as_json=as_json)


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
