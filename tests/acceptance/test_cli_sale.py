"""A whole sale from the command line: categories, an opening, holds, changes, refunds, an event called off."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from boxoffice.cli import run
from boxoffice.errors import ExitStatus
from models.derived_ids import CALLING_OFF, first_id
from tests.support.office import Office, until
from tests.support.servers import KafkaAddress, RedisAddress
from tests.support.workload import order

EVENT = ("--name", "Night at the Opera", "--venue", "Main Hall", "--starts-at", "2027-03-01T19:30:00+01:00")
CATEGORIES = ("--category", "stalls:Stalls:6:45.00", "--category", "balcony:Balcony:2:30.00")
WHEN = "2027-03-01 19:30 UTC+01:00"
PURCHASES = 120


@pytest.fixture
async def office(kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path) -> AsyncIterator[Office]:
    """A worker that is ready."""
    opened = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path, partitions=3)
    await opened.open()
    await opened.ready(opened.start())
    yield opened
    opened.close()


def told(office: Office, *arguments: str, status: int = ExitStatus.OK) -> str:
    """What a command says, where it belongs: a refusal beside the output."""
    done = office.boxoffice(*arguments)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == ExitStatus.OK else done.stderr


def asked(office: Office, *arguments: str, status: int = ExitStatus.OK) -> Any:
    """The fact that answers a command."""
    done = office.boxoffice(*arguments, "--json")
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout)


async def test_tickets_of_several_categories_are_held_paid_for_and_given_back(office: Office) -> None:
    created = told(office, "event", "create", "42", *EVENT, *CATEGORIES, "--hold", "10m", "--max-per-buyer", "5")
    assert created.startswith(
        "Event 42 is on sale: 8 tickets, 6 of stalls (Stalls) at 45.00 EUR each, 2 of balcony (Balcony) at 30.00 EUR "
        f"each, {WHEN}, no limit to an order, at most 5 tickets a buyer, held for 10 minutes until they are paid (requ"
    )
    bought = ("buy", "42", "--line", "stalls:2", "--line", "balcony:1", "--buyer", "b-1", "--request-id", "r-1")
    tickets = "42-000001, 42-000002 (stalls) at 45.00 EUR each; 42-000007 (balcony) at 30.00 EUR, 120.00 EUR together"
    assert told(office, *bought).startswith(f"Held {tickets}, for {WHEN}: 120.00 EUR must be paid by ")
    alone = ("buy", "42", "--category", "balcony", "--buyer", "b-2", "--request-id", "r-2")
    assert told(office, *alone).startswith("Held 42-000008 (balcony) at 30.00 EUR, for ")
    for arguments, sentence in [
        (("buy", "42", "--category", "balcony", "--buyer", "b-3"), "Not sold, all_held: no ticket is left, but held "),
        (("buy", "42", "--category", "box"), "Not sold, unknown_category: the event has no such category ("),
        (("buy", "42"), "Not sold, unknown_category: "),
        (("buy", "42", "3", "--category", "stalls", "--buyer", "b-1"), "Not sold, over_buyer_limit: the buyer would"),
    ]:
        assert told(office, *arguments, status=ExitStatus.REJECTED).startswith(sentence)

    part = told(office, "cancel", "42", "r-1", "--ticket", "42-000002")
    assert part.startswith(
        "Purchase r-1 is cancelled in part: 42-000002 on sale again; it keeps 42-000001, 42-000007 ("
    )
    paid = office.boxoffice("confirm", "42", "r-1", "--payment", "pay-1", "--actor", "window-3")
    assert paid.returncode == ExitStatus.OK
    assert paid.stderr.startswith("Purchase r-1 of event 42, by b-1, is held until ")
    assert paid.stderr.endswith(": 2 tickets, 75.00 EUR to be paid. It is confirmed with 75.00 EUR.\n")
    assert paid.stdout.startswith("Purchase r-1 is paid for by pay-1: 42-000001 (stalls) at 45.00 EUR; 42-000007 (balc")
    assert ", by window-3, seq " in paid.stdout
    # The same payment again is the same answer; another one is of no use.
    again = told(office, "confirm", "42", "r-1", "--payment", "pay-1", "--amount", "75", "--currency", "EUR")
    assert again.partition(", decided by ")[0] == paid.stdout.partition(", decided by ")[0]
    for arguments, sentence in [
        (("r-1", "--payment", "pay-2", "--amount", "75.00"), "Payment pay-2 is refused, already_paid: the purchase is"),
        (("r-2", "--payment", "pay-3", "--amount", "29.99"), "Payment pay-3 is refused, amount_mismatch: it is not w"),
        (("r-2", "--payment", "pay-1", "--amount", "30.00"), "Refused, payment_reused: the payment has paid for some"),
        (("r-1", "--payment", "pay-4"), "Purchase r-1 of event 42, by b-1, is confirmed: 2 tickets, 75.00 EUR, paid "),
        (("r-9", "--payment", "pay-5"), "Event 42 has no purchase r-9.\n"),
    ]:
        assert told(office, "confirm", "42", *arguments, status=ExitStatus.REJECTED).startswith(sentence)
    assert "; give the 29.99 EUR back (" in told(
        office, "confirm", "42", "r-2", "--payment", "pay-3", "--amount", "29.99", status=ExitStatus.REJECTED
    )
    # Sending it again is the way to ask what has become of it.
    assert told(office, *bought).startswith("Purchase r-1 is paid for by pay-1: ")
    back = told(office, "cancel", "42", "r-1")
    assert back.startswith("Purchase r-1 is cancelled: 42-000001, 42-000007 on sale again, 75.00 EUR to be paid back (")
    assert told(office, *bought, status=ExitStatus.REJECTED).startswith("Purchase r-1 is cancelled: ")
    assert told(office, "cancel", "42", "r-2", "--ticket", "42-000001", status=ExitStatus.REJECTED).startswith(
        "Refused, no_such_ticket: the purchase has not all of these tickets ("
    )


async def test_what_became_of_an_order_is_shown_out_of_the_ledger(office: Office) -> None:
    told(office, "event", "create", "42", *EVENT, *CATEGORIES, "--hold", "10m")
    told(office, "buy", "42", "2", "--category", "stalls", "--buyer", "b-1", "--request-id", "r-1")
    told(office, "confirm", "42", "r-1", "--payment", "pay-1")
    told(office, "cancel", "42", "r-1", "--ticket", "42-000001", "--request-id", "x-1")
    shown = told(office, "orders", "show", "42", "r-1")
    assert shown.startswith(
        "Purchase r-1 of event 42, by b-1, is confirmed: 1 ticket, 45.00 EUR, paid by pay-1; 45.00 EUR to be paid back."
    )
    rows = [line.split()[:2] for line in shown.splitlines() if line.strip().startswith("20")]
    assert [seq for _, seq in rows] == ["2", "3", "4"]
    order_ = asked(office, "orders", "show", "42", "r-1")
    assert (order_["standing"], order_["tickets"], order_["amount"]) == ("confirmed", ["42-000002"], 4_500)
    assert [fact["type"] for fact in order_["facts"]] == ["purchase_held", "purchase_confirmed", "purchase_cancelled"]
    assert told(office, "orders", "show", "42", "r-9", status=ExitStatus.REJECTED) == "Event 42 has no purchase r-9.\n"
    told(office, "event", "close", "42")
    told(office, "event", "archive", "42")
    assert asked(office, "orders", "show", "42", "r-1") == order_
    assert told(office, "buy", "42", status=ExitStatus.REJECTED).startswith("Not sold, event_archived: ")


async def test_an_event_is_changed_in_what_is_given(office: Office) -> None:
    told(office, "event", "create", "42", *EVENT, "--capacity", "10", "--price", "45", "--max-per-order", "4")
    opens = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds")
    changed = told(
        office, "event", "change", "42", "--price", "50.00", "--max-per-order", "0", "--hold", "90s", "--name", "Day"
    )
    assert changed.startswith(
        f"Event 42 is changed: 10 tickets at 50.00 EUR each, {WHEN}, no limit to an order, held for 90 seconds until "
    )
    fact = asked(office, "event", "change", "42", "--on-sale-at", opens, "--hold", "0", "--actor", "manager-1")
    assert (fact["name"], fact["on_sale_at"], fact["actor"]) == ("Day", opens, "manager-1")
    assert "hold_s" not in fact
    assert told(office, "buy", "42", status=ExitStatus.REJECTED).startswith("Not sold, not_on_sale_yet: the sale has ")
    assert told(office, "event", "add", "42", "5").startswith("Event 42 has 5 more tickets at 50.00 EUR each, ")
    assert told(office, "event", "remove", "42", "3").startswith("Event 42 has 3 tickets fewer (")
    assert told(office, "event", "remove", "42", "13", status=ExitStatus.REJECTED).startswith("Refused, not_enough_")
    # A price has the decimals of the event's own currency, and that of another event no say in it.
    told(office, "event", "create", "43", *EVENT, "--capacity", "1", "--price", "4500", "--currency", "JPY")
    assert asked(office, "event", "change", "43", "--price", "5000")["price"] == {"amount": 5000, "currency": "JPY"}
    assert "JPY has no decimals" in told(office, "event", "change", "43", "--price", "50.00", status=ExitStatus.USAGE)
    missing = told(office, "event", "change", "44", "--price", "50", status=ExitStatus.REJECTED)
    assert missing == "Event 44 is not in the ledger.\n"
    told(office, "event", "create", "45", *EVENT, *CATEGORIES)
    fact = asked(office, "event", "change", "45", "--price", "stalls:50.00")
    assert [category["price"]["amount"] for category in fact["categories"]] == [5_000, 3_000]
    assert told(office, "event", "add", "45", "1", "--category", "balcony").startswith(
        f"Event 45 has 1 more ticket of balcony at 30.00 EUR each, {WHEN}, "
    )
    assert told(office, "event", "change", "45", "--price", "50", status=ExitStatus.REJECTED).startswith(
        "Refused, unknown_category: "
    )


async def test_an_event_is_called_off_even_if_it_is_killed_in_between(office: Office) -> None:
    """Whoever runs it again goes on; each purchase is cancelled once, and the report is of all of them."""
    told(office, "event", "create", "42", *EVENT, "--capacity", "500", "--price", "45.00", "--max-per-order", "4")
    await office.send([order("42", f"r-{number}", 1 + number % 3) for number in range(PURCHASES)])
    # Somebody has called his purchase so, by accident or not.
    await office.send([order("42", first_id(CALLING_OFF, "r-7"), 1)])
    await office.answered()
    first = office.start_command("event", "cancel", "42", "--rate", "20")
    await until(lambda: _cancelled(office) >= 10, 60, "some purchases to be cancelled")
    first.kill()
    done = _cancelled(office)
    assert 10 <= done < PURCHASES
    second = office.start_command("event", "cancel", "42", "--rate", "20")
    await until(lambda: _cancelled(office) > done, 60, "it to go on")
    second.signal(signal.SIGINT)
    assert await second.end() == 130
    assert "Stopped: run the same command again, and it goes on." in second.log_text()
    report = asked(office, "event", "cancel", "42", "--rate", "1000")
    assert report == {
        "event_id": "42",
        "purchases": PURCHASES + 1,
        "held": 0,
        "tickets": 2 * PURCHASES + 1,
        "refund": (2 * PURCHASES + 1) * 4_500,
        "currency": "EUR",
        "left": 0,
    }
    assert told(office, "event", "cancel", "42") == (
        "Event 42 is called off: 121 purchases cancelled, 241 tickets in all; 10,845.00 EUR to be paid back.\n"
    )
    facts = _facts(office)
    cancelled = [fact["purchase"] for fact in facts if fact["type"] == "purchase_cancelled"]
    assert len(cancelled) == len(set(cancelled)) == PURCHASES + 1
    assert [fact["type"] for fact in facts].count("event_cancelled") == 1
    assert told(office, "buy", "42", status=ExitStatus.REJECTED).startswith("Not sold, event_cancelled: ")
    audited = await office.run("audit", "--wait", "20")
    assert (audited.returncode, audited.stdout.splitlines()[-1][:18]) == (ExitStatus.OK, "Audit: all agree. ")
    told(office, "event", "archive", "42")
    assert "was archived" in told(office, "event", "cancel", "42", status=ExitStatus.REJECTED)
    assert told(office, "event", "cancel", "404", status=ExitStatus.REJECTED) == "Event 404 is not in the ledger.\n"


def _facts(office: Office) -> list[Any]:
    done = office.boxoffice("results", "--event", "42", "--json")
    by_seq = {fact["seq"]: fact for fact in map(json.loads, done.stdout.splitlines())}
    return list(by_seq.values())


def _cancelled(office: Office) -> int:
    return sum(fact["type"] == "purchase_cancelled" for fact in _facts(office))


# Refused before anybody is asked


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("event", "create", "42", *EVENT), "--capacity: is missing, and there is no --category either."),
        (("event", "create", "42", *EVENT, "--capacity", "5"), "--price: is missing, and there is no --category"),
        (("event", "create", "42", *EVENT, "--price", "5", *CATEGORIES), "stands in the place of --capacity and --p"),
        (("event", "create", "42", *EVENT, "--category", "stalls:600:45"), "'stalls:600:45' is no category: write its"),
        (("event", "create", "42", *EVENT, *CATEGORIES, "--hold", "30s"), "a purchase is held for 1 minute at least,"),
        (("event", "create", "42", *EVENT, *CATEGORIES, "--hold", "600"), "'600' is no span of time: write digits"),
        (("event", "change", "42"), "give at least one option that says what is to change."),
        (("event", "cancel", "42", "--rate", "0"), "0 is too little: it must be 1 at least."),
        (("event", "cancel", "042"), "is no event's id"),
        (("buy", "42", "2", "--line", "stalls:2"), "stands in the place of TICKETS and --category."),
        (("buy", "42", "--category", "stalls", "--line", "stalls:2"), "stands in the place of TICKETS and --category."),
        (("buy", "42", "--line", "stalls"), "'stalls' is no line: write a category's id and how many tickets"),
        (("confirm", "42", "r-1", "--payment", "p", "--currency", "EUR"), "says nothing without --amount."),
        (("orders", "show", "042", "r-1"), "is no event's id"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(
    capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    assert run([*arguments]) == ExitStatus.USAGE
    printed = capfd.readouterr()
    assert printed.out == ""
    assert sentence in " ".join(printed.err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("event", "create", "42", *EVENT, "--category", "Stalls:Stalls:6:45"), "categories.0.id: must be 1 to 32 of"),
        (("event", "create", "42", *EVENT, "--category", "a:A:6:45", "--category", "a:B:6:45"), "comes more than once"),
        (
            ("event", "create", "42", *EVENT, *CATEGORIES, "--on-sale-at", "2027-03-01"),
            "on_sale_at: must be a time li",
        ),
        (("buy", "42", "--line", "stalls:60", "--line", "rear:60"), "lines: more than 100 tickets in all."),
        (("cancel", "42", "r-1", "--ticket", "42-1"), "tickets.0: must be tickets' names, such as 42-000001"),
        (("buy", "42", "--actor", "a\nb"), "actor: must have no control characters"),
    ],
)
def test_what_a_worker_could_not_read_is_not_published(
    capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    assert run([*arguments]) == ExitStatus.USAGE
    assert sentence in capfd.readouterr().err
