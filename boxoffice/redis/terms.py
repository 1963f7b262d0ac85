"""What an event's tickets cost, and when it is, as Redis has it: for who only wants to tell."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json
from redis.exceptions import RedisError
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from boxoffice.errors import SettingsError
from boxoffice.redis.clients import unhurried
from boxoffice.redis.connection import connect
from boxoffice.settings import RedisSettings
from lua.keys import event_keys
from models.members import (
    GENERAL,
    MAX_CATEGORIES,
    Amount,
    CategoryId,
    CategoryName,
    Count,
    Currency,
    HoldS,
    OffSaleAt,
    OnSaleAt,
    StartsAt,
)

_LIMITS: Final = ("max_per_order", "max_per_buyer", "hold_s")
_TIMES: Final = ("on_sale_at", "off_sale_at")
FIELDS: Final = ("starts_at", "price_currency", "price_amount", "categories", *_LIMITS, *_TIMES)
"""Fields of ``meta`` that say on what terms an event is sold."""


class CategoryTerms(TypedDict):
    """What a ticket of a category costs, in the currency's smallest unit. The name of ``general`` is empty."""

    id: CategoryId
    name: CategoryName | Annotated[str, Field(max_length=0)]
    price: Amount


class Terms(TypedDict):
    """On what terms an event is sold."""

    starts_at: StartsAt
    currency: Currency
    categories: Annotated[list[CategoryTerms], Field(min_length=1, max_length=MAX_CATEGORIES)]
    max_per_order: Count | None
    max_per_buyer: Count | None
    hold_s: HoldS | None
    on_sale_at: OnSaleAt | None
    off_sale_at: OffSaleAt | None


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
            return terms_of_values(await client.execute_command("HMGET", key, *FIELDS))
    except (RedisError, OSError, TimeoutError):
        return None
    finally:
        await client.aclose()


def terms_of_values(values: Sequence[Any]) -> Terms | None:
    """The terms in :data:`FIELDS` of a ``meta`` hash; None where they are none.

    An event that names no categories has a price instead; one that an earlier release has created lacks the last ones.
    """
    try:
        texts: list[Any] = [None if value is None else value.decode() for value in values]
        starts_at, currency, price, named, *limits_and_times = texts
        categories = from_json(named) if named else [{"id": GENERAL, "name": "", "price": int(price)}]
        given: dict[str, Any] = dict(zip((*_LIMITS, *_TIMES), limits_and_times, strict=True))
        limits = {name: int(given[name]) if given[name] else None for name in _LIMITS}
        times = {name: given[name] or None for name in _TIMES}
        terms = {"starts_at": starts_at, "currency": currency, "categories": categories, **limits, **times}
        return _TERMS.validate_python(terms)
    # A number that is none is a ValueError, and so is JSON.
    except (AttributeError, TypeError, ValueError, ValidationError):
        return None
