"""What the processes count and measure, for Prometheus. Every metric of ours is defined here and nowhere else.

A process serves the metrics that it sets and no other: each metric stands in the registry of its process. What is
known of every Python process (its CPU, memory, open files, start and garbage) comes from the client's own collectors.
The hot path pays once a batch, not once a ticket: it counts a batch's outcomes and adds each sum.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Count
from collections.abc import Iterable
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from boxoffice import __version__
from models.shapes import Fact

PURCHASES: Final = CollectorRegistry()
DOCUMENTS: Final = CollectorRegistry()
STATS: Final = CollectorRegistry()
CLOCK: Final = CollectorRegistry()
AUDIT: Final = CollectorRegistry()
GATEWAY: Final = CollectorRegistry()
LIVE: Final = CollectorRegistry()
REGISTRIES: Final = {
    "purchases": PURCHASES,
    "documents": DOCUMENTS,
    "stats": STATS,
    "clock": CLOCK,
    "audit": AUDIT,
    "gateway": GATEWAY,
    "live": LIVE,
}
"""What each process serves."""

# Each counter and histogram would bring a metric of its own that says when it was made.
disable_created_metrics()  # type: ignore[no-untyped-call]

_FAST_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SLOW_S: Final = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)

# Purchases
DECISIONS: Final = Counter(
    "boxoffice_decisions",
    "Commands answered, by the fact's type, the reason of a refusal, and who decided.",
    ["outcome", "reason", "decided_by"],
    registry=PURCHASES,
)
BATCH_COMMANDS: Final = Histogram(
    "boxoffice_batch_commands", "Commands decided at once.", buckets=_SIZES, registry=PURCHASES
)
BATCH_DURATION: Final = Histogram(
    "boxoffice_batch_duration_seconds",
    "From taking a batch to its publishing: deciding, and Redis.",
    buckets=_FAST_S,
    registry=PURCHASES,
)
PUBLISH_DURATION: Final = Histogram(
    "boxoffice_publish_duration_seconds",
    "Until the broker acknowledged a batch's records.",
    buckets=_FAST_S,
    registry=PURCHASES,
)
FORWARDED: Final = Counter(
    "boxoffice_forwarded_commands", "Commands found away from home and sent there.", registry=PURCHASES
)
SECOND_COPIES: Final = Counter(
    "boxoffice_second_copies",
    "Commands passed over since an earlier copy of the same forward was answered.",
    registry=PURCHASES,
)
FALSE_ORIGINS: Final = Counter(
    "boxoffice_false_origins",
    "Commands whose boxoffice-origin names a place that its partition does not have: decided as if they had none.",
    registry=PURCHASES,
)
REDIS_DURATION: Final = Histogram(
    "boxoffice_redis_call_duration_seconds",
    "One round trip to Redis for a batch.",
    buckets=_FAST_S,
    registry=PURCHASES,
)
REDIS_ERRORS: Final = Counter(
    "boxoffice_redis_errors",
    "Calls that Redis did not serve, by the error's class or code.",
    ["error"],
    registry=PURCHASES,
)
FALLBACK_ACTIVE: Final = Gauge(
    "boxoffice_fallback_active",
    "1 while Redis is down, or left alone for a drill, and the table decides alone.",
    registry=PURCHASES,
)
FALLBACKS: Final = Counter(
    "boxoffice_fallbacks", "Times that Redis was found down, or a drill began.", registry=PURCHASES
)
BACKLOG: Final = Gauge("boxoffice_backlog_facts", "Facts that Redis has not yet applied.", registry=PURCHASES)
COPIES: Final = Gauge(
    "boxoffice_event_copies",
    "Events of this worker, by the state of their copy in Redis.",
    ["state"],
    registry=PURCHASES,
)
GIVEN_UP: Final = Gauge(
    "boxoffice_events_given_up",
    "Events whose copy in Redis cannot be healed: the table alone decides for them.",
    registry=PURCHASES,
)
DIVERGENCES: Final = Counter(
    "boxoffice_redis_divergences", "Times that Redis decided otherwise than the ledger.", registry=PURCHASES
)
REBUILDS: Final = Counter("boxoffice_event_rebuilds", "Events loaded into Redis from the table.", registry=PURCHASES)
LEDGER_RECORDS: Final = Gauge(
    "boxoffice_ledger_records", "Records on a ledger partition.", ["partition"], registry=PURCHASES
)
RECOVERIES: Final = Counter("boxoffice_recoveries", "Times that partitions were taken over.", registry=PURCHASES)
RECOVERY_DURATION: Final = Histogram(
    "boxoffice_recovery_duration_seconds",
    "Taking partitions over, until they are ready.",
    buckets=_SLOW_S,
    registry=PURCHASES,
)
DAMAGED_RECORDS: Final = Counter(
    "boxoffice_damaged_ledger_records", "Ledger records that could not be read.", registry=PURCHASES
)
PARTITIONS: Final = Gauge(
    "boxoffice_partitions",
    "Partitions of this worker: ready; refused; of these newer_release, on which a newer release has decided; "
    "waiting for a leader.",
    ["state"],
    registry=PURCHASES,
)
# Every process
BUILD_INFO: Final = Gauge(
    "boxoffice_build_info", "1; its label says which release the process is of.", ["version"], registry=None
)
BUILD_INFO.labels(__version__).set(1)
for _registry in REGISTRIES.values():
    _registry.register(BUILD_INFO)
    for _collector in (ProcessCollector, GCCollector, PlatformCollector):
        _collector(registry=_registry)
# Every process that has health
IS_LIVE: Final = Gauge("boxoffice_live", "1 while the process gets on, as /health/live says.", registry=None)
IS_READY: Final = Gauge("boxoffice_ready", "1 while the process is ready, as /health/ready says.", registry=None)
WAITS_FOR: Final = Gauge(
    "boxoffice_waits_for", "1 while the process cannot get on without this outside server.", ["server"], registry=None
)
for _registry in (PURCHASES, DOCUMENTS, STATS, CLOCK, GATEWAY, LIVE):
    for _metric in (IS_LIVE, IS_READY, WAITS_FOR):
        _registry.register(_metric)
# Several processes
DEAD_LETTERS: Final = Counter(
    "boxoffice_dead_letters", "Records that went to dead-letters.", ["process"], registry=None
)
DEAD_LETTERS_OWED: Final = Gauge(
    "boxoffice_dead_letters_owed",
    "Unreadable commands that are accounted for, and are not kept on dead-letters yet.",
    registry=PURCHASES,
)
LAG: Final = Gauge(
    "boxoffice_lag_records", "Records of a partition that are not yet dealt with.", ["partition"], registry=None
)
STRANGE_RECORDS: Final = Counter(
    "boxoffice_strange_records",
    "Records on a topic of ours that none of our processes wrote: passed over.",
    ["topic"],
    registry=None,
)
SHOWN_EVENTS: Final = Gauge("boxoffice_shown_events", "Events whose figures are shown over HTTP.", registry=None)
SPANS: Final = Counter(
    "boxoffice_spans",
    "Spans of traces, by what became of them: exported, not_exported, or queue_full.",
    ["outcome"],
    registry=None,
)
TRACES_CUT: Final = Counter(
    "boxoffice_traces_cut",
    "Requests, commands and documents whose traces have a gap here: there were too many of others' traces a second.",
    registry=None,
)
for _registry in (PURCHASES, DOCUMENTS, GATEWAY):
    _registry.register(SPANS)
    _registry.register(TRACES_CUT)
for _registry in (DOCUMENTS, STATS, CLOCK, GATEWAY, LIVE):
    _registry.register(STRANGE_RECORDS)
for _registry in (PURCHASES, DOCUMENTS):
    _registry.register(DEAD_LETTERS)
for _registry in (PURCHASES, DOCUMENTS, STATS, CLOCK, GATEWAY, LIVE):
    _registry.register(LAG)
for _registry in (GATEWAY, LIVE):
    _registry.register(SHOWN_EVENTS)
# Documents
DOCUMENTS_MADE: Final = Counter("boxoffice_documents_made", "Documents stored and announced.", registry=DOCUMENTS)
DOCUMENTS_RENEWED: Final = Counter(
    "boxoffice_documents_renewed", "Documents drawn again since their event was changed.", registry=DOCUMENTS
)
DOCUMENTS_TO_RENEW: Final = Gauge(
    "boxoffice_documents_to_renew", "Documents to be drawn again since their event was changed.", registry=DOCUMENTS
)
DOCUMENTS_FLAWED: Final = Counter(
    "boxoffice_documents_flawed",
    "Documents made in which something cannot be read as it was written.",
    registry=DOCUMENTS,
)
DOCUMENTS_FAILED: Final = Counter(
    "boxoffice_documents_failed", "Documents that could not be made and went to dead-letters.", registry=DOCUMENTS
)
DOCUMENTS_REMOVED: Final = Counter(
    "boxoffice_documents_removed", "Documents removed, by why.", ["why"], registry=DOCUMENTS
)
DOCUMENTS_WAITING: Final = Gauge("boxoffice_documents_waiting", "Documents to be made.", registry=DOCUMENTS)
DOCUMENT_BYTES: Final = Counter("boxoffice_document_bytes", "Size of the documents made.", registry=DOCUMENTS)
RENDER_DURATION: Final = Histogram(
    "boxoffice_render_duration_seconds", "Rendering one document.", buckets=_FAST_S, registry=DOCUMENTS
)
CLEANUPS: Final = Counter("boxoffice_cleanups", "Clean-ups of old documents.", registry=DOCUMENTS)
# Statistics
STATISTICS_FACTS: Final = Counter("boxoffice_statistics_facts", "Facts taken into the statistics.", registry=STATS)
TICKETS_ISSUED: Final = Gauge(
    "boxoffice_tickets_issued",
    "Tickets of a partition's events, sold or not, without those that were removed.",
    ["partition"],
    registry=STATS,
)
TICKETS_HELD: Final = Gauge(
    "boxoffice_tickets_held",
    "Tickets of a partition's events that are kept for buyers who have not paid yet.",
    ["partition"],
    registry=STATS,
)
TICKETS_SOLD: Final = Gauge(
    "boxoffice_tickets_sold", "Tickets of a partition's events that are their buyers'.", ["partition"], registry=STATS
)
CATEGORY_TICKETS: Final = Gauge(
    "boxoffice_category_tickets",
    "Tickets of all events by category and state: remaining, held, sold; and expired, which are on sale again.",
    ["category", "state"],
    registry=STATS,
)
REVENUE: Final = Gauge(
    "boxoffice_revenue",
    "What confirmed purchases have cost, less what was given back, in units of the currency.",
    ["currency"],
    registry=STATS,
)
REFUNDED: Final = Gauge(
    "boxoffice_refunded",
    "What was given back of what confirmed purchases have cost, in units of the currency.",
    ["currency"],
    registry=STATS,
)
# Clock
CLOCK_HOLDS: Final = Gauge("boxoffice_clock_holds", "Holds that have not ended.", registry=CLOCK)
CLOCK_OVERDUE: Final = Gauge(
    "boxoffice_clock_overdue_seconds",
    "How long the hold that is due for longest has been due, by the clock's own time, and not ended.",
    registry=CLOCK,
)
CLOCK_ASKED: Final = Counter("boxoffice_clock_asked", "Holds asked about, whatever was answered.", registry=CLOCK)
CLOCK_ANSWERS: Final = Counter(
    "boxoffice_clock_answers",
    "What the clock was answered: expired, or the reason of a refusal; not_due, where it was early.",
    ["answer"],
    registry=CLOCK,
)
# A series that is there before it counts: what appears with its first one shows no growth.
for _answer in ("expired", "not_due", "not_held"):
    CLOCK_ANSWERS.labels(_answer)
CLOCK_LATE: Final = Histogram(
    "boxoffice_clock_late_seconds",
    "How long after they were due holds have expired, by the broker's time.",
    buckets=_SLOW_S,
    registry=CLOCK,
)
# Audit
AUDITS: Final = Counter("boxoffice_audits", "Audits, by outcome: agrees, differs, failed.", ["outcome"], registry=AUDIT)
AUDIT_DIFFERENCES: Final = Gauge(
    "boxoffice_audit_differences", "Differences that the last whole audit found.", registry=AUDIT
)
AUDIT_DURATION: Final = Gauge("boxoffice_audit_duration_seconds", "How long the last whole audit took.", registry=AUDIT)
AUDIT_TIME: Final = Gauge(
    "boxoffice_audit_timestamp_seconds", "When the last whole audit ended, in seconds since 1970.", registry=AUDIT
)
# Gateway
REQUESTS: Final = Counter("boxoffice_requests", "HTTP requests answered, by status.", ["status"], registry=GATEWAY)
WAITING_REQUESTS: Final = Gauge(
    "boxoffice_waiting_requests", "Commands that came by HTTP and wait for their answers.", registry=GATEWAY
)
ANSWER_DURATION: Final = Histogram(
    "boxoffice_answer_duration_seconds",
    "From a command that came by HTTP to its answer.",
    buckets=_FAST_S,
    registry=GATEWAY,
)
CALLERS: Final = Gauge("boxoffice_api_keys", "Callers that were not revoked.", registry=GATEWAY)
# Live
STREAMS: Final = Gauge("boxoffice_streams", "Streams to spectators that are open.", registry=LIVE)
STREAM_SENDS: Final = Counter("boxoffice_stream_sends", "Updates and beats sent on streams.", registry=LIVE)
STREAMS_CUT: Final = Counter(
    "boxoffice_streams_cut", "Streams whose viewers did not take what they were sent.", registry=LIVE
)
STREAMS_REFUSED: Final = Counter(
    "boxoffice_streams_refused",
    "Streams that were one too many: of one address, or of all.",
    ["of"],
    registry=LIVE,
)


class Gathered:
    """Observations of a histogram that are told to it together.

    By itself it takes two locks, and looks through its bounds, for each.
    """

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._bounds: list[float] = histogram._upper_bounds
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0

    def observe(self, amount: float) -> None:
        """One more."""
        self._counts[bisect_left(self._bounds, amount)] += 1
        self._sum += amount

    def tell(self) -> None:
        """Let the histogram have what came since the last time."""
        for bucket, count in zip(self._histogram._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)
        self._histogram._sum.inc(self._sum)
        self._counts, self._sum = [0] * len(self._bounds), 0.0


_HAVE_REASONS: Final = frozenset({"purchase_rejected", "command_rejected", "payment_refused"})


def count_decisions(facts: Iterable[Fact]) -> None:
    """Count a batch's answers."""
    kinds = Count((fact["type"], fact.get("reason"), fact.get("decided_by")) for fact in facts)
    for (outcome, reason, decided_by), number in kinds.items():
        # Of a reader's complaints there are as many as there are mistakes.
        known = str(reason or "") if outcome in _HAVE_REASONS else ""
        DECISIONS.labels(outcome, known, str(decided_by or "")).inc(number)
