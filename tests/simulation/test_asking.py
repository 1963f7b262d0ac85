"""What the schedules ask has all that can be asked in it, or they would prove nothing of it."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import get_args, get_type_hints

from boxoffice.kafka.clients import home_partition
from models.reasons import PaymentReason, Reason
from models.shapes import MODELS
from tests.simulation.asking import Asking, serialized
from tests.simulation.broker import Broker
from tests.simulation.network import Network
from tests.simulation.processes import SimulatedLoop
from tests.simulation.schedule import LEDGER, PARTITIONS, REQUESTS
from tests.simulation.truth import Truth

ASKED_OF_A_TRUTH = 90
AWAY = {"command_forwarded", "command_unreadable", "offsets_passed"}
"""What commands at home that can be read never lead to."""


def told(seed: int) -> Counter[str]:
    """The facts, and the reasons, that answer some commands."""
    loop = SimulatedLoop()
    broker, found = Broker(Network(loop, Random(seed))), Counter[str]()
    truth = Truth(REQUESTS, LEDGER, PARTITIONS)
    asking = Asking(Random(seed), truth, broker.now_ms)
    broker.speed = 60
    for _ in range(ASKED_OF_A_TRUTH):
        loop.select(0.1)
        members = asking.next()
        asking.asked.append(members)
        number = home_partition(members["event_id"], PARTITIONS)
        broker.append(REQUESTS, number, [(None, serialized(members), [])])
        truth.catch_up(broker)
        fact = truth.partitions[number].ledger.last
        assert fact is not None
        found.update((fact["type"], f"{fact['type']}: {fact.get('reason')}", f"late: {fact.get('late')}"))
    loop.end()
    return found


def test_everything_is_asked_and_leads_to_everything() -> None:
    found = sum((told(seed) for seed in range(150)), Counter[str]())
    kinds = {get_args(get_type_hints(model)["type"])[0] for model in MODELS} - AWAY
    assert {kind for kind in kinds if found[kind] < 5} == set()
    assert found["late: True"] > 5
    reasons = {one.partition(": ")[2] for one in found if one.startswith(("purchase_rejected: ", "command_rejected: "))}
    # Here no event is of the first rules: tests of the rules and of two releases meet that reason.
    assert reasons == {*Reason} - {Reason.EARLIER_RULES}
    assert {reason for reason in PaymentReason if not found[f"payment_refused: {reason}"]} == set()
