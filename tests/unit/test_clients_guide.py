"""docs/clients.md: what can be held true without a server."""

from __future__ import annotations

import json
import re
import textwrap
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.kafka.clients import home_partition
from tests.support.foreign import CLIENTS

GUIDE: Final = CLIENTS.with_suffix(".md").read_text(encoding="utf-8")
HASH, RULE = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
PARTITIONS: Final = 12


@pytest.fixture(scope="module")
def guide() -> dict[str, Any]:
    """What the guide's ten lines define."""
    defined: dict[str, Any] = {}
    exec(HASH, defined)  # noqa: S102 - that they run as they stand is the point
    return defined


def test_the_guides_hashes_are_murmur2s(guide: dict[str, Any]) -> None:
    rows = re.findall(r"^\| `(\d+)` \| `(0x[0-9a-f]{8})` \| (\d+) \|$", GUIDE, re.MULTILINE)
    told = [(event_id, int(hashed, 16), int(home)) for event_id, hashed, home in rows]
    assert f"| home among {PARTITIONS} |" in GUIDE
    assert told == [
        (event_id, guide["murmur2"](event_id.encode()), home_partition(event_id, PARTITIONS)) for event_id, _, _ in told
    ]
    assert {len(event_id) % 4 for event_id, _, _ in told} == {0, 1, 2, 3}
    assert {hashed >> 31 for _, hashed, _ in told} == {0, 1}


@given(st.integers(1, 10**18 - 1).map(str), st.integers(1, 1_000))
def test_the_guides_lines_find_every_home(guide: dict[str, Any], event_id: str, partitions: int) -> None:
    assert guide["home"](event_id, partitions) == home_partition(event_id, partitions)


def test_the_rule_in_the_guide_is_the_one_that_runs() -> None:
    program = (CLIENTS / "python" / "buy.py").read_text()
    for method in re.split("\n\n+", RULE.strip()):
        assert textwrap.indent(method, " " * 4) in program


def _headings(text: str) -> set[str]:
    """The anchors of a page."""
    lines = [line for line in text.splitlines() if line.startswith("#")]
    return {re.sub(r"[^a-z ]", "", line.lower()).strip().replace(" ", "-") for line in lines}


def test_the_guides_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", GUIDE):
        file, _, heading = target.partition("#")
        page = CLIENTS.parent / file if file else CLIENTS.with_suffix(".md")
        assert page.exists(), target
        assert not heading or heading in _headings(page.read_text(encoding="utf-8")), target


def test_links_to_the_guide_lead_somewhere() -> None:
    """The other way round: the README and the reference send a client's author here."""
    docs = CLIENTS.parent
    for page in (docs / "messages.md", docs.parent / "README.md"):
        linked = re.findall(r"\]\((?:docs/)?clients\.md(?:#([^)]+))?\)", page.read_text(encoding="utf-8"))
        assert linked, page
        assert {heading for heading in linked if heading} <= _headings(GUIDE), page


def test_packages_are_pinned_and_name_no_registry() -> None:
    """Whoever installs them has a mirror of his own."""
    lock = json.loads((CLIENTS / "node" / "package-lock.json").read_text())
    wanted = json.loads((CLIENTS / "node" / "package.json").read_text())["dependencies"]
    packages = {name.rpartition("node_modules/")[2]: package for name, package in lock["packages"].items() if name}
    assert {name: packages[name]["version"] for name in wanted} == wanted
    assert all("integrity" in package and "resolved" not in package for package in packages.values())

    required = re.findall(r"^\t?(?:require )?(github\S+ v\S+)", (CLIENTS / "go" / "go.mod").read_text(), re.MULTILINE)
    sums = (CLIENTS / "go" / "go.sum").read_text()
    assert required
    assert all(f"{module} h1:" in sums for module in required)
