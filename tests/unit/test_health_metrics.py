"""What a process' health says it says in its metrics too, so that somebody can be woken by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faust.types import TP
from prometheus_client.parser import text_string_to_metric_families

from boxoffice.process.health import Health
from boxoffice.redis.presence import Presence
from boxoffice.settings import load_settings
from tests.unit.test_health_figures import metrics_for

SETTINGS = load_settings(redis_url="redis://127.0.0.1:1", kafka_bootstrap_servers="127.0.0.1:1")


class Reading:
    """Reads one partition, on which nothing waits."""

    withheld: frozenset[TP] = frozenset()
    is_cut_off = False

    def positions(self) -> dict[TP, tuple[int, int]]:
        return {TP("facts", 0): (5, 5)}


async def told(health: Health) -> Mapping[tuple[str, str], float]:
    """Value of what is said of health, by name and server."""
    _, _, body = await metrics_for(health, None)
    samples = [sample for family in text_string_to_metric_families(body) for sample in family.samples]
    names = {"boxoffice_live", "boxoffice_ready", "boxoffice_waits_for"}
    return {(one.name, one.labels.get("server", "")): one.value for one in samples if one.name in names}


async def test_live_ready_and_what_is_waited_for_are_metrics() -> None:
    """A server that serves again is said to, and not left out: nobody would know whether it is looked at."""
    health = Health(SETTINGS.process, "documents", Presence(SETTINGS.redis, "documents", 3.0))
    live, ready, kafka = ("boxoffice_live", ""), ("boxoffice_ready", ""), ("boxoffice_waits_for", "Kafka")
    store = ("boxoffice_waits_for", "document store")
    assert await told(health) == {live: 1, ready: 0, kafka: 1}
    details: dict[str, Any] = {"waits_for": ["document store"]}
    health.watch(Reading, lambda: True, lambda: details)
    assert await told(health) == {live: 1, ready: 1, kafka: 0, store: 1}
    details["waits_for"] = []
    assert await told(health) == {live: 1, ready: 1, kafka: 0, store: 0}
