"""The documents process at work: take new facts, draw, store, announce; and never lose the place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from boxoffice import metrics
from boxoffice.batching import Batch, BatchConsumer, BatchProducer, Run
from boxoffice.documents.announcing import Announcer
from boxoffice.documents.cleaning import Cleaner
from boxoffice.documents.drawing import Drawn
from boxoffice.documents.errors import DrawingError, UnknownEventError
from boxoffice.documents.pages import EventPages
from boxoffice.documents.places import KEEP_INTERVAL_S, Places
from boxoffice.documents.pool import Pool
from boxoffice.documents.progress import Progress, TakenLedger
from boxoffice.documents.queue import FairQueue, Job, Order, OrderedFact
from boxoffice.documents.renewing import Renewing
from boxoffice.documents.traced import DRAWING, SENDING, STORING, step, traced
from boxoffice.door.signing import TicketCodes
from boxoffice.errors import PublishError, UnreachableError
from boxoffice.kafka.clients import admin, group_id, read_between, reader
from boxoffice.kafka.damage import tell_passed_over
from boxoffice.kafka.groups import committed_offsets
from boxoffice.rendering import EventPage, Style, TicketPage
from boxoffice.settings import DocumentsSettings, KafkaSettings
from boxoffice.storage.errors import StoreError
from boxoffice.storage.store import DocumentStore
from boxoffice.tasks import end_tasks
from models.codes import CodeError
from models.documents import DocumentAnnouncement, document_name, former_name, made, removed
from models.facts import purchase_of
from models.places import Place
from models.renewals import Renewal
from models.shapes import EventChanged, Fact, PurchaseCancelled, PurchaseConfirmed
from topics import purchase_results

if TYPE_CHECKING:
    from boxoffice.tracing.spans import Tracing

log = structlog.get_logger(__name__)

AT_WORK: Final = 256
"""Tickets between their turn and their announcement: those being drawn, stored and published."""

_FINISH_S: Final = 4.0
_RETRY_RECOVERY_S: Final = 1.0


class Making:
    """Makes and removes the documents of the partitions that this worker owns."""

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: DocumentsSettings,
        codes: TicketCodes,
        pages: EventPages,
        producer: BatchProducer,
        ending_on_failure: Callable[[], AbstractContextManager[None]],
        *,
        tracing: Tracing | None = None,
    ) -> None:
        self._kafka = kafka
        self._tracing = tracing
        self._settings = settings
        self._codes = codes
        self._pages = pages
        self._announcer = Announcer(kafka, producer, ending_on_failure)
        self._places = Places(kafka, producer)
        self._ending_on_failure = ending_on_failure
        self._ledger = purchase_results.TOPIC.full_name(kafka.topic_prefix)
        self.store = DocumentStore(settings)
        self.pool = Pool(settings.processes, settings.drawing_timeout_ms / 1000, style_of(settings))
        self.progress = Progress(settings.queue_size)
        self._cleaner = Cleaner(settings, self.store, pages.begin_at)
        self._in_background: list[asyncio.Task[None]] = []
        self._ledgers: dict[TP, TakenLedger] = {}
        self._taking_over = asyncio.Lock()
        self._queue = FairQueue()
        self._renewing = Renewing(kafka, self._places, settings.renewal_rate, self._add, ending_on_failure)
        self._at_work: set[asyncio.Task[None]] = set()
        self._warned: set[str] = set()

    def details(self) -> dict[str, Any]:
        """What there is to know of its health."""
        waiting = self.progress.tickets
        # Counted here: metrics are written in a thread, and orders come meanwhile.
        metrics.DOCUMENTS_WAITING.set(waiting)
        metrics.DOCUMENTS_TO_RENEW.set(self._renewing.left)
        return {
            "documents": {"waiting": waiting, "to_renew": self._renewing.left},
            "waits_for": ["document store"] if self.store.failing else [],
        }

    # Taking over

    async def take_over(self, consumer: BatchConsumer) -> None:
        """Go on where the group has committed, or at the place that was kept, knowing what was taken before that.

        Runs while nothing is delivered.
        """
        async with self._taking_over:
            await self.let_go()
            await self._make_store()
            tps = sorted(tp for tp in consumer.assignment() if tp.topic == self._ledger)
            # Whoever had a partition meanwhile has seen what became of its events.
            self._pages.forget()
            self._ledgers, renewals = await self._recover(tps)
            self.progress.begin(consumer, self._ledgers)
            for tp, kept in renewals.items():
                await self._renewing.begin(tp, kept, self._ledgers[tp].next_offset)
            if not self._in_background:
                self._in_background = [asyncio.create_task(self._clean()), asyncio.create_task(self._keep(consumer))]
            log.info("partitions ready", partitions=[tp.partition for tp in tps])

    async def _make_store(self) -> None:
        """Whoever reads finds a store as soon as anything was dealt with; one that fails is waited for later."""
        try:
            await self.store.make()
        except StoreError as error:
            log.warning("the document store is not ready", error=str(error))

    async def let_go(self) -> None:
        """Drop everything: whoever has the partitions next begins after what was committed."""
        self.progress.clear()
        self._queue.clear()
        await self._renewing.let_go()
        await end_tasks(self._at_work)

    async def _recover(self, tps: list[TP]) -> tuple[dict[TP, TakenLedger], dict[TP, Sequence[Renewal]]]:
        while True:
            try:
                return await self._read_ledgers(tps)
            except UnreachableError as error:
                log.warning("cannot read the ledger yet", error=str(error), seldom=True)
                await asyncio.sleep(_RETRY_RECOVERY_S)

    async def _read_ledgers(self, tps: list[TP]) -> tuple[dict[TP, TakenLedger], dict[TP, Sequence[Renewal]]]:
        """Take each partition as far as it was committed; where the group has forgotten that, as far as its place.

        Returns also the renewals that are not done.
        """
        async with admin(self._kafka) as client:
            committed = await committed_offsets(client, group_id(self._kafka, "documents"))
        found = await self._places.read(tp.partition for tp in tps)
        partitions = [TopicPartition(*tp) for tp in tps]
        ledgers = {}
        offsets_read = 0
        async with reader(self._kafka, partitions) as consumer:
            begins = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
            for tp, partition in zip(tps, partitions, strict=True):
                begin, end = begins[partition], ends[partition]
                kept = _within(found[tp.partition].place, begin, end)
                start = _start(committed.get(partition), kept, begin, end)
                taken = self._ledgers.get(tp)
                goes_on = kept is not None and kept.offset <= start
                if taken is None or not taken.rewind(start):
                    taken = TakenLedger.at(kept) if kept is not None and goes_on else TakenLedger(begin)
                first = taken.next_offset
                offsets_read += start - first
                async for records in read_between(consumer, partition, first, start, tell_passed_over(tp.partition)):
                    for record in records:
                        self._see(taken.take(record))
                    taken.settle(taken.next_offset)
                if taken.held:
                    _log_held(tp, taken)
                else:
                    taken.next_offset = start
                if not goes_on:
                    taken.keep_anew(found[tp.partition].events)
                metrics.STRANGE_RECORDS.labels(purchase_results.TOPIC.name).inc(taken.damaged)
                ledgers[tp] = taken
        log.info("ledger read up to where it goes on", offsets=offsets_read)
        return ledgers, {tp: found[tp.partition].renewals for tp in tps}

    def _see(self, fact: Fact | None) -> None:
        """Take what has no document, and says something about others."""
        if fact is None:
            return
        match fact["type"]:
            case "event_created" | "event_changed":
                self._pages.saw(fact)
            case "purchase_cancelled":
                self._renewing.saw(fact)
            case "event_archived":
                # Its documents stay.
                self._warned.discard(fact["event_id"])

    # Taking

    def take(self, batch: Batch) -> None:
        """Put what is new in a batch into the queue."""
        batch.hand_over()
        for run in batch.runs:
            taken = self.progress.of(run.tp)
            if taken is not None and not taken.held:
                self._take_run(run, taken)
        self._begin()

    def _take_run(self, run: Run, taken: TakenLedger) -> None:
        damaged = taken.damaged
        orders: list[Order] = []
        for record in run.records:
            fact = taken.take(record)
            self._see(fact)
            if fact is not None and _has_consequences(fact):
                orders.append(Order(fact, record))
        if taken.damaged > damaged:
            metrics.STRANGE_RECORDS.labels(purchase_results.TOPIC.name).inc(taken.damaged - damaged)
            log.warning(
                "passed over damaged ledger records",
                partition=run.tp.partition,
                records=taken.damaged - damaged,
                first=run.first,
                next=run.next,
            )
        for order in orders:
            self._queue.add(order)
        self.progress.took(run.tp, run.next, orders)
        if taken.held:
            _log_held(run.tp, taken)
            self.progress.hold(run.tp)

    # Doing

    def _add(self, order: Order) -> None:
        """Put an order into the queue that follows from an older fact than those that are taken."""
        self._queue.add(order)
        self._begin()

    def _begin(self) -> None:
        """Begin as many jobs as there is room for."""
        while len(self._at_work) < AT_WORK and (job := self._queue.next()) is not None:
            task = asyncio.create_task(self._do(job))
            self._at_work.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._at_work.discard(task)
        self._begin()

    async def _do(self, job: Job) -> None:
        with self._ending_on_failure(), traced(self._tracing, job):
            fact = job.order.fact
            if fact["type"] == "purchase_confirmed":
                await self._make(job, fact)
            elif fact["type"] == "purchase_cancelled":
                await self._remove(job, fact)
            else:
                await self._note(job, fact)
            self._queue.done(job)
            (job.order.renewal or self.progress).did(job.order)

    async def _make(self, job: Job, sale: PurchaseConfirmed) -> None:
        """Draw a ticket by what its event was when it was sold, or by the change that it is drawn again for."""
        change = job.order.renewal.change if job.order.renewal is not None else None
        seq = sale["seq"] if change is None else change["seq"]
        try:
            event = await self._pages.of(job.event_id, seq, whole=change is not None)
            with step(job, DRAWING):
                drawn = await self._draw(job, sale, event.page(seq, sale, job.ticket))
        except (CodeError, DrawingError, UnknownEventError) as error:
            await self._bury(job, str(error))
            return
        name = document_name(job.event_id, job.ticket, purchase_of(sale), event.at(seq).since)
        with step(job, STORING, "CLIENT"):
            await self.store.put(name, drawn.pdf)
        location, size_bytes = self.store.location(name), len(drawn.pdf)
        await self._announce(job, made(sale, job.ticket, location, size_bytes, drawn.sha256, drawn.flaws, change))
        if change is not None:
            await self._remove_older(job, purchase_of(sale), event.before(seq))
        metrics.DOCUMENTS_MADE.inc()
        metrics.DOCUMENTS_FLAWED.inc(bool(drawn.flaws))
        metrics.DOCUMENT_BYTES.inc(len(drawn.pdf))

    async def _draw(self, job: Job, sale: PurchaseConfirmed, event: EventPage) -> Drawn:
        code = self._codes.code(sale, job.ticket)
        page = TicketPage(event, job.ticket, sale["buyer"], purchase_of(sale), code)
        drawing = AsyncRetrying(
            stop=stop_after_attempt(self._settings.attempts),
            wait=wait_exponential_jitter(
                initial=self._settings.first_retry_ms / 1000,
                max=self._settings.longest_retry_ms / 1000,
            ),
            retry=retry_if_exception_type(DrawingError),
            reraise=True,
        )
        drawn: Drawn = await drawing(self._draw_once, page)
        self._warn(job, drawn)
        return drawn

    def _warn(self, job: Job, drawn: Drawn) -> None:
        """Say once of an event that its tickets do not look as they should."""
        if drawn.flaws and job.event_id not in self._warned:
            self._warned.add(job.event_id)
            log.warning("a ticket does not look as it should", ticket=job.ticket, flaws=list(drawn.flaws))

    async def _draw_once(self, page: TicketPage) -> Drawn:
        try:
            with metrics.RENDER_DURATION.time():
                drawn = await self.pool.draw(page)
        except DrawingError as error:
            self._queue.suspect(page.event.event_id)
            log.warning("a ticket was not drawn", ticket=page.ticket, reason=str(error))
            raise
        self._queue.trust(page.event.event_id)
        return drawn

    async def _remove(self, job: Job, cancellation: PurchaseCancelled) -> None:
        try:
            pages = (await self._pages.of(job.event_id, cancellation["seq"], whole=True)).before(cancellation["seq"])
        except UnknownEventError:
            pages = [1]  # It has none, or one that was drawn when it was known.
        await self._remove_older(job, cancellation["purchase"], pages)
        name = document_name(job.event_id, job.ticket, cancellation["purchase"], pages[0])
        await self._announce(job, removed(cancellation, job.ticket, self.store.location(name)))
        metrics.DOCUMENTS_REMOVED.labels("cancelled").inc()

    async def _remove_older(self, job: Job, purchase: str, pages: Iterable[int]) -> None:
        """Remove what a purchase has of a ticket by some of the event's pages, under its former name too."""
        of = (job.event_id, job.ticket, purchase)
        for name in dict.fromkeys((*(document_name(*of, since) for since in pages), former_name(*of))):
            await self.store.remove(name)

    async def _note(self, job: Job, change: EventChanged) -> None:
        """See that tickets are drawn again, if a change lets their pages say something else."""
        taken = self.progress.of(job.order.tp)
        if taken is None:
            return  # The partition is somebody else's now, who takes the change as well.
        try:
            event = await self._pages.of(job.event_id, change["seq"])
        except UnknownEventError:
            return  # Nothing of it can have been drawn.
        if event.at(change["seq"]).since == change["seq"]:
            renewal = Renewal(job.event_id, change["seq"], job.order.record.offset)
            await self._renewing.note(job.order.tp, renewal, lambda: taken.next_offset)

    async def _announce(self, job: Job, announcement: DocumentAnnouncement) -> None:
        with step(job, SENDING, "PRODUCER"):
            await self._announcer.announce(announcement, job.order.cause)

    async def _bury(self, job: Job, why: str) -> None:
        """Give a ticket up: the fact goes to ``dead-letters``, and others go on."""
        log.error("a ticket has no document", event_id=job.event_id, ticket=job.ticket, reason=why)
        await self._announcer.bury(job.order.cause, job.ticket, why)
        metrics.DOCUMENTS_FAILED.inc()

    # Keeping the place, cleaning and ending

    async def _keep(self, consumer: BatchConsumer) -> None:
        with self._ending_on_failure():
            while True:
                await asyncio.sleep(KEEP_INTERVAL_S)
                await self._keep_places(consumer)

    async def _keep_places(self, consumer: BatchConsumer) -> None:
        """Not while partitions are taken over: what was read of the places is what holds then."""
        async with self._taking_over:
            await self._places.keep(self._ledgers, consumer.committed_until)
            await self._renewing.keep()

    async def _keep_last_places(self) -> None:
        """So that the next start has nothing to read; where Kafka does not answer, it reads what is not kept."""
        try:
            async with asyncio.timeout(_FINISH_S):
                if (consumer := self.progress.consumer) is not None:
                    await consumer.commit_and_end_transactions()
                    await self._keep_places(consumer)
        except (TimeoutError, PublishError, KafkaError) as error:
            log.warning("the place was not kept", error=str(error) or type(error).__name__)

    async def _clean(self) -> None:
        with self._ending_on_failure():
            await self._cleaner.clean_repeatedly()

    async def stop(self) -> None:
        """Finish what is begun if that is soon; what is not is done after the next start."""
        self._queue.clear()
        await self._renewing.stop()
        if self._at_work:
            await asyncio.wait(self._at_work, timeout=_FINISH_S)
        await end_tasks(self._in_background)
        await self._keep_last_places()
        await self.let_go()
        await self._announcer.stop()
        await self.pool.stop()
        await self._pages.aclose()


def _log_held(tp: TP, taken: TakenLedger) -> None:
    log.error(
        "a newer release's fact: no documents are made from there on", partition=tp.partition, at=taken.next_offset
    )


def _has_consequences(fact: Fact) -> TypeGuard[OrderedFact]:
    """Whether something is to be drawn, removed, or looked at; what was held only was never drawn."""
    if fact["type"] == "purchase_cancelled":
        return not fact.get("held")
    return fact["type"] in ("purchase_confirmed", "event_changed")


def style_of(settings: DocumentsSettings) -> Style:
    """How the settings have tickets drawn."""
    return Style(tuple(settings.fonts.split(",")) if settings.fonts else (), settings.language)


def _start(committed: int | None, kept: Place | None, begin: int, end: int) -> int:
    """Where to go on: where the group is, else at the place; at the beginning where the ledger is another one."""
    if committed is not None and begin <= committed <= end:
        return committed
    return kept.offset if kept is not None else begin


def _within(place: Place | None, begin: int, end: int) -> Place | None:
    """The place, unless it is one of another ledger."""
    return place if place is not None and begin <= place.offset <= end else None
