"""``make kubernetes``: the manifests in a real cluster on this machine, and tickets sold while pods are killed.

The API server judges all that is shipped; the small overlay then runs as real pods, beside a Kafka and a Valkey.
Everything is put back afterwards. It takes a quarter of an hour the first time, since Kubernetes itself is built.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from boxoffice.embedded.ports import can_listen, free_port
from tests.deployment.buying import Crowd
from tests.deployment.control_plane import NODE_IP, Cluster, built, cluster
from tests.deployment.engine import Engine, docker_engine
from tests.deployment.host import (
    DeploymentError,
    Steps,
    end,
    end_in_order_when_told_to,
    install,
    kept_folder,
    put_back,
    require_root_on_debian,
    run,
    system_path,
    unpacked,
    wait_until,
)
from tests.deployment.images import IMAGE, image_of, prepare
from tests.deployment.names import serving_names
from tests.deployment.shipped import COMPOSE, KUBERNETES, KUSTOMIZATIONS, OTHERS, PROCFILE, manifests
from tests.support.office import ROOT

NAMESPACE: Final = "boxoffice"
_PAUSE: Final = "boxoffice-pause:1"
_READY_WITHIN_S: Final = 180
_KILL_AT, _ROLL_AT = 300, 600
"""So many tickets are sold when pods are killed, and when all gateways and workers are replaced in order."""
APPLY, ASK = re.findall(
    r"```sh\n(.*?)```",
    (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8").split("## Kubernetes")[1].split("\n## ")[0],
    re.DOTALL,
)
"""The document's commands."""
_SERVERS: Final = Path(__file__).with_name("servers.yaml")


def _archive(engine: Engine, steps: Steps) -> Path:
    """All images of the cluster, as an engine saves them."""
    prepare(engine, steps)
    catatonit = Path(unpacked("catatonit").split(os.pathsep)[1]) / "catatonit"
    with tempfile.TemporaryDirectory(dir=kept_folder()) as folder:
        Path(folder, "catatonit").write_bytes(catatonit.read_bytes())
        Path(folder, "Dockerfile").write_text(
            'FROM scratch\nCOPY catatonit /catatonit\nUSER 65535\nENTRYPOINT ["/catatonit", "-P"]\n'
        )
        Path(folder, "catatonit").chmod(0o755)
        engine.docker("build", "--quiet", "--tag", _PAUSE, folder)
    archive = kept_folder() / "images.tar"
    images = (IMAGE, image_of("kafka"), image_of("valkey"), image_of("haproxy"), _PAUSE)
    if not engine.is_ours:
        for image in images[1:-1]:
            engine.docker("pull", image)
    engine.docker("save", "--output", archive, *images)
    return archive


