"""What a topic has otherwise is known by the setting, whatever the sentence about it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from boxoffice.kafka.topics import BATCH_BYTES, PARTITIONS, Difference, _report
from boxoffice.settings import load_settings
from topics import TOPICS, TopicDefinition, purchase_results

WORDS = ["", "retention-test-", "removed.before.decided-", "clocks_would-decide-", "a-record-may-take-partitions-"]
"""Prefixes that are a part of every sentence about a topic."""


def differences(
    definition: TopicDefinition, prefix: str, partitions: int = 12, config: Mapping[str, str] | None = None
) -> list[Difference]:
    """What is found of a topic that a broker shows like this."""
    partition = {"leader": 1, "replicas": [1]}
    found: dict[str, Any] = {"partitions": [{**partition, "partition": number} for number in range(partitions)]}
    settings = load_settings(topic_prefix=prefix, partitions=12).kafka
    shown = {**definition.config, **(config or {})}
    return list(_report(definition.full_name(prefix), definition, found, shown, settings).differences)


@pytest.mark.parametrize("prefix", WORDS)
@pytest.mark.parametrize("definition", TOPICS, ids=lambda topic: topic.name)
def test_another_number_of_partitions_stops_no_sale_whatever_the_topic_is_called(
    prefix: str, definition: TopicDefinition
) -> None:
    [found] = differences(definition, prefix, partitions=5)
    assert (found.setting, found.stops_sale) == (PARTITIONS, False)


@pytest.mark.parametrize("prefix", WORDS)
@pytest.mark.parametrize("definition", TOPICS, ids=lambda topic: topic.name)
def test_a_setting_stops_the_sale_if_it_is_vital_and_not_otherwise(prefix: str, definition: TopicDefinition) -> None:
    for name in definition.config:
        if name != BATCH_BYTES:
            [found] = differences(definition, prefix, config={name: "otherwise"})
            assert (found.setting, found.stops_sale) == (name, name in definition.vital)


@pytest.mark.parametrize("prefix", WORDS)
@pytest.mark.parametrize(("size", "stops_sale"), [("65536", True), ("200000", False)])
def test_record_batches_that_are_too_small_stop_the_sale(prefix: str, size: str, stops_sale: bool) -> None:
    [found] = differences(purchase_results.TOPIC, prefix, config={BATCH_BYTES: size})
    assert (found.setting, found.stops_sale) == (BATCH_BYTES, stops_sale)
