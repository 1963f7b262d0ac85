"""The command line beside a worker: what a person does, and what a script sees of it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from boxoffice.errors import ExitStatus
from tests.support.office import Office, boxoffice_path, until
from tests.support.servers import KafkaAddress, RedisAddress

CREATE = ("--name", "Night at the Opera", "--venue", "Main Hall", "--starts-at", "2027-03-01T19:30:00+01:00")
FOLLOW_DEADLINE_S = 15


@pytest.fixture
async def office(kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path) -> AsyncIterator[Office]:
    """A worker that is ready."""
    opened = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path, partitions=3)
    await opened.open()
    await opened.ready(opened.start())
    yield opened
    opened.close()


def _create(office: Office, event: str = "42", capacity: int = 5) -> subprocess.CompletedProcess[str]:
    return office.boxoffice(
        "event", "create", event, *CREATE, "--capacity", str(capacity), "--price", "45.00", "--max-per-order", "4"
    )


def _buy(office: Office, *arguments: str) -> tuple[int, str, str]:
    done = office.boxoffice("buy", "42", *arguments, "--timeout", "30")
    return done.returncode, done.stdout, done.stderr


async def test_tickets_are_bought_given_back_and_sold_out(office: Office) -> None:
    created = _create(office)
    assert (created.returncode, created.stdout[:32]) == (ExitStatus.OK, "Event 42 is on sale: 5 tickets a")

    status, told, _ = _buy(office, "2", "--request-id", "r-1", "--buyer", "b-77")
    assert (status, told) == (
        ExitStatus.OK,
        "Sold 42-000001, 42-000002 at 45.00 EUR each, 90.00 EUR together, for 2027-03-01 19:30 UTC+01:00 "
        "(request r-1, seq 2, decided by redis).\n",
    )

    status, told, _ = _buy(office, "2", "--request-id", "r-1", "--buyer", "b-77")
    assert (status, told[:38]) == (ExitStatus.OK, "Sold 42-000001, 42-000002 at 45.00 EUR")

    for arguments, reason in [
        (("5",), "over_order_limit"),
        (("4",), "not_enough_left"),
        (("1", "--request-id", "r-1"), "request_id_reused"),
    ]:
        status, told, complaint = _buy(office, *arguments)
        assert (status, told) == (ExitStatus.REJECTED, "")
        assert complaint.startswith(f"Not sold, {reason}: ")

    stranger = office.boxoffice("cancel", "42", "r-1", "--buyer", "b-78")
    assert (stranger.returncode, stranger.stderr[:25]) == (ExitStatus.REJECTED, "Refused, no_such_purchase")
    cancelled = office.boxoffice("cancel", "42", "r-1", "--buyer", "b-77", "--request-id", "x-1")
    assert (cancelled.returncode, cancelled.stderr) == (ExitStatus.OK, "")
    assert cancelled.stdout.startswith(
        "Purchase r-1 is cancelled: 42-000001, 42-000002 on sale again, 90.00 EUR to be paid back (request x-1"
    )
    assert office.boxoffice("cancel", "42", "r-1").stderr.startswith("Refused, already_cancelled")

    status, _, complaint = _buy(office, "2", "--request-id", "r-1", "--buyer", "b-77")
    assert (status, complaint[:25]) == (ExitStatus.REJECTED, "Purchase r-1 is cancelled")

    assert _buy(office, "4")[1].startswith("Sold 42-000003, 42-000004, 42-000005, 42-000001 ")
    assert _buy(office, "1")[1].startswith("Sold 42-000002 ")
    assert _buy(office, "1")[2].startswith("Not sold, sold_out")

    assert office.boxoffice("event", "add", "42", "3").stdout.startswith(
        "Event 42 has 3 more tickets at 45.00 EUR each, "
    )
    assert office.boxoffice("event", "close", "42").stdout.startswith("Event 42 is closed (")
    assert _buy(office, "1")[2].startswith("Not sold, event_closed")
    assert _create(office).stderr.startswith("Refused, event_exists")
    assert office.boxoffice("buy", "43").stderr.startswith("Not sold, unknown_event")

    audited = office.boxoffice("audit", "--wait", "20")
    assert (audited.returncode, audited.stdout.splitlines()[-1][:18]) == (ExitStatus.OK, "Audit: all agree. ")


async def test_a_script_gets_the_fact_itself(office: Office) -> None:
    _create(office)
    sold = office.boxoffice("buy", "42", "2", "--buyer", "b-77", "--json")
    fact = json.loads(sold.stdout)
    assert (sold.returncode, fact["type"], fact["buyer"]) == (ExitStatus.OK, "purchase_confirmed", "b-77")
    assert fact["tickets"] == ["42-000001", "42-000002"]
    refused = office.boxoffice("buy", "42", "9", "--json")
    assert (refused.returncode, json.loads(refused.stdout)["reason"]) == (ExitStatus.REJECTED, "over_order_limit")


async def test_an_event_is_shown_by_the_ledger_and_by_redis(office: Office) -> None:
    _create(office, capacity=7)
    _buy(office, "3")
    shown = office.boxoffice("event", "show", "42", "--json")
    found = json.loads(shown.stdout)
    assert (shown.returncode, found["differences"]) == (ExitStatus.OK, [])
    assert found["ledger"] == found["redis"]
    assert {name: found["ledger"][name] for name in ("issued", "sold", "left", "seq", "name")} == {
        "issued": 7,
        "sold": 3,
        "left": 4,
        "seq": 2,
        "name": "Night at the Opera",
    }
    table = office.boxoffice("event", "show", "42")
    assert "Night at the Opera" in table.stdout
    unknown = office.boxoffice("event", "show", "404")
    assert (unknown.returncode, unknown.stderr) == (ExitStatus.REJECTED, "Event 404 is not in the ledger.\n")


async def test_results_are_shown_from_the_beginning_and_by_event(office: Office) -> None:
    _create(office)
    _create(office, "43")
    _buy(office, "2", "--request-id", "r-1")
    everything = office.boxoffice("results", "--json")
    facts = [json.loads(line) for line in everything.stdout.splitlines()]
    assert {fact["event_id"] for fact in facts} == {"42", "43"}
    assert len(facts) == 3
    one = office.boxoffice("results", "--event", "42")
    assert [line.split("  ")[2] for line in one.stdout.splitlines()] == ["42", "42"]
    assert "Sold 42-000001, 42-000002 at 45.00 EUR each, 90.00 EUR together (request r-1" in one.stdout


@pytest.fixture
def followed(office: Office, tmp_path: Path) -> Iterator[Callable[[], list[str]]]:
    """The lines that ``results --follow --event 42``, running beside the test, has printed."""
    printed = tmp_path / "results"
    with printed.open("w") as stream:
        command = [boxoffice_path(), "results", "--follow", "--event", "42", "--json"]
        child = subprocess.Popen(command, env=office.environment, stdout=stream)
    yield lambda: printed.read_text().splitlines()
    child.terminate()
    child.wait(timeout=10)


async def test_what_is_decided_is_followed(office: Office, followed: Callable[[], list[str]]) -> None:
    _create(office)

    def shown() -> bool:
        # It begins at the end that it found when it was ready, so it may miss the first.
        _buy(office, "1")
        return bool(followed())

    await until(shown, FOLLOW_DEADLINE_S, "a fact to be shown")
    assert json.loads(followed()[0])["event_id"] == "42"


async def test_doctor_finds_nothing_to_do(office: Office) -> None:
    _create(office)
    done = office.boxoffice("doctor", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == ExitStatus.OK, done.stdout
    assert {finding["state"] for finding in found["findings"]} <= {"ok", "warning"}
    group = f"{office.settings.kafka.topic_prefix}boxoffice-purchases"
    assert [finding["sentence"] for finding in found["findings"] if finding["subject"] == group] == [
        "1 worker; nothing waiting."
    ]
    assert [lag["records"] for lag in found["lag"][group]] == [0, 0, 0]


async def test_doctor_knows_who_is_gone_from_who_never_ran(office: Office) -> None:
    _create(office)
    running = [office.start(process, BOXOFFICE_HEALTH_PORT="0") for process in ("documents", "stats")]
    for process in running:
        await office.ready(process)
    groups = [f"{office.settings.kafka.topic_prefix}boxoffice-{process}" for process in ("documents", "stats")]

    def findings() -> list[tuple[str, str]]:
        found = json.loads(office.boxoffice("doctor", "--json").stdout)["findings"]
        return [(one["state"], one["sentence"]) for group in groups for one in found if one["subject"] == group]

    await until(lambda: findings() == [("ok", "1 worker; nothing waiting.")] * 2, FOLLOW_DEADLINE_S, "both to be done")
    for process in running:
        await process.stop()
    _create(office, "43")
    await until(
        lambda: findings() == [("problem", "No worker runs; 1 record waiting.")] * 2,
        FOLLOW_DEADLINE_S,
        "both to be missed",
    )


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
async def test_a_name_is_shown_in_whatever_the_output_takes(office: Office, encoding: str) -> None:
    """Documents are documents there too, and hold the name as it is."""
    name = "Op\N{LATIN SMALL LETTER E WITH ACUTE}ra \N{TICKET}"
    statistics = office.start("stats", BOXOFFICE_HEALTH_PORT="0")
    await office.ready(statistics)
    office.boxoffice("event", "create", "42", "--name", name, *CREATE[2:], "--capacity", "5", "--price", "4500")
    _buy(office, "1")

    def shown(*arguments: str) -> str:
        environment = {**office.environment, "PYTHONIOENCODING": encoding}
        done = subprocess.run([boxoffice_path(), *arguments], env=environment, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (ExitStatus.OK, b""), arguments
        return done.stdout.decode(encoding)

    await until(lambda: "42" in shown("stats", "--json"), FOLLOW_DEADLINE_S, "an event to be counted")
    assert [event["name"] for event in json.loads(shown("stats", "--json"))["events"]] == [name]
    assert json.loads(shown("event", "show", "42", "--json"))["ledger"]["name"] == name
    assert json.loads(shown("results", "--json").splitlines()[0])["name"] == name
    for arguments in (("stats",), ("event", "show", "42")):
        assert "\\ud83c\\udfab" in shown(*arguments)


async def test_a_worker_logs_json_where_no_terminal_is(office: Office) -> None:
    _create(office)
    process = office.start(BOXOFFICE_KAFKA_SASL_PASSWORD="hunter22")
    await office.ready(process)
    assert await process.stop() == ExitStatus.OK
    lines = [json.loads(line) for line in process.log_text().splitlines()]
    assert {line["process"] for line in lines} == {"purchases"}
    assert {"timestamp", "level", "message"} <= set(lines[0])
    assert "hunter22" not in process.log_text()
    assert os.linesep not in lines[0]["message"]
