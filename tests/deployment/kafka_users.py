"""Write kubernetes/examples/users.yaml: Strimzi's users, with the rights that ``boxoffice topics acls`` prints.

``python -m tests.deployment.kafka_users`` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import yaml

from boxoffice.kafka.access import ACCESS, Acl, acls
from boxoffice.settings import load_settings
from tests.deployment.shipped import KUBERNETES

PATH: Final = KUBERNETES / "examples" / "users.yaml"
TOPICS: Final = "topics"
"""The Job that makes the topics, and may do nothing else."""
_HEAD: Final = """\
# Kafka's users for kubernetes/overlays/cluster, by Strimzi: each process has its own, with the rights that
# `boxoffice topics acls` prints. Their passwords are in the Secrets of their names.
#
#     kubectl apply --namespace boxoffice --filename kubernetes/examples/users.yaml
#
# With a BOXOFFICE_TOPIC_PREFIX the names of topics and groups have it too. Written by
# `python -m tests.deployment.kafka_users`.
"""


def users() -> list[dict[str, Any]]:
    """Every user, as a resource of Strimzi's."""
    wanted = acls(load_settings().kafka)
    own = [(access.user, [acl for acl in wanted if acl.user == access.user]) for access in ACCESS]
    made = [_user(name, list(_rules(rights))) for name, rights in own]
    makes = [
        {"resource": {"type": "topic", "name": "*", "patternType": "literal"}, "operations": _MAKES},
        {"resource": {"type": "cluster"}, "operations": _MAKES},
    ]
    return [*made, _user(TOPICS, makes)]


_MAKES: Final = ["Create", "Describe", "DescribeConfigs"]


def _user(name: str, rules: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaUser",
        "metadata": {"name": name, "labels": {"strimzi.io/cluster": "kafka"}},
        "spec": {"authentication": {"type": "scram-sha-512"}, "authorization": {"type": "simple", "acls": list(rules)}},
    }


def _rules(rights: Sequence[Acl]) -> Iterator[dict[str, Any]]:
    """One rule for each resource."""
    for kind, name in dict.fromkeys((right.resource, right.name) for right in rights):
        operations = [right.operation.word for right in rights if (right.resource, right.name) == (kind, name)]
        resource = {"type": kind.name.lower(), "name": name, "patternType": "literal"}
        yield {"resource": resource, "operations": operations}


def text() -> str:
    """The file."""
    return _HEAD + "---\n".join(yaml.safe_dump(user, sort_keys=False, width=120) for user in users())


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
