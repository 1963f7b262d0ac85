"""``GET /shop.json``: where the shop's page buys, and with which key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog
from pydantic_core import to_json

from boxoffice.gateway.callers import Callers
from boxoffice.gateway.messages import JSON, Problem, Response
from boxoffice.settings import LiveSettings
from models.api_keys import Scope

log = structlog.get_logger(__name__)

_PUBLIC: Final[Sequence[Scope]] = ("buy",)
"""What a key may do that everybody can read."""


class Shop:
    """Tells the shop's page what it needs."""

    def __init__(self, settings: LiveSettings, callers: Callers) -> None:
        self._gateway_url = settings.gateway_url
        self._key = settings.shop_key.get_secret_value()
        self._callers = callers

    def answer(self, now_s: float) -> Response:
        """The gateway and the key; no key, where there is none that everybody may have."""
        key = self._key if self._key and self._is_public(now_s) else None
        body = to_json({"gateway": self._gateway_url, "key": key})
        return Response(200, [("cache-control", "no-store"), ("content-type", JSON)], body)

    def _is_public(self, now_s: float) -> bool:
        try:
            caller = self._callers.of(f"Bearer {self._key}", now_s)
        except Problem:
            log.error("BOXOFFICE_LIVE_SHOP_KEY is no key, or not any more: nobody can buy on the page", seldom=True)
            return False
        if tuple(caller.scopes) == _PUBLIC:
            return True
        log.error(
            "BOXOFFICE_LIVE_SHOP_KEY may do more than buy, and everybody could read it: it is not given out",
            scopes=caller.scopes,
            seldom=True,
        )
        return False
