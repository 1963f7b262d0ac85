r"""Standard output and standard error: whatever they can take, and whether anybody reads them.

A character that the locale's encoding lacks is written as JSON writes it (``\u2026``), so that a document stays one.
An output that cannot be written ends a command with a status of its own; remarks and log lines that cannot be
written are dropped, since nothing depends on them.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeVar

from boxoffice.errors import BoxOfficeError, ExitStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

ESCAPING: Final = "boxoffice.json"
"""The name of what happens to characters that an encoding lacks."""

READER_GONE: Final = 128 + 13
"""The status of a program that wrote to a pipe which nobody reads: ``boxoffice results | head``. 13 is SIGPIPE, which
not every system has."""

_Stream = TypeVar("_Stream", bound=io.TextIOWrapper)


class OutputError(BoxOfficeError):
    """What a command prints could not be written."""

    exit_status = ExitStatus.UNWRITABLE
    remedy = "Make room, or send the output elsewhere. What the command did is done: ask again with its request id."

    def __init__(self, why: str) -> None:
        super().__init__(f"The output could not be written: {why}.")


class ReaderGoneError(Exception):
    """Nobody reads the output any more, and nobody has to be told."""


class _Output(io.TextIOWrapper):
    """Standard output: who writes to it learns in one way that it cannot be written."""

    def write(self, text: str) -> int:
        with telling_failures():
            return super().write(text)

    def flush(self) -> None:
        with telling_failures():
            super().flush()


class _Remarks(io.TextIOWrapper):
    """Standard error: what cannot be written is dropped."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


@contextmanager
def telling_failures() -> Iterator[None]:
    """For whoever writes to standard output.

    Raises:
        OutputError: it cannot be written.
        ReaderGoneError: nobody reads it any more.
    """
    try:
        yield
    except BrokenPipeError:
        raise ReaderGoneError from None
    except OSError as error:
        raise OutputError(error.strerror or type(error).__name__) from None


def prepare() -> None:
    """Let both streams take any text; where there is none, nothing is written, and nothing else takes its place."""
    codecs.register_error(ESCAPING, _escaped)
    # Rich looks at the first ones too, and they have given theirs away.
    sys.stdout = sys.__stdout__ = _rewritten(_Output, sys.stdout, 1)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _rewritten(_Remarks, sys.stderr, 2)  # type: ignore[misc]


def finish(status: int) -> int:
    """The exit status, now that all is written, or cannot be."""
    try:
        sys.stdout.flush()
    except ReaderGoneError:
        status = READER_GONE
    except OutputError as error:
        sys.stderr.write(f"{error}\n")
        status = error.exit_status
    close()
    return status


def close() -> None:
    """Write nothing any more: Python flushes both streams again when all is over, and exits with 120 if it cannot."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, BoxOfficeError, ReaderGoneError):
            stream.flush()
        os.dup2(nowhere, stream.fileno())


def _rewritten(kind: type[_Stream], stream: object, number: int) -> _Stream:
    if not isinstance(stream, io.TextIOWrapper):
        # The program was started with this one closed: a socket would be given its number.
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != number:
            os.dup2(nowhere, number)
            os.close(nowhere)
        stream = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # it is no path
    encoding, line_buffering, write_through = stream.encoding, stream.line_buffering, stream.write_through
    return kind(
        stream.detach(),
        encoding=encoding,
        errors=ESCAPING,
        line_buffering=line_buffering,
        write_through=write_through,
    )


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
