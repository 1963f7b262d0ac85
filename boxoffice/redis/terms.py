"""What an event's tickets cost, and when it is, as Redis has it: for who only wants to tell."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from redis.exceptions import RedisError
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from boxoffice.errors import SettingsError
from boxoffice.redis.clients import unhurried
from boxoffice.redis.connection import connect
from boxoffice.settings import RedisSettings
from lua.keys import event_keys
from models.members import Amount, Count, Currency, StartsAt

_FIELDS: Final = ("starts_at", "price_amount", "price_currency", "max_per_order")


class Terms(TypedDict):
    """On what terms an event is sold."""

    starts_at: StartsAt
    amount: Amount
    currency: Currency
    max_per_order: Count | None


_TERMS: Final = TypeAdapter(Terms)


async def terms_in_redis(settings: RedisSettings, event_id: str) -> Terms | None:
    """The event's terms; None where Redis does not answer, or has no such event, or something else in its place."""
    unhurried_settings = unhurried(settings)
    try:
        client = connect(unhurried_settings)
    except SettingsError:
        return None
    key = event_keys(settings.key_prefix, event_id).meta
    try:
        async with asyncio.timeout(unhurried_settings.timeout_ms / 1000):
            return terms_of_values(await client.execute_command("HMGET", key, *_FIELDS))
    except (RedisError, OSError, TimeoutError):
        return None
    finally:
        await client.aclose()


def terms_of_values(values: Sequence[Any]) -> Terms | None:
    """The terms in fields of a ``meta`` hash; None where they are none."""
    try:
        starts_at, amount, currency, most = (value.decode() for value in values)
        return _TERMS.validate_python(
            {"starts_at": starts_at, "amount": amount, "currency": currency, "max_per_order": most or None}
        )
    except (AttributeError, UnicodeDecodeError, ValidationError):
        return None
