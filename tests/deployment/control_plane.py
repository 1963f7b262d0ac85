"""A real Kubernetes of one node on this machine: built by Go once, started as root, and ended with all it has changed.

Nobody ships these programs as packages, so they are built out of the module that they are. 1.34 is the last release
whose kubelet still runs, unasked, where control groups are of the first version.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from boxoffice.embedded.ports import free_port
from tests.deployment.host import DeploymentError, end, kept_folder, program, run, unmount_below, unpacked, wait_until
from tests.deployment.names import Addresses

RELEASE: Final = "v1.34.4"
STAGING: Final = "v0.34.4"
BUILT: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")
BRIDGE: Final = "boxoffice0"
NODE_IP: Final = "10.244.77.1"
_PODS: Final = "10.244.77.0/24"
_SERVICES: Final = "10.96.0.0/24"
_NODE: Final = "node"
_SANDBOX: Final = "docker.io/library/boxoffice-pause:1"
_KUBERNETES: Final = "k8s.io/kubernetes"
_STARTS_WITHIN_S: Final = 90


def built() -> Path:
    """The folder of Kubernetes' programs, which takes ten minutes the first time.

    Raises:
        DeploymentError: there is no Go, or it failed.
    """
    folder = kept_folder() / f"kubernetes-{RELEASE}"
    missing = [name for name in BUILT if not (folder / name).exists()]
    if missing:
        if program("go") is None:
            raise DeploymentError("Kubernetes has to be built, and there is no Go: install Go.")
        source = _module()
        folder.mkdir(exist_ok=True)
        for name in missing:
            _build(source, name, folder / name)
    return folder


def _module() -> Path:
    """A module of our own that needs Kubernetes, with what stands in its own tree taken from where it is published."""
    downloaded = json.loads(
        run("go", "mod", "download", "-json", f"{_KUBERNETES}@{RELEASE}", cwd=kept_folder(), quiet=True)
    )
    text = Path(downloaded["GoMod"]).read_text()
    staged = sorted(set(re.findall(r"^\s+(k8s\.io/[a-z-]+) => \./staging", text, re.MULTILINE)))
    go = re.search(r"^go (\S+)", text, re.MULTILINE)
    assert go is not None
    lines = ["module cluster", f"go {go[1]}", f"require {_KUBERNETES} {RELEASE}", "replace ("]
    lines += [f"\t{module} => {module} {STAGING}" for module in staged]
    source = kept_folder() / "kubernetes-source"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir()
    (source / "go.mod").write_text("\n".join([*lines, ")", ""]))
    imports = "".join(f'import _ "{_KUBERNETES}/cmd/{name}"\n' for name in BUILT)
    (source / "tools.go").write_text(f"//go:build tools\n\npackage tools\n\n{imports}")
    run("go", "mod", "tidy", "-e", cwd=source, timeout_s=1200)
    return source


def _build(source: Path, name: str, target: Path) -> None:
    major, minor = RELEASE.removeprefix("v").split(".")[:2]
    said = {"gitVersion": RELEASE, "gitMajor": major, "gitMinor": minor}
    flags = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in said.items())
    unfinished = target.with_suffix(".unfinished")
    command = ("go", "build", "-trimpath", "-ldflags", f"-s -w {flags}", "-o", unfinished, f"{_KUBERNETES}/cmd/{name}")
    run(*command, cwd=source, timeout_s=2400, variables={"CGO_ENABLED": "0"})
    unfinished.rename(target)


@dataclass(frozen=True)
class Cluster:
    """A cluster that runs, and how it is asked."""

    kubeconfig: Path
    container_socket: Path
    path: str

    def kubectl(self, *arguments: str, given: str | None = None, timeout_s: float = 120, fails: bool = False) -> str:
        """What ``kubectl`` prints; where it is to fail, why it did.

        Raises:
            DeploymentError: it failed, or did not where it is to.
        """
        done = subprocess.run(
            self.kubectl_command(*arguments),
            input=given,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if bool(done.returncode) != fails:
            raise DeploymentError(f"kubectl {' '.join(arguments)}: {done.returncode} {done.stdout}{done.stderr}")
        return done.stderr if fails else done.stdout

    def kubectl_command(self, *arguments: str) -> Sequence[str]:
        """The same as a command line."""
        client = Path(sys.executable).with_name("kubectl")
        return [str(client), "--kubeconfig", str(self.kubeconfig), *arguments]

    def items(self, *arguments: str) -> list[Any]:
        """What ``kubectl get`` finds."""
        found: list[Any] = json.loads(self.kubectl("get", "--output", "json", *arguments))["items"]
        return found

    def load(self, archive: Path) -> None:
        """Have the images of ``docker save``."""
        run(*self._ctr("images", "import", str(archive)), variables={"PATH": self.path})

    def names(self) -> Addresses:
        """The addresses behind each headless service, by the names that pods use."""
        found: dict[str, list[str]] = {}
        with suppress(DeploymentError):  # it may be ending
            for service in self.items("services", "--all-namespaces"):
                found[_full_name(service["metadata"]["namespace"], service["metadata"]["name"])] = []
            for piece in self.items("endpointslices", "--all-namespaces"):
                name = _full_name(
                    piece["metadata"]["namespace"], piece["metadata"]["labels"]["kubernetes.io/service-name"]
                )
                for endpoint in piece.get("endpoints") or ():
                    if endpoint["conditions"].get("ready"):
                        found.setdefault(name, []).extend(endpoint["addresses"])
        return found

    def end_containers(self) -> None:
        """End whatever still runs."""
        for task in run(*self._ctr("tasks", "ls", "--quiet"), variables={"PATH": self.path}, quiet=True).split():
            with suppress(DeploymentError):
                run(*self._ctr("tasks", "rm", "--force", task), variables={"PATH": self.path})

    def _ctr(self, *arguments: str) -> tuple[str, ...]:
        return ("ctr", "--address", str(self.container_socket), "--namespace", "k8s.io", *arguments)


def _full_name(namespace: str, name: str) -> str:
    return f"{name}.{namespace}.svc.cluster.local"


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster of one node that is ready, and gone afterwards; all its files are in this folder.

    Raises:
        DeploymentError: it did not start.
    """
    programs = built()
    path = os.pathsep.join((str(programs), unpacked("containerd", "etcd-server", "containernetworking-plugins")))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with ExitStack() as owned:
        owned.callback(unmount_below, folder)
        start = _Starting(folder, path, owned)
        running = Cluster(_control_plane(start), folder / "containerd.sock", path)
        _bridge(owned)
        _container_runtime(start)
        owned.callback(running.end_containers)
        _kubelet(start)
        wait_until("a node that is ready", lambda: _is_ready(running), _STARTS_WITHIN_S, folder / "kubelet.log")
        yield running


