"""The keys that a box office keeps beside its data: the same each time, as long as they are good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from boxoffice.gateway.kept_keys import KeptKeys
from boxoffice.gateway.key_ring import KeyRing
from models.api_keys import digest, id_of
from tests.support.office import Office


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stack" / "gateway-keys.json"


class File:
    """The file as its owner sees it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, text: str) -> None:
        """Damage it."""
        self.path.write_text(text)

    def keys(self) -> dict[str, str]:
        """What is in it."""
        return dict(json.loads(self.path.read_text()))

    def is_private_and_alone(self) -> bool:
        """Whether nobody else can read it, and nothing half written lies beside it."""
        return self.path.stat().st_mode & 0o077 == 0 and [*self.path.parent.iterdir()] == [self.path]


async def test_a_key_is_made_once_and_kept_for_its_owner_alone(office: Office, path: Path) -> None:
    keys = KeptKeys(office.settings.kafka, path)
    first, other = await keys.key("up", ["buy", "read"]), await keys.key("shop", ["buy"])
    assert first != other
    again = KeptKeys(office.settings.kafka, path)
    assert (await again.key("up", ["buy", "read"]), await again.key("shop", ["buy"])) == (first, other)
    assert File(path).is_private_and_alone()
    callers = {caller.name: caller for caller in await KeyRing(office.settings.kafka).all()}
    assert callers["up"].scopes == ("buy", "read")
    assert callers["up"].secrets[0].sha256 == digest(first)


async def test_a_key_that_is_good_no_more_gives_way_to_another(office: Office, path: Path) -> None:
    """Revoked, of another ledger, damaged, or one that may too little."""
    keys = KeptKeys(office.settings.kafka, path)
    first = await keys.key("up", ["buy"])
    assert await KeyRing(office.settings.kafka).revoke(id_of(first))
    second = await keys.key("up", ["buy"])
    third = await keys.key("up", ["buy", "events"])
    assert len({first, second, third}) == 3
    assert await keys.key("up", ["buy"]) == third
    for damaged in ("", "{", "[]", json.dumps({"up": 7}), json.dumps({"up": "bo_x"}), json.dumps({"up": first})):
        File(path).write(damaged)
        made = await keys.key("up", ["buy"])
        assert made not in (first, second, third)
        assert File(path).keys()["up"] == made
