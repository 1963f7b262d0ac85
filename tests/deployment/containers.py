"""``make containers``: the image, Compose, and 1,000 tickets sold through haproxy while containers are killed.

Where a Docker engine runs, it is used; elsewhere one is started as root, and everything is put back afterwards.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from boxoffice.embedded.ports import free_port
from tests.deployment import drawn
from tests.deployment.buying import CAPACITY, EVENTS, Crowd
from tests.deployment.engine import Engine, docker_engine
from tests.deployment.host import DeploymentError, Steps, end_in_order_when_told_to, run
from tests.deployment.images import IMAGE, prepare
from tests.deployment.shipped import COMPOSE, PROCFILE, VERSION
from tests.support.office import ROOT

_BLOCK: Final = re.compile(r"```sh\n(.*?)```", re.DOTALL)
START, *TOUR, END = _BLOCK.findall(
    (ROOT / "README.md").read_text(encoding="utf-8").split("## With Docker")[1].split("\n## ")[0]
)
"""The README's commands."""
_PROJECT: Final = "boxoffice-test"
_UP_WITHIN_S: Final = 400
_KILL_AT, _START_AT = 300, 700
"""So many tickets are sold when a gateway and a worker are killed, and when they are started again."""


class Office:
    """The box office of the Compose file, as the README starts it; its name and its ports are the test's own."""

    def __init__(self, engine: Engine) -> None:
        self._port = free_port()
        unset = {name: "" for name in os.environ if name.startswith("BOXOFFICE_")}
        own = {"COMPOSE_PROJECT_NAME": _PROJECT, "HTTP_PORT": str(self._port), "KAFKA_PORT": str(free_port())}
        self._engine = engine.with_variables(unset | own)

    @property
    def url(self) -> str:
        """Where callers come."""
        return f"http://127.0.0.1:{self._port}"

    def compose(self, *arguments: str, timeout_s: float = 600, quiet: bool = False) -> str:
        """What Compose says; what it prints itself and not its containers is left out if it is to be ``quiet``."""
        file = str(ROOT / "docker" / "compose.yaml")
        return self._engine.compose("--file", file, *arguments, timeout_s=timeout_s, quiet=quiet)

    def run_block(self, block: str, timeout_s: float) -> str:
        """Run commands of a document, as they stand but for the port."""
        script = block.replace("127.0.0.1:8080", f"127.0.0.1:{self._port}")
        bash = ("bash", "-ec", f"set -o pipefail\n{script}")
        return run(*bash, cwd=ROOT, variables=self._engine.variables, timeout_s=timeout_s)

    def command(self, *arguments: str) -> str:
        """What the command line of the box office prints."""
        return self.compose("run", "--rm", "-T", "boxoffice", *arguments, quiet=True)

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers."""
        return self.compose("ps", "--all", "--quiet", service).split()

    def inspect(self, container: str) -> Any:
        """What the engine knows of a container."""
        [found] = json.loads(self._engine.docker("inspect", container))
        return found

    async def kill(self, container: str) -> None:
        """SIGKILL."""
        await asyncio.to_thread(self._engine.docker, "kill", container)

    async def start(self, container: str) -> None:
        """Start it again."""
        await asyncio.to_thread(self._engine.docker, "start", container)

    def logs(self) -> str:
        """The last that everybody said."""
        return self.compose("logs", "--tail", "30")


@contextmanager
def up(engine: Engine, steps: Steps) -> Iterator[Office]:
    """Started as the README says, and gone with all that it kept."""
    office = Office(engine)
    office.compose("down", "--volumes", "--remove-orphans")
    try:
        office.compose("--profile", "monitoring", "config", "--quiet")
        office.run_block(START, _UP_WITHIN_S)
        steps.done("Compose is up")
        for block in TOUR:
            office.run_block(block, _UP_WITHIN_S)
        steps.done("the README's commands work")
        yield office
        office.run_block(END, _UP_WITHIN_S)
        assert not office.compose("ps", "--all", "--quiet").split()
        steps.done("Compose is down")
    except (AssertionError, DeploymentError, subprocess.TimeoutExpired):
        sys.stdout.write(office.logs())
        raise
    finally:
        office.compose("down", "--volumes", "--remove-orphans")


def check_image(engine: Engine) -> None:
    """It runs with a read-only root, without a network, a capability or a shell, and draws what is drawn here."""
    confined = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none")
    _expect(engine.docker("run", "--rm", *confined, IMAGE, "boxoffice", "--version"), VERSION)
    whose = ("python", "-c", "import os; print(os.getuid(), os.getgid())")
    _expect(engine.docker("run", "--rm", *confined, IMAGE, *whose), "10001 10001")
    draw = ("python", "-c", Path(drawn.__file__).read_text(encoding="utf-8"))
    here, there = run(sys.executable, *draw[1:]), engine.docker("run", "--rm", *confined, IMAGE, *draw)
    if here != there:
        raise DeploymentError(f"The image draws other tickets than we do here: {there}")


def check_containers(office: Office) -> None:
    """Each is what the Compose file says, as the engine sees it."""
    for process in PROCFILE:
        for container in office.containers(process):
            found = office.inspect(container)
            host = found["HostConfig"]
            assert found["State"]["Health"]["Status"] == "healthy", process
            assert found["Config"]["User"] == "10001:10001"
            assert host["ReadonlyRootfs"]
            assert host["CapDrop"] == ["ALL"]
            assert host["Memory"] > 0
            assert host["PidsLimit"] > 0
            assert not found["NetworkSettings"]["Ports"] or not any(found["NetworkSettings"]["Ports"].values())
    for service in ("purchases", "gateway"):
        assert len(office.containers(service)) == COMPOSE["services"][service]["deploy"]["replicas"]


async def sell(office: Office, key: str, steps: Steps) -> None:
    """Sell everything while one of the two gateways and one of the two workers are dead for a while."""
    crowd = Crowd(office.url, key)
    victims = [office.containers(service)[0] for service in ("gateway", "purchases")]

    async def kill() -> None:
        await asyncio.gather(*(office.kill(victim) for victim in victims))

    async def start() -> None:
        await asyncio.gather(*(office.start(victim) for victim in victims))

    await crowd.buy({_KILL_AT: kill, _START_AT: start})
    assert len(set(crowd.sold.values())) == EVENTS * CAPACITY
    steps.done(f"{len(crowd.sold)} tickets are sold, {crowd.asked_again} requests were sent again")
    await crowd.fetch_a_ticket()
    for victim in victims:
        state = office.inspect(victim)["State"]
        assert state["Running"]
        assert state["StartedAt"] > state["FinishedAt"] > "0001", "it was killed"


def check_sale(office: Office, steps: Steps) -> None:
    """Everything agrees, and nobody has anything to complain about."""
    told = office.command("audit", "--wait", "120")
    last = told.strip().splitlines()[-1]
    if "all agree" not in last:
        raise DeploymentError(told)
    steps.done(f"audit: {last}")
    office.command("doctor")
    steps.done("doctor: all is well")


def check_tests(engine: Engine, steps: Steps) -> None:
    """The tests that need an engine, which are left out elsewhere."""
    # Ryuk, which would clean up, is an image that only a registry has. Our engine is on this very machine,
    # which testcontainers does not believe where it finds traces of a container around us.
    ours = {
        "TESTCONTAINERS_RYUK_DISABLED": "true",
        "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1",
        "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
    }
    variables = {**engine.variables, **(ours if engine.is_ours else {})}
    told = run(sys.executable, "-m", "pytest", "-q", "-m", "docker", "tests", cwd=ROOT, variables=variables)
    _expect(told, "1 passed")
    steps.done("the tests with containers pass")


def _expect(told: str, wanted: str) -> None:
    if wanted not in told:
        raise DeploymentError(f"{wanted!r} was expected, and there came {told!r}.")


def main(arguments: Sequence[str] = ()) -> int:
    """Run it; returns the exit status."""
    assert not arguments, "it has no options"
    steps = Steps()
    end_in_order_when_told_to()
    try:
        with docker_engine() as engine:
            steps.done("an engine runs")
            prepare(engine, steps)
            check_image(engine)
            steps.done("the image runs")
            check_tests(engine, steps)
            with up(engine, steps) as office:
                check_containers(office)
                key = office.command("keys", "create", "--scope", "buy", "--scope", "events").split()[-1]
                steps.done("a key is made")
                asyncio.run(sell(office, key, steps))
                check_sale(office, steps)
    except DeploymentError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    steps.done("all is as it was")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
