"""Whatever anybody wrote, a terminal shows it and obeys none of it."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from boxoffice.audit.event_view import EventView
from boxoffice.audit.report import AuditReport
from boxoffice.cli import _told, tables
from boxoffice.cli.events import _print as _print_event
from boxoffice.cli.operations import print_report
from boxoffice.cli.purchases import _line
from boxoffice.cli.stats import _print, _print_line
from boxoffice.embedded.supervisor import _shown
from boxoffice.errors import ExitStatus
from boxoffice.kafka.asking import LedgerRecord
from boxoffice.logs import configure
from boxoffice.redis.presence import Presences
from boxoffice.settings import load_settings
from boxoffice.showing.printing import json_text, printable, printable_lines, told_apart
from boxoffice.statistics.figures import totals_of_all
from boxoffice.statistics.reading import Report
from models.shapes import Fact
from tests.unit.test_strangers import FIGURES

ROOT = Path(__file__).parents[2]
HOSTILE = "Night \x1b]0;PWNED\x07\x1b[31m \u202egnp.exe\u2066 \x9b2J \x7f \u2028 \u200b \ufeff \U000e0001 \udcff"
"""A title, colours, turned text, what clears the screen, and what cannot be seen."""


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def is_harmless(text: str) -> bool:
    """Printable, or a space of some script, or a line's end."""
    return all(character.isprintable() or character in "\n\u00a0\u202f\u3000" for character in text)


@given(st.text())
@example(HOSTILE)
def test_what_is_shown_is_printable_and_twice_is_the_same_as_once(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown
    assert printable(told_apart(text)) == told_apart(text)
    shown.encode()
    for character in "\x1b\x07\x9b\n\r\x7f\u202e\u2066\u2028\u200b":
        assert character not in shown


@pytest.mark.parametrize(
    "text",
    [
        "Zoë, 東京　ホール, Ελλάδα, עברית, العربية, C:\\temp",
        "45,00\u00a0€",
        "می\u200cخواهم",  # noqa: RUF001  # Persian, as it is written
        "क्\u200dष",
        "👩\u200d👩\u200d👧",
        "e\u0301",
    ],
)
def test_all_languages_stay_as_they_are_written(text: str) -> None:
    assert printable(text) == text


def test_joiners_that_join_nothing_are_shown() -> None:
    assert printable("a\u200db") == "a\\u200db"
    assert printable("\u200c") == "\\u200c"
    assert printable("é\u200d\u200dé") == "é\\u200d\\u200dé"


def test_bytes_are_told_apart_from_text_that_looks_like_them() -> None:
    assert told_apart(b"\xff\\xff") == "\\xff\\\\xff"
    assert printable("\udcff") == "\\xff"


def test_lines_stay_lines_where_there_are_several() -> None:
    assert printable_lines("a\x1b\nb\tc") == "a\\x1b\nb\\tc"


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text())))
@example({HOSTILE: HOSTILE})
def test_json_is_escaped_and_stays_what_it_was(value: dict[str, Any]) -> None:
    told = json_text(value)
    assert told.isprintable()
    assert json.loads(told) == value


# Tables


def _table() -> None:
    tables.print_table(("name" + HOSTILE, "#"), [(HOSTILE, 1), ("Zoë", 22)], title=HOSTILE)


def _lines() -> None:
    tables.say(HOSTILE)
    tables.note(HOSTILE)


def report_of(name: str) -> Report:
    """Statistics of an event of that name, and a key of that name that should not be there."""
    events = [{**FIGURES["42"], "name": name}]
    return Report(totals_of_all([], events), events, True, Presences(), None, [name])


def _stats() -> None:
    _print(report_of(HOSTILE))


def _stats_as_json() -> None:
    _print_line(report_of(HOSTILE))


def _audit() -> None:
    report = AuditReport()
    report.differences.append(HOSTILE)
    report.notes.append(HOSTILE)
    print_report(report)


