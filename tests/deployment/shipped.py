"""What is shipped, as the tests read it: the Procfile, the recipe of the image, the Compose file, the manifests."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.office import ROOT

DOCKER = ROOT / "docker"
KUBERNETES = ROOT / "kubernetes"
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
PACKAGE: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
VERSION: str = PACKAGE["project"]["version"]
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text(encoding="utf-8").splitlines())
"""Each process' command line, by its name."""
KUSTOMIZATIONS = ("base", "overlays/small", "overlays/cluster")
"""The kustomizations that somebody may apply."""
OTHERS = {"ScaledObject", "TriggerAuthentication", "ServiceMonitor", "PrometheusRule"}
"""Kinds of operators, of which Kubernetes itself knows nothing."""


def instructions(name: str) -> list[str]:
    """The arguments of every such instruction of the Dockerfile, its continued lines put together."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    return re.findall(rf"^\s*{name}\s+(.*)$", joined, re.MULTILINE)


@cache
def manifests(kustomization: str) -> Sequence[dict[str, Any]]:
    """What ``kubectl apply -k`` would send."""
    kubectl = Path(sys.executable).with_name("kubectl")
    built = subprocess.run(
        [kubectl, "kustomize", KUBERNETES / kustomization], capture_output=True, text=True, check=False, timeout=60
    )
    assert built.returncode == 0, built.stderr
    return [manifest for manifest in yaml.safe_load_all(built.stdout) if manifest]


def of_kind(kustomization: str, *kinds: str) -> dict[str, dict[str, Any]]:
    """Those of some kinds, by their names."""
    found = [one for one in manifests(kustomization) if one["kind"] in kinds]
    return {one["metadata"]["name"]: one for one in found}
