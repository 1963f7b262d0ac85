"""The key ring: who signs what, what a key that was revoked is good for, and that no secret leaves it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from boxoffice.door.errors import KeyRingError, NoKeysError, NoSigningKeyError, RevokedKeyError
from boxoffice.door.keys import MAX_RING_BYTES, Key, KeyRing, WrongRingError, read_ring, ring_text, write_ring
from boxoffice.door.signing import TicketCodes, sign
from boxoffice.door.verifying import verify
from boxoffice.settings import load_settings
from models.shapes import PurchaseConfirmed
from tests.support.codes import ring_of
from tests.unit.test_documents import sale

JANUARY, MARCH, MAY = "2026-01-01T00:00:00.000Z", "2026-03-01T00:00:00.000Z", "2026-05-01T00:00:00.000Z"
APRIL, JUNE = "2026-04-01T00:00:00.000Z", "2026-06-01T00:00:00.000Z"


def signer(ring: KeyRing, at: str) -> int | None:
    key = ring.signing_key(at)
    return key.id if key else None


# Which key signs


@pytest.mark.parametrize(
    ("revoked", "january", "april", "may", "june"),
    [
        ((), 1, 2, 3, 3),
        ((2,), 1, 1, 3, 3),
        ((3,), 1, 2, 2, 2),
        ((1,), 2, 2, 3, 3),
        ((1, 2), 3, 3, 3, 3),
    ],
)
def test_a_sale_is_signed_by_the_newest_key_before_it_or_the_oldest_that_is_left(
    revoked: tuple[int, ...], january: int, april: int, may: int, june: int
) -> None:
    ring = ring_of(JANUARY, MARCH, MAY, revoked=revoked)
    assert [signer(ring, at) for at in (JANUARY, APRIL, MAY, JUNE)] == [january, april, may, june]


def test_a_sale_from_before_all_keys_is_signed_by_the_first() -> None:
    assert signer(ring_of(MARCH, MAY), JANUARY) == 1


def test_a_new_key_changes_no_code_of_what_was_sold_before_it_signs() -> None:
    before = ring_of(JANUARY)
    after = before.with_new_key(APRIL, MAY)
    assert [signer(after, at) for at in (JANUARY, APRIL, MAY)] == [1, 1, 2]
    assert before.keys[0] == after.keys[0]


def test_a_clock_that_was_set_back_makes_no_key_that_signs_earlier() -> None:
    ring = ring_of(MARCH, JANUARY)
    assert [key.signs_from for key in ring.keys] == [MARCH, MARCH]
    assert signer(ring, MARCH) == 2


def test_a_revoked_key_signs_nothing_more_and_its_codes_are_void() -> None:
    ring = ring_of(JANUARY, MARCH)
    code = sign(ring.keys[1], "42", "42-000001", 2)
    revoked = ring.without(2, MAY)
    assert (revoked.keys[1].signs, revoked.keys[1].seed) == (False, None)
    with pytest.raises(RevokedKeyError, match=f"Key 2 was revoked at {MAY}"):
        verify(code, revoked.public)
    assert verify(code, ring.public).seq == 2


def test_a_revoked_key_signs_nothing_even_where_its_seed_is_left_in_the_file() -> None:
    ring = ring_of(JANUARY, MARCH)
    left = KeyRing((ring.keys[0], replace(ring.keys[1], revoked_at=MAY)))
    assert signer(read_ring(ring_text(left).encode()), JUNE) == 1


def test_the_last_key_that_signs_cannot_be_revoked() -> None:
    with pytest.raises(WrongRingError, match="key 1 is its only one"):
        ring_of(JANUARY).without(1, MAY)
    with pytest.raises(WrongRingError, match="key 2 is its only one"):
        ring_of(JANUARY, MARCH, revoked=(1,)).without(2, MAY)
    with pytest.raises(WrongRingError, match="was revoked at"):
        ring_of(JANUARY, MARCH, revoked=(1,)).without(1, MAY)
    with pytest.raises(WrongRingError, match="no key 7"):
        ring_of(JANUARY).without(7, MAY)


def test_ids_are_never_used_twice_and_end() -> None:
    ring = ring_of(*[JANUARY] * 255)
    assert [key.id for key in ring.keys] == list(range(1, 256))
    with pytest.raises(WrongRingError, match="255 keys"):
        ring.with_new_key(MAY, MAY)
    assert read_ring(ring_text(ring).encode()) == ring
    assert len(ring_text(ring)) < MAX_RING_BYTES


# As it is written


def test_a_ring_is_read_as_it_was_written_and_its_public_part_signs_nothing() -> None:
    ring = ring_of(JANUARY, MARCH, MAY, revoked=(2,))
    assert read_ring(ring_text(ring).encode()) == ring
    public = read_ring(ring_text(ring.public).encode())
    assert public == ring.public
    assert not any(key.signs for key in public.keys)
    assert [key.public for key in public.keys] == [key.public for key in ring.keys]


def test_a_seed_is_in_the_ring_and_nowhere_else() -> None:
    ring = ring_of(JANUARY, MARCH)
    seeds = [key["d"] for key in write_ring(ring)["keys"]]
    assert len(set(seeds)) == 2
    for shown in (repr(ring), str(ring.keys[0]), ring_text(ring.public)):
        assert not any(seed in shown for seed in seeds)
        assert not any(repr(key.seed) in shown for key in ring.keys)


def written(**changes: Any) -> dict[str, Any]:
    return {**write_ring(ring_of(JANUARY))["keys"][0], **changes}


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (None, "keys is not as it must be"),
        ([written(kid=1)], "keys.0.kid is not as it must be"),
        ([written(kid="0")], "keys.0.kid is not as it must be"),
        ([written(kid="256")], "a key 256"),
        ([written(x="short")], "keys.0.x is not as it must be"),
        ([written(d="A" * 43)], "the two halves of key 1"),
        ([written(d="secret!")], "keys.0.d is not as it must be"),
        ([written(crv="X25519")], "keys.0.crv is not as it must be"),
        ([written(signs_from="yesterday")], "keys.0.signs_from is not as it must be"),
        ([written(more=1)], "keys.0.more is not as it must be"),
        ([written(), written()], "key 1 twice"),
        ([written(), written(kid="2", signs_from="2025-01-01T00:00:00.000Z")], "key 2 signs from an earlier time"),
    ],
)
def test_what_is_no_ring_is_told_without_a_word_of_it(keys: Any, why: str) -> None:
    with pytest.raises(WrongRingError, match=why) as refused:
        read_ring(json.dumps({"keys": keys}).encode())
    assert "secret!" not in str(refused.value)


@pytest.mark.parametrize("given", [b"", b"{", b"[]", b"\xff", b"null", b"[" * 100_000, b" " * (MAX_RING_BYTES + 1)])
def test_bytes_that_are_no_ring_are_told(given: bytes) -> None:
    with pytest.raises(WrongRingError):
        read_ring(given)


def test_null_means_left_out() -> None:
    assert read_ring(json.dumps({"keys": [written(d=None)]}).encode()).keys[0].seed is None
    without_revoked = {name: value for name, value in written().items() if name != "revoked_at"}
    assert read_ring(json.dumps({"keys": [without_revoked]}).encode()).keys[0].revoked_at is None


# The codes of sales


def sold(at: str) -> PurchaseConfirmed:
    return {**sale(), "at": at}


def codes_of(path: Path, ring: KeyRing) -> TicketCodes:
    path.write_text(ring_text(ring))
    return TicketCodes(load_settings(door_keys=path).door)


def key_of(code: str, ring: KeyRing) -> Key | None:
    return ring.key(verify(code, ring).key_id)


def test_every_process_gives_a_sale_the_same_code_before_and_after_a_rotation(tmp_path: Path) -> None:
    ring = ring_of(JANUARY)
    codes = codes_of(tmp_path / "ring.json", ring)
    first = codes.code(sold(MARCH), "42-000001")
    rotated = ring.with_new_key(APRIL, MAY)
    # One that has run all along, and one that starts.
    restarted = codes_of(tmp_path / "ring.json", rotated)
    for each in (codes, restarted):
        assert each.code(sold(MARCH), "42-000001") == first
        assert key_of(each.code(sold(JUNE), "42-000001"), rotated) == rotated.keys[1]


def test_a_key_signs_nothing_from_the_moment_it_is_revoked(tmp_path: Path) -> None:
    ring = ring_of(JANUARY, MARCH)
    codes = codes_of(tmp_path / "ring.json", ring)
    assert key_of(codes.code(sold(MAY), "42-000001"), ring) == ring.keys[1]
    revoked = ring.without(2, MAY)
    again = codes_of(tmp_path / "ring.json", revoked)
    assert {each.code(sold(MAY), "42-000001") for each in (codes, again)} == {sign(ring.keys[0], "42", "42-000001", 2)}


def test_a_ring_that_is_gone_for_a_while_stops_nobody_who_has_read_it(tmp_path: Path) -> None:
    path = tmp_path / "ring.json"
    ring = ring_of(JANUARY)
    codes = codes_of(path, ring)
    code = codes.code(sold(MAY), "42-000001")
    for spoil in (path.unlink, lambda: path.write_text("{")):
        spoil()
        assert codes.code(sold(MAY), "42-000001") == code
    newer = ring.with_new_key(MARCH, MARCH)
    path.write_text(ring_text(newer))
    assert key_of(codes.code(sold(MAY), "42-000001"), newer) == newer.keys[1]


def test_without_a_key_nobody_starts_to_sign(tmp_path: Path) -> None:
    path = tmp_path / "ring.json"
    with pytest.raises(NoKeysError, match="'boxoffice door keys create'"):
        TicketCodes(load_settings(door_keys=path).door).check()
    with pytest.raises(NoSigningKeyError, match="'boxoffice door keys rotate'"):
        codes_of(path, ring_of(JANUARY).public).check()
    path.write_text("{")
    with pytest.raises(KeyRingError, match="cannot be used: it is no JSON"):
        TicketCodes(load_settings(door_keys=path).door).check()
    with pytest.raises(KeyRingError, match="cannot be read: Is a directory"):
        TicketCodes(load_settings(door_keys=tmp_path).door).check()
    codes_of(path, ring_of(JANUARY)).check()
