"""What the command line writes to: in any encoding, on a full disk, in a pipe that nobody reads, or nowhere."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from boxoffice.cli.streams import READER_GONE
from boxoffice.errors import ExitStatus
from tests.support.office import boxoffice_path

TALKATIVE = (["settings"], ["settings", "--json"], ["schema"], ["--help"], ["--version"], ["buy", "--help"])
FULL = Path("/dev/full")
LATIN_1 = "en_US.ISO-8859-1"


def _run(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [boxoffice_path(), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("arguments", TALKATIVE, ids=" ".join)
def test_a_full_disk_is_a_sentence_and_a_status_of_its_own(arguments: list[str]) -> None:
    with FULL.open("wb") as full:
        done = subprocess.run(
            [boxoffice_path(), *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert done.returncode == ExitStatus.UNWRITABLE
    assert done.stderr == "The output could not be written: No space left on device.\n"


@pytest.mark.parametrize("arguments", TALKATIVE, ids=" ".join)
def test_a_pipe_that_nobody_reads_ends_a_command_as_it_ends_others(arguments: list[str]) -> None:
    """By the status of SIGPIPE, and without a word."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [boxoffice_path(), *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (READER_GONE, "")
    assert READER_GONE == 128 + signal.SIGPIPE


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
def test_remarks_that_cannot_be_written_change_nothing() -> None:
    """The status is that of what was done."""
    with FULL.open("wb") as full:
        for arguments, status in ((["settings"], ExitStatus.OK), (["buy"], ExitStatus.USAGE)):
            done = subprocess.run(
                [boxoffice_path(), *arguments],
                env={**os.environ, "BOXOFFICE_MISSPELT": "1"},
                stdout=subprocess.PIPE,
                stderr=full,
                timeout=60,
                check=False,
            )
            assert done.returncode == status
            assert bool(done.stdout) == (status == ExitStatus.OK)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_nowhere(closed: str) -> None:
    """And no file or socket gets their numbers."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$0" settings {closed}', boxoffice_path()], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (ExitStatus.OK, b"")


# Encodings


@pytest.fixture(scope="module")
def latin_1(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a locale whose encoding is ISO-8859-1."""
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef") is None:
        pytest.skip("localedef is not installed")
    made = ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(folder / LATIN_1)]
    if subprocess.run(made, capture_output=True, check=False).returncode > 1:
        pytest.skip("the sources of locales are not installed")
    return {"LOCPATH": str(folder), "LC_ALL": LATIN_1, "PYTHONUTF8": "0"}


def test_the_locale_of_these_tests_is_what_it_says(latin_1: dict[str, str]) -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import sys; print(sys.stdout.encoding, sys.getfilesystemencoding())"],
        env={**os.environ, **latin_1},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.lower().split() == ["iso8859-1", "iso8859-1"]


ENCODINGS = ({"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "iso-8859-1"}, {"PYTHONIOENCODING": "utf-16"})


@pytest.mark.parametrize("environment", ENCODINGS, ids=lambda environment: environment["PYTHONIOENCODING"])
def test_a_character_that_the_output_lacks_is_written_as_json_writes_it(environment: dict[str, str]) -> None:
    """So a document is one, and holds what it held."""
    name = "bü\N{TICKET}r\N{POUND SIGN}o-\N{GREEK SMALL LETTER OMEGA}"
    done = _run(["settings", "--json"], BOXOFFICE_KAFKA_SASL_USERNAME=name, **environment)
    assert done.returncode == ExitStatus.OK, done.stderr
    rows = json.loads(done.stdout.decode(environment["PYTHONIOENCODING"]))
    assert [row["value"] for row in rows if row["variable"] == "BOXOFFICE_KAFKA_SASL_USERNAME"] == [name]
    for arguments in (["settings"], ["--help"], ["buy"]):
        assert _run(arguments, **environment).returncode in (ExitStatus.OK, ExitStatus.USAGE)


def test_in_a_latin_1_locale_commands_do_what_they_do(latin_1: dict[str, str], tmp_path: Path) -> None:
    """A folder with a name in UTF-8 is found by its bytes, whatever the locale calls it."""
    folder = tmp_path / "bü\N{TICKET}"
    done = subprocess.run(
        [boxoffice_path(), "schema", "--write", str(folder).encode()],
        env={**os.environ, **latin_1},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == ExitStatus.OK, done.stderr
    assert (folder / "asyncapi.json").exists()


@pytest.mark.parametrize("argument", ["--buyer", "--request-id"])
def test_bytes_that_are_no_text_are_refused_in_a_sentence(argument: str) -> None:
    """As a shell of another encoding hands them over."""
    done = subprocess.run(
        [boxoffice_path().encode(), b"buy", b"42", argument.encode(), b"caf\xe9"],
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == ExitStatus.USAGE
    assert b"is no text in the encoding" in done.stderr
