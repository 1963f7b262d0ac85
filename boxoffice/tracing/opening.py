"""Whether traces are written, and by which exporter: what OpenTelemetry's own variables say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from boxoffice.settings import TracingSettings
    from boxoffice.tracing.spans import Tracing

log = structlog.get_logger(__name__)

NOT_INSTALLED: Final = (
    "traces are wanted, but OpenTelemetry is not installed: none are written. Install boxoffice[tracing], or unset the "
    "variable"
)
_EXPORTER: Final = "OTEL_TRACES_EXPORTER"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


@contextmanager
def opened(settings: TracingSettings, process: str) -> Iterator[Tracing | None]:
    """What a process writes its traces with, until the block ends; None where it writes none.

    What is wrong with it is said once and stops nobody: no sale depends on it.
    """
    variable = wanted_by()
    tracing = _opened(settings, process, variable) if variable is not None else None
    try:
        yield tracing
    finally:
        if tracing is not None:
            tracing.close()


def wanted_by() -> str | None:
    """The variable by which somebody wants traces; None if nobody does."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    exporter = os.environ.get(_EXPORTER, "").strip().lower()
    if exporter:
        return _EXPORTER if exporter != "none" else None
    return next((name for name in _ENDPOINTS if os.environ.get(name, "").strip()), None)


def _opened(settings: TracingSettings, process: str, variable: str) -> Tracing | None:
    try:
        from boxoffice.tracing.exporting import exporters
        from boxoffice.tracing.spans import Tracing
    except ImportError:
        log.warning(NOT_INSTALLED, set_by=variable)
        return None
    try:
        tracing = Tracing(settings, process, exporters(os.environ.get(_EXPORTER, "").strip() or "otlp"))
    except Exception as error:  # noqa: BLE001  # whatever is set wrong, tickets are sold
        log.warning("no traces are written, since OpenTelemetry cannot be set up", error=str(error) or repr(error))
        return None
    log.info("traces are written", set_by=variable)
    return tracing
