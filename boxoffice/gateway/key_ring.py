"""The callers of the gateway, as an operator changes them: written to ``api-keys``, which every gateway follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from boxoffice.errors import BoxOfficeError, ExitStatus
from boxoffice.gateway.callers import Callers
from boxoffice.kafka.clients import home_partition, producer, read_all, reader
from boxoffice.kafka.topics import check_topics, partitions_of
from boxoffice.settings import KafkaSettings
from models.api_keys import MOST_SECRETS, ApiKey, KeptSecret, digest, new_id, new_key, new_order_secret
from topics import api_keys


class WrongCallerError(BoxOfficeError):
    """A caller that cannot be: nothing was written."""

    exit_status = ExitStatus.USAGE
    remedy = "Correct what the sentence names."

    def __init__(self, why: str) -> None:
        super().__init__(f"There can be no such caller: {why}.")


class Made(NamedTuple):
    """A caller, and a key of his that was just made."""

    caller: ApiKey
    key: str


class KeyRing:
    """Reads and writes callers."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    async def all(self) -> Sequence[ApiKey]:
        """Everybody who was not revoked, by his name.

        Raises:
            UnreachableError: no broker answered.
            TopicsError: the topic is not there.
        """
        await check_topics(self._settings, api_keys.TOPIC)
        partitions = await partitions_of(self._settings, api_keys.TOPIC)
        callers = Callers()
        async with reader(self._settings, partitions) as consumer:
            async for records in read_all(consumer, partitions):
                for record in records:
                    callers.take(record.key, record.value)
        return sorted(callers.all(), key=lambda caller: (caller.name, caller.id))

    async def create(
        self,
        name: str,
        scopes: Sequence[str],
        events: Sequence[str] | None,
        per_second: float | None,
        expires_at: str | None,
        now: str,
    ) -> Made:
        """A new caller.

        Raises:
            WrongCallerError: a member is not what it has to be.
        """
        key_id = new_id()
        key = new_key(key_id)
        caller = _caller(
            id=key_id,
            name=name,
            scopes=tuple(dict.fromkeys(scopes)),
            secrets=(KeptSecret(sha256=digest(key), expires_at=expires_at),),
            created_at=now,
            events=tuple(events) if events else None,
            per_second=per_second,
            order_secret=new_order_secret(),
        )
        await self._write(key_id, caller)
        return Made(caller, key)

    async def rotate(self, key_id: str, until: str, now: str) -> Made | None:
        """A new key for a caller; the one before is good until then. None if there is no such caller."""
        caller = await self._find(key_id)
        if caller is None:
            return None
        key = new_key(key_id)
        before = [secret for secret in caller.secrets if secret.expires_at is None or secret.expires_at > now]
        kept = [_until(secret, until) for secret in before[: MOST_SECRETS - 1]]
        # What opens his orders stays: his buyers have it in their links.
        order_secret = caller.order_secret or new_order_secret()
        changed = caller.model_copy(
            update={"secrets": (KeptSecret(sha256=digest(key)), *kept), "order_secret": order_secret}
        )
        await self._write(key_id, changed)
        return Made(changed, key)

    async def revoke(self, key_id: str) -> bool:
        """Take a caller's keys away; returns whether there was one."""
        if await self._find(key_id) is None:
            return False
        await self._write(key_id, None)
        return True

    async def _find(self, key_id: str) -> ApiKey | None:
        return next((caller for caller in await self.all() if caller.id == key_id), None)

    async def _write(self, key_id: str, caller: ApiKey | None) -> None:
        await check_topics(self._settings, api_keys.TOPIC)
        partitions = await partitions_of(self._settings, api_keys.TOPIC)
        value = caller.model_dump_json(exclude_none=True).encode() if caller is not None else None
        async with producer(self._settings) as sender:
            topic = api_keys.TOPIC.full_name(self._settings.topic_prefix)
            await sender.send_and_wait(
                topic, value, key=key_id.encode(), partition=home_partition(key_id, len(partitions))
            )


def _caller(**members: Any) -> ApiKey:
    try:
        return ApiKey(**members)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise WrongCallerError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _until(secret: KeptSecret, until: str) -> KeptSecret:
    expires_at = min(filter(None, (secret.expires_at, until)))
    return secret.model_copy(update={"expires_at": expires_at})
