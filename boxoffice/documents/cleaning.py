"""The scheduled clean-up: old documents, and what a crash left half written."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import structlog

from boxoffice import metrics
from boxoffice.documents.errors import StoreError
from boxoffice.documents.store import STALE_AFTER_S, DocumentStore, Stored
from boxoffice.settings import DocumentsSettings

log = structlog.get_logger(__name__)


class Cleaner:
    """Cleans up at the start, once more when what the last crash left is stale, and then from time to time."""

    def __init__(self, settings: DocumentsSettings, store: DocumentStore) -> None:
        self._store = store
        self._max_age = timedelta(days=settings.max_age_days)
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
        if self._max_age:
            await self._remove_old()
        metrics.CLEANUPS.inc()

    async def _remove_old(self) -> None:
        before = datetime.now(UTC) - self._max_age
        documents, sizes_bytes = Counter[str](), Counter[str]()
        async for some in self._store.documents():
            old = [document for document in some if document.modified < before]
            await self._store.discard([document.name for document in old])
            metrics.DOCUMENTS_REMOVED.labels("age").inc(len(old))
            for document in old:
                documents[_event_of(document)] += 1
                sizes_bytes[_event_of(document)] += document.size_bytes
        for event_id, count in documents.items():
            log.info(
                "removed old documents",
                event_id=event_id,
                documents=count,
                size_bytes=sizes_bytes[event_id],
                before=before.isoformat(timespec="seconds"),
            )


def _event_of(document: Stored) -> str:
    return document.name.partition("/")[0]
