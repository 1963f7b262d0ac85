"""An audit every now and then, and what it found as metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Thread
from time import monotonic, time
from wsgiref.simple_server import WSGIServer

import structlog
from prometheus_client import start_http_server

from boxoffice import metrics
from boxoffice.audit.comparing import Audit
from boxoffice.audit.report import AuditReport
from boxoffice.errors import BoxOfficeError
from boxoffice.process.listening import PortInUseError, listening
from boxoffice.settings import ProcessSettings, Settings
from boxoffice.tasks import end_tasks

log = structlog.get_logger(__name__)


async def audit_repeatedly(settings: Settings, every_s: float, wait_s: float, event_ids: Sequence[str] = ()) -> None:
    """Audit, serve what was found as metrics, and audit again ``every_s`` after the last one began."""
    with _serving(settings.process):
        while True:
            next_s = monotonic() + every_s
            auditing = asyncio.create_task(_audit(settings, wait_s, event_ids))
            try:
                await asyncio.wait([auditing])
            finally:
                await end_tasks([auditing])
            auditing.result()
            await asyncio.sleep(next_s - monotonic())


async def _audit(settings: Settings, wait_s: float, event_ids: Sequence[str]) -> None:
    try:
        report = await Audit(settings, wait_s, event_ids).run()
    except BoxOfficeError as error:
        metrics.AUDITS.labels("failed").inc()
        log.warning("no audit", error=str(error))
        return
    metrics.AUDITS.labels("agrees" if report.agrees else "differs").inc()
    metrics.AUDIT_DIFFERENCES.set(len(report.all_differences))
    metrics.AUDIT_DURATION.set(report.seconds)
    metrics.AUDIT_TIME.set(time())
    _tell(report)


def _tell(report: AuditReport) -> None:
    if report.agrees:
        log.info("audit", summary=report.summary)
        return
    log.error("audit", summary=report.summary)
    for difference in report.all_differences:
        log.error("audit found a difference", difference=difference)


def _serve(settings: ProcessSettings, port: int) -> tuple[WSGIServer, Thread]:
    with listening(settings, port):
        return start_http_server(port, settings.health_host, metrics.AUDIT)


@contextmanager
def _serving(settings: ProcessSettings) -> Iterator[None]:
    """Serve the metrics, on a free port where the one of the settings is taken."""
    try:
        server, thread = _serve(settings, settings.health_port)
    except PortInUseError:
        log.warning("the health port is taken, using a free one", port=settings.health_port)
        server, thread = _serve(settings, 0)
    log.info("health and metrics", host=settings.health_host, port=server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
