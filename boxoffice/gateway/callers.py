"""Who asks: the callers of the topic ``api-keys``, and whose the key is that came with a request."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

import structlog

from boxoffice import metrics
from boxoffice.gateway.messages import Problem
from models.api_keys import ApiKey, UnreadableKeyError, digest, read_api_key
from topics import api_keys

log = structlog.get_logger(__name__)

_SCHEME: Final = "bearer "
_CHALLENGE: Final = [("www-authenticate", 'Bearer realm="boxoffice"')]
NEVER_S: Final = float("inf")


class _Valid(NamedTuple):
    caller: ApiKey
    until_s: float


class Callers:
    """All callers, and which secret is whose."""

    def __init__(self) -> None:
        self._by_id: dict[bytes, ApiKey] = {}
        self._by_digest: dict[str, _Valid] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def take(self, record_key: bytes | None, value: bytes | None) -> None:
        """A record of the topic: a caller as he is now, or his end."""
        if record_key is None:
            return
        if not value:
            self._forget(record_key)
            return
        try:
            caller = read_api_key(record_key, value)
        except UnreadableKeyError as error:
            # Whoever damages a record revokes it: a secret must not outlive what was written last.
            log.warning("a record of api-keys is no caller", reason=str(error))
            metrics.STRANGE_RECORDS.labels(api_keys.TOPIC.name).inc()
            self._forget(record_key)
            return
        self._forget(record_key)
        self._by_id[record_key] = caller
        for secret in caller.secrets:
            self._by_digest[secret.sha256] = _Valid(caller, _seconds(secret.expires_at))

    def all(self) -> Iterable[ApiKey]:
        """Everybody who was not revoked."""
        return self._by_id.values()

    def called(self, caller_id: str) -> ApiKey | None:
        """The caller of an id, who was not revoked."""
        return self._by_id.get(caller_id.encode(errors="replace"))

    def of(self, authorization: str | None, now_s: float) -> ApiKey:
        """The caller whose key came with a request; ``now_s`` by the clock of the world.

        Raises:
            Problem: no key came, or one that is unknown, revoked or expired. It does not say which.
        """
        if authorization is None or authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise Problem("unauthenticated", "The header Authorization must read 'Bearer KEY'.", headers=_CHALLENGE)
        valid = self._by_digest.get(digest(authorization[len(_SCHEME) :].strip()))
        if valid is None or valid.until_s <= now_s:
            raise Problem("unauthenticated", "This key is not known, or not any more.", headers=_CHALLENGE)
        return valid.caller

    def _forget(self, record_key: bytes) -> None:
        before = self._by_id.pop(record_key, None)
        for secret in before.secrets if before is not None else ():
            self._by_digest.pop(secret.sha256, None)


def _seconds(moment: str | None) -> float:
    if moment is None:
        return NEVER_S
    return datetime.fromisoformat(moment).astimezone(UTC).timestamp()
