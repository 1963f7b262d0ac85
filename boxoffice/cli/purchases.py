"""``boxoffice buy``, ``cancel`` and ``results``: buy tickets, give them back, watch what is decided."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from boxoffice.cli.asking import WAIT_S, publish, sentence
from boxoffice.cli.options import AsJson, EventArgument, RequestId, TimeoutS, check_event, whole_number
from boxoffice.cli.tables import say

if TYPE_CHECKING:
    from boxoffice.kafka.asking import LedgerRecord
    from boxoffice.settings import Settings


def buy(
    event: EventArgument,
    quantity: Annotated[
        int, typer.Argument(parser=whole_number(), metavar="TICKETS", help="How many: all of them or none.")
    ] = 1,
    buyer: Annotated[str, typer.Option(help="Who buys: opaque, kept for ever.")] = "boxoffice-cli",
    request_id: RequestId = None,
    timeout_s: TimeoutS = WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Buy tickets and wait for the outcome: exit 0 sold, 3 rejected, 4 no answer in time."""
    members = {
        "type": "purchase",
        "request_id": request_id,
        "event_id": event,
        "buyer": buyer,
        "quantity": quantity,
    }
    publish(members, wanted=("purchase_confirmed",), timeout_s=timeout_s, as_json=as_json)


def cancel(
    event: EventArgument,
    purchase: Annotated[str, typer.Argument(metavar="PURCHASE", help="The request id of the purchase.")],
    buyer: Annotated[str | None, typer.Option(help="Only if this is who bought them.")] = None,
    request_id: RequestId = None,
    timeout_s: TimeoutS = WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Give a purchase's tickets back and wait for the outcome: exit 0, 3 rejected, 4 no answer in time."""
    members = {"type": "cancel_purchase", "request_id": request_id, "event_id": event, "purchase": purchase}
    if buyer is not None:
        members["buyer"] = buyer
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


COMMANDS = (buy, cancel, results)
