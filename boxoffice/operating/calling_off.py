"""Calling an event off: first the event, then its purchases one by one, so that each buyer's refund follows as usual.

Whoever is killed in between runs it again, or somebody else does, at the same time too: the commands' ids are derived
from the purchases, so nothing is asked twice, and what is left to do stands in the ledger.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from boxoffice.audit.event_view import event_in
from boxoffice.errors import BoxOfficeError, ExitStatus
from boxoffice.kafka.asking import as_sent, command_from
from boxoffice.kafka.clients import home_partition, producer
from boxoffice.kafka.topics import check_topics
from boxoffice.operating.following_home import HomeLedger, Told, home_ledger
from boxoffice.settings import KafkaSettings
from models.accepted import Kind, State, unpack
from models.commands import Command
from models.derived_ids import CALLING_OFF, first_id, next_id
from models.event import Event
from models.reasons import Reason
from topics import purchase_requests

_MOST_AT_ONCE: Final = 500
_BATCHES_PER_S: Final = 5


class NotCalledOffError(BoxOfficeError):
    """Not everything that was asked was answered in time."""

    exit_status = ExitStatus.NO_ANSWER
    remedy = "Run the same command again: it goes on where it stopped. See what is wrong with `boxoffice doctor`."


@dataclass
class CalledOff:
    """How far an event's cancellation is, whoever has asked for it since it was called off.

    ``purchases`` are cancelled, ``held`` of them before they were paid for, ``left`` are still to be cancelled.
    ``refund`` is in the smallest unit of ``currency``.
    """

    event_id: str
    purchases: int = 0
    held: int = 0
    tickets: int = 0
    refund: int = 0
    currency: str = ""
    left: int = 0


class CallingOff:
    """One event's cancellation; ``tell`` is told how far it is."""

    def __init__(
        self,
        settings: KafkaSettings,
        event_id: str,
        *,
        rate_per_s: int,
        timeout_s: float,
        tell: Callable[[CalledOff], object],
        actor: str | None = None,
    ) -> None:
        self._settings = settings
        self._event_id = event_id
        self._rate_per_s = rate_per_s
        self._timeout_s = timeout_s
        self._tell = tell
        self._actor = actor
        self._report = CalledOff(event_id)
        self._ids: dict[str, str] = {}
        """Of each purchase that is still to be cancelled, the id of the command that asks for it."""

    async def run(self) -> CalledOff:
        """Cancel the event, if it is not, and what was bought and is held.

        Raises:
            UnknownEventError: there is no such event.
            ArchivedEventError: nothing can be asked of it any more.
            NotCalledOffError: no answer came for a while.
            NewerReleaseError: a newer release has written there.
            UnreachableError: Kafka did not answer.
            TopicsError: the topics cannot be used.
        """
        number = home_partition(self._event_id, await check_topics(self._settings))
        async with home_ledger(self._settings, number) as home, producer(self._settings) as sender:
            async for told in home.facts():
                self._take(home, told)
            await self._cancel_event(home, sender)
            await self._cancel_purchases(home, sender)
        return self._report

    # The event

    async def _cancel_event(self, home: HomeLedger, sender: AIOKafkaProducer) -> None:
        if not self._event(home).cancelled:
            await self._ask(home, sender, [self._command("cancel_event", str(uuid.uuid4()))])
        event = self._event(home)
        if not event.cancelled:
            raise NotCalledOffError(self._how_far(home))
        self._report.currency = event.currency
        self._ids = {purchase: first_id(CALLING_OFF, purchase) for purchase in _live(event)}

    def _event(self, home: HomeLedger) -> Event:
        return event_in(home.ledger.inventory, self._event_id)

    # Its purchases

    async def _cancel_purchases(self, home: HomeLedger, sender: AIOKafkaProducer) -> None:
        at_once = min(max(self._rate_per_s // _BATCHES_PER_S, 1), _MOST_AT_ONCE)
        loop = asyncio.get_running_loop()
        self._show()
        while self._ids:
            begun_s = loop.time()
            asked = list(islice(self._ids.items(), at_once))
            commands = [self._command("cancel_purchase", id_, purchase=purchase) for purchase, id_ in asked]
            await self._ask(home, sender, commands)
            self._event(home)
            self._show()
            if self._ids:
                await asyncio.sleep(begun_s + len(asked) / self._rate_per_s - loop.time())

    def _show(self) -> None:
        self._report.left = len(self._ids)
        self._tell(self._report)

    # Asking

    def _command(self, kind: str, request_id: str, **members: str) -> Command:
        said = {"type": kind, "request_id": request_id, "event_id": self._event_id, "actor": self._actor, **members}
        return command_from(said)

    async def _ask(self, home: HomeLedger, sender: AIOKafkaProducer, commands: Sequence[Command]) -> None:
        """Publish commands, and read on until all of them are answered."""
        try:
            async with asyncio.timeout(self._timeout_s):
                topic = purchase_requests.TOPIC.full_name(self._settings.topic_prefix)
                sent = [
                    await sender.send(
                        topic,
                        as_sent(command),
                        key=self._event_id.encode(),
                        partition=home.ledger.partition,
                    )
                    for command in commands
                ]
                offsets = [(await acknowledged).offset for acknowledged in sent]
                async for told in home.facts_through(max(offsets)):
                    self._take(home, told)
        except TimeoutError:
            raise NotCalledOffError(self._how_far(home)) from None

    def _how_far(self, home: HomeLedger) -> str:
        event = home.event(self._event_id)
        if event is None or not event.cancelled:
            return (
                f"Event {self._event_id} is not called off: no answer within {self._timeout_s:g} s. Run the same "
                "command again, and see what is wrong with 'boxoffice doctor'."
            )
        done, left = self._report.purchases, self._report.left
        return (
            f"No answer within {self._timeout_s:g} s: {done} of {done + left} purchases of event {self._event_id} are "
            "cancelled. Run the same command again: it goes on from there."
        )

    # What the ledger says

    def _take(self, home: HomeLedger, told: Told) -> None:
        fact: Any = told.fact
        event = home.event(self._event_id)
        if event is None or fact["event_id"] != self._event_id or not event.cancelled:
            return
        if fact["type"] == "purchase_cancelled" and fact["seq"] == event.seq:
            self._count(event, fact)
        elif fact["type"] == "hold_expired":
            self._ids.pop(fact["purchase"], None)
        elif fact["type"] == "command_rejected" and fact["reason"] == Reason.REQUEST_ID_REUSED:
            # Somebody's own request is called so.
            taken = (purchase for purchase, id_ in self._ids.items() if id_ == fact["request_id"])
            for purchase in list(taken):
                self._ids[purchase] = next_id(fact["request_id"])

    def _count(self, event: Event, fact: Any) -> None:
        purchase = event.purchase(fact["purchase"])
        assert purchase is not None, "the fact was folded"
        if purchase.state is State.CANCELLED:
            self._ids.pop(fact["purchase"], None)
            self._report.purchases += 1
            self._report.held += bool(fact.get("held"))
        self._report.tickets += len(fact["tickets"])
        # By the first rules there is one price, and the fact does not say it.
        self._report.refund += fact["refund"] if "refund" in fact else len(fact["tickets"]) * event.first_price


def _live(event: Event) -> list[str]:
    """The purchases that have tickets, bought or held."""
    unpacked = ((request_id, unpack(packed)) for request_id, packed in event.accepted.items())
    return [
        request_id
        for request_id, accepted in unpacked
        if accepted.kind is Kind.PURCHASE and accepted.state in (State.CONFIRMED, State.HELD)
    ]
