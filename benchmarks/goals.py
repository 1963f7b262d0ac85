"""What the box office was built to reach on a small machine: two cores for everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.results import Outcome, in_words

PRODUCT: Final = "product"


@dataclass(frozen=True)
class Goal:
    """A bound on one figure of a benchmark."""

    what: str
    benchmark: str
    figure: str
    bound: float
    unit: str = ""
    contestant: str = PRODUCT
    at_most: bool = False

    def row(self, outcomes: Mapping[str, Outcome]) -> str:
        """A row of the table of goals."""
        value = outcomes[self.benchmark].value(self.figure, self.contestant)
        reached = value <= self.bound if self.at_most else value >= self.bound
        bound = f"{'≤' if self.at_most else '≥'} {self.bound:,g} {self.unit}".strip()
        return f"| {self.what} | {bound} | {in_words(value)} | {'yes' if reached else '**no**'} |"


_PURCHASES: Final = "gateway_purchases_per_cpu_second"

GOALS: Final = (
    Goal("decisions a CPU second of a worker, 50 events", "decisions", "decisions_per_cpu_second", 40_000),
    Goal("… by the bare loop's", "decisions", "decisions_per_cpu_second_ratio", 0.8, contestant="product/bare"),
    Goal("… by stock Faust's", "decisions", "decisions_per_cpu_second_ratio", 5, contestant="product/stock"),
    Goal(
        "one hot event, by the bare loop's", "decisions", "decisions_per_cpu_second_hot_ratio", 0.8, "", "product/bare"
    ),
    Goal("one hot event, by stock Faust's", "decisions", "decisions_per_cpu_second_hot_ratio", 5, "", "product/stock"),
    Goal("purchases over HTTP a CPU second of a gateway, 256 connections", "gateway", _PURCHASES, 12_000),
    Goal("… by those of as little as a gateway can be", "gateway", f"{_PURCHASES}_ratio", 0.75, "", "product/bare"),
    Goal("… by the usual way's", "gateway", f"{_PURCHASES}_ratio", 4.5, "", "product/usual"),
    Goal("the same, 2,000 connections", "gateway", f"{_PURCHASES}_2000", 16_000),
    Goal("… by those of the least", "gateway", f"{_PURCHASES}_2000_ratio", 0.75, "", "product/bare"),
    Goal("… by the usual way's", "gateway", f"{_PURCHASES}_2000_ratio", 7, "", "product/usual"),
    Goal(
        "each of two gateways, by one gateway's purchases a CPU second",
        "crowd",
        "crowd_purchases_per_cpu_second_ratio",
        0.85,
        contestant="two/one",
    ),
    Goal(
        "100,000 buyers at once over 10,000 connections, until the last is answered",
        "crowd",
        "crowd_last_answer",
        15,
        "s",
        at_most=True,
    ),
    Goal("POST to 201 at 1,000/s, above publish to fact, p50", "crowd", "answer_p50_above", 5, "ms", at_most=True),
    Goal("POST to 201 at 1,000/s, above publish to fact, p99", "crowd", "answer_p99_above", 15, "ms", at_most=True),
    Goal(
        "a fact that is nobody's at a gateway, where somebody waits on its partition",
        "pressure",
        "others_fact",
        3,
        "µs",
        "somebody waits",
        at_most=True,
    ),
    Goal("… where nobody waits", "pressure", "others_fact", 1, "µs", "nobody waits", at_most=True),
    Goal(
        "orders answered under twice the load that a gateway can bear, by the most", "pressure", "overload_ratio", 0.9
    ),
    Goal("the surplus refused within, p99", "pressure", "overload_refused_p99", 50, "ms", at_most=True),
    Goal(
        "POST to 201 beside 10,000 viewers, by that without, p99",
        "pressure",
        "viewers_p99_ratio",
        1.2,
        contestant="with/without",
        at_most=True,
    ),
    Goal("streams of one process", "streams", "streams_open", 19_000),
    Goal("memory of a stream", "streams", "stream_memory", 15, "KiB", at_most=True),
    Goal("CPU time of a send", "streams", "stream_send", 20, "µs", at_most=True),
    Goal("decisions a second end to end, one worker, hot event", "end_to_end", "end_to_end_per_second", 20_000),
    Goal(
        "each of two workers, by one worker's decisions a CPU second",
        "workers",
        "worker_decisions_per_cpu_second_ratio",
        0.85,
        contestant="two/one",
    ),
    Goal("publish to fact at 5,000/s, 50 events, p50", "latency", "latency_p50", 5, "ms", at_most=True),
    Goal("… by the bare loop's", "latency", "latency_p50_ratio", 1.25, "", "product/bare", at_most=True),
    Goal("publish to fact at 5,000/s, 50 events, p99", "latency", "latency_p99", 25, "ms", at_most=True),
    Goal("publish to fact at 5,000/s, hot event, p50", "latency", "latency_p50_hot", 5, "ms", at_most=True),
    Goal("… by the bare loop's", "latency", "latency_p50_hot_ratio", 1.1, "", "product/bare", at_most=True),
    Goal("publish to fact at 5,000/s, hot event, p99", "latency", "latency_p99_hot", 25, "ms", at_most=True),
    Goal("ledger recovery, whole facts a second", "recovery", "recovery_facts_per_second", 150_000),
    Goal("… of 1,000,000 facts", "recovery", "recovery_seconds", 10, "s", at_most=True),
    Goal(
        "cost of a decision, worker and Redis, with 80 to 100% of 1,000,000 tickets sold, by that with 5 to 25%",
        "growth",
        "growth_late_to_early",
        1.15,
        contestant="product and redis",
        at_most=True,
    ),
    Goal("memory of a sold ticket, worker", "growth", "memory_per_sold_ticket", 150, "bytes", at_most=True),
    Goal("memory of a sold ticket, Redis", "growth", "memory_per_sold_ticket", 200, "bytes", "redis", at_most=True),
    Goal("an event of 1,000,000 tickets, until Redis has it", "creation", "creation_seconds", 5, "s", at_most=True),
    Goal(
        "sales of other events meanwhile, by their rate before",
        "creation",
        "creation_others_rate_ratio",
        0.7,
        contestant="meanwhile/before",
    ),
    Goal(
        "holds in 3 categories and their payments, by the decisions of plain sales a CPU second",
        "holding",
        "commands_per_cpu_second_ratio",
        0.7,
        contestant="held/plain",
    ),
    Goal(
        "100,000 holds that are due in the same second, until all have expired",
        "holding",
        "expiry_seconds",
        5,
        "s",
        at_most=True,
    ),
    Goal(
        "sales of other events meanwhile, by their rate before",
        "holding",
        "expiry_others_rate_ratio",
        0.7,
        contestant="meanwhile/before",
    ),
    Goal(
        "sales while Redis hangs, by their rate before", "outage", "outage_rate_ratio", 0.8, contestant="during/before"
    ),
    *(
        Goal(
            f"the same with {events:,} events",
            "outage",
            f"outage_rate_ratio_{events}",
            0.8,
            contestant="during/before",
        )
        for events in (5_000, 50_000)
    ),
    Goal("Redis is back: until it has 100,000 facts more", "outage", "outage_settled_seconds", 5, "s", at_most=True),
    Goal(
        "sales of other events meanwhile, by their rate before and after",
        "outage",
        "outage_settling_others_rate_ratio",
        0.7,
        contestant="meanwhile/otherwise",
    ),
    Goal(
        "a worker's CPU time that tracing takes with 1% of the commands traced",
        "tracing",
        "tracing_cpu_share",
        2,
        "%",
        "1% traced",
        at_most=True,
    ),
    Goal("audit of 1,000,000 facts", "auditing", "audit_seconds", 60, "s", at_most=True),
    Goal("statistics, facts a CPU second", "counting", "statistics_facts_per_cpu_second", 50_000),
    Goal("start of a worker to its first decision", "starting", "start_to_first_decision", 3, "s", at_most=True),
)


def table(outcomes: Mapping[str, Outcome]) -> str:
    """All goals, and what was reached."""
    return "\n".join(["| | goal | measured | reached |", "|---|---|---|---|", *(goal.row(outcomes) for goal in GOALS)])
