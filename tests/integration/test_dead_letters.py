"""``boxoffice dead-letters`` on a real Kafka: what lies there is told safely, and commands are published again."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from boxoffice.errors import ExitStatus
from boxoffice.kafka import clients
from boxoffice.kafka.side_records import SideRecord, dead_letter
from tests.support.office import ROOT, Office, Record
from tests.support.servers import KafkaAddress, RedisAddress
from tests.support.workload import Sent
from tests.unit.records import AT_MS, creation, purchase, record

PARTITIONS = 3
TRACE = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
HOSTILE = "\x1b[2J\x1b]0;owned\x07 \u009b31m \u202e evil\r\n\x00\x7f"


class Letters:
    """An office, and what can be put on its dead-letters topic."""

    def __init__(self, office: Office) -> None:
        self.office = office

    async def publish(self, topic: str, letter: SideRecord, partition: int = 0, at_ms: int | None = None) -> None:
        """Publish a record, whatever it is."""
        key, value, headers = letter
        async with clients.producer(self.office.settings.kafka) as producer:
            await producer.send_and_wait(
                topic, value, key=key, partition=partition, headers=headers, timestamp_ms=at_ms
            )

    def of(self, value: bytes | dict[str, Any], reason: str, *, topic: str = "", **parts: Any) -> SideRecord:
        """The dead letter of a record at 1:17, of purchase-requests unless told otherwise."""
        original = replace(record(17, value, partition=1, **parts), topic=topic or self.office.requests)
        return dead_letter(original, reason)

    async def put(self, *letters: SideRecord) -> None:
        """Put dead letters on partition 0, in order."""
        for letter in letters:
            await self.publish(self.office.dead_letters, letter)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``boxoffice dead-letters``."""
        return self.office.boxoffice("dead-letters", *arguments)

    def listed(self, *arguments: str) -> dict[str, Any]:
        """What ``list --json`` says."""
        done = self.run("list", "--json", *arguments)
        assert done.returncode == ExitStatus.OK, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def retried(self, *arguments: str, status: ExitStatus = ExitStatus.OK) -> list[dict[str, Any]]:
        """What ``retry --json`` says."""
        done = self.run("retry", "--json", *arguments)
        assert done.returncode == status, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    async def requests(self) -> list[Record]:
        """All of purchase-requests."""
        return await self.office.read(self.office.requests)


@pytest.fixture
async def letters(
    kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path
) -> AsyncIterator[Letters]:
    """Topics, and nobody who reads them."""
    office = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path, PARTITIONS)
    await office.open()
    yield Letters(office)
    office.close()


@pytest.fixture
async def selling(letters: Letters) -> Letters:
    """The same, and a purchases process that decides."""
    await letters.office.ready(letters.office.start(BOXOFFICE_HEALTH_PORT="0"))
    return letters


def as_it_was(record: Record) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    return record.key, record.value, list(record.headers)


