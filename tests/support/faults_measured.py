"""Faults as Prometheus sees them: the series of a box office that is well, and what is otherwise in a fault.

Series are written as promtool reads them, with a value every quarter of a minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

STEP_S: Final = 15
PER_MINUTE: Final = 60 // STEP_S
HOURS: Final = 9
STEPS: Final = HOURS * 60 * PER_MINUTE

Series = Mapping[str, str]
"""The values of each series, by its name and labels."""


def steady(value: float) -> str:
    """The same all the time."""
    return f"{value:g}x{STEPS}"


def growing(per_minute: float, start: float = 0) -> str:
    """A counter."""
    return f"{start:g}+{per_minute / PER_MINUTE:g}x{STEPS}"


def changing(before: float, after: float, at_minute: int) -> str:
    """One value until then, and another from then on."""
    first = at_minute * PER_MINUTE
    return f"{before:g}x{first - 1} {after:g}x{STEPS - first}"


def appearing(value: float, at_minute: int) -> str:
    """A series that was not there before: its first value says that something was counted."""
    first = at_minute * PER_MINUTE
    return f"_x{first} {value:g}x{STEPS - first}"


def ending(values: str, at_minute: int) -> str:
    """A series that was like this, until its process was gone."""
    return f"{values.rpartition('x')[0]}x{at_minute * PER_MINUTE} stale"


def _of_each(metric: str, values: str, jobs: tuple[str, ...]) -> dict[str, str]:
    return {f'{metric}{{job="{job}",instance="{job}-1"}}': values for job in jobs}


_ALL: Final = ("purchases", "documents", "stats", "clock", "gateway", "live", "audit")
_HEALTHY: Final = _ALL[:-1]
_WORKER: Final = 'job="purchases",instance="purchases-1"'
_GATEWAY: Final = 'job="gateway",instance="gateway-1"'
_DOCUMENTS: Final = 'job="documents",instance="documents-1"'
_LIVE: Final = 'job="live",instance="live-1"'
_CLOCK: Final = 'job="clock",instance="clock-1"'
_DISK: Final = 'job="node",instance="node-1",device="/dev/sda",fstype="ext4",mountpoint="/"'

WELL: Final[Series] = {
    **_of_each("up", steady(1), (*_ALL, "haproxy", "prometheus")),
    'up{job="purchases",instance="purchases-2"}': steady(1),
    **_of_each("process_start_time_seconds", steady(1), _ALL),
    **_of_each("process_open_fds", steady(100), _ALL),
    **_of_each("process_max_fds", steady(1024), _ALL),
    **_of_each("boxoffice_live", steady(1), _HEALTHY),
    **_of_each("boxoffice_ready", steady(1), _HEALTHY),
    **{f'boxoffice_waits_for{{job="{job}",instance="{job}-1",server="Kafka"}}': steady(0) for job in _HEALTHY},
    f'boxoffice_waits_for{{{_DOCUMENTS},server="document store"}}': steady(0),
    **{f'boxoffice_lag_records{{job="{job}",instance="{job}-1",partition="0"}}': steady(3) for job in _HEALTHY},
    f'boxoffice_decisions_total{{{_WORKER},outcome="purchase_confirmed",reason="",decided_by="redis"}}': growing(6_000),
    **{
        f'boxoffice_partitions{{{_WORKER},state="{state}"}}': steady(12 if state == "ready" else 0)
        for state in ("ready", "refused", "newer_release", "waiting")
    },
    **{
        f"{metric}{{{_WORKER}}}": steady(0)
        for metric in (
            "boxoffice_fallback_active",
            "boxoffice_fallbacks_total",
            "boxoffice_redis_divergences_total",
            "boxoffice_events_given_up",
            "boxoffice_recoveries_total",
            "boxoffice_damaged_ledger_records_total",
            "boxoffice_false_origins_total",
            "boxoffice_dead_letters_owed",
        )
    },
    f"boxoffice_documents_failed_total{{{_DOCUMENTS}}}": steady(0),
    f"boxoffice_documents_flawed_total{{{_DOCUMENTS}}}": steady(0),
    'boxoffice_tickets_held{job="stats",instance="stats-1",partition="0"}': steady(200),
    f"boxoffice_clock_overdue_seconds{{{_CLOCK}}}": steady(0),
    f'boxoffice_clock_answers_total{{{_CLOCK},answer="expired"}}': growing(60),
    f'boxoffice_clock_answers_total{{{_CLOCK},answer="not_due"}}': growing(1),
    f'boxoffice_requests_total{{{_GATEWAY},status="201"}}': growing(3_000),
    f"boxoffice_answer_duration_seconds_count{{{_GATEWAY}}}": growing(3_000),
    f'boxoffice_answer_duration_seconds_bucket{{{_GATEWAY},le="1.0"}}': growing(3_000),
    'boxoffice_audit_differences{job="audit",instance="audit-1"}': steady(0),
    'boxoffice_audit_timestamp_seconds{job="audit",instance="audit-1"}': growing(60),
    'haproxy_backend_current_queue{job="haproxy",instance="haproxy-1",proxy="gateways"}': steady(0),
    f"node_filesystem_avail_bytes{{{_DISK}}}": steady(50e9),
    f"node_filesystem_size_bytes{{{_DISK}}}": steady(100e9),
}
"""A box office that sells a hundred tickets a second and lacks nothing. It is audited all the time."""


@dataclass(frozen=True)
class Measured:
    """A fault, the minute by which it is told, and what is like it and is none.

    ``labels`` are those of the alert beyond what its rule says. A series that is None is not there.
    """

    alert: str
    fault: Mapping[str, str | None]
    by_minute: int
    near: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    what: str = ""
    """Of several that one alert tells of."""
    also: tuple[str, ...] = ()
    """Alerts that Alertmanager leaves out, since this one tells of their cause."""


_DECISIONS: Final = f'boxoffice_decisions_total{{{_WORKER},outcome="purchase_confirmed",reason="",decided_by="redis"}}'
_COUNT: Final = f"boxoffice_answer_duration_seconds_count{{{_GATEWAY}}}"
_IN_TIME: Final = f'boxoffice_answer_duration_seconds_bucket{{{_GATEWAY},le="1.0"}}'
_LAG: Final = 'boxoffice_lag_records{job="purchases",instance="purchases-1",partition="0"}'
_AUDITED: Final = 'boxoffice_audit_timestamp_seconds{job="audit",instance="audit-1"}'


def _worker(metric: str) -> str:
    return f"{metric}{{{_WORKER}}}"


def _gone(job: str, at_minute: int) -> dict[str, str | None]:
    """All series of a job's first process end."""
    return {name: ending(values, at_minute) for name, values in WELL.items() if f'instance="{job}-1"' in name}


