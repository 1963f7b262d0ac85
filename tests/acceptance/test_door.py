"""At the door: a seat that two people bought one after the other, and what each of their pages is worth."""

from __future__ import annotations

import asyncio
import json
from io import BytesIO
from pathlib import Path

import pypdfium2  # type: ignore[import-untyped]
import pytest
import zxingcpp
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from boxoffice.door.desk import Desk
from boxoffice.door.errors import CancelledTicketError, NeverSoldError
from boxoffice.door.holding import Holdings
from boxoffice.door.keys import read_ring
from boxoffice.door.ring_file import rotate
from boxoffice.door.signing import sign
from boxoffice.errors import ExitStatus
from boxoffice.kafka.asking import ask, command_from
from models.codes import to_base45
from tests.support.office import Office, until
from tests.support.settings import changed
from tests.support.workload import Sent
from tests.unit.records import creation, purchase

SEAT = "42-000001"

pytestmark = pytest.mark.timeout(300)


def code_in(pdf: bytes) -> str:
    """What a scanner reads from the page."""
    picture = pypdfium2.PdfDocument(BytesIO(pdf))[0].render(scale=2).to_pil()
    [code] = zxingcpp.read_barcodes(picture)
    return code.text


async def right(office: Office, *arguments: str) -> str:
    done = await office.run(*arguments)
    assert done.returncode == ExitStatus.OK, done.stderr
    return done.stdout


async def decided(office: Office, **members: object) -> None:
    await ask(office.settings.kafka, command_from({"event_id": "42", **members}), 60)