class _Starting:
    """Starts programs, each with a log; they end in the other order."""

    def __init__(self, folder: Path, path: str, owned: ExitStack) -> None:
        self.folder = folder
        self._path = path
        self._owned = owned

    def __call__(self, name: str, *arguments: str) -> Path:
        """Start one; its log."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [name, *arguments],
                env={**os.environ, "PATH": self._path},
                cwd=self.folder,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self._owned.callback(end, process)
        return log

    def write(self, name: str, content: Mapping[str, Any] | str) -> str:
        """A file of a program; JSON is YAML too."""
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        path.chmod(0o600)
        return str(path)


def _control_plane(start: _Starting) -> Path:
    token, port, (store, peers) = secrets.token_hex(16), free_port(), (free_port(), free_port())
    etcd = f"http://127.0.0.1:{store}"
    start(
        "etcd",
        *("--data-dir", "etcd", "--unsafe-no-fsync", "--listen-client-urls", etcd, "--advertise-client-urls", etcd),
        *(
            "--listen-peer-urls",
            f"http://127.0.0.1:{peers}",
            "--initial-advertise-peer-urls",
            f"http://127.0.0.1:{peers}",
        ),
        *("--initial-cluster", f"default=http://127.0.0.1:{peers}"),
    )
    start.write("tokens.csv", f"{token},admin,admin,system:masters\n")
    run("openssl", "genrsa", "-out", start.folder / "accounts.key", "2048")
    log = start(
        "kube-apiserver",
        *("--etcd-servers", etcd, "--bind-address=127.0.0.1", f"--secure-port={port}", "--cert-dir=certificates"),
        *(f"--service-cluster-ip-range={_SERVICES}", "--endpoint-reconciler-type=none", "--allow-privileged=false"),
        *("--authorization-mode=Node,RBAC", "--token-auth-file=tokens.csv"),
        *("--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=accounts.key"),
        *("--service-account-signing-key-file=accounts.key", "--kubelet-preferred-address-types=InternalIP"),
    )
    kubeconfig = Path(start.write("kubeconfig", _kubeconfig(port, token)))
    asking = Cluster(kubeconfig, kubeconfig, "")
    wait_until("an API server that is ready", lambda: _answers(asking), _STARTS_WITHIN_S, log)
    for name in ("kube-controller-manager", "kube-scheduler"):
        start(
            name,
            f"--kubeconfig={kubeconfig}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={free_port()}",
        )
    return kubeconfig


def _kubeconfig(port: int, token: str) -> Mapping[str, Any]:
    named = {"name": "own"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "own",
        "clusters": [
            {**named, "cluster": {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}},
        ],
        "users": [{**named, "user": {"token": token}}],
        "contexts": [{**named, "context": {"cluster": "own", "user": "own"}}],
    }


def _answers(asked: Cluster) -> bool:
    with suppress(DeploymentError):
        return asked.kubectl("get", "--raw", "/readyz") == "ok"
    return False


def _is_ready(running: Cluster) -> bool:
    conditions = [one for node in running.items("nodes") for one in node["status"]["conditions"]]
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _bridge(owned: ExitStack) -> None:
    """The bridge of the pods, with the address at which they reach this machine."""
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    owned.callback(run, "ip", "link", "delete", BRIDGE)
    run("ip", "address", "add", f"{NODE_IP}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


def _container_runtime(start: _Starting) -> None:
    plugins = kept_folder() / "unpacked" / "usr" / "lib" / "cni"
    network = {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(start.folder / "addresses"),
                    "ranges": [[{"subnet": _PODS}]],
                },
            }
        ],
    }
    (start.folder / "net.d").mkdir()
    start.write("net.d/pods.conflist", network)
    configuration = f"""\
