"""The edge of the command line: whatever is given to whichever command, a person is told in a sentence.

The commands, their options and the settings are taken from the program itself: a new one is tried like all others.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from boxoffice.cli import run
from boxoffice.cli.app import program
from boxoffice.cli.parsing import MAY_BE_EMPTY
from boxoffice.cli.streams import prepare
from boxoffice.errors import ExitStatus
from boxoffice.settings import SETTINGS

VALUES = (
    " ",
    "\n",
    "\x1b[31m",
    "-1",
    "0",
    "0.5",
    "nan",
    "inf",
    "1e400",
    "9" * 30,
    "nobody",
    "042",
    "x" * 300,
    "🎫",
    os.fsdecode(b"caf\xe9"),
    "/dev/null/below",
    "/proc/no/such/place",
)
"""Each is wrong for most options; where it is right, the command goes on, and finds no server."""

RIGHT = {
    "event": "42",
    "quantity": "1",
    "purchase": "r-1",
    "name": "42-000001",
    "venue": "Hall",
    "starts_at": "2027-03-01T19:30:00Z",
    "capacity": "1",
    "price": "100",
    "payment": "pay-1",
    "count": "1",
    "to": "3",
    "prefix": "new-",
    "position": "0:0",
    "process": "purchases",
    "code": "BX1:0",
    "key_id": "1",
    "scope": "buy",
    # No system has so high a process id.
    "whom": "999999999",
}
"""What an option or argument that is needed is given while another one is tried."""

BESIDE: dict[tuple[str, ...], dict[str, tuple[str, ...]]] = {
    ("event", "create"): {"capacity": ("category",), "price": ("category",)},
    ("event", "change"): {"venue": ()},
    ("confirm",): {"paid": (), "currency": ()},
}
"""What else a command needs that nobody has to give always; and those in whose place it stands."""
RIGHT |= {"paid": "90.00", "currency": "EUR"}

FORESEEN = {
    ExitStatus.OK,
    ExitStatus.USAGE,
    ExitStatus.REJECTED,
    ExitStatus.NO_ANSWER,
    ExitStatus.UNREACHABLE,
    ExitStatus.REFUSED,
    ExitStatus.BAD_CODE,
}
MOST_LINES = 12

Ended = Callable[[list[str], Collection[int]], str]


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
    for name, one in (below or {}).items():
        yield from _commands(one, (*path, name))


COMMANDS = dict(_commands(program()))


def _given(parameter: Any, value: str) -> list[str]:
    """An option or argument with a value, as it is typed."""
    if parameter.param_type_name == "argument":
        return ["--", value]
    return [max(parameter.opts, key=len) + f"={value}"]


def _lines(path: tuple[str, ...], tried: str, value: str) -> list[str]:
    """A command in which one parameter has this value, and the others that it needs have right ones."""
    options: list[str] = []
    arguments: list[str] = []
    beside = {name for name, others in BESIDE.get(path, {}).items() if tried not in others}
    for parameter in COMMANDS[path].params:
        if parameter.name == tried or parameter.required or parameter.name in beside:
            words = _given(parameter, value if parameter.name == tried else RIGHT[parameter.name])
            (arguments if words[0] == "--" else options).extend(words[-1:])
    return [*path, *options, "--", *arguments]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No server can be reached, none can be started, and nothing can listen: whatever is right ends soon, too."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("BOXOFFICE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("BOXOFFICE_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("BOXOFFICE_DOCUMENTS_URL", "file:///dev/null/documents")
    monkeypatch.setenv("BOXOFFICE_HEALTH_HOST", "192.0.2.1")
    (tmp_path / "cache").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def _written(stream: TextIO) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Ended:
    """Runs a command on streams as a process has them; tells what is wrong with how it ended, if anything is."""

    def complaint(arguments: list[str], allowed: Collection[int]) -> str:
        with monkeypatch.context() as streams:
            for name in ("stdout", "stderr"):
                streams.setattr(sys, f"__{name}__", None)
                streams.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
            prepare()
            try:
                status = run(arguments)
            except BaseException as error:  # noqa: BLE001  # whatever it is, it was not to come so far
                return f"{arguments}: {type(error).__name__} left the command line: {error}"
            printed, told = _written(sys.stdout), _written(sys.stderr)
        if status not in allowed:
            return f"{arguments}: status {status}: {told}"
        if "Traceback" in told or told.count("\n") > MOST_LINES or (status != ExitStatus.OK and not told + printed):
            return f"{arguments}: told {told}"
        return ""

    return complaint


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_whatever_is_given_is_answered_in_a_sentence(path: tuple[str, ...], ended: Ended) -> None:
    """And never with a status that says something else: 1 is a difference, and 75 a fault of our own."""
    complaints = [
        ended(_lines(path, parameter.name, value), FORESEEN)
        for parameter in COMMANDS[path].params
        if not getattr(parameter, "is_flag", False)
        for value in VALUES
    ]
    assert not any(complaints), "\n".join(filter(None, complaints))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_what_is_given_and_empty_is_refused(path: tuple[str, ...], ended: Ended) -> None:
    """As a variable is that nobody has set: a command that took it for "not given" would buy twice."""
    complaints = [
        ended(_lines(path, parameter.name, ""), {ExitStatus.USAGE})
        for parameter in COMMANDS[path].params
        if not getattr(parameter, "is_flag", False) and parameter.name not in MAY_BE_EMPTY
    ]
    assert not any(complaints), "\n".join(filter(None, complaints))


# Settings

WRONG_SETTINGS = (
    *VALUES,
    "127.0.0.1:99999",
    "redis://h:99999",
    "redis://[::1",
    "file://x",
    "s3://",
    "a b",
    ",",
    "0:1-",
)


def test_a_setting_of_any_value_is_used_or_named(ended: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a sentence that begins with its variable; the environment holds no characters 0."""
    complaints = []
    for variable in SETTINGS:
        for value in WRONG_SETTINGS:
            with monkeypatch.context() as environment:
                environment.setenv(variable, value)
                complaints.append(ended(["settings", "--json"], {ExitStatus.OK, ExitStatus.USAGE}))
    assert not any(complaints), "\n".join(filter(None, complaints))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_no_command_begins_with_a_setting_that_is_wrong(
    path: tuple[str, ...], ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that need none do not read any."""
    monkeypatch.setenv("BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:99999")
    needs_none = path in {("schema",), ("up",), ("demo",), ("profile",)}
    allowed = {ExitStatus.OK, ExitStatus.USAGE, ExitStatus.REJECTED} if needs_none else {ExitStatus.USAGE}
    complaint = ended(_lines(path, "", ""), allowed)
    assert not complaint, complaint


# What nobody foresaw


@pytest.fixture
def crashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of our own, in the middle of a command; its words hold a secret."""
    monkeypatch.setenv("BOXOFFICE_KAFKA_SASL_PASSWORD", "HUNTER22")

    def crash(*_: object) -> None:
        raise ValueError("no such HUNTER22\nand more")

    monkeypatch.setattr("boxoffice.cli.reference.print_table", crash)


@pytest.mark.usefixtures("crashing")
def test_a_fault_of_our_own_is_a_sentence_and_a_status_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """It says where, and shows no secret."""
    assert run(["settings"]) == ExitStatus.CRASHED
    [sentence] = capsys.readouterr().err.splitlines()
    assert "(ValueError: no such ***; at boxoffice.cli.reference:" in sentence
    assert "please report it" in sentence


@pytest.mark.usefixtures("crashing")
def test_who_looks_for_a_fault_is_shown_the_stack_trace(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the level of the logs; no secret is in it either."""
    monkeypatch.setenv("BOXOFFICE_LOG_LEVEL", "debug")
    assert run(["settings"]) == ExitStatus.CRASHED
    told = capsys.readouterr().err
    assert "Traceback (most recent call last)" in told
    assert "HUNTER22" not in told


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PermissionError(13, "Permission denied", "/some/file"), ExitStatus.USAGE),
        (OSError(24, "Too many open files"), ExitStatus.CRASHED),
        (RecursionError("too deep"), ExitStatus.CRASHED),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_failure_has_its_status(
    ended: Ended, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int
) -> None:
    """None of them is 1, which says that something differs."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("boxoffice.cli.reference.print_json", fail)
    if isinstance(error, KeyboardInterrupt):
        assert run(["settings", "--json"]) == status
    else:
        assert not ended(["settings", "--json"], {status})


# Help


@pytest.mark.parametrize("path", [(), *COMMANDS], ids=lambda path: " ".join(path) or "boxoffice")
def test_help_shows_a_type_behind_what_takes_a_value_and_nothing_behind_a_flag(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*path, "--help"]) == ExitStatus.OK
    assert "<bool>" not in capsys.readouterr().out
