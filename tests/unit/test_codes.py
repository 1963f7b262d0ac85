"""A ticket's code: what is written is read, in one way only, and whatever else is refused in a sentence."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from boxoffice.door.errors import BadCodeError
from boxoffice.door.keys import KeyRing
from boxoffice.door.signing import sign
from boxoffice.door.verifying import verify
from models.codes import (
    MAX_CODE_CHARACTERS,
    MAX_NUMBER,
    SIGNED_PREFIX,
    Claim,
    Code,
    CodeError,
    claim_of,
    from_base45,
    read_code,
    signed_bytes,
    to_base45,
    write_code,
)
from models.members import MAX_EVENT_ID
from tests.support.codes import BAD, GOOD, PUBLIC, VECTORS, VERDICTS, ring_of, with_seed

RFC_9285 = [(b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581"), (b"ietf!", "QED8WEX0")]
QR_ALPHANUMERIC = set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")

numbers = st.integers(1, MAX_NUMBER) | st.integers(1, 300)
claims = st.builds(
    Claim,
    key_id=st.integers(1, 255),
    event_id=(st.integers(0, MAX_EVENT_ID) | st.integers(0, 300)).map(str),
    number=numbers,
    seq=numbers,
)
codes = st.builds(Code, claims, st.binary(min_size=64, max_size=64))


@pytest.mark.parametrize(("given_bytes", "text"), RFC_9285)
def test_base45_is_that_of_its_rfc(given_bytes: bytes, text: str) -> None:
    assert to_base45(given_bytes) == text
    assert from_base45(text) == given_bytes


# RFC 9285's own: FGW is 65535, and ::: and GGW are more than two bytes can be.
@pytest.mark.parametrize("text", [":::", "GGW", "0", "AAAA", "::", "BB8 x", "bb8", "BB8\n", "\ud800AA", "ＡＡＡ"])  # noqa: RUF001
def test_what_is_no_base45_is_refused(text: str) -> None:
    assert from_base45("FGW") == b"\xff\xff"
    with pytest.raises(CodeError):
        from_base45(text)


@given(codes)
@example(Code(Claim(255, str(MAX_EVENT_ID), MAX_NUMBER, MAX_NUMBER), b"\xff" * 64))
def test_what_is_written_is_read_and_fits_a_qr_code(code: Code) -> None:
    text = write_code(code)
    assert read_code(text) == code
    assert len(text) <= MAX_CODE_CHARACTERS
    assert set(text) <= QR_ALPHANUMERIC
    assert text == text.strip(), "what trims a line would spoil it"


@given(codes, st.data())
def test_no_code_is_written_in_two_ways(code: Code, data: st.DataObject) -> None:
    text = write_code(code)
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 3))
    other = text[:at] + data.draw(st.text(st.sampled_from(sorted(QR_ALPHANUMERIC)), max_size=3)) + text[at + cut :]
    assume(other != text)
    with suppress(CodeError):
        read = read_code(other)
        assert read != code
        assert write_code(read) == other


@given(st.text(max_size=200) | st.text(st.sampled_from(sorted(QR_ALPHANUMERIC)), max_size=200).map("BX1:".__add__))
def test_no_text_breaks_it(text: str) -> None:
    with suppress(CodeError):
        assert write_code(read_code(text)) == text


def test_what_is_signed_says_everything_and_what_it_is() -> None:
    assert signed_bytes(Claim(1, "42", 1, 2)) == b"boxoffice-ticket-v1\0" + bytes([1, 1, 42, 1, 2])
    assert bytes.fromhex(VECTORS["signed_prefix_hex"]) == SIGNED_PREFIX
    others = [Claim(2, "42", 1, 2), Claim(1, "43", 1, 2), Claim(1, "42", 2, 2), Claim(1, "42", 1, 3)]
    assert len({signed_bytes(claim) for claim in [*others, Claim(1, "42", 1, 2)]}) == 5


@given(claims, claims)
def test_two_claims_are_never_signed_alike(one: Claim, other: Claim) -> None:
    assert (signed_bytes(one) == signed_bytes(other)) == (one == other)


@pytest.mark.parametrize(
    ("event_id", "ticket", "seq"),
    [
        ("42", "43-000001", 2),
        ("42", "42-0000001", 2),
        ("42", "42-000000", 2),
        ("42", "42-00000x", 2),
        ("42", "42-", 2),
        ("042", "042-000001", 2),
        ("42", f"42-{MAX_NUMBER + 1}", 2),
        ("42", "42-000001", 0),
        (str(MAX_EVENT_ID + 1), f"{MAX_EVENT_ID + 1}-000001", 2),
    ],
)
def test_no_code_says_what_is_no_sale_of_ours(event_id: str, ticket: str, seq: int) -> None:
    """A forged fact may name anything: its ticket is given up, and others go on."""
    with pytest.raises(CodeError):
        claim_of(1, event_id, ticket, seq)


# The vectors that others test their scanners with


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["note"].replace(" ", "-"))
def test_a_good_vector_is_what_its_key_signs_and_is_good(vector: dict[str, Any]) -> None:
    claim = claim_of(vector["key"], vector["event_id"], vector["ticket"], vector["seq"])
    assert signed_bytes(claim).removeprefix(SIGNED_PREFIX).hex() == vector["claim_hex"]
    assert sign(with_seed(claim.key_id), claim.event_id, claim.ticket, claim.seq) == vector["code"]
    assert verify(vector["code"], PUBLIC) == claim


@pytest.mark.parametrize("vector", BAD, ids=lambda vector: vector["note"].replace(" ", "-"))
def test_a_bad_vector_is_refused_for_its_reason(vector: dict[str, str]) -> None:
    with pytest.raises(BadCodeError) as refused:
        verify(vector["code"], PUBLIC)
    assert type(refused.value) is VERDICTS[vector["verdict"]]


def test_every_code_in_the_document_is_one_of_the_vectors() -> None:
    document = (Path(__file__).parents[2] / "docs" / "codes.md").read_text(encoding="utf-8")
    shown = re.findall(r"^(?:\| `)?(BX1:[^`\n…]+)", document, re.MULTILINE)
    assert len(shown) > 5
    assert set(shown) <= {vector["code"] for vector in [*GOOD, *BAD]}
    verdicts = {vector["code"]: vector["verdict"] for vector in BAD} | {vector["code"]: "good" for vector in GOOD}
    for code, verdict in re.findall(r"^\| `(BX1:[^`]+)` \| ([a-z ]+):", document, re.MULTILINE):
        assert verdicts[code] == verdict
    # The example, byte by byte.
    assert shown[0] == GOOD[0]["code"]
    raw = from_base45(shown[0].removeprefix("BX1:"))
    assert re.findall(r"^\| `([0-9a-f]+)…?` \|", document, re.MULTILINE) == [
        *(raw[at : at + 1].hex() for at in range(5)),
        raw[5:7].hex(),
    ]


# Verifying


def test_a_ticket_that_is_sold_again_has_another_code() -> None:
    key = with_seed(2)
    assert sign(key, "42", "42-000001", 2) != sign(key, "42", "42-000001", 4)
    assert sign(key, "42", "42-000001", 2) == sign(key, "42", "42-000001", 2)


@given(st.integers(0, 68), st.integers(1, 255))
def test_no_byte_of_a_code_can_be_changed(at: int, change: int) -> None:
    code = GOOD[0]["code"]
    raw = bytearray(from_base45(code.removeprefix("BX1:")))
    raw[at] ^= change
    with pytest.raises(BadCodeError):
        verify("BX1:" + to_base45(bytes(raw)), PUBLIC)


def test_a_code_needs_the_key_it_names() -> None:
    ring, others = ring_of("2026-01-01T00:00:00.000Z"), ring_of("2026-01-01T00:00:00.000Z")
    code = sign(ring.keys[0], "42", "42-000001", 2)
    assert verify(code, ring.public).ticket == "42-000001"
    for wrong, refusal in ((others, VERDICTS["wrong signature"]), (KeyRing(), VERDICTS["unknown key"])):
        with pytest.raises(refusal, match=r"ticket 42-000001 \(event 42, seq 2, key 1\)"):
            verify(code, wrong.public)