def check_manifests(running: Cluster) -> None:
    """The API server takes everything that is its own to judge, and refuses what it must."""
    for kustomization in KUSTOMIZATIONS:
        known = [one for one in manifests(kustomization) if one["kind"] not in OTHERS]
        running.kubectl("apply", "--dry-run=server", "--filename", "-", given=yaml.safe_dump_all(known))
    [job] = [one for one in manifests("base") if one["kind"] == "Job"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root", "namespace": NAMESPACE}}
    spec = {**job["spec"]["template"]["spec"], "securityContext": {"runAsUser": 0}}
    refused = running.kubectl(
        "apply", "--dry-run=server", "-f", "-", given=yaml.safe_dump({**pod, "spec": spec}), fails=True
    )
    assert 'violates PodSecurity "restricted' in refused, refused


def servers(documents: Path) -> str:
    """Kafka, Valkey and the volume, with the environment that Compose gives them."""
    kafka = {name: str(value) for name, value in COMPOSE["services"]["kafka"]["environment"].items()}
    kafka["KAFKA_ADVERTISED_LISTENERS"] = "INSIDE://kafka:9092,OUTSIDE://127.0.0.1:9094"
    filled = {
        "DOCUMENTS_FOLDER": str(documents),
        "KAFKA_IMAGE": image_of("kafka"),
        "KAFKA_ENVIRONMENT": json.dumps([{"name": name, "value": value} for name, value in kafka.items()]),
        "VALKEY_IMAGE": image_of("valkey"),
        "VALKEY_COMMAND": json.dumps(shlex.split(COMPOSE["services"]["valkey"]["command"])),
    }
    text = _SERVERS.read_text()
    for name, value in filled.items():
        text = text.replace(name, value)
    return text


def run_block(running: Cluster, block: str, folder: Path) -> str:
    """Run commands of docs/deploying.md as they stand, but for the folder of the keys."""
    own = Path(sys.executable).parent
    variables = {"KUBECONFIG": str(running.kubeconfig), "PATH": f"{own}{os.pathsep}{system_path()}"}
    script = block.replace("$HOME/boxoffice-data", str(folder))
    return run("bash", "-ec", script, cwd=ROOT, variables=variables, timeout_s=_READY_WITHIN_S + 60)


def deploy(running: Cluster, folder: Path) -> None:
    """The servers, and then what docs/deploying.md says: the secrets and the small overlay."""
    documents = folder / "documents"
    documents.mkdir(mode=0o700)
    os.chown(documents, 10001, 10001)
    running.kubectl("apply", "--filename", "-", given=servers(documents))
    _until_ready(running, "pod/kafka", "pod/valkey")
    run_block(running, APPLY, folder)
    # Two, so that one can be killed.
    for name in ("gateway", "purchases"):
        running.kubectl("--namespace", NAMESPACE, "scale", f"deployment/{name}", "--replicas=2")
    roll_out(running, *PROCFILE, "haproxy")


def _until_ready(running: Cluster, *what: str) -> None:
    wait = ("wait", "--for=condition=Ready", f"--timeout={_READY_WITHIN_S}s", *what)
    running.kubectl("--namespace", NAMESPACE, *wait, timeout_s=_READY_WITHIN_S + 10)


def roll_out(running: Cluster, *names: str) -> None:
    """Wait until what was asked for runs."""
    for name in names:
        command = ("rollout", "status", f"deployment/{name}", f"--timeout={_READY_WITHIN_S}s")
        running.kubectl("--namespace", NAMESPACE, *command, timeout_s=_READY_WITHIN_S + 10)


@contextmanager
def forwarded(running: Cluster) -> Iterator[str]:
    """The port of haproxy, on this machine's loopback; its URL."""
    port = free_port()
    command = running.kubectl_command("--namespace", NAMESPACE, "port-forward", "deployment/haproxy", f"{port}:8080")
    forwarding = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until("a port that is forwarded", lambda: not can_listen(port), _READY_WITHIN_S)
        yield f"http://127.0.0.1:{port}"
    finally:
        end(forwarding)


async def sell(running: Cluster, url: str, key: str, steps: Steps) -> None:
    """Sell everything while pods are killed, and while all are replaced."""
    crowd = Crowd(url, key)

    async def kill() -> None:
        for process in ("gateway", "purchases"):
            [victim, *_] = pods_of(running, process)
            delete = ("delete", "pod", victim, "--grace-period=0", "--force", "--wait=false")
            await asyncio.to_thread(running.kubectl, "--namespace", NAMESPACE, *delete)

    async def roll() -> None:
        restart = ("rollout", "restart", "deployment/gateway", "deployment/purchases")
        await asyncio.to_thread(running.kubectl, "--namespace", NAMESPACE, *restart)

    await crowd.buy({_KILL_AT: kill, _ROLL_AT: roll})
    steps.done(f"{len(crowd.sold)} tickets are sold, {crowd.asked_again} requests were sent again")
    await asyncio.to_thread(roll_out, running, "gateway", "purchases")
    await crowd.fetch_a_ticket()


def pods_of(running: Cluster, process: str) -> list[str]:
    """The names of a process' pods."""
    found = running.items("pods", "--namespace", NAMESPACE, "--selector", f"app.kubernetes.io/component={process}")
    return [pod["metadata"]["name"] for pod in found]


def command(running: Cluster, *arguments: str) -> str:
    """What the command line of the box office prints, in the audit's pod."""
    return running.kubectl(
        "--namespace", NAMESPACE, "exec", "deployment/audit", "--", "boxoffice", *arguments, timeout_s=300
    )


def check_pods(running: Cluster) -> None:
    """None was started again because of its probes or its memory."""
    for pod in running.items("pods", "--namespace", NAMESPACE):
        for container in pod["status"].get("containerStatuses", ()):
            ended: Mapping[str, Any] = container.get("lastState", {}).get("terminated", {})
            assert ended.get("reason") != "OOMKilled", pod["metadata"]["name"]
            assert container["restartCount"] <= 3, pod["metadata"]["name"]


def _told(running: Cluster) -> str:
    """What helps to see why it failed."""
    lines = running.kubectl("--namespace", NAMESPACE, "get", "pods", "--output", "wide")
    events = running.kubectl("--namespace", NAMESPACE, "get", "events", "--sort-by=.lastTimestamp")
    return f"{lines}\n{events[-4000:]}\n"


def _run(steps: Steps) -> None:
    with ExitStack() as owned:
        owned.enter_context(put_back())
        with docker_engine() as engine:
            archive = _archive(engine, steps)
        steps.done("the images are saved")
        install("iproute2", "kmod", "runc", "openssl")
        built()
        steps.done("Kubernetes is built")
        folder = Path(owned.enter_context(tempfile.TemporaryDirectory(dir=kept_folder(), ignore_cleanup_errors=True)))
        running = owned.enter_context(cluster(folder / "cluster"))
        steps.done("the cluster is ready")
        owned.enter_context(serving_names(NODE_IP, running.names))
        running.load(archive)
        # The API server asks for a pod's namespace and account before it judges the pod.
        running.kubectl("apply", "--filename", str(KUBERNETES / "base" / "namespace.yaml"))
        running.kubectl("--namespace", NAMESPACE, "apply", "--filename", str(KUBERNETES / "base" / "account.yaml"))
        check_manifests(running)
        steps.done("the API server takes all manifests")
        try:
            _sell(running, folder, steps)
        except (AssertionError, DeploymentError, subprocess.TimeoutExpired):
            sys.stdout.write(_told(running))
            raise
        finally:
            running.kubectl("delete", "namespace", NAMESPACE, "--timeout=120s", timeout_s=150)
        steps.done("the namespace is gone")


def _sell(running: Cluster, folder: Path, steps: Steps) -> None:
    deploy(running, folder)
    steps.done("all pods are ready")
    key = command(running, "keys", "create", "--scope", "buy", "--scope", "events").split()[-1]
    with forwarded(running) as url:
        asyncio.run(sell(running, url, key, steps))
    last = run_block(running, ASK, folder).strip().splitlines()[-1]
    if "all agree" not in last:
        raise DeploymentError(last)
    steps.done(f"audit: {last}")
    check_pods(running)


def main() -> int:
    """Run it; returns the exit status."""
    steps = Steps()
    end_in_order_when_told_to()
    try:
        require_root_on_debian("This")
        _run(steps)
    except DeploymentError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    steps.done("all is as it was")
    return 0


if __name__ == "__main__":
    sys.exit(main())
