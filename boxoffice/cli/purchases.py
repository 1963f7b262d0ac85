"""``boxoffice buy``, ``confirm``, ``cancel`` and ``results``: buy, pay, give back, watch what is decided."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boxoffice.cli.asking import WAIT_S, publish
from boxoffice.cli.options import Actor, AsJson, EventArgument, RequestId, TimeoutS, check_event, whole_number
from boxoffice.cli.sentences import sentence
from boxoffice.cli.tables import note, say
from boxoffice.cli.typed import amount, lines

if TYPE_CHECKING:
    from boxoffice.kafka.asking import LedgerRecord
    from boxoffice.settings import Settings

PurchaseArgument = Annotated[str, typer.Argument(metavar="PURCHASE", help="The request id of the purchase.")]


def buy(  # noqa: PLR0913, PLR0917 - each is an option of the command
    event: EventArgument,
    quantity: Annotated[
        int | None,
        typer.Argument(parser=whole_number(), metavar="TICKETS", help="How many: all of them or none; 1 unless given."),
    ] = None,
    category: Annotated[
        str | None, typer.Option(metavar="ID", help="Of an event with categories: of which they are.")
    ] = None,
    line: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID:TICKETS", help="In the place of TICKETS, once for each category: stalls:2. All or none of them."
        ),
    ] = None,
    buyer: Annotated[str, typer.Option(help="Who buys: opaque, kept for ever.")] = "boxoffice-cli",
    request_id: RequestId = None,
    actor: Actor = None,
    timeout_s: TimeoutS = WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Buy tickets and wait for the outcome: exit 0 sold or held, 3 rejected, 4 no answer in time.

    The same --request-id again says what has become of a purchase: held, paid for, expired or cancelled.
    """
    if line and (quantity is not None or category is not None):
        raise typer.BadParameter("stands in the place of TICKETS and --category.", param_hint="--line")
    members: dict[str, Any] = {
        "type": "purchase",
        "request_id": request_id,
        "event_id": event,
        "buyer": buyer,
        **({"lines": lines(line)} if line else {"quantity": quantity, "category": category}),
        "actor": actor,
    }
    publish(members, wanted=("purchase_confirmed", "purchase_held"), timeout_s=timeout_s, as_json=as_json)


def confirm(  # noqa: PLR0913, PLR0917 - each is an option of the command
    event: EventArgument,
    purchase: PurchaseArgument,
    payment: Annotated[
        str, typer.Option(metavar="ID", help="The payment's own id: the same one again has no second effect.")
    ],
    paid: Annotated[
        str | None,
        typer.Option("--amount", metavar="AMOUNT", help="What was paid, 90.00; what the purchase costs unless given."),
    ] = None,
    currency: Annotated[str | None, typer.Option(metavar="CODE", help="Of --amount; the event's unless given.")] = None,
    request_id: RequestId = None,
    actor: Actor = None,
    timeout_s: TimeoutS = WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Say that a held purchase is paid for: exit 0 its tickets are the buyer's, 3 the money has to be given back.

    What it costs is read from the ledger and shown, unless --amount and --currency say what was paid.
    """
    if currency is not None and paid is None:
        raise typer.BadParameter("says nothing without --amount.", param_hint="--currency")
    cost, own_currency = _cost(event, purchase, paid, currency)
    members = {
        "type": "confirm_purchase",
        "request_id": request_id,
        "event_id": event,
        "purchase": purchase,
        "payment": payment,
        "amount": cost,
        "currency": own_currency,
        "actor": actor,
    }
    publish(members, wanted=("purchase_confirmed",), timeout_s=timeout_s, as_json=as_json)


def _cost(event: str, purchase: str, paid: str | None, currency: str | None) -> tuple[int, str]:
    """What was paid, and in which currency; what is not given the ledger says, and a person reads it."""
    from boxoffice.cli.orders import cost_of, order_from_ledger
    from models.members import MAX_QUANTITY

    if paid is not None and currency is not None:
        return amount(paid, currency, "--amount", MAX_QUANTITY), currency
    order = order_from_ledger(event, purchase)
    if paid is not None:
        return amount(paid, order.currency, "--amount", MAX_QUANTITY), order.currency
    note(cost_of(order))
    return order.amount, order.currency


def cancel(  # noqa: PLR0913, PLR0917 - each is an option of the command
    event: EventArgument,
    purchase: PurchaseArgument,
    ticket: Annotated[
        list[str] | None,
        typer.Option(metavar="TICKET", help="Only this one, 42-000001; give it once for each. All unless given."),
    ] = None,
    buyer: Annotated[str | None, typer.Option(help="Only if this is who bought them.")] = None,
    request_id: RequestId = None,
    actor: Actor = None,
    timeout_s: TimeoutS = WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Give a purchase's tickets back, bought or held, and wait for the outcome: exit 0, 3 rejected, 4 no answer."""
    members = {
        "type": "cancel_purchase",
        "request_id": request_id,
        "event_id": event,
        "purchase": purchase,
        "buyer": buyer,
        "tickets": ticket or None,
        "actor": actor,
    }
    publish(members, wanted=("purchase_cancelled",), timeout_s=timeout_s, as_json=as_json)


def results(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is decided from now on.")] = False,
    event: Annotated[str | None, typer.Option(callback=check_event, help="Only this event.")] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="With --follow: all that the ledger holds first.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the facts themselves, one a line.")] = False,
) -> None:
    """Show what was decided; with --follow, what is being decided."""
    from boxoffice.settings import load_settings

    beginning = from_beginning or not follow
    asyncio.run(_print_results(load_settings(), event, beginning=beginning, follow=follow, as_json=as_json))


async def _print_results(
    settings: Settings, event: str | None, *, beginning: bool, follow: bool, as_json: bool
) -> None:
    from boxoffice.kafka.asking import ledger_records

    async for record in ledger_records(settings.kafka, event_id=event, from_beginning=beginning, follow=follow):
        say(record.line if as_json else _line(record))


def _line(record: LedgerRecord) -> str:
    fact = record.fact
    return f"{fact['at']}  {record.partition}:{record.offset}  {fact['event_id'] or '-'}  {sentence(fact)}"


COMMANDS = (buy, confirm, cancel, results)
