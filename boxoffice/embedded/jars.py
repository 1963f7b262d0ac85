"""Kafka's jars: which they are, and where they lie on this machine.

``kafka-jars.lock`` names each with its size and SHA-256, so what runs is what was tested, and a broken
download is never used. ``write_lock`` resolves them anew (``make lock``).
"""

from __future__ import annotations

import hashlib
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_cache_path

from boxoffice.embedded.errors import DownloadError, EmbeddedExtraError, UntrustedError
from boxoffice.embedded.extras import extra_module

KAFKA_VERSION = "4.1.2"

LOCK_FILE = Path(__file__).with_name("kafka-jars.lock")

# The log binding that writes to standard error: one that is silent would hide why a broker ended.
_ROOTS = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-simple:1.7.36")
_SCOPES = ("compile", "runtime")

_CONNECTIONS = 8
_TRIES = 3
_TIMEOUT_S = 60

DownloadProgress = Callable[[int, int], None]
"""Is told the bytes that are there and all that are needed."""


@dataclass(frozen=True)
class Jar:
    """One locked artifact."""

    group: str
    artifact: str
    version: str
    size_bytes: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    def path(self, folder: Path) -> Path:
        """Where it lies, in the layout of a Maven repository."""
        name = f"{self.artifact}-{self.version}.jar"
        return folder.joinpath(*self.group.split("."), self.artifact, self.version, name)

    def intact(self, folder: Path) -> bool:
        """Whether the whole of what was locked is there."""
        path = self.path(folder)
        return path.exists() and path.stat().st_size == self.size_bytes and _sha256(path) == self.sha256


def locked_jars() -> list[Jar]:
    """The jars of the lock file, in the order of the class path."""
    return [_locked_jar(line) for line in LOCK_FILE.read_text().splitlines() if not line.startswith("#")]


def default_jar_folder() -> Path:
    """Where the jars are kept for all stacks of this user."""
    return user_cache_path("boxoffice") / "kafka"


def class_path(folder: Path | None = None, progress: DownloadProgress | None = None) -> list[Path]:
    """The jars' paths; what is missing or broken is downloaded first.

    Of several processes one downloads, and the others wait for it.
    """
    folder = folder or default_jar_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        return _Download(folder, progress).paths()


def _locked_jar(line: str) -> Jar:
    name, size_bytes, sha256 = line.split()
    group, artifact, version = name.split(":")
    return Jar(group, artifact, version, int(size_bytes), sha256)


class _Download:
    """Brings a folder to what the lock file says, over several connections."""

    def __init__(self, folder: Path, progress: DownloadProgress | None) -> None:
        self._folder = folder
        self._progress = progress
        self._jars = locked_jars()
        self._there_bytes = 0
        self._counting = threading.Lock()

    def paths(self) -> list[Path]:
        missing = [jar for jar in self._jars if not jar.intact(self._folder)]
        if missing:
            self._fetch_all(missing)
        return [jar.path(self._folder) for jar in self._jars]

    def _fetch_all(self, missing: list[Jar]) -> None:
        self._there_bytes = sum(jar.size_bytes for jar in self._jars if jar not in missing)
        with _trusting_the_system(), ThreadPoolExecutor(_CONNECTIONS) as connections:
            for fetched in [connections.submit(self._fetch, jar) for jar in missing]:
                fetched.result()

    def _fetch(self, jar: Jar) -> None:
        for tries_left in reversed(range(_TRIES)):
            try:
                _try_to_fetch(jar, self._folder)
            except DownloadError:
                if not tries_left:
                    raise
            else:
                self._count(jar)
                return

    def _count(self, jar: Jar) -> None:
        with self._counting:
            self._there_bytes += jar.size_bytes
            if self._progress:
                self._progress(self._there_bytes, sum(jar.size_bytes for jar in self._jars))


@contextmanager
def _trusting_the_system() -> Iterator[None]:
    """Trust also what the system trusts, as pip does: jgo's client by itself brings its own authorities only.

    For as long as it takes, since that holds for the whole process.
    """
    truststore = extra_module("truststore")
    truststore.inject_into_ssl()
    try:
        yield
    finally:
        truststore.extract_from_ssl()


def _try_to_fetch(jar: Jar, folder: Path) -> None:
    """Fetch it once.

    Raises:
        DownloadError: it did not come, or not as it was locked.
    """
    jar.path(folder).unlink(missing_ok=True)
    try:
        _maven(folder).project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
    except EmbeddedExtraError:
        raise
    except Exception as failure:  # noqa: BLE001 - jgo lets through whatever its HTTP client raises
        if (distrust := _distrust(failure)) is not None:
            raise UntrustedError(str(jar), distrust.verify_message) from None
        raise DownloadError(str(jar), str(failure) or type(failure).__name__) from None
    # jgo only warns of a wrong checksum, and keeps a file whose download was cut short.
    if not jar.intact(folder):
        raise DownloadError(str(jar), "what came is not what was locked")


def _distrust(failure: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """That a certificate is not trusted, if that is what is behind a failure."""
    while failure is not None and not isinstance(failure, ssl.SSLCertVerificationError):
        failure = failure.__cause__ or failure.__context__
    return failure


def _maven(folder: Path) -> Any:
    """Maven Central, or the mirror that the user's jgo settings name, kept in the folder."""
    repositories = {
        "central": extra_module("jgo.constants").MAVEN_CENTRAL_URL,
        **extra_module("jgo.config").GlobalSettings.load().repositories,
    }
    return extra_module("jgo.maven").MavenContext(repo_cache=folder, remote_repos=repositories, timeout=_TIMEOUT_S)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def resolve_jars(folder: Path) -> list[Jar]:
    """Ask Maven Central for Kafka and all that it depends on."""
    with _trusting_the_system():
        return _resolve_jars(_maven(folder))


def _resolve_jars(maven: Any) -> list[Jar]:
    roots, others = maven.resolver.resolve([maven.create_dependency(root) for root in _ROOTS])
    wanted = [*roots, *(dependency for dependency in others if dependency.scope in _SCOPES)]
    with ThreadPoolExecutor(_CONNECTIONS) as connections:
        return list(connections.map(_resolved_jar, [dependency.artifact for dependency in wanted]))


def _resolved_jar(artifact: Any) -> Jar:
    path = artifact.resolve()
    names = (artifact.groupId, artifact.artifactId, artifact.version)
    return Jar(*names, path.stat().st_size, _sha256(path))


def write_lock() -> None:
    """Write the lock file for the versions that this module names."""
    with tempfile.TemporaryDirectory() as folder:
        jars = resolve_jars(Path(folder))
    lines = [f"{jar} {jar.size_bytes} {jar.sha256}" for jar in jars]
    header = "# Kafka's jars: name, size in bytes, SHA-256. Written by `make lock`."
    LOCK_FILE.write_text("\n".join([header, *lines, ""]))
