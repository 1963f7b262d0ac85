"""Publishes orders of one or more events at a fixed rate: ``python -m benchmarks.load RATE SECONDS EVENT...``.

Each order carries the moment of its publishing in its ``buyer``, which the fact repeats: nanoseconds of
the one clock that all processes of a machine share.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from time import monotonic, monotonic_ns, sleep

from confluent_kafka import Producer

from benchmarks.sale import PARTITIONS, purchase
from boxoffice.kafka.clients import home_partition
from boxoffice.settings import Settings, load_settings
from topics import purchase_requests

TICK_S = 0.001
LINGER_MS = 5
"""As Java's producer has it by default since Kafka 4.0."""


def publish(settings: Settings, rate: float, duration_s: float, events: Sequence[str]) -> None:
    """Publish in time, whatever comes back."""
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "acks": "all",
            "linger.ms": LINGER_MS,
            "enable.idempotence": True,
        }
    )
    topic = purchase_requests.TOPIC.full_name(settings.kafka.topic_prefix)
    homes = {event_id: home_partition(event_id, PARTITIONS) for event_id in events}
    base, begun_s = monotonic_ns() // 1_000_000 % 10**9 * 1_000, monotonic()
    number = 0
    while (passed_s := monotonic() - begun_s) < duration_s:
        while number < rate * passed_s:
            event_id, value = purchase(events[number % len(events)], base + number, buyer=str(monotonic_ns()))
            producer.produce(topic, value, event_id, partition=homes[event_id])
            number += 1
        producer.poll(0)
        sleep(TICK_S)
    producer.flush()


if __name__ == "__main__":
    publish(load_settings(), float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
