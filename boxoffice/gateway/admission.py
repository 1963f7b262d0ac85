"""Who may ask, and how often: first the address is looked at, then the key, then whether there is room."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

from boxoffice.gateway.addresses import limited_as
from boxoffice.gateway.callers import Callers
from boxoffice.gateway.commands import request_id
from boxoffice.gateway.limits import Allowance, Rate, Waiting
from boxoffice.gateway.messages import Headers, Problem, Request, again_in
from boxoffice.gateway.preferences import is_key
from models.api_keys import ApiKey, Scope

GUESS_COSTS: Final = 100
"""As so many requests of its address a key counts that nobody knows."""
READS_UNTIL: Final = 0.5
"""While commands fill this share of their room, nothing is read: buyers come before onlookers."""

_OWN: Final[tuple[Scope, ...]] = ("buy", "read", "events")
"""With any of these a caller may see what became of his own requests."""


class Admission:
    """Lets requests in, or ends them with a problem that says why not."""

    def __init__(self, callers: Callers, rate: Rate, address_rate: Rate, waiting: Waiting, reading: Waiting) -> None:
        self._callers = callers
        self._rate = rate
        self._address_rate = address_rate
        self.waiting = waiting
        """Commands that wait for their answers, by their callers."""
        self.reading = reading
        """GETs that are being answered, by their addresses."""
        self.draining = False

    def by_address(self, request: Request) -> None:
        """Count a request of an address, before anything else is looked at.

        Raises:
            Problem: it asks too often.
        """
        address, now_s = limited_as(request.address), time.monotonic()
        if not self._address_rate.admits(address, now_s):
            allowance = self._address_rate.take(address, now_s)
            raise Problem(
                "rate-limited",
                "This address asks more often than it may.",
                headers=[*_limits("address", self._address_rate, None, allowance), again_in(allowance.again_in_s)],
            )

    def caller(self, request: Request) -> ApiKey:
        """Whose key came with a request.

        Raises:
            Problem: no key came, or none that is known, or it asks too often.
        """
        shown = request.header("authorization")
        try:
            caller = self._callers.of(shown, time.time())
        except Problem:
            if shown is not None:
                self._charge_guess(request)
            raise
        allowance = self._rate.take(caller.id, time.monotonic(), caller.per_second)
        request.also += _limits("key", self._rate, caller.per_second, allowance)
        if not allowance.passes:
            raise Problem(
                "rate-limited", "This key asks more often than it may.", headers=[again_in(allowance.again_in_s)]
            )
        return caller

    def caller_with(self, request: Request, scope: Scope, event_id: str | None = None) -> ApiKey:
        """The same, if the key has a scope, for an event.

        Raises:
            Problem: it has not.
        """
        caller = self.caller(request)
        if not caller.may(scope, event_id):
            of_event = f" for event {event_id}" if event_id is not None else ""
            raise Problem("forbidden", f"This key has no scope '{scope}'{of_event}.")
        return caller

    def request_of(self, request: Request, event_id: str, key: str) -> str:
        """The id of the request that is asked about: with its own secret, or with a key that may.

        Raises:
            Problem: there can be none, or it is none of the asker's business.
        """
        if not is_key(key):
            raise Problem("not-known", "No request can have such an Idempotency-Key.")
        parameters = request.parameters()
        secret = parameters.get("secret")
        if secret is None:
            return request_id(self._whose(request, event_id, parameters.get("caller")), key)
        whose, _, proof = secret.partition(".")
        caller = self._callers.called(whose)
        if caller is None or not caller.proves(proof, event_id, request_id(whose, key)):
            self._charge_guess(request)
            raise Problem("forbidden", "The secret is not this request's.")
        return request_id(whose, key)

    def _whose(self, request: Request, event_id: str, named: str | None) -> str:
        """Whose request a key's bearer asks about: his own, or with scope ``read`` another's whom he names."""
        caller = self.caller(request)
        own = named is None or named == caller.id
        scopes: tuple[Scope, ...] = _OWN if own else ("read",)
        if not any(caller.may(scope, event_id) for scope in scopes):
            raise Problem("forbidden", f"This key has no scope {' or '.join(scopes)} for event {event_id}.")
        return caller.id if named is None else named

    def _charge_guess(self, request: Request) -> None:
        self._address_rate.charge(limited_as(request.address), time.monotonic(), GUESS_COSTS)

    @contextmanager
    def reads(self, request: Request) -> Iterator[None]:
        """Holds a place for a GET while it is answered.

        Raises:
            Problem: there is none; commands come first.
        """
        address = limited_as(request.address)
        if self.reading.is_full() or self.waiting.fills(READS_UNTIL):
            raise Problem("overloaded", "More is asked than can be done.", headers=[again_in(0)])
        if self.reading.is_full_of(address):
            raise Problem("too-many-waiting", "Too many requests of this address wait.", headers=[again_in(0)])
        self.reading.begin(address)
        try:
            yield
        finally:
            self.reading.end(address)

    def takes_command_of(self, caller: ApiKey, is_stuck: bool) -> None:
        """See that there is room for a command, before anything is published.

        Raises:
            Problem: there is none; nothing was taken.
        """
        if self.draining:
            raise Problem("draining", "This instance is ending.", headers=[again_in(0)])
        if self.waiting.is_full_of(caller.id):
            raise Problem("too-many-waiting", "Too many requests of this key wait.", headers=[again_in(0)])
        if is_stuck or self.waiting.is_full():
            raise Problem("overloaded", "More is asked than can be done.", headers=[again_in(0)])


def _limits(what: str, rate: Rate, per_second: float | None, allowance: Allowance) -> Headers:
    return [
        _policy(what, rate.burst, per_second or rate.per_second),
        ("ratelimit", f'"{what}";r={allowance.left};t={max(0, round(allowance.again_in_s))}'),
    ]


@lru_cache(maxsize=1_024)
def _policy(what: str, burst: int, per_second: float) -> tuple[str, str]:
    return "ratelimit-policy", f'"{what}";q={burst};w={max(1, round(burst / per_second))}'
