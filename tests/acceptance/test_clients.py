"""The programs in docs/clients, run as they stand against a box office that sells."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from boxoffice.embedded.jars import class_path
from boxoffice.kafka.clients import home_partition
from tests.support.foreign import CLIENTS, CannotBeHadError, Programs, built
from tests.support.office import Office, Process, until
from tests.support.servers import KafkaAddress, RedisAddress
from tests.support.workload import Sent, order

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PARTITIONS: Final = 12
EVENTS: Final = {"python": "42", "java": "43", "node": "44", "go": "45"}
"""Each language sells an event of its own."""
DEADLINE_S: Final = 90
SOLD, NOT_SOLD = 0, 3
GUIDE: Final = CLIENTS.with_suffix(".md").read_text(encoding="utf-8")
_BLOCK: Final = re.compile(r"```sh\n(.*?)```", re.DOTALL)
BASH: Final = shutil.which("bash") or "/bin/bash"


@dataclass(frozen=True)
class Client:
    """A language's programs. ``away`` sends to another partition than the event's home."""

    event_id: str
    home: Programs
    away: Programs


def elsewhere(event_id: str) -> str:
    """A key of another partition."""
    home = home_partition(event_id, PARTITIONS)
    return next(key for key in map(str, range(100)) if home_partition(key, PARTITIONS) != home)


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Client | str]:
    """All of them; in the place of one that cannot be built here, why."""
    folder = tmp_path_factory.mktemp("clients")
    found: dict[str, Client | str] = {}
    for language, event_id in EVENTS.items():
        try:
            home = built(language, folder / language)
            away = built(language, folder / f"{language}-away", elsewhere(event_id))
        except CannotBeHadError as error:
            found[language] = str(error)
        else:
            found[language] = Client(event_id, home, away)
    return found


@pytest.fixture(
    params=["python", *(pytest.param(other, marks=pytest.mark.toolchain) for other in EVENTS if other != "python")]
)
def client(request: pytest.FixtureRequest, clients: dict[str, Client | str]) -> Client:
    """One language's."""
    found = clients[request.param]
    if isinstance(found, str):
        pytest.skip(found)
    return found