version = 2
root = "{start.folder}/containers"
state = "{start.folder}/containers-state"
[grpc]
  address = "{start.folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{_SANDBOX}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{start.folder}/net.d"
"""
    log = start("containerd", "--config", start.write("containerd.toml", configuration))
    wait_until("containerd's socket", (start.folder / "containerd.sock").exists, _STARTS_WITHIN_S, log)


def _kubelet(start: _Starting) -> None:
    socket = f"unix://{start.folder}/containerd.sock"
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": socket,
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "address": NODE_IP,
        "port": free_port(),
        "healthzPort": 0,
        "readOnlyPort": 0,
        "clusterDNS": [NODE_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": start.write("resolv.conf", ""),
        "podLogsDir": str(start.folder / "pod-logs"),
        "volumePluginDir": str(start.folder / "volume-plugins"),
        "staticPodPath": "",
        # Whoever reaches this address is on this machine, and it is there for minutes.
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "1Mi"},
        "maxPods": 60,
    }
    start(
        "kubelet",
        *("--config", start.write("kubelet.yaml", configuration), "--kubeconfig", str(start.folder / "kubeconfig")),
        *("--root-dir", str(start.folder / "kubelet"), "--node-ip", NODE_IP, "--hostname-override", _NODE),
        *("--cert-dir", str(start.folder / "kubelet-certificates"), "--register-node=true"),
    )
