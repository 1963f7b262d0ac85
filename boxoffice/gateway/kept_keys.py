"""Keys that a box office makes for itself and keeps beside its data, as ``boxoffice up`` does: the same each time."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from boxoffice.gateway.key_ring import KeyRing
from boxoffice.settings import KafkaSettings
from models.api_keys import BadKeyError, Scope, digest, id_of, moment

KEPT_KEYS: Final = "gateway-keys.json"
_MOST_BYTES: Final = 64 * 1024


class KeptKeys:
    """A file of keys by the names of their callers, which nobody but its owner can read."""

    def __init__(self, settings: KafkaSettings, path: Path) -> None:
        self._ring = KeyRing(settings)
        self._path = path

    async def key(self, name: str, scopes: Sequence[Scope]) -> str:
        """The key that was kept of a caller, if it is still good for these scopes; else a new one.

        Raises:
            UnreachableError: no broker answered.
            TopicsError: the topic is not there.
            OSError: it cannot be kept.
        """
        kept = self._read()
        if name in kept and await self._is_good(kept[name], scopes):
            return kept[name]
        made = await self._ring.create(name, scopes, None, None, None, moment(datetime.now(UTC)))
        self._write({**kept, name: made.key})
        return made.key

    async def _is_good(self, key: str, scopes: Sequence[Scope]) -> bool:
        with suppress(BadKeyError):
            key_id, kept, now = id_of(key), digest(key), moment(datetime.now(UTC))
            for caller in await self._ring.all():
                if caller.id == key_id:
                    good = {one.sha256 for one in caller.secrets if one.expires_at is None or one.expires_at > now}
                    return kept in good and caller.events is None and set(scopes) <= set(caller.scopes)
        return False

    def _read(self) -> dict[str, str]:
        """What is kept; nothing where it cannot be read, since new keys are as good."""
        try:
            with self._path.open("rb") as file:
                found = json.loads(file.read(_MOST_BYTES))
        except (OSError, ValueError):
            return {}
        texts = found.items() if isinstance(found, dict) else ()
        return {name: key for name, key in texts if isinstance(key, str)}

    def _write(self, keys: Mapping[str, str]) -> None:
        """Whole or not at all, and for its owner alone, as temporary files are made."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, written = tempfile.mkstemp(dir=self._path.parent, prefix=f"{self._path.name}-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(keys, file, indent=2)
            Path(written).replace(self._path)
        except BaseException:
            Path(written).unlink(missing_ok=True)
            raise
