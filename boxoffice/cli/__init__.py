"""The command line: ``boxoffice``. Whoever made a mistake is told in a sentence, never by a stack trace."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress

from boxoffice.errors import BoxOfficeError, CrashError, ExitStatus

_INTERRUPTED = 130
_PACKAGES = ("agents", "boxoffice", "lua", "models", "topics")


def main() -> None:
    """Run the command line, and end the process with its exit status."""
    from boxoffice.cli.streams import finish, prepare

    prepare()
    sys.exit(finish(run()))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status, whatever happens to a command."""
    from boxoffice.cli.app import program
    from boxoffice.cli.streams import READER_GONE, ReaderGoneError

    _quieten_clients()
    try:
        program()(arguments)
    except SystemExit as end:
        return _status(end.code)
    except ReaderGoneError:
        return READER_GONE
    except BoxOfficeError as error:
        return _told(str(error), error.exit_status)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001  # whatever it is, a person is told in a sentence
        return _told(*_unforeseen(error))
    return ExitStatus.OK


def _told(sentence: str, status: ExitStatus) -> int:
    from boxoffice.cli.tables import note

    note(sentence)
    return status


def _status(code: str | int | None) -> int:
    return code if isinstance(code, int) else ExitStatus.OK if code is None else ExitStatus.CRASHED


def _quieten_clients() -> None:
    """Kafka's client logs what the command says itself; a process that configures its logs hears it again."""
    for name in ("aiokafka", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _unforeseen(error: Exception) -> tuple[str, ExitStatus]:
    """What is said of an error that no command has foreseen, and the status."""
    if _from_a_server(error):
        return _masked(f"A server failed while it was asked: {_words(error)}"), ExitStatus.UNREACHABLE
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be used: {error.strerror}.", ExitStatus.USAGE
    return _masked(str(CrashError(_words(error), _place(error))) + _trace_if_wanted(error)), CrashError.exit_status


def _from_a_server(error: Exception) -> bool:
    """Whether Kafka's or Redis' client raised it; neither is imported for the sake of the question."""
    return any(base.__module__.partition(".")[0] in ("aiokafka", "redis") for base in type(error).__mro__)


def _words(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _place(error: Exception) -> str:
    """Where the product's own code was, innermost."""
    from traceback import walk_tb

    places = [
        f"{module}:{line}"
        for frame, line in walk_tb(error.__traceback__)
        if (module := str(frame.f_globals.get("__name__"))).partition(".")[0] in _PACKAGES
    ]
    return places[-1] if places else "an unknown place"


def _trace_if_wanted(error: Exception) -> str:
    """The stack trace, for who looks for a fault of the product."""
    from traceback import format_exception

    from boxoffice.settings import load_settings

    with suppress(BoxOfficeError):
        if load_settings().logs.level == "debug":
            return "\n" + "".join(format_exception(error))
    return ""


def _masked(text: str) -> str:
    """An error of somebody else's may quote what it was given."""
    from boxoffice.logs import masker, secrets_of
    from boxoffice.settings import load_settings

    with suppress(BoxOfficeError):
        return masker(secrets_of(load_settings()))(text)
    return text
