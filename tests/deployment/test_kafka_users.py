"""Kafka's users in a cluster of Kubernetes are those of the code's table, with its rights."""

from __future__ import annotations

import yaml

from tests.deployment import kafka_users
from tests.deployment.shipped import PROCFILE, of_kind


def test_the_users_are_those_of_the_table() -> None:
    assert kafka_users.PATH.read_text(encoding="utf-8") == kafka_users.text(), (
        "make it anew with 'python -m tests.deployment.kafka_users'"
    )


def test_each_process_has_a_user_of_its_own_and_so_has_who_makes_the_topics() -> None:
    made = yaml.safe_load_all(kafka_users.PATH.read_text(encoding="utf-8"))
    names = {user["metadata"]["name"] for user in made}
    assert names >= {*PROCFILE, kafka_users.TOPICS}
    assert names >= of_kind("overlays/cluster", "Job").keys()
