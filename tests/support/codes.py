"""The test vectors of docs/codes.json, and a key ring whose secrets everybody knows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from boxoffice.door.errors import (
    BadCodeError,
    MalformedCodeError,
    RevokedKeyError,
    UnknownKeyError,
    WrongSignatureError,
)
from boxoffice.door.keys import Key, KeyRing, read_ring

VECTORS: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "docs" / "codes.json").read_text(encoding="utf-8")
)
GOOD: Final[list[dict[str, Any]]] = VECTORS["good"]
BAD: Final[list[dict[str, str]]] = VECTORS["bad"]
PUBLIC: Final = read_ring(json.dumps(VECTORS["key_ring"]).encode())
VERDICTS: Final[dict[str, type[BadCodeError]]] = {
    "malformed": MalformedCodeError,
    "unknown key": UnknownKeyError,
    "wrong signature": WrongSignatureError,
    "revoked key": RevokedKeyError,
}


def with_seed(key_id: int) -> Key:
    """A key of the vectors that can sign; it is not revoked."""
    key = PUBLIC.key(key_id)
    assert key is not None
    return replace(key, seed=bytes.fromhex(VECTORS["seeds_hex"][str(key_id)]), revoked_at=None)


def ring_of(*times: str, revoked: tuple[int, ...] = ()) -> KeyRing:
    """A ring of new keys, made at these times, some of which are revoked."""
    ring = KeyRing()
    for time in times:
        ring = ring.with_new_key(time, time)
    for key_id in revoked:
        ring = ring.without(key_id, "2026-12-01T00:00:00.000Z")
    return ring
