"""Logs: one line an event, JSON for machines, readable on a terminal, never a secret.

The standard library's loggers (Faust, mode, aiokafka) come out of the same renderer. Callers bind what
a line is about by the names ``request_id``, ``event_id``, ``partition`` and ``offset``.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from time import monotonic
from typing import TYPE_CHECKING, TextIO
from urllib.parse import unquote

import structlog

from boxoffice.showing.masking import MASK, SHORTEST, SecretUrl, masked, secrets_in
from boxoffice.showing.printing import json_text, printable, printable_lines

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

    from boxoffice.settings import Settings

_CLIENT_LOGGERS = ("aiokafka", "kafka")
_ENGINE_LOGGERS = ("faust", "mode")
_SERVICE_MARK = "[^"
"""How mode begins what it says of a service's life, whichever module the service is from."""
_EXPORTERS_HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
_SELDOM_S = 60.0
_MOST_HEARD = 1_000
_NUMBER = re.compile(r"\d+")


def configure(settings: Settings, process: str = "", stream: TextIO | None = None) -> None:
    """Send every log line of this process to ``stream``, standard error unless given."""
    stream = stream or sys.stderr
    level = logging.getLevelNamesMapping()[settings.logs.level.upper()]
    handler = logging.StreamHandler(stream)
    shared = _shared(process)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=_rendering(settings, stream),
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    least = max(level, logging.WARNING)
    _set_level(least, *_CLIENT_LOGGERS)
    _set_level(logging.NOTSET, "asyncio")
    repeats = Repeats()
    _set_level(least if level > logging.DEBUG else logging.NOTSET, *_ENGINE_LOGGERS)
    if level > logging.DEBUG:
        handler.addFilter(_is_news)
        handler.addFilter(repeats.let_through)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _seldom_sayer(repeats),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def in_color(stream: TextIO) -> bool:
    """Whether what goes to a stream is coloured: on a terminal, unless NO_COLOR or FORCE_COLOR says otherwise."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


def _set_level(level: int, *names: str) -> None:
    """Let through of these loggers only what is at least this grave."""
    for name in names:
        logging.getLogger(name).setLevel(level)


class Repeats:
    """Keeps whoever tries again each second from saying so each second, for as long as a server is away.

    What is said for the first time, or again after a minute's silence, comes through. Of what is repeated one line a
    minute does, which says how many were left out.
    """

    def __init__(self, now_s: Callable[[], float] = monotonic) -> None:
        self._now_s = now_s
        self._heard_s: dict[tuple[str, str], float] = {}
        self._said_s: dict[str, float] = {}
        self._left_out: Counter[str] = Counter()

    def let_through(self, record: logging.LogRecord) -> bool:
        """Whether a library's line is written; our own are not looked at."""
        if isinstance(record.msg, dict) or not logging.WARNING <= record.levelno < logging.CRITICAL:
            return True
        library = record.name.partition(".")[0]
        left_out = self.left_out(library, _NUMBER.sub("N", str(record.msg)))
        if left_out:
            record.msg, record.args = f"{record.getMessage()} (lines of {library} left out: {left_out})", ()
        return left_out is not None

    def left_out(self, who: str, what: str) -> int | None:
        """How many lines were left out before this one; None: it is left out as well."""
        now_s = self._now_s()
        if len(self._heard_s) > _MOST_HEARD:
            self._heard_s.clear()
        heard_s = self._heard_s.get((who, what))
        self._heard_s[who, what] = now_s
        is_repeated = heard_s is not None and now_s - heard_s < _SELDOM_S
        if is_repeated and now_s - self._said_s[who] < _SELDOM_S:
            self._left_out[who] += 1
            return None
        self._said_s[who] = now_s
        return self._left_out.pop(who, 0)


def _seldom_sayer(repeats: Repeats) -> Processor:
    """Of our own lines those are treated so that are bound ``seldom``: who logs them tries again and again."""

    def say(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        if line.pop("seldom", False) and repeats.left_out("boxoffice", str(line["event"])) is None:
            raise structlog.DropEvent
        return line

    return say


def _is_news(record: logging.LogRecord) -> bool:
    """Whether it is more than the start or the end of one of the engine's services."""
    return record.levelno >= logging.WARNING or not str(record.msg).startswith(_SERVICE_MARK)


def secrets_of(settings: Settings) -> dict[str, str]:
    """Every text of the settings that must not be shown, and what is shown instead: of a URL its harmless parts."""
    from boxoffice.settings import SETTINGS

    found: dict[str, str] = {}
    for setting in SETTINGS.values():
        value = setting.value(settings)
        found |= {secret: MASK for secret in secrets_in(value) if len(secret) >= SHORTEST}
        if isinstance(value, SecretUrl):
            found[value.get_secret_value()] = masked(value)
    found |= {secret: MASK for secret in _in_headers_of_exporters() if len(secret) >= SHORTEST}
    return {secret: shown for secret, shown in found.items() if secret != shown}


def _in_headers_of_exporters() -> Iterator[str]:
    """What may be secret in headers for OpenTelemetry's exporters: its library logs what it cannot read of them."""
    for variable in _EXPORTERS_HEADERS:
        for header in os.environ.get(variable, "").split(","):
            value = header.partition("=")[2].strip() or header.strip()
            yield from (value, unquote(value))


def masker(secrets: Mapping[str, str]) -> Callable[[str], str]:
    """Replaces the secrets in a text; the longest first, since one may contain another."""
    ordered = sorted(secrets.items(), key=lambda one: len(one[0]), reverse=True)

    def mask(text: str) -> str:
        for secret, shown in ordered:
            text = text.replace(secret, shown)
        return text

    return mask


def _shared(process: str) -> list[Processor]:
    """What is added to every line, whoever logs it."""
    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _process_adder(process),
    ]


def _process_adder(process: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        if process:
            line.setdefault("process", process)
        return line

    return add


def _rendering(settings: Settings, stream: TextIO) -> list[Processor]:
    chain: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    if secrets := secrets_of(settings):
        chain.append(_secret_remover(masker(secrets)))
    if settings.logs.format == "console" or (settings.logs.format == "auto" and stream.isatty()):
        return [*chain, _without_process, _printable_values, _console(colors=in_color(stream))]
    # In the field's language an event is what tickets are sold for.
    return [*chain, structlog.processors.EventRenamer("message"), _leading_members_first, _JSON]


_JSON = structlog.processors.JSONRenderer(json_text)
_OF_LINES = frozenset({"exception", "stack"})
_LEADING = ("timestamp", "level", "process", "message")


def _console(*, colors: bool) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=colors, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
    )


def _leading_members_first(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    return {name: line[name] for name in _LEADING if name in line} | dict(line)


def _without_process(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Whoever reads a console knows what runs there, or has its name before each line (``boxoffice up``)."""
    line.pop("process", None)
    return line


def _printable_values(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """A line is of what strangers sent, too; stack traces stay lines."""
    return {
        printable(name): printable_lines(value) if name in _OF_LINES else _printable_value(value)
        for name, value in line.items()
    }


def _printable_value(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return printable(value if isinstance(value, str) else repr(value))


def _secret_remover(mask: Callable[[str], str]) -> Processor:
    """Masks values and leaves names alone, so that a line stays JSON whatever the secret is."""

    def cleaned(value: object) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return mask(value)
        if isinstance(value, dict):
            return {name: cleaned(member) for name, member in value.items()}
        if isinstance(value, list | tuple):
            return [cleaned(member) for member in value]
        return mask(repr(value))

    def remove(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        return {name: cleaned(value) for name, value in line.items()}

    return remove
