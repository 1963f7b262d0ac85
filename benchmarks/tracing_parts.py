"""What a worker does for its traced commands, next to what it does for each command: both in one thread's CPU time.

So the share does not depend on what else the machine does, as the difference of two workers' CPU times would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic, thread_time
from typing import Final, NamedTuple

from aiokafka import ConsumerRecord
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from benchmarks.sale import Command, Headers, create_event, purchase
from boxoffice.selling.deciding import OwnedPartition, new_partition
from boxoffice.selling.traced import TracedBatches
from boxoffice.settings import TracingSettings
from boxoffice.tracing.spans import Tracing

EVENT: Final = "1000"
BATCHES: Final = 40
COMMANDS: Final = 1_000
RULES_SHARE: Final = 0.35
"""Of a worker's CPU time, as ARCHITECTURE.md has it from a profile: reading commands, deciding and folding."""


class Parts(NamedTuple):
    """CPU time in µs for each command: the rules, and tracing."""

    rules: float
    tracing: float

    @property
    def share(self) -> float:
        """Of a worker's CPU time that tracing takes, in percent."""
        return 100 * self.tracing * RULES_SHARE / self.rules


class _Encoding(SpanExporter):
    """Encodes spans as the exporter for OTLP does, sends them nowhere, and notes its CPU time."""

    cpu_s = 0.0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        begun_s = thread_time()
        encode_spans(spans).SerializePartialToString()
        self.cpu_s += thread_time() - begun_s
        return SpanExportResult.SUCCESS


def parts(headers_of: Callable[[int], Headers]) -> Parts:
    """Decide batches as a worker does, trace what is traced, and see what each takes."""
    exporter = _Encoding()
    tracing = Tracing(TracingSettings(begun_rate=0, most_rate=100_000), "purchases", [exporter])
    traces, owned = TracedBatches(tracing), new_partition(0, 1)
    owned.answer([_record(0, create_event(EVENT, 10 * BATCHES * COMMANDS), [])])
    rules_s = tracing_s = 0.0
    for number in range(BATCHES):
        offsets = range(1 + number * COMMANDS, 1 + (number + 1) * COMMANDS)
        records = [_record(offset, purchase(EVENT, offset), headers_of(offset)) for offset in offsets]
        decided_s, traced_s = _batch(owned, records, traces)
        rules_s, tracing_s = rules_s + decided_s, tracing_s + traced_s
    tracing.close()
    commands = BATCHES * COMMANDS
    return Parts(rules_s / commands * 1e6, (tracing_s + exporter.cpu_s) / commands * 1e6)


def _batch(
    owned: OwnedPartition, records: list[ConsumerRecord[bytes, bytes]], traces: TracedBatches
) -> tuple[float, float]:
    begun_s = thread_time()
    answers = owned.answer(records)
    decided_s = thread_time()
    traced = traces.decided([(owned, answers)], monotonic())
    if traced is not None:
        traced.asked({EVENT}, 1)
        traced.published({owned.number}, 1)
    return decided_s - begun_s, thread_time() - decided_s


def _record(offset: int, command: Command, headers: Headers) -> ConsumerRecord[bytes, bytes]:
    event_id, value = command
    return ConsumerRecord(
        topic="purchase-requests",
        partition=0,
        offset=offset,
        timestamp=1_795_341_600_000 + offset,
        timestamp_type=1,
        key=event_id.encode(),
        value=value,
        checksum=None,
        serialized_key_size=len(event_id),
        serialized_value_size=len(value),
        headers=tuple(headers),
    )