def refusals(retried: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Why which were refused."""
    return {one["position"]: one["refused"] for one in retried if one["refused"]}


# From the command to the dead letter and back


async def test_an_unreadable_command_is_listed_shown_and_published_again_as_it_was(selling: Letters) -> None:
    office = selling.office
    headers = [TRACE, ("boxoffice-origin", b"0:5"), ("boxoffice-reason", b"forged"), ("shop", b"\xff\x00")]
    await selling.publish(
        office.requests, (b"42", b'{"quantity": 2', headers), clients.home_partition("42", PARTITIONS)
    )
    await selling.publish(office.requests, (None, b"garbage", []), 2)
    await office.answered()
    before = await selling.requests()

    newest = selling.listed()["letters"]
    positions = {letter["original"]: letter["position"] for letter in newest}
    by_original = {f"{office.requests}:{found.partition}:{found.offset}": found for found in before}
    assert positions.keys() == by_original.keys()
    for letter in newest:
        assert (letter["of"], letter["cut"]) == ("command", False)
        assert letter["reason"].startswith("no JSON")
    for original, position in positions.items():
        shown = json.loads(selling.run("show", position, "--json").stdout)
        assert shown["original"] == original
        assert shown["value"]["text"] == (by_original[original].value or b"").decode()

    told = selling.retried("--all")
    assert sorted(one["position"] for one in told) == sorted(positions.values())
    assert refusals(told) == {}
    await office.answered()
    after = {f"{found.partition}:{found.offset}": found for found in await selling.requests()}
    assert len(after) == len(before) + 2
    again = {positions[original]: found for original, found in by_original.items()}
    for one in told:
        key, value, original_headers = as_it_was(again[one["position"]])
        own = [(name, held) for name, held in original_headers if not name.startswith("boxoffice-")]
        assert as_it_was(after[one["landed"]]) == (key, value, own)
    assert len(selling.listed()["letters"]) == 4, "what still cannot be read is a new dead letter"
    assert (await office.verdict()).problems == []


async def test_a_command_that_can_be_read_now_is_answered_once_however_often_it_is_retried(selling: Letters) -> None:
    await selling.office.send([Sent(b"42", json.dumps(creation("42")).encode())])
    await selling.put(selling.of(purchase("r-1", "42", 2), "type: unknown", key=b"42", headers=(TRACE,)))
    for _ in range(2):
        assert refusals(selling.retried("0:0")) == {}
    await selling.office.answered()
    facts = [json.loads(line) for line in selling.office.boxoffice("results", "--json").stdout.splitlines()]
    first, second = (fact for fact in facts if fact["request_id"] == "r-1")
    assert (first["type"], first["seq"], first["tickets"]) == ("purchase_confirmed", 2, ["42-000001", "42-000002"])
    assert {**second, "decided_by": ""} == {**first, "decided_by": ""}
    told = json.loads(selling.office.boxoffice("event", "show", "42", "--json").stdout)
    assert told["ledger"]["sold"] == 2


# What is refused


async def test_what_must_not_be_published_again_is_refused_by_name_and_stops_no_other(letters: Letters) -> None:
    office = letters.office
    good = letters.of(b"{", "no JSON", key=b"42", headers=(TRACE,))
    sale = replace(record(17, b"{}", partition=1), topic=office.ledger)
    too_large = (b"42", b"x" * 70_000, good[2])
    await letters.put(
        letters.of(b"x" * 70_000, "70000 bytes"),
        dead_letter(sale, "Ticket 42-000007 could not be drawn: it hung", "42-000007"),
        (b"42", b"garbage", [TRACE]),
        (b"42", b"{}", [("boxoffice-reason", b"x"), ("boxoffice-position", b"purchase-requests")]),
        letters.of(b"{}", "no JSON", topic="purchase-requests"),
        too_large,
        good,
    )
    refused = {
        "0:0": f"it was cut: the original, at {office.requests}:1:17, has 70000 bytes",
        "0:1": f"it is the sale at {office.ledger}:1:17 of ticket 42-000007",
        "0:2": "its marks are missing or wrong: the box office did not put it there",
        "0:3": "its marks are missing or wrong: the box office did not put it there",
        "0:4": "it says that it comes from purchase-requests:1:17",
        "0:5": "it is larger than a dead letter can be",
    }
    told = letters.retried("--all", status=ExitStatus.DIFFERS)
    assert refusals(told).keys() == refused.keys()
    for position, beginning in refused.items():
        assert refusals(told)[position].startswith(beginning)
    done = letters.run("retry", "0:1")
    assert done.returncode == ExitStatus.DIFFERS
    assert done.stdout.startswith(f"0:1 is refused: {refused['0:1']}")
    assert done.stdout.endswith("0 published, 1 refused.\n")
    [published] = await letters.requests()
    assert as_it_was(published) == (b"42", b"{", [TRACE])
    kinds = [(letter["of"], letter["cut"]) for letter in reversed(letters.listed()["letters"])]
    assert kinds == [
        ("command", True), ("document", False), *[("foreign", False)] * 4, ("command", False),
    ]  # fmt: skip


async def test_exactly_one_way_to_choose_is_given(letters: Letters) -> None:
    await letters.put(letters.of(b"{", "x"))
    for arguments in ([], ["0:0", "--all"], ["--all", "--reason", "x"], ["0:0", "--reason", "x"]):
        done = letters.run("retry", *arguments)
        assert done.returncode == ExitStatus.USAGE
        assert "give one of" in done.stderr
    assert await letters.requests() == []


async def test_where_nothing_lies_is_status_3_and_one_sentence(letters: Letters) -> None:
    await letters.put(letters.of(b"{", "no JSON"), letters.of(b"{", "no JSON"))
    async with clients.admin(letters.office.settings.kafka) as admin:
        deleted = TopicPartition(letters.office.dead_letters, 0)
        await admin.delete_records({deleted: RecordsToDelete(before_offset=1)})
    for command, position in (("show", "0:0"), ("show", "0:2"), ("show", f"{PARTITIONS}:0"), ("retry", "0:2")):
        done = letters.run(command, position)
        assert (done.returncode, done.stdout) == (ExitStatus.REJECTED, "")
        assert done.stderr.startswith(f"There is no dead letter at {position}: ")
        assert done.stderr.count("\n") == 1
    assert letters.run("show", "0:1").returncode == ExitStatus.OK
    assert letters.run("show", "17").returncode == ExitStatus.USAGE


# What is chosen


async def test_a_reason_chooses_and_a_dry_run_publishes_nothing(letters: Letters) -> None:
    await letters.put(
        letters.of(b"a", "no JSON: line 1 column 1"),
        letters.of(b"b", "quantity: too many"),
        letters.of(b"c", "no JSON: line 1 column 12"),
    )
    counted = letters.listed("--reason", "no JSON")
    assert counted["reasons"] == {"no JSON: line N column N": 2}
    assert [letter["position"] for letter in counted["letters"]] == ["0:2", "0:0"]
    [counted_as] = counted["reasons"]
    would_be = letters.retried("--reason", counted_as, "--dry-run")
    assert would_be == [{"position": position, "landed": None, "refused": None} for position in ("0:0", "0:2")]
    assert letters.run("retry", "--all", "--dry-run").stdout.endswith("3 would be published, 0 refused.\n")
    assert await letters.requests() == []
    assert [one["position"] for one in letters.retried("--reason", "column 12")] == ["0:2"]
    assert [found.value for found in await letters.requests()] == [b"c"]


async def test_the_newest_of_all_partitions_are_shown_and_all_are_counted(letters: Letters) -> None:
    for number in range(7):
        letter = letters.of(b"{", f"no JSON {number}")
        await letters.publish(letters.office.dead_letters, letter, 2 - number % PARTITIONS, AT_MS + number)
    listing = letters.listed("--limit", "3")
    assert [letter["reason"] for letter in listing["letters"]] == [f"no JSON {number}" for number in (6, 5, 4)]
    assert listing["reasons"] == {"no JSON N": 7}
    table = letters.run("list", "--limit", "3").stdout
    assert "no JSON 4" in table
    assert "no JSON 3" not in table
    assert re.search(r"7 +no JSON N", table)


# What strangers wrote


async def test_nothing_that_strangers_wrote_reaches_the_terminal_raw(letters: Letters) -> None:
    raw = HOSTILE.encode()
    await letters.put(
        letters.of(raw, HOSTILE, key=raw, headers=((HOSTILE, raw), ("bytes", b"\xff\x9b"))),
        (raw, raw, [("boxoffice-reason", raw), ("boxoffice-position", raw), ("boxoffice-ticket", raw)]),
    )
    commands = ["list", "show 0:0", "show 0:1", "retry --all"]
    for command in [*commands, *(f"{command} --json" for command in commands)]:
        done = letters.run(*command.split())
        assert (done.stdout + done.stderr).replace("\n", "").isprintable(), command
    shown = letters.run("show", "0:0").stdout
    assert r"\x1b[2J\x1b]0;owned\x07 \u009b31m \u202e evil\r\n\x00\x7f" in shown
    assert r"\xff\x9b" in shown
    assert json.loads(letters.run("show", "0:0", "--json").stdout)["value"]["text"] == HOSTILE


# The guide


async def test_the_guides_commands_work_as_they_are_written(letters: Letters) -> None:
    guide = (ROOT / "docs" / "dead-letters.md").read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", guide, re.DOTALL) for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("boxoffice ")]
    assert len(commands) == 8
    await letters.put(letters.of(b"{", "no JSON"))
    for command in commands:
        done = letters.office.boxoffice(*shlex.split(command)[1:])
        assert done.returncode == ExitStatus.OK, command + done.stderr
    assert [found.value for found in await letters.requests()] == [b"{"] * 3
