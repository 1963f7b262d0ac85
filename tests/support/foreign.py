"""The clients in docs/clients, built in their own toolchains."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from boxoffice.embedded.jars import class_path

CLIENTS: Final = Path(__file__).parents[2] / "docs" / "clients"
BUILD_DEADLINE_S: Final = 300
_JAVA_OPTIONS: Final = (
    # Kafka's client logs its configuration, a screenful of it.
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    # Most runs end before the compiler for long ones would pay.
    "-XX:TieredStopAtLevel=1",
)

_KEYS: Final = {
    "python": ("buy.py", 'key = request.command["event_id"]', 'key = "{}"'),
    "java": ("Buy.java", "key = request.command.event_id()", 'key = "{}"'),
    "node": ("buy.js", "const { event_id: key } = request.command", 'const key = "{}"'),
    "go": ("buy/main.go", "key := []byte(r.command.EventID)", 'key := []byte("{}")'),
}
_CANNOT_BE_HAD: Final = re.compile(
    "ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|E403|ENEEDAUTH"
    "|dial tcp|i/o timeout|TLS handshake timeout|403 Forbidden|module lookup disabled|go.mod requires go"
)


class CannotBeHadError(Exception):
    """A toolchain, or a package that it needs."""


@dataclass(frozen=True)
class Programs:
    """How the two programs of a language are run, and where they were built."""

    folder: Path
    buy: list[str]
    follow: list[str]


def built(language: str, folder: Path, other_key: str = "") -> Programs:
    """The programs, built in a folder of their own; with ``other_key`` they buy with that instead of the event's id.

    Raises:
        CannotBeHadError: not on this machine.
    """
    shutil.copytree(CLIENTS / language, folder)
    if other_key:
        file, key, other = _KEYS[language]
        source = (folder / file).read_text()
        assert key in source
        (folder / file).write_text(source.replace(key, other.format(other_key)))
    return _BUILT[language](folder)


def _python(folder: Path) -> Programs:
    return Programs(folder, [sys.executable, str(folder / "buy.py")], [sys.executable, str(folder / "follow.py")])


def _java(folder: Path) -> Programs:
    """With the jars that the embedded Kafka has anyway."""
    jars = os.pathsep.join(map(str, class_path()))
    sources = [file.name for file in folder.glob("*.java")]
    _run(folder, "javac", "-Xlint:all", "-Werror", "-cp", jars, *sources)
    java = [_tool("java"), *_JAVA_OPTIONS, "-cp", f"{folder}{os.pathsep}{jars}"]
    return Programs(folder, [*java, "Buy"], [*java, "Follow"])


def _node(folder: Path) -> Programs:
    _run(folder, "npm", "ci", "--no-audit", "--no-fund", "--prefer-offline", "--ignore-scripts")
    return Programs(folder, [_tool("node"), str(folder / "buy.js")], [_tool("node"), str(folder / "follow.js")])


def _go(folder: Path) -> Programs:
    _run(folder, "go", "build", "-buildvcs=false", "-o", "bin/", "./...")
    return Programs(folder, [str(folder / "bin" / "buy")], [str(folder / "bin" / "follow")])


_BUILT: Final[dict[str, Callable[[Path], Programs]]] = {
    "python": _python,
    "java": _java,
    "node": _node,
    "go": _go,
}


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise CannotBeHadError(f"{name} is not installed")
    return found


def _run(folder: Path, tool: str, *arguments: str) -> None:
    done = subprocess.run(
        [_tool(tool), *arguments],
        cwd=folder,
        # Go would download another Go.
        env={**os.environ, "GOTOOLCHAIN": "local"},
        timeout=BUILD_DEADLINE_S,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        told = done.stdout + done.stderr
        if why := next(filter(_CANNOT_BE_HAD.search, told.splitlines()), None):
            raise CannotBeHadError(f"{tool}: {why}")
        raise AssertionError(told)
