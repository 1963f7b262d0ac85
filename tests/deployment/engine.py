"""A Docker engine: the one that runs here, or one of our own with its own socket and folder, as root on Debian."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.deployment.host import (
    DeploymentError,
    end,
    install,
    kept_folder,
    program,
    put_back,
    require_root_on_debian,
    run,
    unmount_below,
    unpacked,
    wait_until,
)

COMPOSE_MODULE: Final = "github.com/docker/compose/v2/cmd"
COMPOSE_VERSION: Final = "v2.40.3"
_NETWORK: Final = "172.31.77.1/24"
"""Of the engine's own bridge."""
_POOLS: Final = [{"base": "172.31.128.0/17", "size": 24}]
"""Of the bridges that Compose makes."""
_OPEN_FILES: Final = 20_000
_BEGINS_WITHIN_S: Final = 60


@dataclass(frozen=True)
class Engine:
    """An engine, and how it is talked to."""

    variables: Mapping[str, str]
    is_ours: bool
    """Then it has no images but those that are made here, and pulls none."""

    def with_variables(self, variables: Mapping[str, str]) -> Engine:
        """The same, for a client that has these variables too."""
        return replace(self, variables={**self.variables, **variables})

    def docker(self, *arguments: str | Path, timeout_s: float = 600) -> str:
        """What ``docker`` prints."""
        return run("docker", *arguments, variables=self.variables, timeout_s=timeout_s)

    def compose(self, *arguments: str, timeout_s: float = 600, quiet: bool = False) -> str:
        """What Compose prints; on standard error too unless it is to be ``quiet``."""
        return run("docker", "compose", *arguments, variables=self.variables, timeout_s=timeout_s, quiet=quiet)


@contextmanager
def docker_engine() -> Iterator[Engine]:
    """The engine that the user has, or one that runs until the block ends.

    Raises:
        DeploymentError: there is none, and none can be started.
    """
    if (own := _of_the_user()) is not None:
        yield own
        return
    require_root_on_debian("Without a Docker engine this")
    with put_back():
        install("mmdebstrap", "iptables", "iproute2", "kmod", "runc", "libdevmapper1.02.1", "libsystemd0")
        path = unpacked("docker.io", "containerd", "tini")
        if shutil.which("docker", path=path) is None:  # newer releases have the client apart
            path = unpacked("docker-cli")
        compose = _built_compose()
        with _running(kept_folder() / "docker", path) as socket:
            yield Engine(_variables(socket, path, compose), is_ours=True)


def _of_the_user() -> Engine | None:
    client = program("docker")
    if client is None or subprocess.run([client, "info"], capture_output=True, check=False).returncode:
        return None
    if subprocess.run([client, "compose", "version"], capture_output=True, check=False).returncode:
        raise DeploymentError(
            "A Docker engine runs here, but its client has no Compose: install docker-compose-plugin."
        )
    return Engine({}, is_ours=False)


def _variables(socket: Path, path: str, compose: Path) -> Mapping[str, str]:
    """How the client finds our engine, and Compose, which is a plug-in of its own."""
    plugins = kept_folder() / "client" / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    plugin = plugins / "docker-compose"
    plugin.unlink(missing_ok=True)
    plugin.symlink_to(compose)
    return {
        "DOCKER_HOST": f"unix://{socket}",
        "DOCKER_CONFIG": str(plugins.parent),
        # The builder that every engine has: another would have to be installed.
        "DOCKER_BUILDKIT": "0",
        "PATH": path,
    }


@contextmanager
def _running(folder: Path, path: str) -> Iterator[Path]:
    """An engine that keeps its images in this folder; its socket."""
    folder.mkdir(parents=True, exist_ok=True)
    socket, log = folder / "docker.sock", folder / "dockerd.log"
    configuration = folder / "daemon.json"
    configuration.write_text(json.dumps(_configuration(folder, socket)))
    variables = {**os.environ, "PATH": path}
    with log.open("wb") as file:
        daemon = subprocess.Popen(
            ["dockerd", "--config-file", str(configuration)],  # noqa: S607 - it may be unpacked or installed
            env=variables,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        wait_until("an engine that answers", lambda: _answers(socket, path, daemon, log), _BEGINS_WITHIN_S, log)
        yield socket
    finally:
        end(daemon)
        unmount_below(folder)


def _configuration(folder: Path, socket: Path) -> dict[str, object]:
    files = {"Name": "nofile", "Soft": _OPEN_FILES, "Hard": _OPEN_FILES}
    return {
        "data-root": str(folder / "data"),
        "exec-root": str(folder / "run"),
        "pidfile": str(folder / "pid"),
        "hosts": [f"unix://{socket}"],
        "storage-driver": "overlay2",
        "bip": _NETWORK,
        "default-address-pools": _POOLS,
        "default-ulimits": {"nofile": files},
    }


def _answers(socket: Path, path: str, daemon: subprocess.Popen[bytes], log: Path) -> bool:
    if daemon.poll() is not None:
        raise DeploymentError(f"dockerd ended with {daemon.returncode}: {log.read_text(errors='replace')[-3000:]}")
    asked = ["docker", "--host", f"unix://{socket}", "info"]
    return subprocess.run(asked, env={**os.environ, "PATH": path}, capture_output=True, check=False).returncode == 0


def _built_compose() -> Path:
    """Compose, built by Go: registries of packages have no newer one.

    Raises:
        DeploymentError: there is no Go.
    """
    built = kept_folder() / f"docker-compose-{COMPOSE_VERSION}"
    if not built.exists():
        if program("go") is None:
            raise DeploymentError(
                "Compose has to be built, and there is no Go: install Go, or Docker with its Compose."
            )
        source = kept_folder() / "compose-source"
        source.mkdir(exist_ok=True)
        (source / "go.mod").write_text("module compose\n\ngo 1.24\n")
        (source / "go.sum").unlink(missing_ok=True)
        variables = {"CGO_ENABLED": "0"}
        fetch = ("go", "get", "-tool", f"{COMPOSE_MODULE}@{COMPOSE_VERSION}")
        run(*fetch, variables=variables, cwd=source, timeout_s=1200)
        unfinished = built.with_suffix(".unfinished")
        command = ("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(unfinished), COMPOSE_MODULE)
        run(*command, cwd=source, variables=variables, timeout_s=1800)
        unfinished.rename(built)
    return built
