"""Spans of the real pipeline: a command's stand in its sender's trace, a batch's links to them, and no fact differs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind
from structlog.testing import capture_logs

from boxoffice.selling.traced import ASKING, BATCH, DECIDING, SENDING, TracedBatches
from models.facts import read_fact
from tests.simulation.broker import Broker
from tests.simulation.owner import EVENT, TOPIC, Owner, in_simulation
from tests.simulation.redis_server import RedisServer
from tests.simulation.test_copies import on_sale
from tests.support.traces import HOSTILE, ODD, PARENT_ID, SAMPLED, TRACE_ID, UNSAMPLED, Written, boundless, ids
from tests.unit.records import purchase
from topics import purchase_results

LEDGER = purchase_results.TOPIC.name


def offer(broker: Broker, traces: Sequence[str | bytes | None]) -> None:
    """Put an order on the log for each trace that is to be its header; None: it has none."""
    orders: list[Any] = []
    for number, trace in enumerate(traces, len(broker.partitions[TOPIC, 0].records)):
        header = trace.encode(errors="replace") if isinstance(trace, str) else trace
        value = json.dumps(purchase(f"r-{number}", EVENT)).encode()
        orders.append((EVENT.encode(), value, [] if header is None else [("traceparent", header)]))
    broker.append(TOPIC, 0, orders)


def ledger(broker: Broker) -> list[tuple[bytes | None, bytes | None, Any]]:
    """Each record as it lies there."""
    return [(record.key, record.value, record.headers) for record in broker.partitions[LEDGER, 0].records]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def _sold(broker: Broker, redis: RedisServer, written: Written | None, traces: Sequence[Any]) -> Owner:
    owner = await on_sale(broker, redis)
    if written is not None:
        owner.selling.traces = TracedBatches(written.tracing)
    # All that is there comes as one batch.
    owner._consumer._random.choice = max  # type: ignore[method-assign, assignment]
    offer(broker, traces)
    await owner.sell_all()
    return owner


def test_a_command_s_spans_stand_below_the_one_that_it_names() -> None:
    written = Written()

    async def scenario(broker: Broker, redis: RedisServer) -> None:
        await _sold(broker, redis, written, [None, SAMPLED, UNSAMPLED])
        fact = read_fact(broker.partitions[LEDGER, 0].records[2].value)
        [deciding], [asking], [sending] = (written.named(name) for name in (DECIDING, ASKING, SENDING))
        trace_id, decided, parent = ids(deciding)
        assert (trace_id, parent) == (TRACE_ID, PARENT_ID)
        assert ids(asking)[::2] == (TRACE_ID, decided)
        assert ids(sending)[::2] == (TRACE_ID, decided)
        sent = written.tracing.follow(SAMPLED.encode())
        assert sent is not None
        assert sending.context == written.tracing.of_fact(sent, fact)
        assert [span.kind for span in (deciding, asking, sending)] == [
            SpanKind.CONSUMER,
            SpanKind.CLIENT,
            SpanKind.PRODUCER,
        ]
        assert attributes(deciding) == {
            "messaging.kafka.offset": 2,
            "boxoffice.event_id": EVENT,
        }
        assert attributes(sending) == {"boxoffice.outcome": "purchase_confirmed"}
        assert all(span.status.is_unset for span in (deciding, asking, sending))
        times = [(span.start_time or 0, span.end_time or 0) for span in (deciding, asking, sending)]
        assert all(0 < start <= end for start, end in times)
        assert times[0][1] <= times[1][0] <= times[2][0]

    in_simulation(scenario)


def test_a_batch_is_one_span_that_links_to_its_traced_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """To as many as OpenTelemetry lets one span have; each has its own spans all the same."""
    monkeypatch.setenv("OTEL_SPAN_LINK_COUNT_LIMIT", "3")
    written = boundless()

    async def scenario(broker: Broker, redis: RedisServer) -> None:
        await _sold(broker, redis, written, [SAMPLED, None] * 5)
        [batch] = written.named(BATCH)
        assert batch.parent is None
        assert ids(batch)[0] != TRACE_ID
        deciding = written.named(DECIDING)
        assert [link.context for link in batch.links] == [span.context for span in deciding[:3]]
        assert len(deciding) == 5
        assert attributes(batch) == {"boxoffice.commands": 10, "boxoffice.traced": 5}

    in_simulation(scenario)


def test_a_batch_without_a_traced_command_has_no_span() -> None:
    written = Written()

    async def scenario(broker: Broker, redis: RedisServer) -> None:
        await _sold(broker, redis, written, [None, UNSAMPLED, "x"])
        assert written.spans() == []

    in_simulation(scenario)


def test_a_refusal_and_a_repeat_say_what_they_are() -> None:
    written = boundless()

    async def scenario(broker: Broker, redis: RedisServer) -> None:
        owner = await _sold(broker, redis, written, [SAMPLED])
        first = broker.partitions[TOPIC, 0].records[1].value
        many = json.dumps(purchase("r-many", EVENT, 10)).encode()
        headers = [("traceparent", SAMPLED.encode())]
        broker.append(TOPIC, 0, [(EVENT.encode(), first, headers), (EVENT.encode(), many, headers)])  # type: ignore[list-item]
        await owner.sell_all()
        outcomes = [attributes(span)["boxoffice.outcome"] for span in written.named(SENDING)]
        assert outcomes == ["purchase_confirmed", "purchase_confirmed", "not_enough_left"]
        # Redis was not asked about the repeat.
        assert len(written.named(ASKING)) == 2

    in_simulation(scenario)


def test_while_redis_is_down_commands_are_traced_without_it() -> None:
    written = Written()

    async def scenario(broker: Broker, redis: RedisServer) -> None:
        owner = await on_sale(broker, redis)
        owner.selling.traces = TracedBatches(written.tracing)
        redis.crash()
        offer(broker, [SAMPLED])
        await owner.sell_all()
        [asking] = written.named(ASKING)
        assert asking.status.description == "Redis did not decide it"
        offer(broker, [SAMPLED])
        await owner.sell_all()
        # The breaker is open: nobody asks.
        assert len(written.named(ASKING)) == 1
        assert len(written.named(SENDING)) == 2

    in_simulation(scenario)


@pytest.mark.parametrize("written", [None, "traced", "cut"])
def test_no_fact_differs_whether_or_not_it_is_traced(written: str | None) -> None:
    """Nor a byte of its headers, whatever stands in ``traceparent``: two owners need not agree on what is traced."""
    traces = [None, SAMPLED, UNSAMPLED, *HOSTILE, *ODD, "x" * 257, b"\xff" * 55]
    found: dict[str, Any] = {}

    def run(name: str, writing: Written | None) -> None:
        async def scenario(broker: Broker, redis: RedisServer) -> None:
            await _sold(broker, redis, writing, traces)
            found[name] = ledger(broker)

        in_simulation(scenario)

    run("plain", None)
    run("other", boundless() if written == "traced" else Written(most_rate=0) if written == "cut" else None)
    assert found["other"] == found["plain"]
    assert len(found["plain"]) == 1 + len(traces)


def test_a_fault_in_tracing_sells_on(monkeypatch: pytest.MonkeyPatch) -> None:
    written = boundless()

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a fault")

    async def scenario(broker: Broker, redis: RedisServer) -> None:
        monkeypatch.setattr(written.tracing, "follow", fail)
        owner = await _sold(broker, redis, written, [SAMPLED])
        monkeypatch.undo()
        monkeypatch.setattr(written.tracing, "write", fail)
        offer(broker, [SAMPLED])
        await owner.sell_all()
        assert [fact and read_fact(fact)["type"] for _, fact, _ in ledger(broker)][1:] == ["purchase_confirmed"] * 2

    with capture_logs() as lines:
        in_simulation(scenario)
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["spans were not written"] * 2


def test_more_than_so_many_a_second_are_passed_over() -> None:
    """Whoever sends commands may say of each that it is sampled."""
    written = Written(most_rate=3)

    async def scenario(broker: Broker, redis: RedisServer) -> None:
        await _sold(broker, redis, written, [SAMPLED] * 50)
        assert 3 <= len(written.named(DECIDING)) < 50

    in_simulation(scenario)
