"""What the command line shows: bars, lines that end between words, and options that have an effect."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from boxoffice.cli import run
from boxoffice.cli.show import show_download, show_progress
from boxoffice.cli.stats import chart
from boxoffice.cli.tables import note, say, tell
from boxoffice.errors import ExitStatus

JARS = 46


class Terminal(io.StringIO):
    """A stream that says that a person looks at it."""

    def isatty(self) -> bool:
        return True


def _on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """From now on standard output is a terminal of 40 columns."""
    for name, value in {"COLUMNS": "40", "LINES": "20", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


# Bars


@pytest.mark.parametrize("where", ["up", "demo"])
def test_a_download_is_one_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """However many files it is."""
    terminal = _on_terminal(monkeypatch)
    if where == "up":
        with show_download() as progress:
            for number in range(JARS):
                progress(number * 10**6, JARS * 10**6)
    else:
        with show_progress() as show:
            for number in range(JARS):
                show.download(number * 10**6, JARS * 10**6)
    assert "Kafka, once, MB" in terminal.getvalue()
    assert terminal.getvalue().count("\n") <= 2


@pytest.mark.parametrize("where", ["up", "demo"])
def test_a_download_is_a_few_lines_elsewhere(capsys: pytest.CaptureFixture[str], where: str) -> None:
    if where == "up":
        with show_download() as progress:
            for number in range(JARS):
                progress((number + 1) * 10**6, JARS * 10**6)
    else:
        with show_progress() as show:
            for number in range(JARS):
                show.download((number + 1) * 10**6, JARS * 10**6)
    told = capsys.readouterr().out.splitlines()
    assert len(told) == len(set(told)) <= 10
    assert told[-1] == "Downloading Kafka, once: 46 of 46 MB"


def test_a_chart_has_bars_that_its_output_can_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """One character for one, so that columns stay what they are."""
    assert chart([0, 4, 8]) == [" ▄█"]
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="iso-8859-1"))
    assert chart([0, 4, 8]) == [" =@"]


# Lines

SENTENCE = "Audit: all agree. 1 event, 1000 tickets sold, 1000 documents, 12 partitions"


def test_on_a_terminal_a_line_ends_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _on_terminal(monkeypatch)
    tell(SENTENCE)
    lines = terminal.getvalue().splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= 40
    assert " ".join(lines) == SENTENCE


def test_what_somebody_copies_stays_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, a command, or what a script reads."""
    terminal = _on_terminal(monkeypatch)
    path = "/a/very/long/path/that/goes/on-and-on/without/any/end/ticket.pdf"
    tell(path)
    say(SENTENCE)
    assert terminal.getvalue() == f"{path}\n{SENTENCE}\n"


def test_away_from_a_terminal_a_sentence_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """So that it can be searched."""
    tell(SENTENCE)
    note(SENTENCE)
    assert capsys.readouterr() == (f"{SENTENCE}\n", f"{SENTENCE}\n")


# Options


@pytest.mark.parametrize(
    "arguments",
    [
        ["stats", "--interval", "1"],
        ["audit", "42", "--at", "0", "--wait", "1"],
        ["audit", "42", "--at", "0", "--every", "1"],
        ["audit", "--every", "1", "--json"],
        ["ticket", "42-000001", "--out", "-", "--open"],
        ["up", "--only", "kafka", "--redis-port", "1"],
        ["up", "--only", "redis", "--kafka-port", "1"],
        ["up", "--only", "stats", "--folder", "x"],
        ["up", "--only", "redis", "--brokers", "3"],
        ["up", "--only", "kafka,purchases", "--secure"],
        ["up", "--only", "kafka", "--gateways", "2"],
        ["up", "--only", "kafka,stats", "--gateway-port", "8080"],
        ["dead-letters", "retry", "0:0", "--all"],
        ["rebuild", "42", "--all"],
        ["results", "--event", "042"],
    ],
    ids=" ".join,
)
def test_an_option_that_would_have_no_effect_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == ExitStatus.USAGE
    assert "Invalid value" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "-1", "65536", "80000"])
@pytest.mark.parametrize("option", ["--kafka-port", "--redis-port", "--gateway-port"])
def test_a_port_that_no_server_can_have_is_refused(option: str, port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", option, port]) == ExitStatus.USAGE
    assert option in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "-1", "65", "two"])
def test_a_number_of_gateways_that_cannot_be_is_refused(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", "--gateways", count]) == ExitStatus.USAGE
    assert "--gateways" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "10", "three"])
def test_a_number_of_brokers_that_cannot_be_is_refused(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", "--brokers", count]) == ExitStatus.USAGE
    assert "--brokers" in capsys.readouterr().err


def test_several_gateways_without_haproxy_are_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is started."""
    monkeypatch.setattr("boxoffice.cli.front.haproxy_program", lambda: None)
    assert run(["up", "--gateways", "2"]) == ExitStatus.USAGE
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("For 2 gateways something has to share requests out")
    assert told.err.count("\n") == 1


def test_help_is_set_as_paragraphs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as the lines of the source."""
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["audit", "--help"]) == ExitStatus.OK
    told: Any = capsys.readouterr().out
    assert "Documents of tickets on dead-letters are not missed, nor those that" in " ".join(told.split())
    assert any("if not, a line says so. Documents of tickets" in line for line in told.splitlines())