def _event() -> None:
    _print_event(EventView({"name": HOSTILE}, {"name": HOSTILE, HOSTILE: ""}, (HOSTILE,)))


def _result() -> None:
    fact = cast(Fact, {**FACT, "reason": HOSTILE, "event_id": HOSTILE})
    tables.say(_line(LedgerRecord(0, 1, b"", fact)))


def _result_as_json() -> None:
    value = json.dumps({**FACT, "reason": HOSTILE}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    text = value.decode("utf-8", "surrogatepass").replace("\udcff", "")
    tables.say(LedgerRecord(0, 1, text.encode(), cast(Fact, FACT)).line)


def _refusal() -> None:
    _told(HOSTILE, ExitStatus.REJECTED)


FACT = {"type": "command_unreadable", "at": "2027-03-01T19:30:00.000Z", "source": {"partition": 0, "offset": 1}}


@pytest.mark.parametrize(
    "shows",
    [_table, _lines, _stats, _stats_as_json, _audit, _event, _result, _result_as_json, _refusal],
)
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_no_command_lets_through_what_a_terminal_obeys(
    monkeypatch: pytest.MonkeyPatch, shows: Callable[[], None], stream: Callable[[], io.StringIO]
) -> None:
    out, err = stream(), stream()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    shows()
    text = out.getvalue() + err.getvalue()
    assert "PWNED" in text.replace("\n", "")
    assert is_harmless(text), ascii(text)


def test_nobody_writes_past_what_makes_it_harmless() -> None:
    """Who finds a file missing here has to see that what it writes goes through ``printable``."""
    writing = re.compile(r"sys\.std(out|err)\.(buffer\.)?write|console\.print\(|(?<!_)\bprint\(")
    product = (path for folder in ("boxoffice", "agents") for path in (ROOT / folder).rglob("*.py"))
    found = {str(path.relative_to(ROOT)) for path in product if writing.search(path.read_text(encoding="utf-8"))}
    assert found == {
        "boxoffice/cli/documents.py",
        "boxoffice/cli/show.py",
        "boxoffice/cli/stats.py",
        "boxoffice/cli/streams.py",
        "boxoffice/cli/tables.py",
        "boxoffice/embedded/process.py",
        "boxoffice/embedded/supervisor.py",
    }


def test_columns_are_as_wide_as_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_table(("name", "#"), [("\x1b[31m", 1), ("東京", 22), ("plain", 333)])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip(" ─")][1:]
    assert len({cell_len(line) for line in lines}) == 1, lines


# Logs


@pytest.fixture
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configuration = structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configuration)


@pytest.mark.usefixtures("_logging_as_before")
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_log_line_holds_what_a_terminal_obeys(log_format: str) -> None:
    stream = io.StringIO()
    configure(load_settings(log_format=log_format, kafka_sasl_password=""), "purchases", stream)
    log = structlog.get_logger("test")
    log.warning(HOSTILE, name=HOSTILE, nested=[HOSTILE, {"deep": HOSTILE.encode("utf-8", "surrogateescape")}])
    logging.getLogger("aiokafka").error("no such topic: %s", HOSTILE)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("failed")
    text = stream.getvalue()
    assert text.count("PWNED") >= 5
    assert is_harmless(text), ascii(text)
    if log_format == "json":
        first = json.loads(text.splitlines()[0])
        assert first["message"] == first["name"] == HOSTILE
    else:
        assert "Traceback (most recent call last):\n" in text


def test_a_workers_lines_keep_their_colours_and_nothing_else() -> None:
    line = f"\x1b[32mready\x1b[0m {HOSTILE}"
    shown = _shown(line.encode("utf-8", "surrogateescape"))
    assert shown.startswith("\x1b[32mready\x1b[0m Night \\x1b]0;PWNED")
    assert is_harmless(shown.replace("\x1b[32m", "").replace("\x1b[0m", "").replace("\x1b[31m", ""))
