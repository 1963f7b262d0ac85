"""The machine that an engine or a cluster is started on: what it lacks, and what of it is put back afterwards.

Packages that bring a daemon are unpacked into a folder of our own, since installing them would start it. Whatever
daemons change of the kernel and the firewall is as it was when they have ended.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from platformdirs import user_cache_path

KEPT_IN: Final = "BOXOFFICE_TEST_DEPLOYMENT_FOLDER"
"""Where everything is kept that makes the next run faster; a folder in the user's cache unless given."""
POLL_S: Final = 0.2
_SYSTEM_FOLDERS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")
_CHANGED: Final = (
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
"""Settings of the kernel that Docker's engine, the kubelet or the network's plugins change."""
_OURS: Final = re.compile(
    r"\b(DOCKER[A-Z0-9-]*|KUBE-[A-Z0-9-]*|CNI-[A-Za-z0-9-]*|docker0|br-[0-9a-f]{12}|boxoffice0)\b"
)
"""What those call their chains and bridges."""
_LINKS: Final = re.compile(r"docker0|br-[0-9a-f]{12}|veth\w+|boxoffice0")
_FOLDERS: Final = (Path("/etc/docker"), Path("/run/docker"), Path("/var/lib/cni"))
"""What they make wherever else their data lies."""
_GROUPS: Final = ("docker", "kubepods", "k8s.io", "boxoffice")
_HOOKS: Final = {"INPUT", "OUTPUT", "FORWARD", "PREROUTING", "POSTROUTING"}


class DeploymentError(Exception):
    """It cannot be run here, or did not do what it must; the message is a sentence for a person."""


class Steps:
    """Says what is done, and how long each step took."""

    def __init__(self) -> None:
        self._began_s = monotonic()
        self._last_s = self._began_s

    def done(self, what: str) -> None:
        """A step is over."""
        now_s = monotonic()
        sys.stdout.write(f"{now_s - self._began_s:6.1f} s  {what} ({now_s - self._last_s:.1f} s)\n")
        sys.stdout.flush()
        self._last_s = now_s


def kept_folder() -> Path:
    """Where what was downloaded and built is kept."""
    folder = Path(os.environ.get(KEPT_IN) or user_cache_path("boxoffice") / "deployment").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def system_path() -> str:
    """A PATH on which daemons find what systems keep from users."""
    return os.pathsep.join(dict.fromkeys((*os.environ["PATH"].split(os.pathsep), *_SYSTEM_FOLDERS)))


def program(name: str) -> str | None:
    """Where a program is, if it is here."""
    return shutil.which(name, path=system_path())


def run(
    *command: str | Path,
    variables: Mapping[str, str] | None = None,
    timeout_s: float = 600,
    quiet: bool = False,
    cwd: Path | None = None,
) -> str:
    """Run a command to its end; what it printed, on standard error too unless it is to be ``quiet``.

    Raises:
        DeploymentError: it failed.
    """
    done = subprocess.run(
        [str(word) for word in command],
        env={**os.environ, "PATH": system_path(), **(variables or {})},
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if quiet else subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode:
        told = f"{done.stdout}{done.stderr or ''}"
        raise DeploymentError(f"{' '.join(map(str, command))} ended with {done.returncode}: {told[-4000:]}")
    return done.stdout


def require_root_on_debian(what: str) -> None:
    """Say that it cannot be had here.

    Raises:
        DeploymentError: this is no Debian, or the user is not root.
    """
    if os.geteuid() != 0 or program("apt-get") is None or program("dpkg-deb") is None:
        raise DeploymentError(f"{what} needs root on a Debian or Ubuntu of its own: it installs and starts programs.")


def install(*packages: str) -> None:
    """Install what is missing of these; none of them brings a daemon.

    Raises:
        DeploymentError: they cannot be had.
    """
    missing = [package for package in packages if not _is_installed(package)]
    if missing:
        unasked = {"DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-qq", "--no-install-recommends", *missing, variables=unasked)


def _is_installed(package: str) -> bool:
    command = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout == "installed"


def unpacked(*packages: str) -> str:
    """A PATH that begins with the programs of these packages, which are not installed.

    Raises:
        DeploymentError: they cannot be had.
    """
    root = kept_folder() / "unpacked"
    for package in packages:
        if not (root / f"{package}.done").exists():
            _unpack(package, root)
    own = (str(root / folder) for folder in ("usr/sbin", "usr/bin", "sbin", "bin"))
    return os.pathsep.join((*own, system_path()))


def _unpack(package: str, root: Path) -> None:
    fetched = root / package
    shutil.rmtree(fetched, ignore_errors=True)
    fetched.mkdir(parents=True)
    run("apt-get", "update", "-qq")
    run("apt-get", "download", "-qq", package, cwd=fetched)
    [archive] = fetched.glob("*.deb")
    run("dpkg-deb", "--extract", archive, root)
    shutil.rmtree(fetched)
    (root / f"{package}.done").touch()


def end_in_order_when_told_to() -> None:
    """At SIGTERM too what was started is ended and what was changed is put back, as at Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@contextmanager
def put_back() -> Iterator[None]:
    """Afterwards the kernel's settings, the firewall and the bridges are as they were."""
    values, links, groups = _kernel_values(), _links(), _groups()
    folders = [folder for folder in _FOLDERS if not folder.exists()]
    rules = {command: _rules(command) for command in ("iptables", "ip6tables")}
    try:
        yield
    finally:
        for link in sorted(_links() - links):
            with suppress(DeploymentError):  # the other end of a pair has gone with this one
                run("ip", "link", "delete", link)
        for group in sorted(_groups() - groups, reverse=True):
            with suppress(OSError):  # something of it may still be ending
                group.rmdir()
        for command, before in rules.items():
            _restore_rules(command, before)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        for path, value in values.items():
            if path.read_text() != value:
                path.write_text(value)


def _kernel_values() -> dict[Path, str]:
    paths = [Path("/proc/sys", name) for name in _CHANGED]
    return {path: path.read_text() for path in paths if path.exists()}


def _groups() -> set[Path]:
    """Control groups of containers and pods, with those below them."""
    roots = [path for name in _GROUPS for path in Path("/sys/fs/cgroup").glob(f"*/{name}")]
    return {*roots, *(path for root in roots for path in root.rglob("*") if path.is_dir())}


def _links() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir() if _LINKS.fullmatch(path.name)}


def _rules(command: str) -> str:
    saving = program(f"{command}-save")
    return run(saving, quiet=True) if saving is not None else ""


def _restore_rules(command: str, before: str) -> None:
    after = _rules(command)
    wanted = without_ours(after, before)
    if wanted != after:
        path = program(f"{command}-restore")
        assert path is not None
        subprocess.run([path], input=wanted, text=True, check=True, timeout=60)


def without_ours(after: str, before: str) -> str:
    """The rules as they are, without the chains of engines and clusters that were not there before."""
    known = set(before.splitlines())
    policies = dict(re.findall(r"^:(\w+) (\w+) ", before, re.MULTILINE))
    kept = []
    for line in after.splitlines():
        if hook := re.match(r":(\w+) \w+ (\[.*\])", line):
            name = hook[1]
            kept.append(f":{name} {policies.get(name, 'ACCEPT')} {hook[2]}" if name in _HOOKS else line)
        elif line in known or not _OURS.search(line):
            kept.append(line)
    return "".join(f"{line}\n" for line in kept)


def unmount_below(folder: Path) -> None:
    """Whatever is still mounted in a folder: of containers that were ended with who ran them."""
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in sorted((one for one in points if one.startswith(f"{folder}/")), reverse=True):
        run("umount", "--lazy", point)


def end(process: subprocess.Popen[bytes], within_s: float = 60) -> None:
    """End what was started here: in order, or at once when that takes too long."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(within_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(what: str, holds: Callable[[], bool], within_s: float, log: Path | None = None) -> None:
    """Ask again and again.

    Raises:
        DeploymentError: it did not come about in time; the end of the log says why.
    """
    until_s = monotonic() + within_s
    while not holds():
        if monotonic() > until_s:
            told = log.read_text(errors="replace")[-3000:] if log is not None and log.exists() else ""
            raise DeploymentError(f"Within {within_s:g} s there was not: {what}. {told}")
        sleep(POLL_S)
