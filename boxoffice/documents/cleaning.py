"""The scheduled clean-up: documents of events that are long over, and what a crash left half written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

import structlog

from boxoffice import metrics
from boxoffice.settings import DocumentsSettings
from boxoffice.storage.errors import StoreError
from boxoffice.storage.store import STALE_AFTER_S, DocumentStore
from models.times import moment

log = structlog.get_logger(__name__)

FindEvents = Callable[[Iterable[str]], Awaitable[Mapping[str, str]]]
"""When events begin, by their ids; those are left out of which that cannot be found out now."""


class Cleaner:
    """Cleans up at the start, once more when what the last crash left is stale, and then from time to time."""

    def __init__(self, settings: DocumentsSettings, store: DocumentStore, begin_at: FindEvents) -> None:
        self._store = store
        self._begin_at = begin_at
        self._kept_days = settings.kept_after_event_days
        self._interval_s = settings.cleaning_interval_s

    async def clean_repeatedly(self) -> None:
        """Clean up until cancelled."""
        await self._clean_or_say_why_not()
        await asyncio.sleep(min(STALE_AFTER_S + 1, self._interval_s))
        while True:
            await self._clean_or_say_why_not()
            await asyncio.sleep(self._interval_s)

    async def _clean_or_say_why_not(self) -> None:
        try:
            await self.clean()
        except StoreError as error:
            log.warning("no clean-up", error=str(error))

    async def clean(self) -> None:
        """Clean up, and say what was removed.

        Raises:
            StoreError: the store failed.
        """
        half_written = await self._store.discard_half_written()
        if half_written:
            log.info("removed what was half written", files=len(half_written), names=half_written[:20])
        if self._kept_days:
            await self._remove_what_is_over()
        metrics.CLEANUPS.inc()

    async def _remove_what_is_over(self) -> None:
        now = datetime.now(UTC)
        # Of whichever event nothing is found nobody can know that it is over: its documents are kept.
        for event_id, starts_at in (await self._begin_at(await self._store.folders())).items():
            if is_over(starts_at, self._kept_days, now):
                await self._remove(event_id, starts_at)

    async def _remove(self, event_id: str, starts_at: str) -> None:
        documents = size_bytes = 0
        async for some in self._store.documents(event_id):
            await self._store.discard([document.name for document in some])
            metrics.DOCUMENTS_REMOVED.labels("age").inc(len(some))
            documents += len(some)
            size_bytes += sum(document.size_bytes for document in some)
        if documents:
            log.info(
                "removed the documents of an event that is over",
                event_id=event_id,
                starts_at=starts_at,
                documents=documents,
                size_bytes=size_bytes,
            )


def is_over(starts_at: str, kept_days: float, now: datetime) -> bool:
    """Whether an event began so many days ago; one whose time nobody can read is never over."""
    try:
        return moment(starts_at) + timedelta(days=kept_days) < now
    except (ValueError, TypeError, OverflowError):
        return False
