"""Follow what is sold, and go on where it stopped after a restart or a rebalance: python follow.py FOLDER.

What is made of a partition's facts, here sums, is kept in one file together with the place to go on from.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

SERVERS = os.environ.get("BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
PREFIX = os.environ.get("BOXOFFICE_TOPIC_PREFIX", "")
SIGN = {"purchase_confirmed": 1, "purchase_cancelled": -1}


class Partition:
    """A partition's events, and the offset of the record that comes next."""

    def __init__(self, folder: Path, number: int) -> None:
        self.file = folder / f"{number}.json"
        kept = json.loads(self.file.read_text()) if self.file.exists() else {"next": OFFSET_BEGINNING, "events": {}}
        self.next: int = kept["next"]
        self.events: dict[str, dict[str, int]] = kept["events"]

    def take(self, fact: dict[str, Any]) -> None:
        """Take exactly seq + 1 of an event, and ignore the rest."""
        event = self.events.get(fact["event_id"], {"seq": 0, "sold": 0})
        if fact["seq"] > event["seq"] + 1:
            print(f"{fact['event_id']}: {fact['seq']} after {event['seq']}. Begun in the middle?", file=sys.stderr)
        if fact["seq"] != event["seq"] + 1:
            return
        event["seq"] += 1
        if not fact.get("held"):  # What was held and is given back was not sold.
            event["sold"] += SIGN.get(fact["type"], 0) * len(fact.get("tickets", []))
        self.events[fact["event_id"]] = event
        print(fact["event_id"], event["seq"], fact["type"], event["sold"], flush=True)

    def keep(self) -> None:
        """Replace the file at once: whenever we die, what is made and the place fit together."""
        new = self.file.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps({"next": self.next, "events": self.events}))
        new.replace(self.file)


def follow(folder: Path) -> None:
    """Take what comes, on the partitions that the group gives us."""
    owned: dict[int, Partition] = {}

    def assigned(consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            owned[partition.partition] = Partition(folder, partition.partition)
            partition.offset = owned[partition.partition].next
        consumer.assign(partitions)

    consumer = Consumer(
        {
            "bootstrap.servers": SERVERS,
            "group.id": f"{PREFIX}follow-python",
            "enable.auto.commit": False,
            # Who dies is replaced after so long.
            "session.timeout.ms": 10_000,
            # A place that is not there belongs to another ledger.
            "auto.offset.reset": "error",
        }
    )
    consumer.subscribe([f"{PREFIX}purchase-results"], on_assign=assigned)
    try:
        while True:
            touched = set()
            for record in consumer.consume(500, timeout=0.5):
                if error := record.error():
                    raise KafkaException(error)
                partition = owned[record.partition()]
                partition.take(json.loads(record.value()))
                partition.next = record.offset() + 1
                touched.add(partition)
            for partition in touched:
                partition.keep()
    finally:
        consumer.close()


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    follow(place)
