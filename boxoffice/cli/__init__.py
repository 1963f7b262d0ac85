"""The command line: ``boxoffice``. Whoever made a mistake is told in a sentence, never by a stack trace."""

from __future__ import annotations

import logging
import sys

from boxoffice.errors import BoxOfficeError, ExitStatus
from boxoffice.showing import printable_lines

_INTERRUPTED = 130


def main() -> None:
    """Run the command line, and end the process with its exit status."""
    sys.exit(run())


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    from boxoffice.cli.app import app

    _quieten_clients()
    try:
        app(arguments)
    except SystemExit as end:
        return _status(end.code)
    except BoxOfficeError as error:
        return _told(str(error), error.exit_status)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:
        if not _from_a_server(error):
            raise
        return _told(f"A server failed while it was asked: {type(error).__name__}: {error}", ExitStatus.UNREACHABLE)
    return ExitStatus.OK


def _told(sentence: str, status: ExitStatus) -> int:
    sys.stderr.write(f"{printable_lines(sentence)}\n")
    return status


def _status(code: str | int | None) -> int:
    return code if isinstance(code, int) else ExitStatus.OK if code is None else ExitStatus.DIFFERS


def _quieten_clients() -> None:
    """Kafka's client logs what the command says itself; a process that configures its logs hears it again."""
    for name in ("aiokafka", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _from_a_server(error: Exception) -> bool:
    """Whether Kafka's or Redis' client raised it; neither is imported for the sake of the question."""
    return any(base.__module__.partition(".")[0] in ("aiokafka", "redis") for base in type(error).__mro__)