async def page_of(folder: Path, purchase: str) -> bytes:
    """The page that the seat has by a purchase."""
    path = folder / "42" / f"{SEAT}.{purchase}.pdf"
    await until(path.exists, 60, f"{path} to be there")
    return await asyncio.to_thread(path.read_bytes)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where documents lie."""
    monkeypatch.setenv("BOXOFFICE_HEALTH_PORT", "0")
    monkeypatch.setenv("BOXOFFICE_DOCUMENTS_URL", (tmp_path / "documents").as_uri())
    return tmp_path / "documents"


async def test_one_seat_two_buyers_two_codes_and_one_of_them_lets_in(office: Office, folder: Path) -> None:
    selling, drawing = office.start(), office.start("documents")
    await office.ready(selling)
    await decided(office, **creation("42", 1))

    await decided(office, request_id="r-alice", buyer="alice")
    alice = code_in(await page_of(folder, "r-alice"))
    told = await right(office, "door", "verify", alice, "--online")
    assert told.startswith(f"Good: ticket {SEAT} (event 42, seq 2, key 1) was sold to purchase r-alice at 2")

    await decided(office, type="cancel_purchase", request_id="x-1", purchase="r-alice")
    with pytest.raises(
        CancelledTicketError, match=rf"^Cancelled with seq 3: ticket {SEAT} \(event 42, seq 2, key 1\) "
    ):
        await asyncio.to_thread(Desk(office.key_ring, Holdings(office.settings.kafka, 30)).judge, alice)

    await decided(office, request_id="r-bob", buyer="bob")
    bob = code_in(await page_of(folder, "r-bob"))
    assert bob != alice
    assert "seq 4" in await right(office, "door", "verify", bob, "--online")

    # By its signature alone alice's is as good as it was: that she gave it back, only the ledger knows.
    assert Desk(office.key_ring, None).judge(alice).startswith("Good by its signature")
    refused = await office.run("door", "verify", alice, "--online")
    assert (refused.returncode, refused.stderr) == (
        ExitStatus.BAD_CODE,
        f"Sold again with seq 4, after it was cancelled with seq 3: ticket {SEAT} (event 42, seq 2, key 1) "
        "is the old owner's ticket.\n",
    )

    # Who knows the number, and the form, makes a code that nobody takes.
    forged = "BX1:" + to_base45(bytes([1, 1, 42, 1, 4]) + bytes(64))
    done = await office.run("door", "verify", forged)
    assert done.returncode == ExitStatus.BAD_CODE
    assert done.stderr.startswith("The signature is wrong")

    assert [await selling.stop(), await drawing.stop()] == [0, 0]
    [key] = json.loads(office.key_ring.read_text())["keys"]
    assert all(key["d"] not in process.log_text() for process in (selling, drawing))


async def test_what_a_stolen_key_signs_was_never_sold_by_the_ledger(office: Office) -> None:
    selling = office.start(BOXOFFICE_HEALTH_PORT="0")
    await office.ready(selling)
    await office.send([Sent(b"42", json.dumps(one).encode()) for one in (creation("42"), purchase("r-1", "42", 2))])
    await office.answered()
    [key] = read_ring(office.key_ring.read_bytes()).keys
    online = Desk(office.key_ring, Holdings(office.settings.kafka, 30))
    for event_id, number, seq in (("42", 1, 1), ("42", 3, 2), ("42", 1, 3), ("42", 1, 99), ("43", 1, 2)):
        stolen = sign(key, event_id, f"{event_id}-{number:06d}", seq)
        assert Desk(office.key_ring, None).judge(stolen).startswith("Good by its signature")
        with pytest.raises(NeverSoldError):
            await asyncio.to_thread(online.judge, stolen)
    # One that asks all along reads on from where it was.
    for number in (1, 2):
        assert "to purchase r-1 " in await asyncio.to_thread(online.judge, sign(key, "42", f"42-{number:06d}", 2))
    cancel = {"type": "cancel_purchase", "request_id": "x-1", "event_id": "42", "purchase": "r-1"}
    await office.send([Sent(b"42", json.dumps(cancel).encode())])
    await office.answered()
    with pytest.raises(CancelledTicketError):
        await asyncio.to_thread(online.judge, sign(key, "42", SEAT, 2))
    assert await selling.stop() == 0


async def test_a_page_that_is_drawn_again_has_the_same_code_until_its_key_is_revoked(
    office: Office, folder: Path
) -> None:
    selling, drawing = office.start(), office.start("documents")
    await office.ready(selling)
    await decided(office, **creation("42", 2))
    await decided(office, **purchase("r-1", "42"))
    first = await page_of(folder, "r-1")
    processes = [drawing]

    async def drawn_again() -> bytes:
        assert await processes.pop().stop() == 0
        await set_back(office)
        (folder / "42" / f"{SEAT}.r-1.pdf").unlink()
        processes.append(office.start("documents"))
        return await page_of(folder, "r-1")

    await right(office, "door", "keys", "rotate", "--in", "0")
    assert await drawn_again() == first

    await right(office, "door", "keys", "revoke", "1")
    void = await office.run("door", "verify", code_in(first), "--online")
    assert void.returncode == ExitStatus.BAD_CODE
    assert void.stderr.startswith("Key 1 was revoked at 2")
    renewed = await drawn_again()
    told = await right(office, "door", "verify", code_in(renewed), "--online")
    assert told.startswith(f"Good: ticket {SEAT} (event 42, seq 2, key 2) was sold to purchase r-1 at 2")
    # What was announced last of the sale is what lies there.
    await right(office, "audit", "--wait", "30")
    assert [await one.stop() for one in (selling, *processes)] == [0, 0]


async def test_a_key_that_is_rotated_in_signs_what_is_sold_from_then_on(office: Office, folder: Path) -> None:
    """The process that draws all along learns of it by itself."""
    selling, drawing = office.start(), office.start("documents")
    await office.ready(selling)
    await decided(office, **creation("42", 1))
    codes = []
    for sale in ("r-1", "r-2"):
        await decided(office, **purchase(sale, "42"))
        codes.append(code_in(await page_of(folder, sale)))
        rotate(office.key_ring, 0)
        await decided(office, type="cancel_purchase", request_id=f"x-{sale}", purchase=sale)
    told = [Desk(office.key_ring, None).judge(code) for code in codes]
    assert ["key 1" in told[0], "key 2" in told[1]] == [True, True], told
    assert [await selling.stop(), await drawing.stop()] == [0, 0]


async def set_back(office: Office) -> None:
    """Set the documents' group to the ledger's beginning, so that it draws everything again."""
    admin = AdminClient({"bootstrap.servers": office.settings.kafka.bootstrap_servers})
    group = f"{office.settings.kafka.topic_prefix}boxoffice-documents"
    beginnings = [TopicPartition(office.ledger, number, 0) for number in range(office.settings.kafka.partitions)]
    deadline = asyncio.get_running_loop().time() + 30
    while True:
        [altered] = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, beginnings)]).values()
        error = await asyncio.to_thread(altered.exception)
        if error is None:
            return
        # Its member has left, and the broker does not know it yet.
        assert asyncio.get_running_loop().time() < deadline, error
        await asyncio.sleep(0.2)


async def test_without_keys_the_documents_process_refuses_to_start_and_says_the_command(
    office: Office, folder: Path, tmp_path: Path
) -> None:
    drawing = office.start("documents", BOXOFFICE_DOOR_KEYS=str(tmp_path / "none.json"))
    assert await drawing.end() == ExitStatus.USAGE
    assert drawing.log_text() == (
        f"There are no keys at {tmp_path / 'none.json'}: make them with 'boxoffice door keys create', "
        "or let BOXOFFICE_DOOR_KEYS name the ring that there is.\n"
    )
    (tmp_path / "public.json").write_text(await right(office, "door", "keys", "list", "--public"))
    drawing = office.start("documents", BOXOFFICE_DOOR_KEYS=str(tmp_path / "public.json"))
    assert await drawing.end() == ExitStatus.USAGE
    assert "'boxoffice door keys rotate'" in drawing.log_text()
    assert not await asyncio.to_thread(folder.exists)


async def test_a_ledger_that_cannot_be_asked_is_no_verdict(office: Office) -> None:
    [key] = read_ring(office.key_ring.read_bytes()).keys
    code = sign(key, "42", SEAT, 2)
    office.settings = changed(office.settings, kafka_bootstrap_servers="127.0.0.1:1")
    done = await office.run("door", "verify", code, "--online")
    assert done.returncode == ExitStatus.UNREACHABLE
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
