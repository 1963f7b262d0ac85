"""What the package says it needs is what the lock files have."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[2]
PACKAGE: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PACKAGE["optional-dependencies"]
RUN = [*PACKAGE["dependencies"], *EXTRAS["embedded"]]


def _locked(name: str) -> dict[str, str]:
    """The versions in a lock file, by package."""
    text = (PROJECT / "requirements" / name).read_text()
    pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE)
    return {canonicalize_name(package): version for package, version in pins}


@pytest.mark.parametrize(
    ("file", "requirement"),
    [
        *(("image.txt", one) for one in (*PACKAGE["dependencies"], *EXTRAS["tracing"])),
        *(("run.txt", one) for one in RUN),
        *(("dev.txt", one) for one in (*RUN, *EXTRAS["dev"])),
    ],
)
def test_what_the_package_needs_is_locked_in_a_version_that_it_takes(file: str, requirement: str) -> None:
    """Whoever changes pyproject.toml has to run 'make lock'."""
    wanted = Requirement(requirement)
    version = _locked(file).get(canonicalize_name(wanted.name))
    assert version is not None, f"{file} lacks {wanted.name}"
    assert wanted.specifier.contains(version, prereleases=True)


@pytest.mark.parametrize("file", ["run.txt", "image.txt"])
def test_what_runs_is_tested_in_the_same_versions(file: str) -> None:
    tested = _locked("dev.txt")
    assert {name: tested.get(name) for name in _locked(file)} == _locked(file)


@pytest.mark.parametrize("package", ["fastapi", "uvicorn"])
def test_what_only_the_benchmarks_need_is_not_installed_with_the_product(package: str) -> None:
    assert package not in _locked("run.txt")
