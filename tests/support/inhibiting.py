"""Which alerts Alertmanager leaves out, as docker/alertmanager says: its rules, applied as its documentation says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import yaml

from tests.support.office import ROOT

CONFIGURATION: Final = ROOT / "docker" / "alertmanager" / "alertmanager.yml"
_MATCHER: Final = re.compile(r'\s*(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"\s*')

Labels = Mapping[str, str]


def told(firing: Sequence[Labels]) -> list[Labels]:
    """Those of the alerts that somebody is told of, by their labels and their name as ``alertname``."""
    rules = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))["inhibit_rules"]
    return [one for one in firing if not any(_inhibits(rule, one, firing) for rule in rules)]


def _inhibits(rule: Mapping[str, Any], target: Labels, firing: Iterable[Labels]) -> bool:
    if not _match(rule["target_matchers"], target):
        return False
    return any(
        source is not target
        and _match(rule["source_matchers"], source)
        and all(source.get(name, "") == target.get(name, "") for name in rule.get("equal", ()))
        for source in firing
    )


def _match(matchers: Iterable[str], labels: Labels) -> bool:
    return all(_matches(matcher, labels) for matcher in matchers)


def _matches(matcher: str, labels: Labels) -> bool:
    found = _MATCHER.fullmatch(matcher)
    assert found is not None, matcher
    name, kind, value = found.groups()
    own = labels.get(name, "")
    holds = re.fullmatch(value, own) is not None if "~" in kind else own == value
    return holds is not kind.startswith("!")
