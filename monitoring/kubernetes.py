"""The rules of docker/prometheus/rules as the Prometheus operator takes them."""

from __future__ import annotations

import yaml

from monitoring.rules import FOLDER

_HEAD = """\
# The rules of docker/prometheus/rules, for the Prometheus operator: change them there, and write this with
# `python -m monitoring`.
"""


class _Dumper(yaml.SafeDumper):
    """Keeps lines that are lines."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text.strip() else None)


_Dumper.add_representer(str, _text)


def prometheus_rule() -> str:
    """One resource with all groups."""
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.yml"))]
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "boxoffice"},
        "spec": {"groups": [group for file in files for group in file["groups"]]},
    }
    return _HEAD + yaml.dump(resource, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
