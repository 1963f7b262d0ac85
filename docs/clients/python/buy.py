"""Buy tickets and wait for the answer: python buy.py EVENT QUANTITY BUYER REQUEST_ID.

Prints the fact. Ends with 0 if tickets were sold or are held, 3 if not, 4 if there is no answer yet: ask again, with
the same id.
"""

import json
import os
import sys
from time import monotonic
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

SERVERS = os.environ.get("BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
PREFIX = os.environ.get("BOXOFFICE_TOPIC_PREFIX", "")
REQUESTS, RESULTS = f"{PREFIX}purchase-requests", f"{PREFIX}purchase-results"
GOT = ("purchase_confirmed", "purchase_held")
REMEMBERED = (*GOT, "hold_expired", "purchase_cancelled", "purchase_rejected")
REFUSED = ("purchase_rejected", "command_unreadable")
TIMEOUT_S, AGAIN_S = 60, 5

Fact = dict[str, Any]


class Request:
    """A purchase and what was read of it. Each time that it is sent makes a copy, known by the place where it lies."""

    def __init__(self, event_id: str, quantity: int, buyer: str, request_id: str) -> None:
        self.command = {"request_id": request_id, "event_id": event_id, "buyer": buyer, "quantity": quantity}
        self.copies: list[tuple[int, int]] = []
        self.refused: dict[tuple[int, int], Fact] = {}
        self.remembered: Fact | None = None

    def sent(self, error: KafkaError | None, message: Message) -> None:
        """The broker has a copy."""
        if error is not None:
            raise KafkaException(error)
        self.copies.append((message.partition(), message.offset()))

    def read(self, fact: Fact) -> None:
        """Remember what may be an answer: facts come in any order, and before one knows where the copy lies."""
        if self._is_remembered_by(fact):
            self.remembered = fact
        elif fact["type"] in REFUSED:
            self.refused[fact["source"]["partition"], fact["source"]["offset"]] = fact

    @property
    def answer(self) -> Fact | None:
        """What is remembered, whichever copy it was of; or a refusal that is not, once all copies are refused."""
        refusals = [self.refused.get(copy) for copy in self.copies]
        return self.remembered or (refusals[-1] if refusals and all(refusals) else None)

    def _is_remembered_by(self, fact: Fact) -> bool:
        """Whether it says for good what became of this purchase. The id alone might be another's purchase."""
        own = self.command
        if fact["type"] not in REMEMBERED or fact.get("purchase", fact["request_id"]) != own["request_id"]:
            return False
        if (fact["event_id"], fact["buyer"]) != (own["event_id"], own["buyer"]):
            return False
        if fact["seq"] == 0 or fact.get("reason") == "request_id_reused":
            return False
        # What another request has made of it may be about some of its tickets.
        return fact["request_id"] != own["request_id"] or fact["quantity"] == own["quantity"]


def results_from_now() -> Consumer:
    """A reader of all partitions, from the ends that they have now, before anything is sent."""
    consumer = Consumer({"bootstrap.servers": SERVERS, "group.id": "buy", "enable.auto.commit": False})
    partitions = [
        TopicPartition(RESULTS, number)
        for number in consumer.list_topics(RESULTS, TIMEOUT_S).topics[RESULTS].partitions
    ]
    for partition in partitions:
        _, partition.offset = consumer.get_watermark_offsets(partition, TIMEOUT_S)
    consumer.assign(partitions)
    return consumer


def buy(request: Request) -> Fact | None:
    """Send the request, again if there is no answer for a while; None if there is none at all."""
    consumer = results_from_now()
    producer = Producer({"bootstrap.servers": SERVERS, "enable.idempotence": True, "partitioner": "murmur2_random"})
    key = request.command["event_id"]
    began = monotonic()
    try:
        while monotonic() < began + TIMEOUT_S:
            producer.produce(REQUESTS, json.dumps(request.command), key, on_delivery=request.sent)
            producer.flush()
            again = monotonic() + AGAIN_S
            while monotonic() < again:
                record = consumer.poll(0.2)
                if record is None or record.error():
                    continue
                request.read(json.loads(record.value()))
                if request.answer is not None:
                    return request.answer
        return None
    finally:
        consumer.close()


def main() -> int:
    """Buy what the arguments say; returns the exit status."""
    event_id, quantity, buyer, request_id = sys.argv[1:]
    fact = buy(Request(event_id, int(quantity), buyer, request_id))
    if fact is None:
        print("No answer yet: ask again with the same request id.", file=sys.stderr)
        return 4
    print(json.dumps(fact))
    return 0 if fact["type"] in GOT else 3


if __name__ == "__main__":
    sys.exit(main())
