"""What people type and read: amounts as amounts, numbers as numbers, and an answer that repeats what was meant."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from boxoffice.cli import run
from boxoffice.errors import ExitStatus
from tests.support.office import Office
from tests.support.servers import KafkaAddress, RedisAddress
from tests.support.settings import changed

EVENT = ("--name", "Night at the Opera", "--venue", "Main Hall", "--starts-at", "2027-03-01T19:30:00+01:00")
TICKETS = ("--capacity", "1000", "--max-per-order", "8")
WHEN = "2027-03-01 19:30 UTC+01:00"
NO_WHOLE_NUMBER = ("1000.0", "4_500", "+45", " 45 ", "45 ", "4e2", "1,000", "٤٥", "", "0x10", "9" * 19, "9" * 5000)


@pytest.fixture
async def office(kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path) -> AsyncIterator[Office]:
    """A worker that is ready."""
    opened = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path, partitions=3)
    await opened.open()
    await opened.ready(opened.start())
    yield opened
    opened.close()


def _create(office: Office, event: str, *arguments: str) -> str:
    done = office.boxoffice("event", "create", event, *EVENT, *arguments)
    assert (done.returncode, done.stderr) == (ExitStatus.OK, "")
    return done.stdout


def _refused(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command says that is refused before anybody is asked, however its box breaks the lines."""
    assert run([*arguments]) == ExitStatus.USAGE
    printed = capfd.readouterr()
    assert printed.out == ""
    return " ".join(printed.err.replace("│", " ").split())


# Amounts


async def test_an_amount_is_typed_as_it_is_read_and_the_answer_repeats_it(office: Office) -> None:
    told = _create(office, "42", *TICKETS, "--price", "45.00", "--currency", "EUR")
    assert told.startswith(
        f"Event 42 is on sale: 1,000 tickets at 45.00 EUR each, {WHEN}, at most 8 tickets an order (request "
    )
    assert office.boxoffice("event", "add", "42", "1").stdout.startswith(
        f"Event 42 has 1 more ticket at 45.00 EUR each, {WHEN}, at most 8 tickets an order (request "
    )
    assert office.boxoffice("buy", "42", "2", "--request-id", "r-1").stdout.startswith(
        f"Sold 42-000001, 42-000002 at 45.00 EUR each, 90.00 EUR together, for {WHEN} (request r-1, "
    )
    assert office.boxoffice("buy", "42").stdout.startswith(f"Sold 42-000003 at 45.00 EUR, for {WHEN} (request ")


async def test_every_currency_has_its_own_decimals_wherever_money_is_shown(office: Office) -> None:
    for event, price, currency, shown in [
        ("1", "45", "EUR", "45.00 EUR"),
        ("2", "4500", "JPY", "4,500 JPY"),
        ("3", "4.5", "KWD", "4.500 KWD"),
    ]:
        told = _create(office, event, "--capacity", "5", "--price", price, "--currency", currency)
        assert f": 5 tickets at {shown} each, {WHEN}, no limit to an order (" in told
        lines = [line.split() for line in office.boxoffice("event", "show", event).stdout.splitlines()]
        priced = {line[0]: line[1:] for line in lines if line and "price" in line[0]}
        assert priced["price"] == priced["first_price"] == [*shown.split(), *shown.split()]
    # Scripts go on with the smallest unit.
    shown = json.loads(office.boxoffice("event", "show", "1", "--json").stdout)["ledger"]
    assert (shown["price_amount"], shown["price_currency"]) == (4500, "EUR")


async def test_without_redis_the_answer_leaves_out_what_only_redis_has_at_hand(office: Office) -> None:
    _create(office, "42", *TICKETS, "--price", "45")
    for number, url in enumerate(("redis://127.0.0.1:1/0", "redis://127.0.0.1:1/zero"), 1):
        office.settings = changed(office.settings, redis_url=url)
        done = office.boxoffice("buy", "42")
        assert (done.returncode, done.stderr) == (ExitStatus.OK, "")
        assert done.stdout.startswith(f"Sold 42-{number:06d} at 45.00 EUR (request ")


@pytest.mark.parametrize(
    ("price", "currency", "sentence"),
    [
        ("45.001", "EUR", "'45.001': EUR has 2 decimals (45.00)."),
        ("45.00", "JPY", "'45.00': JPY has no decimals (45)."),
        ("4,500", "EUR", "'4,500' is no amount: write digits,"),
        ("4_500", "EUR", "'4_500' is no amount: write digits,"),
        ("+45", "EUR", "'+45' is no amount: write digits,"),
        ("-45", "EUR", "'-45' is no amount: write digits,"),
        (" 45 ", "EUR", "' 45 ' is no amount: write digits,"),
        ("4.5e1", "EUR", "'4.5e1' is no amount: write digits,"),
        ("", "EUR", "is empty: give a value, or leave it out."),
        ("nan", "EUR", "'nan' is no amount: write digits,"),
        ("99999999999", "EUR", "is more than a ticket may cost, which is 10,000,000,000.00 EUR."),
        ("45", "eur", "'eur' is no currency of ISO 4217: write EUR."),
        ("45", "ZZZ", "'ZZZ' is no currency of ISO 4217, which has EUR, USD, JPY and others."),
        ("45", "", "is empty: give a value, or leave it out."),
    ],
)
def test_an_amount_that_may_mean_something_else_is_refused(
    capfd: pytest.CaptureFixture[str], price: str, currency: str, sentence: str
) -> None:
    told = _refused(capfd, "event", "create", "42", *EVENT, *TICKETS, "--price", price, "--currency", currency)
    assert sentence in told


# Numbers

COUNTED = {
    "event create 42 --name N --venue V --starts-at 2027-03-01T19:30:00Z --price 45 --capacity": "--capacity",
    "event create 42 --name N --venue V --starts-at 2027-03-01T19:30:00Z --price 45 --capacity 9 --max-per-order": (
        "--max-per-order"
    ),
    "event create 42 --name N --venue V --starts-at 2027-03-01T19:30:00Z --price 45 --capacity 9 --max-per-buyer": (
        "--max-per-buyer"
    ),
    "event add 42": "TICKETS",
    "event remove 42": "TICKETS",
    "event change 42 --max-per-order": "--max-per-order",
    "event change 42 --max-per-buyer": "--max-per-buyer",
    "event cancel 42 --rate": "--rate",
    "buy 42": "TICKETS",
    "dead-letters list --limit": "--limit",
    "topics grow --prefix p- --to": "--to",
    "demo --seed": "--seed",
    "up --kafka-port": "--kafka-port",
    "up --redis-port": "--redis-port",
}


@pytest.mark.parametrize("command", COUNTED)
def test_what_is_no_whole_number_is_refused_by_every_command(capfd: pytest.CaptureFixture[str], command: str) -> None:
    for number in NO_WHOLE_NUMBER:
        told = _refused(capfd, *command.split(), number)
        assert f"Invalid value for '{COUNTED[command]}'" in told, told
        why = ("is no whole number: write digits only", "is too much") if number else ("is empty",)
        assert any(sentence in told for sentence in why), told