MEASURED: Final = (
    # Processes
    Measured(
        "BoxofficeNoneRuns",
        {'up{job="gateway",instance="gateway-1"}': changing(1, 0, 20)},
        22,
        {
            'up{job="gateway",instance="gateway-2"}': steady(1),
            'up{job="gateway",instance="gateway-1"}': ending(steady(1), 20),
        },
        {"job": "gateway"},
        "the only gateway does not answer",
    ),
    Measured(
        "BoxofficeNoneRuns",
        {**_gone("purchases", 20), 'up{job="purchases",instance="purchases-2"}': ending(steady(1), 20)},
        22,
        {**_gone("purchases", 20)},
        {"job": "purchases"},
        "the name of the workers does not resolve any more",
    ),
    Measured(
        "BoxofficeNoneRuns",
        {name: None for name in WELL if 'job="purchases"' in name},
        2,
        {name: None for name in WELL if 'job="live"' in name},
        {"job": "purchases"},
        "no worker ever ran",
    ),
    Measured(
        "BoxofficeNoneRuns",
        {'up{job="haproxy",instance="haproxy-1"}': changing(1, 0, 20)},
        22,
        labels={"job": "haproxy"},
        what="haproxy",
    ),
    Measured(
        "BoxofficeProcessDown",
        {'up{job="purchases",instance="purchases-2"}': changing(1, 0, 20)},
        26,
        {'up{job="purchases",instance="purchases-2"}': ending(steady(1), 20)},
        {"job": "purchases", "instance": "purchases-2"},
    ),
    Measured(
        "BoxofficeProcessComesAndGoes",
        {'process_start_time_seconds{job="documents",instance="documents-1"}': f"1x80 2x8 3x8 4x8 5x{STEPS}"},
        28,
        {'process_start_time_seconds{job="documents",instance="documents-1"}': f"1x80 2x8 3x{STEPS}"},
        {"job": "documents"},
        "a process ends again and again",
    ),
    Measured(
        "BoxofficeProcessComesAndGoes",
        {_worker("boxoffice_recoveries_total"): growing(6)},
        30,
        {_worker("boxoffice_recoveries_total"): growing(1)},
        {"job": "purchases"},
        "workers take partitions from each other",
    ),
    Measured(
        "BoxofficeProcessStuck",
        {'boxoffice_live{job="stats",instance="stats-1"}': changing(1, 0, 20)},
        23,
        {'boxoffice_live{job="stats",instance="stats-1"}': f"1x80 0x4 1x{STEPS}"},
        {"job": "stats", "instance": "stats-1"},
    ),
    Measured(
        "BoxofficeProcessNotReady",
        {'boxoffice_ready{job="gateway",instance="gateway-1"}': changing(1, 0, 20)},
        31,
        {'boxoffice_ready{job="gateway",instance="gateway-1"}': f"1x80 0x20 1x{STEPS}"},
        {"job": "gateway", "instance": "gateway-1"},
    ),
    Measured(
        "BoxofficeFallingBehind",
        {'boxoffice_lag_records{job="documents",instance="documents-1",partition="0"}': changing(0, 50_000, 20)},
        36,
        {
            'boxoffice_lag_records{job="documents",instance="documents-1",partition="0"}': f"0x80 50000x40 0x{STEPS}",
        },
        {"job": "documents"},
    ),
    Measured(
        "BoxofficeFewFiles",
        {'process_open_fds{job="gateway",instance="gateway-1"}': changing(100, 900, 20)},
        31,
        {'process_open_fds{job="gateway",instance="gateway-1"}': changing(100, 800, 20)},
        {"job": "gateway", "instance": "gateway-1"},
    ),
    Measured(
        "BoxofficeDiskFull",
        {f"node_filesystem_avail_bytes{{{_DISK}}}": changing(50e9, 4e9, 20)},
        26,
        {f"node_filesystem_avail_bytes{{{_DISK}}}": changing(50e9, 6e9, 20)},
        {"instance": "node-1", "mountpoint": "/"},
    ),
    # Kafka
    Measured(
        "BoxofficeKafkaDown",
        {
            f'boxoffice_waits_for{{{_WORKER},server="Kafka"}}': changing(0, 1, 20),
            'boxoffice_ready{job="purchases",instance="purchases-1"}': changing(1, 0, 20),
        },
        40,
        {f'boxoffice_waits_for{{{_WORKER},server="Kafka"}}': f"0x80 1x2 0x{STEPS}"},
    ),
    Measured(
        "BoxofficePartitionWaits",
        {f'boxoffice_partitions{{{_WORKER},state="waiting"}}': changing(0, 1, 20)},
        22,
        {f'boxoffice_partitions{{{_WORKER},state="waiting"}}': f"0x80 1x2 0x{STEPS}"},
    ),
    Measured(
        "BoxofficePartitionRefused",
        {f'boxoffice_partitions{{{_WORKER},state="refused"}}': changing(0, 1, 20)},
        22,
        {
            f'boxoffice_partitions{{{_WORKER},state="refused"}}': f"0x80 1x12 0x{STEPS}",
            f'boxoffice_partitions{{{_WORKER},state="newer_release"}}': f"0x80 1x12 0x{STEPS}",
        },
    ),
    Measured(
        "BoxofficeNewerRelease",
        {
            f'boxoffice_partitions{{{_WORKER},state="refused"}}': changing(0, 6, 20),
            f'boxoffice_partitions{{{_WORKER},state="newer_release"}}': changing(0, 6, 20),
        },
        36,
        {
            f'boxoffice_partitions{{{_WORKER},state="refused"}}': f"0x80 6x20 0x{STEPS}",
            f'boxoffice_partitions{{{_WORKER},state="newer_release"}}': f"0x80 6x20 0x{STEPS}",
        },
    ),
    Measured(
        "BoxofficeUnreadableCommands",
        {f'boxoffice_dead_letters_total{{{_WORKER},process="purchases"}}': appearing(1, 75)},
        76,
        {f'boxoffice_dead_letters_total{{{_WORKER},process="purchases"}}': steady(7)},
        what="the first one",
    ),
    Measured(
        "BoxofficeUnreadableCommands",
        {f'boxoffice_dead_letters_total{{{_WORKER},process="purchases"}}': changing(7, 8, 75)},
        77,
        what="another one",
    ),
    Measured(
        "BoxofficeDeadLettersOwed",
        {_worker("boxoffice_dead_letters_owed"): changing(0, 1, 20)},
        31,
        {_worker("boxoffice_dead_letters_owed"): f"0x80 1x20 0x{STEPS}"},
    ),
    Measured(
        "BoxofficeFalseOrigins",
        {_worker("boxoffice_false_origins_total"): changing(0, 1, 75)},
        77,
        {_worker("boxoffice_false_origins_total"): steady(1)},
    ),
    # Holds
    Measured(
        "BoxofficeHoldsOverdue",
        {f"boxoffice_clock_overdue_seconds{{{_CLOCK}}}": f"0x80 0+15x{STEPS}"},
        25,
        {f"boxoffice_clock_overdue_seconds{{{_CLOCK}}}": f"0x80 0+15x8 0x{STEPS}"},
        what="they do not end; a worker that is replaced keeps them waiting for a moment",
    ),
    Measured(
        "BoxofficeHeldWithoutClock",
        {name: None for name in WELL if 'job="clock"' in name},
        11,
        {
            **{name: None for name in WELL if 'job="clock"' in name},
            'boxoffice_tickets_held{job="stats",instance="stats-1",partition="0"}': steady(0),
        },
        what="none ever ran; who holds nothing needs none",
    ),
    Measured(
        "BoxofficeNoneRuns",
        {'up{job="clock",instance="clock-1"}': changing(1, 0, 20)},
        22,
        {
            'up{job="clock",instance="clock-2"}': steady(1),
            'up{job="clock",instance="clock-1"}': ending(steady(1), 20),
        },
        {"job": "clock"},
        "no clock runs any more",
    ),
    Measured(
        "BoxofficeClockEarly",
        {f'boxoffice_clock_answers_total{{{_CLOCK},answer="not_due"}}': growing(60)},
        31,
        {f'boxoffice_clock_answers_total{{{_CLOCK},answer="not_due"}}': growing(6)},
        {"instance": "clock-1"},
    ),
    # Redis
    Measured(
        "BoxofficeRedisDown",
        {
            _worker("boxoffice_fallback_active"): changing(0, 1, 20),
            _worker("boxoffice_fallbacks_total"): changing(0, 1, 20),
        },
        22,
        {
            _worker("boxoffice_fallback_active"): f"0x80 1x2 0x{STEPS}",
            _worker("boxoffice_fallbacks_total"): changing(0, 1, 20),
        },
    ),
    Measured(
        "BoxofficeRedisUnsteady",
        {_worker("boxoffice_fallbacks_total"): growing(2)},
        30,
        {_worker("boxoffice_fallbacks_total"): growing(0.1)},
    ),
    Measured(
        "BoxofficeRedisDiverged",
        {_worker("boxoffice_redis_divergences_total"): changing(0, 1, 75)},
        77,
        {_worker("boxoffice_redis_divergences_total"): steady(1)},
    ),
    Measured(
        "BoxofficeEventGivenUp",
        {_worker("boxoffice_events_given_up"): changing(0, 1, 20)},
        22,
        {_worker("boxoffice_event_copies"): steady(1)},
    ),
    # The ledger
    Measured(
        "BoxofficeAuditDiffers",
        {'boxoffice_audit_differences{job="audit",instance="audit-1"}': changing(0, 1, 20)},
        21,
    ),
    Measured(
        "BoxofficeLedgerDamaged",
        {'boxoffice_damaged_ledger_records_total{job="purchases",instance="purchases-3"}': appearing(2, 75)},
        76,
        {'boxoffice_damaged_ledger_records_total{job="purchases",instance="purchases-3"}': steady(2)},
        what="counted at a take-over, before anybody looked",
    ),
    Measured(
        "BoxofficeLedgerDamaged",
        {'boxoffice_strange_records_total{job="stats",instance="stats-1",topic="purchase-results"}': appearing(1, 75)},
        76,
        what="met by statistics",
    ),
    Measured(
        "BoxofficeStrangeRecords",
        {f'boxoffice_strange_records_total{{{_LIVE},topic="event-stats"}}': appearing(1, 75)},
        76,
        {f'boxoffice_strange_records_total{{{_LIVE},topic="event-stats"}}': steady(1)},
        {"topic": "event-stats"},
    ),
    # Documents
    Measured(
        "BoxofficeDocumentStoreDown",
        {f'boxoffice_waits_for{{{_DOCUMENTS},server="document store"}}': changing(0, 1, 20)},
        26,
        {f'boxoffice_waits_for{{{_DOCUMENTS},server="document store"}}': f"0x80 1x12 0x{STEPS}"},
    ),
    Measured(
        "BoxofficeDocumentsFailed",
        {f"boxoffice_documents_failed_total{{{_DOCUMENTS}}}": changing(0, 1, 75)},
        77,
        {f'boxoffice_dead_letters_total{{{_DOCUMENTS},process="documents"}}': steady(1)},
    ),
    Measured(
        "BoxofficeDocumentsFlawed",
        {f"boxoffice_documents_flawed_total{{{_DOCUMENTS}}}": changing(0, 1, 75)},
        77,
        {f"boxoffice_documents_flawed_total{{{_DOCUMENTS}}}": steady(1)},
    ),
    # The front door
    Measured(
        "BoxofficeGatewaysFull",
        {'haproxy_backend_current_queue{job="haproxy",instance="haproxy-1",proxy="gateways"}': changing(0, 40, 20)},
        23,
        {'haproxy_backend_current_queue{job="haproxy",instance="haproxy-1",proxy="live"}': steady(40)},
    ),
    Measured(
        "BoxofficeCallersRefused",
        {f'boxoffice_requests_total{{{_GATEWAY},status="429"}}': growing(300)},
        31,
        {f'boxoffice_requests_total{{{_GATEWAY},status="429"}}': growing(60)},
    ),
    Measured(
        "BoxofficeSpectatorsTurnedAway",
        {f'boxoffice_streams_refused_total{{{_LIVE},of="all"}}': appearing(1, 20)},
        21,
        {f'boxoffice_streams_refused_total{{{_LIVE},of="address"}}': appearing(9, 20)},
    ),
    # What is promised: 2% of the answers late, then 0.7% for longer, then 0.3% for long
    Measured(
        "BoxofficeAnswersLate",
        {_IN_TIME: growing(2_940)},
        70,
        {_IN_TIME: growing(2_998.5)},
        what="two of a hundred",
        also=("BoxofficeAnswersLateSlowBurn",),
    ),
    Measured(
        "BoxofficeAnswersLate",
        {_IN_TIME: growing(2_979)},
        370,
        what="seven of a thousand, for six hours",
        also=("BoxofficeAnswersLateSlowBurn",),
    ),
    Measured(
        "BoxofficeAnswersLate",
        {f'boxoffice_requests_total{{{_GATEWAY},status="503"}}': growing(120)},
        70,
        what="some are refused",
        also=("BoxofficeAnswersLateSlowBurn",),
    ),
    Measured(
        "BoxofficeAnswersLate",
        {_COUNT: growing(0), _IN_TIME: growing(0), f'boxoffice_requests_total{{{_GATEWAY},status="503"}}': growing(30)},
        480,
        {_COUNT: f"0x160 1x{STEPS}", _IN_TIME: growing(0)},
        what="all are refused; and the one that was slow at night is none",
        also=("BoxofficeAnswersLateSlowBurn",),
    ),
    Measured("BoxofficeAnswersLateSlowBurn", {_IN_TIME: growing(2_992)}, 480, {_IN_TIME: growing(2_998.5)}),
    Measured(
        "BoxofficeCommandsLate",
        {_LAG: changing(3, 5_000, 60)},
        90,
        {_LAG: changing(3, 900, 60)},
        what="a flood",
        also=("BoxofficeCommandsLateSlowBurn",),
    ),
    Measured(
        "BoxofficeCommandsLate",
        {_LAG: changing(3, 40, 60), _DECISIONS: f"0+1500x240 360000x{STEPS}"},
        90,
        {_LAG: changing(3, 0, 60), _DECISIONS: f"0+1500x240 360000x{STEPS}"},
        what="nothing is decided any more; that nobody buys is none",
        also=("BoxofficeCommandsLateSlowBurn",),
    ),
    Measured(
        "BoxofficeCommandsLateSlowBurn",
        {_LAG: " ".join(["3x785 5000x13"] * (STEPS // 800))},
        480,
        {_LAG: f"3x1000 5000x13 3x{STEPS}"},
    ),
    Measured(
        "BoxofficeUnaudited",
        {_AUDITED: f"0+15x240 3600x{STEPS}"},
        200,
        {_AUDITED: f"0+15x240 3600x440 10230+15x{STEPS}"},
        what="audits fail",
        also=("BoxofficeUnauditedSlowBurn",),
    ),
    Measured(
        "BoxofficeUnaudited",
        {_AUDITED: ending(growing(60), 60), 'up{job="audit",instance="audit-1"}': ending(steady(1), 60)},
        200,
        what="the process is gone",
        also=("BoxofficeUnauditedSlowBurn",),
    ),
    Measured(
        "BoxofficeUnaudited",
        {_AUDITED: steady(0)},
        140,
        what="none was ever finished",
        also=("BoxofficeUnauditedSlowBurn",),
    ),
    Measured(
        "BoxofficeUnauditedSlowBurn",
        {_AUDITED: f"0+15x480 7200x504 14790+15x{STEPS}"},
        300,
        {_AUDITED: f"0+15x480 7200x440 13830+15x{STEPS}"},
    ),
    # One fault of which much is to be seen
    Measured(
        "BoxofficeKafkaDown",
        {
            **{name: changing(0, 1, 60) for name in WELL if 'server="Kafka"' in name},
            **{name: changing(1, 0, 60) for name in WELL if name.startswith("boxoffice_ready")},
            **dict.fromkeys((_COUNT, _IN_TIME), f"0+750x240 180000x{STEPS}"),
            f'boxoffice_requests_total{{{_GATEWAY},status="503"}}': f"0x240 30+30x{STEPS}",
            _DECISIONS: f"0+1500x240 360000x{STEPS}",
            _LAG: changing(3, 700, 60),
        },
        100,
        what="with all that comes of it",
        also=(
            "BoxofficeAnswersLate",
            "BoxofficeAnswersLateSlowBurn",
            "BoxofficeCommandsLate",
            "BoxofficeCommandsLateSlowBurn",
        ),
    ),
    Measured(
        "BoxofficeRedisDown",
        {
            _worker("boxoffice_fallback_active"): changing(0, 1, 60),
            _worker("boxoffice_fallbacks_total"): growing(1),
            f'boxoffice_requests_total{{{_GATEWAY},status="503"}}': f"0x240 120+120x{STEPS}",
        },
        100,
        what="and those who look for older requests are told so",
        also=("BoxofficeAnswersLate", "BoxofficeAnswersLateSlowBurn", "BoxofficeRedisUnsteady"),
    ),
)
