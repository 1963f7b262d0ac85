"""docs/deploying.md says what is so: its links lead somewhere, its unit keeps what processes promise."""

from __future__ import annotations

import configparser
import re
import shlex

import pytest

from boxoffice.errors import RESTARTABLE, ExitStatus
from boxoffice.settings import SETTINGS, settings_from
from tests.deployment.shipped import COMPOSE, KUSTOMIZATIONS, VERSION, of_kind
from tests.support.office import ROOT

PAGE = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
[UNIT] = re.findall(r"```ini\n(.*?)```", PAGE, re.DOTALL)
FILES = sorted(set(re.findall(r"\]\((?!http)([^)#]*)", PAGE)) - {""})


@pytest.mark.parametrize("path", FILES)
def test_what_it_links_to_is_there(path: str) -> None:
    assert (ROOT / "docs" / path).exists()


def test_the_variables_that_it_names_are_settings() -> None:
    named = set(re.findall(r"BOXOFFICE_[A-Z_]+", PAGE))
    assert named <= SETTINGS.keys()


def test_it_names_the_image_of_this_release() -> None:
    assert set(re.findall(r"boxoffice:(\d\S+)", PAGE)) == {VERSION}


def test_a_service_of_the_system_ends_by_itself_and_is_started_again_where_that_helps() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]  # systemd's names have capitals
    unit.read_string(UNIT)
    service = unit["Service"]
    settings = settings_from({})
    assert int(service["TimeoutStopSec"]) > settings.process.stop_timeout_ms / 1000
    assert int(service["LimitNOFILE"]) > max(settings.gateway.most_connections, settings.live.most_streams)
    useless = {int(status) for status in service["RestartPreventExitStatus"].split()}
    assert useless == {ExitStatus.USAGE, ExitStatus.REFUSED}
    assert not useless & RESTARTABLE
    assert shlex.split(service["ExecStart"])[1:] == ["run", "%i"]


def test_it_names_every_service_and_every_port_of_compose() -> None:
    table = PAGE.split("## Compose")[1].split("## Kubernetes")[0]
    for name, service in COMPOSE["services"].items():
        assert re.search(rf"`{name}`", table), name
        for port in service.get("ports", ()):
            number = re.search(r":(?:\$\{\w+:-)?(\d+)\}?:\d+$", port)
            assert number is not None
            assert number[1] in table, (name, port)


def test_it_names_every_secret_that_pods_look_for() -> None:
    for kustomization in KUSTOMIZATIONS:
        for manifest in of_kind(kustomization, "Deployment", "Job").values():
            pod = manifest["spec"]["template"]["spec"]
            [container] = pod["containers"]
            from_all = [one["secretRef"]["name"] for one in container.get("envFrom", ()) if "secretRef" in one]
            mounted = [one["secret"]["secretName"] for one in pod.get("volumes", ()) if "secret" in one]
            for name in {*from_all, *mounted} - {"kafka-cluster-ca-cert"}:
                assert f"| `{name}` |" in PAGE


@pytest.mark.parametrize("page", [README, PAGE], ids=["README", "deploying"])
def test_files_that_commands_name_are_there(page: str) -> None:
    named = re.findall(r"--(?:file|filename|kustomize|requirement)[ =]((?:docker|kubernetes|requirements)/\S+)", page)
    assert named
    for path in named:
        assert (ROOT / path.rstrip("`.,")).exists(), path