@dataclass
class Selling:
    """A box office with a worker, and an event for each language."""

    office: Office
    worker: Process
    folder: Path
    started: list[Process] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What a client has to know; nothing of it is Python's."""
        own = self.office.environment
        names = ("BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS", "BOXOFFICE_TOPIC_PREFIX")
        return {**os.environ, **{name: own[name] for name in names}}

    async def buy(self, command: list[str], *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run a program to its end: its status, and the fact that it printed."""
        done = await asyncio.to_thread(
            subprocess.run,
            [*command, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def start(self, name: str, command: list[str], *arguments: str) -> Process:
        """Start a program beside the test."""
        self.started.append(Process([*command, *arguments], self.environment, self.folder / f"{name}.log"))
        return self.started[-1]

    def close(self) -> None:
        """End what still runs."""
        for process in self.started:
            process.kill()
        self.office.close()

    async def asked(self) -> dict[str, list[str]]:
        """The ids of each event's requests, in their order; one that is repeated at once stands once."""
        found: dict[str, list[str]] = {}
        for record in await self.office.read(self.office.requests):
            members = json.loads(record.value or b"")
            asked = found.setdefault(members["event_id"], [])
            if asked[-1:] != [members["request_id"]]:
                asked.append(members["request_id"])
        return found

    async def facts(self) -> list[dict[str, Any]]:
        """The ledger, each decision once and in order, and what counts nothing."""
        found = [json.loads(record.value or b"") for record in await self.office.read(self.office.ledger)]
        return list({(fact["event_id"], fact["seq"] or str(fact["source"])): fact for fact in found}.values())


def creation(event_id: str, capacity: int = 1000) -> Sent:
    command = {
        "type": "create_event",
        "request_id": f"c-{event_id}",
        "event_id": event_id,
        "name": "Night at the Opera",
        "venue": "Main Hall",
        "starts_at": "2027-03-01T19:30:00Z",
        "capacity": capacity,
        "max_per_order": 8,
        "price": {"amount": 4500, "currency": "EUR"},
    }
    return Sent(event_id.encode(), json.dumps(command).encode())


@pytest.fixture(scope="module")
def selling(
    kafka: KafkaAddress,
    redis_server: RedisAddress,
    module_prefix: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Selling]:
    folder = tmp_path_factory.mktemp("office")
    office = Office(kafka.bootstrap_servers, redis_server.url, module_prefix, folder, PARTITIONS)

    async def open_office() -> Process:
        await office.open()
        worker = office.start()
        await office.ready(worker)
        await office.send(creation(event_id) for event_id in EVENTS.values())
        await office.answered()
        return worker

    opened = Selling(office, asyncio.run(open_office()), folder)
    yield opened
    opened.close()


async def test_a_client_buys_and_is_told_what_became_of_it(client: Client, selling: Selling) -> None:
    async def buy(*arguments: str) -> tuple[int, dict[str, Any]]:
        return await selling.buy(client.home.buy, client.event_id, *arguments)

    status, sold = await buy("2", "b-77", "r-1")
    assert (status, sold["type"], len(sold["tickets"])) == (SOLD, "purchase_confirmed", 2)

    status, again = await buy("2", "b-77", "r-1")
    assert (status, again["seq"], again["tickets"]) == (SOLD, sold["seq"], sold["tickets"])

    status, other = await buy("3", "b-77", "r-1")
    assert (status, other["type"], other["reason"]) == (NOT_SOLD, "purchase_rejected", "request_id_reused")

    status, unreadable = await buy("101", "b-77", "r-2")
    assert (status, unreadable["type"]) == (NOT_SOLD, "command_unreadable")

    assert (await selling.office.run("cancel", client.event_id, "r-1", "--request-id", "x-1")).returncode == 0
    status, since = await buy("2", "b-77", "r-1")
    assert (status, since["type"], since["purchase"]) == (NOT_SOLD, "purchase_cancelled", "r-1")


async def test_the_guides_command_buys(
    client: Client, selling: Selling, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """As it stands, but for packages that are installed already, and in a copy of the folder."""
    language = request.node.callspec.params["client"]
    [block] = [found for found in _BLOCK.findall(GUIDE) if f"cd docs/clients/{language}\n" in found]
    lines = [line for line in block.splitlines() if not line.startswith(("cd ", "pip ", "npm "))]
    folder = shutil.copytree(client.home.folder, tmp_path / language)
    done = await asyncio.to_thread(
        subprocess.run,
        [BASH, "-ec", "\n".join(lines)],
        cwd=folder,
        env={
            **selling.environment,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "JARS": os.pathsep.join(map(str, class_path())),
            "GOTOOLCHAIN": "local",
        },
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == SOLD, done.stderr
    assert json.loads(done.stdout)["type"] == "purchase_confirmed"


async def test_a_client_is_answered_wherever_it_sends(client: Client, selling: Selling) -> None:
    async def buy(*arguments: str) -> tuple[int, dict[str, Any]]:
        return await selling.buy(client.away.buy, client.event_id, *arguments)

    status, sold = await buy("1", "b-77", "away-1")
    assert (status, sold["type"], len(sold["tickets"])) == (SOLD, "purchase_confirmed", 1)
    assert sold["source"]["partition"] != home_partition(client.event_id, PARTITIONS)

    status, again = await buy("1", "b-77", "away-1")
    assert (status, again["seq"], again["tickets"]) == (SOLD, sold["seq"], sold["tickets"])

    status, refused = await buy("9", "b-77", "away-2")
    assert (status, refused["type"], refused["reason"]) == (NOT_SOLD, "purchase_rejected", "over_order_limit")

    forwarded = [fact for fact in await selling.facts() if fact["type"] == "command_forwarded"]
    asked = [fact["request_id"] for fact in forwarded if fact["event_id"] == client.event_id]
    assert sorted(asked) == ["away-1", "away-1", "away-2"]


def cancellation(event_id: str, purchase: str) -> Sent:
    command = {"type": "cancel_purchase", "request_id": f"x-{purchase}", "event_id": event_id, "purchase": purchase}
    return Sent(event_id.encode(), json.dumps(command).encode())


async def test_clients_that_were_refused_are_so_for_good_however_many_copies_they_have_sent(
    clients: dict[str, Client | str], selling: Selling
) -> None:
    """While no worker sells they send again. What the first copy cannot have comes back before the last: in vain."""
    office = selling.office
    able = {language: client for language, client in clients.items() if isinstance(client, Client)}
    events = {language: f"1{client.event_id}" for language, client in able.items()}
    await office.send(creation(event_id, 2) for event_id in events.values())
    await office.answered()
    await office.send(order(event_id, "held", 2) for event_id in events.values())
    await office.answered()
    selling.worker.kill()
    started = {
        language: selling.start(f"buy-{language}", client.home.buy, events[language], "2", "b-77", "waiting")
        for language, client in able.items()
    }
    wanted = ["held", "waiting", "x-held", "waiting"]
    waiting = set(events.values())
    async with asyncio.timeout(DEADLINE_S):
        while waiting:
            for event_id, asked in (await selling.asked()).items():
                if event_id in waiting and asked[-2:] == wanted[:2]:
                    await office.send([cancellation(event_id, "held")])
                elif asked[-4:] == wanted:
                    waiting.discard(event_id)
    selling.worker = office.start()
    for language, process in started.items():
        assert await process.end(DEADLINE_S) == NOT_SOLD, (language, process.log_text())
    facts = await selling.facts()
    for event_id in events.values():
        [told] = [fact for fact in facts if fact["event_id"] == event_id and fact["request_id"] == "waiting"]
        assert (told["type"], told["reason"]) == ("purchase_rejected", "sold_out")
    for language, client in able.items():
        status, again = await selling.buy(client.home.buy, events[language], "2", "b-77", "waiting")
        assert (status, again["reason"]) == (NOT_SOLD, "sold_out"), language


async def test_what_is_held_is_an_answer_and_so_is_what_becomes_of_it(client: Client, selling: Selling) -> None:
    office, event_id = selling.office, f"2{client.event_id}"
    created = json.loads(creation(event_id).value) | {"hold_s": 600}
    await office.send([Sent(event_id.encode(), json.dumps(created).encode())])
    await office.answered()
    status, held = await selling.buy(client.home.buy, event_id, "2", "b-77", "h-1")
    assert (status, held["type"], held["amount"]) == (SOLD, "purchase_held", 9000)
    payment = {"payment": "pay-1", "amount": 9000, "currency": "EUR"}
    command = {"type": "confirm_purchase", "request_id": "p-1", "event_id": event_id, "purchase": "h-1", **payment}
    await office.send([Sent(event_id.encode(), json.dumps(command).encode())])
    await office.answered()
    status, paid = await selling.buy(client.home.buy, event_id, "2", "b-77", "h-1")
    assert (status, paid["type"], paid["payment"]) == (SOLD, "purchase_confirmed", "pay-1")
    assert paid["tickets"] == held["tickets"]


def kept(folder: Path) -> dict[str, tuple[int, int]]:
    """What a follower knows: of each event the newest seq, and how many tickets are sold."""
    files = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    return {
        event_id: (event["seq"], event["sold"])
        for file in files
        for event_id, event in file["events"].items()
        if event["seq"]
    }


def agrees(folder: Path, with_ledger: dict[str, tuple[int, int]]) -> bool:
    """Whether a follower has taken all that there is."""
    return kept(folder) == with_ledger


async def expected(selling: Selling) -> dict[str, tuple[int, int]]:
    """The same by the ledger."""
    sums: dict[str, tuple[int, int]] = {}
    for fact in await selling.facts():
        if fact["seq"]:
            sign = {"purchase_confirmed": 1, "purchase_cancelled": -1}.get(fact["type"], 0)
            sign *= not fact.get("held")
            seq, sold = sums.get(fact["event_id"], (0, 0))
            assert fact["seq"] > seq
            sums[fact["event_id"]] = (fact["seq"], sold + sign * len(fact.get("tickets", ())))
    return sums


LATE: Final = "46"
"""An event of which the followers have missed the beginning."""


async def test_followers_pass_nothing_over_when_they_are_killed_or_share(
    clients: dict[str, Client | str], selling: Selling, tmp_path: Path
) -> None:
    """One follows, a second joins it, the first is killed, and in the end the files hold what the ledger holds."""
    office = selling.office
    await office.send([creation(LATE)])
    await office.answered()
    ends = max(
        record.offset + 1
        for record in await office.read(office.ledger)
        if record.partition == home_partition(LATE, PARTITIONS)
    )
    assert home_partition(LATE, PARTITIONS) not in {home_partition(other, PARTITIONS) for other in EVENTS.values()}
    able = {language: client for language, client in clients.items() if isinstance(client, Client)}
    folders = {language: tmp_path / language for language in able}
    for folder in folders.values():
        folder.mkdir()
        (folder / f"{home_partition(LATE, PARTITIONS)}.json").write_text(json.dumps({"next": ends, "events": {}}))

    def follower(number: int) -> dict[str, Process]:
        return {
            language: selling.start(f"follow-{language}-{number}", client.home.follow, str(folders[language]))
            for language, client in able.items()
        }

    async def sell_and_see(name: str) -> None:
        sent = [order(event_id, f"{name}-{number}") for number in range(20) for event_id in (*EVENTS.values(), LATE)]
        await office.send([*sent, *(cancellation(event_id, f"{name}-3") for event_id in EVENTS.values()), *sent[-9:]])
        await office.answered()
        there = await expected(selling)
        there.pop(LATE)
        for language, folder in folders.items():
            await until(partial(agrees, folder, there), DEADLINE_S, f"{language}, {name}: {there}")

    first = follower(1)
    await sell_and_see("alone")
    second = follower(2)
    async with asyncio.timeout(DEADLINE_S):
        for number in itertools.count():
            if all(process.log_text() for process in second.values()):
                break
            await sell_and_see(f"together-{number}")
    for process in first.values():
        process.kill()
    await sell_and_see("second")
    for language, process in first.items():
        assert f"{LATE}: 2 after 0. Begun in the middle?" in process.log_text(), language
        assert all(f"{event_id}: " not in process.log_text() for event_id in EVENTS.values()), process.log_text()
