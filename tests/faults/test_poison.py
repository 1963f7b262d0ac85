"""Records that no client should send, between commands that are good."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from boxoffice.errors import ExitStatus
from boxoffice.kafka import clients
from tests.support.odd_headers import OddName, let_producers_send_odd_names
from tests.support.office import Office
from tests.support.workload import creations, order
from tests.unit.strangers import WRAPPINGS
from topics.dead_letters import POSITION_HEADER
from topics.purchase_requests import ORIGIN_HEADER

EVENT = "4242"
OTHER_EVENT = b"1"
KIB = 1024


class Hostile(NamedTuple):
    """A record as it is sent to the event's home."""

    value: bytes | None
    key: bytes | None = EVENT.encode()
    headers: tuple[tuple[str, bytes], ...] = ()


def purchase(request_id: str, **members: Any) -> bytes:
    return json.dumps({"request_id": request_id, "event_id": EVENT, "buyer": "b", **members}).encode()


def with_quantity(number: bytes) -> bytes:
    return purchase("bad", quantity=0).replace(b'"quantity": 0', b'"quantity": ' + number)


UNREADABLE = {
    "no value": Hostile(None),
    "an empty value": Hostile(b""),
    "1 MB": Hostile(purchase("bad", buyer="b" * 1_000_000)),
    "headers of more than 16 KiB": Hostile(purchase("bad"), headers=(("x", b"x" * 17 * KIB),)),
    "20,000 headers": Hostile(purchase("bad"), headers=(("x", b""),) * 20_000),
    "invalid UTF-8": Hostile(purchase("bad", buyer="?").replace(b"?", b"\xc3\x28")),
    "a byte order mark": Hostile(b"\xef\xbb\xbf" + purchase("bad")),
    "UTF-16": Hostile(purchase("bad").decode().encode("utf-16")),
    "nothing but brackets": Hostile(b"[" * 16_000),
    "a deeply nested member": Hostile(
        purchase("bad", note=0).replace(b": 0}", b": " + b"[" * 7_000 + b"]" * 7_000 + b"}")
    ),
    "a number of 10,000 digits": Hostile(with_quantity(b"9" * 10_000)),
    "a number beyond all floats": Hostile(with_quantity(b"1e999999")),
    "NaN": Hostile(with_quantity(b"NaN")),
    "a lone surrogate": Hostile(purchase("bad", buyer="\ud800")),
    "a lone surrogate in a member's name": Hostile(purchase("bad").replace(b'"buyer"', b'"\\udfff": 1, "buyer"')),
    "a null character": Hostile(purchase("bad", buyer="\x00")),
    "an event id too large for any integer": Hostile(purchase("bad", event_id=10**400)),
    "an array of commands": Hostile(b"[" + purchase("bad") + b"]"),
    "two commands": Hostile(purchase("bad") + purchase("bad")),
    **{name: Hostile(wrap(purchase("bad"))) for name, wrap in WRAPPINGS.items()},
}
ODD = {
    "no key": Hostile(purchase("no-key"), None),
    "the key of another event": Hostile(purchase("other-key"), OTHER_EVENT),
    "a key of 100 KiB": Hostile(purchase("long-key"), b"k" * 100 * KIB),
    "an origin that is none": Hostile(purchase("no-origin"), headers=((ORIGIN_HEADER, b"\xff\x00"),)),
    "an origin without end": Hostile(purchase("long-origin"), headers=((ORIGIN_HEADER, b"1:" + b"9" * 4_000),)),
    "an origin on a partition that is not there": Hostile(purchase("far"), headers=((ORIGIN_HEADER, b"999:0"),)),
    "nulls": Hostile(purchase("nulls", quantity=None, type=None, note=None)),
    "the same member twice": Hostile(purchase("twice", quantity=1)[:-1] + b', "quantity": 2}'),
    "a header whose name is no UTF-8": Hostile(purchase("odd-name"), headers=((OddName(b"\xff\x00"), b"\xff"),)),
    "headers of 16 KiB": Hostile(purchase("heavy"), headers=(("x", b"x" * (16 * KIB - 1)),)),
}


async def test_hostile_records_among_good_ones_are_each_put_aside_and_nobody_dies(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_producers_send_odd_names(monkeypatch)
    home = clients.home_partition(EVENT, office.settings.kafka.partitions)
    await office.send(creations([EVENT], 1_000))
    positions = {}
    async with clients.producer(office.settings.kafka, max_request_size=1_500_000) as producer:
        for number, (name, record) in enumerate((UNREADABLE | ODD).items()):
            good = order(EVENT, f"good-{number}")
            await producer.send(office.requests, good.value, key=good.key, partition=home)
            positions[name] = await producer.send_and_wait(
                office.requests, record.value, key=record.key, headers=list(record.headers), partition=home
            )
    worker = office.start()
    await office.answered()
    facts = [json.loads(record.value or b"{}") for record in await office.read(office.ledger)]
    unreadable = {fact["source"]["offset"] for fact in facts if fact["type"] == "command_unreadable"}
    confirmed = {fact["request_id"] for fact in facts if fact["type"] == "purchase_confirmed"}
    assert {name for name, sent in positions.items() if sent.offset in unreadable} == set(UNREADABLE)
    assert confirmed == {f"good-{number}" for number in range(len(positions))} | {
        json.loads(record.value or b"{}")["request_id"] for record in ODD.values()
    }
    await office.agrees()
    letters = {clients.header(record.headers, POSITION_HEADER) for record in await office.read(office.dead_letters)}
    assert letters == {f"{office.requests}:{home}:{positions[name].offset}".encode() for name in UNREADABLE}
    assert await worker.stop() == ExitStatus.OK
