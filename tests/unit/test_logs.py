"""Logs: one line an event, the same for everybody's loggers, and never a secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from boxoffice.logs import Repeats, configure
from boxoffice.settings import Settings, load_settings

PASSWORD = "p@ss:w/ord"
CONNECTING = f"connecting with {PASSWORD}"
QUOTED = "p%40ss%3Aw%2Ford"


class Terminal(io.StringIO):
    """A stream that says that a person looks at it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configuration = structlog.get_config()
    names = ("aiokafka", "kafka", "faust", "mode", "asyncio")
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configuration)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def _settings(**overrides: Any) -> Settings:
    return load_settings(**{"log_format": "auto", "log_level": "info", **overrides})


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_away_from_a_terminal_each_line_is_json_with_a_utc_timestamp() -> None:
    stream = io.StringIO()
    configure(_settings(), "purchases", stream)
    structlog.get_logger("boxoffice.selling.pipeline").warning("ledger read", partition=3, offset=17, event_id="42")
    [line] = _lines(stream)
    assert list(line)[:4] == ["timestamp", "level", "process", "message"]
    assert (line["level"], line["process"], line["message"]) == ("warning", "purchases", "ledger read")
    assert (line["partition"], line["offset"], line["event_id"]) == (3, 17, "42")
    assert line["logger"] == "boxoffice.selling.pipeline"
    said_at = datetime.fromisoformat(line["timestamp"])
    assert said_at.tzinfo == UTC
    assert abs((datetime.now(UTC) - said_at).total_seconds()) < 60


def test_on_a_terminal_a_line_is_for_reading() -> None:
    stream = Terminal()
    configure(_settings(), "purchases", stream)
    structlog.get_logger("boxoffice.selling.pipeline").info("ledger read", partition=3)
    text = stream.getvalue()
    assert "ledger read" in text
    assert not text.startswith("{")


@pytest.mark.parametrize(("log_format", "stream"), [("json", Terminal()), ("console", io.StringIO())])
def test_a_setting_says_otherwise(log_format: str, stream: io.StringIO) -> None:
    configure(_settings(log_format=log_format), "purchases", stream)
    structlog.get_logger().info("ledger read")
    assert stream.getvalue().startswith("{") == (log_format == "json")
    assert "\x1b" not in stream.getvalue() or log_format == "json"


def test_the_standard_librarys_loggers_come_out_alike() -> None:
    stream = io.StringIO()
    configure(_settings(), "purchases", stream)
    logging.getLogger("faust.app").warning("lost %s", "a partition", extra={"partition": 3})
    [line] = _lines(stream)
    assert (line["message"], line["logger"], line["level"]) == ("lost a partition", "faust.app", "warning")
    assert (line["process"], line["partition"]) == ("purchases", 3)


def test_clients_and_engine_are_heard_only_when_something_is_wrong() -> None:
    stream = io.StringIO()
    configure(_settings(), "purchases", stream)
    for name in ("aiokafka.producer", "kafka", "faust.worker", "mode.services"):
        logging.getLogger(name).info("Starting...")
    # A service of the box office's own is announced by mode under the module's name.
    logging.getLogger("boxoffice.batching.consumer").info("[^--BatchConsumer]: Starting...")
    assert stream.getvalue() == ""
    logging.getLogger("aiokafka.producer").error("gone")
    logging.getLogger("boxoffice.batching.consumer").error("[^--BatchConsumer]: crashed")
    assert [line["message"] for line in _lines(stream)] == ["gone", "[^--BatchConsumer]: crashed"]


def test_debugging_shows_the_engine_but_not_each_send() -> None:
    stream = io.StringIO()
    configure(_settings(log_level="debug"), "purchases", stream)
    logging.getLogger("faust.worker").debug("Starting...")
    logging.getLogger("aiokafka.producer").debug("sent")
    structlog.get_logger().debug("decided")
    assert [line["message"] for line in _lines(stream)] == ["Starting...", "decided"]


