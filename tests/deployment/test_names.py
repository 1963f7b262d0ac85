"""The cluster's name server says what a resolver understands."""

from __future__ import annotations

import struct

from tests.deployment.names import answer

KNOWN = {"gateway.boxoffice.svc.cluster.local": ["10.244.77.5", "10.244.77.6"], "empty.boxoffice.svc.cluster.local": []}
A, AAAA = 1, 28


def question(name: str, kind: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)


def told(name: str, kind: int = A) -> tuple[int, list[str]]:
    """The code and the addresses of the answer."""
    asked = question(name, kind)
    said = answer(asked, KNOWN)
    number, flags, questions, answers, *_ = struct.unpack_from("!6H", said)
    assert (number, questions) == (7, 1)
    assert said[12 : len(asked)] == asked[12:]
    records = [said[len(asked) + 16 * n : len(asked) + 16 * (n + 1)] for n in range(answers)]
    return flags & 0xF, [".".join(map(str, record[-4:])) for record in records]


def test_a_service_has_the_addresses_of_its_pods() -> None:
    assert told("gateway.boxoffice.svc.cluster.local") == (0, ["10.244.77.5", "10.244.77.6"])
    assert told("GATEWAY.boxoffice.svc.cluster.local") == (0, ["10.244.77.5", "10.244.77.6"])


def test_a_name_without_addresses_of_that_kind_exists_all_the_same() -> None:
    assert told("gateway.boxoffice.svc.cluster.local", AAAA) == (0, [])
    assert told("empty.boxoffice.svc.cluster.local") == (0, [])


def test_a_name_that_there_is_not_does_not_exist() -> None:
    assert told("gateway.svc.cluster.local") == (3, [])