def test_what_is_below_the_level_is_left_out() -> None:
    stream = io.StringIO()
    configure(_settings(log_level="error"), "purchases", stream)
    structlog.get_logger().warning("slow")
    logging.getLogger("aiokafka").warning("slow")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_is_logged_wherever_it_stands(log_format: str) -> None:
    stream = io.StringIO()
    settings = _settings(
        log_format=log_format,
        redis_url=f"rediss://user:{QUOTED}@127.0.0.1:6379",
        kafka_sasl_password="hunter22",
        documents_url="s3://key:correcthorse@bucket",
    )
    configure(settings, "purchases", stream)
    logger = structlog.get_logger()
    logger.info(CONNECTING, url=settings.redis.url.get_secret_value())
    logger.info("nested", options={"sasl": ["hunter22", {"deep": b"hunter22"}]}, store="s3://key:correcthorse@bucket")
    logging.getLogger("redis").warning("cannot reach %s", f"rediss://user:{QUOTED}@127.0.0.1")
    try:
        raise ValueError(PASSWORD)
    except ValueError:
        logger.exception("failed")
    text = stream.getvalue()
    assert text.count("***") >= 7
    for secret in (PASSWORD, QUOTED, "hunter22", "correcthorse"):
        assert secret not in text
    assert "127.0.0.1" in text


def test_a_line_stays_json_when_the_secret_is_a_word_of_ours() -> None:
    stream = io.StringIO()
    configure(_settings(kafka_sasl_password="timestamp"), "purchases", stream)
    structlog.get_logger().info("at the timestamp")
    [line] = _lines(stream)
    assert line["message"] == "at the ***"
    assert "timestamp" in line


class Clock:
    """A clock that a test sets."""

    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def said(repeats: Repeats, text: str, *arguments: object, name: str = "aiokafka", level: int = logging.ERROR) -> str:
    """What becomes of a line of a library; nothing if it is left out."""
    record = logging.LogRecord(name, level, __file__, 1, text, arguments, None)
    return record.getMessage() if repeats.let_through(record) else ""


def test_what_a_library_says_each_second_is_written_once_a_minute() -> None:
    clock = Clock()
    repeats = Repeats(clock)
    lines = []
    for _ in range(601):
        lines += [said(repeats, 'Unable connect to "%s:%s"', "127.0.0.1", port) for port in (9092, 9093)]
        lines.append(said(repeats, "Unable to update metadata from [1, 2]", name="aiokafka.client"))
        clock.now_s += 1
    written = [line for line in lines if line]
    assert written[0] == 'Unable connect to "127.0.0.1:9092"'
    assert written[1].startswith("Unable to update metadata from [1, 2]")
    assert len(written) == 2 + 10
    assert all("(lines of aiokafka left out: " in line for line in written[2:])


def test_what_is_new_or_grave_or_comes_after_a_silence_is_written_at_once() -> None:
    clock = Clock()
    repeats = Repeats(clock)
    assert said(repeats, "Heartbeat failed")
    assert not said(repeats, "Heartbeat failed")
    assert said(repeats, "Heartbeat failed", level=logging.CRITICAL)
    assert said(repeats, "Heartbeat failed", name="faust.transport")
    clock.now_s += 61
    assert said(repeats, "Heartbeat failed") == "Heartbeat failed (lines of aiokafka left out: 1)"
    clock.now_s += 61
    assert said(repeats, "Heartbeat failed") == "Heartbeat failed"
    assert said(repeats, "Topic %s is not authorized", "x") == "Topic x is not authorized"


def test_what_we_try_each_second_ourselves_is_written_once_a_minute_and_nothing_else_is_left_out() -> None:
    stream = io.StringIO()
    configure(_settings(), "purchases", stream)
    log = structlog.get_logger("boxoffice.selling.pipeline")
    for _ in range(3):
        log.warning("cannot read the ledger yet", error="gone", seldom=True)
        log.warning("partition refused", partition=3)
    assert [line["message"] for line in _lines(stream)] == ["cannot read the ledger yet", *["partition refused"] * 3]
    assert all("seldom" not in line for line in _lines(stream))


@pytest.mark.parametrize(
    ("stream", "environment", "coloured"),
    [
        (Terminal, {}, True),
        (io.StringIO, {}, False),
        (Terminal, {"NO_COLOR": "1"}, False),
        (Terminal, {"NO_COLOR": ""}, True),
        (io.StringIO, {"FORCE_COLOR": "1"}, True),
        (Terminal, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (Terminal, {"TERM": "dumb"}, False),
    ],
)
def test_colours_are_for_terminals_unless_somebody_says_otherwise(
    stream: type[io.StringIO], environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variables that every program heeds."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", **environment}.items():
        monkeypatch.setenv(name, value)
    shown = stream()
    configure(_settings(log_format="console"), "purchases", shown)
    structlog.get_logger("boxoffice").warning("sold")
    assert ("\x1b[" in shown.getvalue()) == coloured
