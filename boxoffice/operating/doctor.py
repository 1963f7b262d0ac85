"""Doctor: whether the servers answer, the topics fit and the processes get on; and what to do if not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from boxoffice.audit.downstream import DOCUMENTS, STATISTICS, has_run
from boxoffice.documents.places import dealt_with_until
from boxoffice.errors import ExitStatus, TopicsError, UnreachableError
from boxoffice.kafka.clients import admin, group_id, read_between, reader, topic_partitions
from boxoffice.kafka.groups import committed_offsets, member_count
from boxoffice.kafka.topics import PARTITIONS, Difference, TopicReport, examine_topics, not_allowed
from boxoffice.operating.documents import examine_documents, examine_store
from boxoffice.operating.findings import Finding, State
from boxoffice.operating.front import examine_front
from boxoffice.operating.holds import CLOCK, examine_holds
from boxoffice.redis.clients import redis_client
from boxoffice.redis.connection import FAILURES
from boxoffice.settings import KafkaSettings, Settings
from boxoffice.showing.masking import masked
from boxoffice.statistics.published import read_topic
from boxoffice.statistics.redis_figures import RedisFigures
from boxoffice.tasks import end_tasks
from models.words import number_of
from topics import (
    TopicDefinition,
    api_keys,
    clock_places,
    documents_places,
    event_stats,
    purchase_requests,
    purchase_results,
    ticket_documents,
)

READ_BY: Final[Mapping[str, TopicDefinition]] = {
    "purchases": purchase_requests.TOPIC,
    DOCUMENTS.process: purchase_results.TOPIC,
    STATISTICS.process: purchase_results.TOPIC,
    CLOCK.process: purchase_results.TOPIC,
}
"""Each process, and the topic that its consumer group reads."""

_OPTIONAL: Final = {one.process: one for one in (DOCUMENTS, STATISTICS, CLOCK)}
"""What a box office can do without: who has never run it may not want it, as one that holds nothing wants no clock."""

_POLL_INTERVAL_S: Final = 0.5


@dataclass(frozen=True)
class Lag:
    """How far a group is behind on one partition, and whether it went on while it was watched."""

    partition: int
    records: int
    moves: bool


@dataclass
class Diagnosis:
    """All findings, and each group's lag."""

    findings: list[Finding] = field(default_factory=list)
    lags: dict[str, list[Lag]] = field(default_factory=dict)

    @property
    def exit_status(self) -> ExitStatus:
        """0, or 1 where there is a problem, or 5 where a server does not answer."""
        states = {finding.state for finding in self.findings}
        if State.UNREACHABLE in states:
            return ExitStatus.UNREACHABLE
        return ExitStatus.DIFFERS if State.PROBLEM in states else ExitStatus.OK


async def examine(settings: Settings, watch_s: float, tell: Callable[[str], None] = lambda _: None) -> Diagnosis:
    """Look at everything; a group that is behind is watched for so long. ``tell`` is told what is waited for."""
    waiting = _Waiting(settings, tell)
    finding, diagnosis = await asyncio.gather(
        _examine_redis(settings, waiting), _examine_by_kafka(settings, watch_s, waiting)
    )
    diagnosis.findings.insert(0, finding)
    return diagnosis


class _Waiting:
    """For which servers somebody waits who looks at all of them at once."""

    def __init__(self, settings: Settings, tell: Callable[[str], None]) -> None:
        self._left = {
            "Kafka": f"Kafka at {settings.kafka.bootstrap_servers}",
            "Redis": f"Redis at {masked(settings.redis.url)}",
        }
        self._tell = tell
        self._say()

    def over(self, server: str) -> None:
        """It has answered, or will not."""
        self._left.pop(server, None)
        self._say()

    def _say(self) -> None:
        self._tell(f"waiting for {' and '.join(self._left.values())}" if self._left else "looking at topics and groups")


async def _examine_by_kafka(settings: Settings, watch_s: float, waiting: _Waiting) -> Diagnosis:
    """All that Kafka is asked for."""
    diagnosis = Diagnosis()
    try:
        diagnosis.findings.append(await _examine_kafka(settings))
        waiting.over("Kafka")
        reports = await examine_topics(settings.kafka)
        diagnosis.findings += _examine_topics(reports, settings.kafka)
        if all(report.existing for report in reports):
            await _examine_groups(settings, reports, watch_s, diagnosis)
            sells = not any(difference.stops_sale for report in reports for difference in report.differences)
            without_leader = [report.definition for report, _ in _led_in_part(reports)]
            for topic, examine in (
                (event_stats.TOPIC, _examine_statistics),
                (ticket_documents.TOPIC, examine_documents),
                (clock_places.TOPIC, examine_holds),
                (api_keys.TOPIC, examine_front),
            ):
                if sells and topic not in without_leader:
                    diagnosis.findings += await examine(settings)
        diagnosis.findings += await examine_store(settings, were_made=await has_run(settings.kafka, DOCUMENTS))
    except UnreachableError as error:
        diagnosis.findings.append(Finding("Kafka", State.UNREACHABLE, str(error)))
        diagnosis.findings += await examine_store(settings, were_made=False)
    return diagnosis


# Servers


async def _examine_kafka(settings: Settings) -> Finding:
    async with admin(settings.kafka) as client:
        brokers = (await client.describe_cluster())["brokers"]
    return Finding("Kafka", State.OK, f"{number_of(len(brokers), 'broker')} at {settings.kafka.bootstrap_servers}.")


async def _examine_redis(settings: Settings, waiting: _Waiting) -> Finding:
    found = await _look_at_redis(settings)
    waiting.over("Redis")
    return found


async def _look_at_redis(settings: Settings) -> Finding:
    try:
        async with redis_client(settings.redis) as client:
            await client.ping()
            memory = await client.info("memory")
    except UnreachableError as error:
        return Finding("Redis", State.UNREACHABLE, str(error), "Sales go on without it; only readers miss it.")
    if _evicts(memory):
        return Finding(
            "Redis",
            State.WARNING,
            "It removes keys when its memory is full (maxmemory-policy).",
            "Set maxmemory-policy to noeviction.",
        )
    return Finding("Redis", State.OK, f"It answers at {masked(settings.redis.url)}.")


def _evicts(memory: Mapping[str, Any]) -> bool:
    """Whether keys may go; a cluster answers for each of its nodes."""
    answers = [memory] if "maxmemory_policy" in memory else memory.values()
    return any(answer["maxmemory"] and answer["maxmemory_policy"] != "noeviction" for answer in answers)


# Topics


def _examine_topics(reports: Sequence[TopicReport], settings: KafkaSettings) -> list[Finding]:
    missing = [report.name for report in reports if report.existing is None and not report.hidden]
    if hidden := [report.name for report in reports if report.hidden]:
        sentence = not_allowed(settings, hidden)
        return [Finding("topics", State.PROBLEM, sentence, "Let 'boxoffice topics acls' say what each user needs.")]
    if missing:
        sentence = f"Missing: {', '.join(missing)}."
        return [Finding("topics", State.PROBLEM, sentence, "Create them with 'boxoffice topics create'.")]
    differing = [difference for report in reports for difference in report.differences]
    fragile = [*_without_leader(reports), *_for_production(reports)]
    if not differing and not fragile:
        return [Finding("topics", State.OK, "They are as the box office needs them.")]
    problems = [
        Finding("topics", State.PROBLEM, str(difference), _how_to_mend(difference, reports)) for difference in differing
    ]
    return [*problems, *fragile]


def _led_in_part(reports: Sequence[TopicReport]) -> list[tuple[TopicReport, str]]:
    """The topics of which nobody leads some partitions, and which these are."""
    return [
        (report, ", ".join(map(str, sorted(report.existing.without_leader))))
        for report in reports
        if report.existing is not None and report.existing.without_leader
    ]


def _without_leader(reports: Sequence[TopicReport]) -> list[Finding]:
    return [
        Finding(
            "topics",
            State.PROBLEM,
            f"{report.name} has no leader for partition {numbers}.",
            "Bring back the brokers that hold its replicas: until then that partition waits, and the others go on.",
        )
        for report, numbers in _led_in_part(reports)
    ]


def _how_to_mend(difference: Difference, reports: Sequence[TopicReport]) -> str:
    if difference.setting != PARTITIONS:
        return "Alter it with kafka-configs.sh."
    counts = {report.existing.partitions for report in reports if report.existing}
    if difference.stops_sale or len(counts) > 1:
        return "All topics must keep the number that they began with: see Growing in docs/operations.md."
    return f"Set BOXOFFICE_PARTITIONS={min(counts)}: it counts where topics are created, and theirs must stay as it is."


def _for_production(reports: Sequence[TopicReport]) -> list[Finding]:
    """What may lose facts, each with all topics that have it."""
    found = {fault: [report.name for report in reports if fault.of(report)] for fault in _FAULTS}
    return [
        Finding("topics", State.WARNING, f"{fault.sentence}: {', '.join(names)}.", f"For production: {fault.advice}")
        for fault, names in found.items()
        if names
    ]


@dataclass(frozen=True)
class _Fault:
    sentence: str
    advice: str
    of: Callable[[TopicReport], bool]


def _one_replica(report: TopicReport) -> bool:
    return report.existing is not None and report.existing.replicas == 1


def _configured(name: str, value: str) -> Callable[[TopicReport], bool]:
    return lambda report: report.existing is not None and report.existing.config.get(name) == value


_FAULTS: Final = (
    _Fault(
        "With one replica, a lost disk is lost records",
        "create topics with BOXOFFICE_REPLICATION_FACTOR=3.",
        _one_replica,
    ),
    _Fault(
        "With min.insync.replicas=1, a broker that dies takes acknowledged records along",
        "set it to 2.",
        _configured("min.insync.replicas", "1"),
    ),
    _Fault(
        "With unclean.leader.election.enable=true, brokers that die lose records",
        "set it to false.",
        _configured("unclean.leader.election.enable", "true"),
    ),
)


# Statistics


async def _examine_statistics(settings: Settings) -> list[Finding]:
    """What lies where only the statistics process writes, and is none of its words."""
    strange = (await read_topic(settings.kafka)).strange
    unreadable = await _unreadable_in_redis(settings)
    findings = []
    if strange:
        sentence = f"{event_stats.TOPIC.name} holds {number_of(strange, 'record')} that nobody of ours wrote."
        findings.append(Finding("statistics", State.WARNING, sentence, _PASSED_OVER))
    if unreadable:
        places = number_of(len(unreadable), "place")
        sentence = f"{places} in Redis where statistics lie cannot be read, the first {unreadable[0]}."
        findings.append(Finding("statistics", State.WARNING, sentence, _MADE_ANEW))
    return findings


_PASSED_OVER: Final = "Readers pass over them. Let nobody but the statistics process write there."
_MADE_ANEW: Final = "Let nobody else write there. A process of statistics that starts writes all figures anew."


async def _unreadable_in_redis(settings: Settings) -> Sequence[str]:
    """Nothing where Redis does not answer: that is said elsewhere."""
    figures = RedisFigures(settings.redis)
    try:
        return (await figures.read()).unreadable
    except FAILURES:
        return ()
    finally:
        await figures.aclose()


# Groups


async def _examine_groups(
    settings: Settings, reports: Sequence[TopicReport], watch_s: float, diagnosis: Diagnosis
) -> None:
    existing = {report.name: report.existing for report in reports if report.existing}
    async with admin(settings.kafka) as client:

        async def look(process: str, topic: TopicDefinition) -> tuple[str, list[Lag], Finding]:
            found = existing[name := topic.full_name(settings.kafka.topic_prefix)]
            read = [tp for tp in topic_partitions(name, found.partitions) if tp.partition not in found.without_leader]
            group = group_id(settings.kafka, process)
            members = await member_count(client, group)
            kept = await _kept(settings, reports, read) if process == DOCUMENTS.process and not members else {}
            async with reader(settings.kafka, read) as consumer:
                # Without a worker there is nothing to be seen.
                lags = await _Watch(client, consumer, group, read, kept).lags(watch_s if members else 0)
            if not members and process in _OPTIONAL and not await has_run(settings.kafka, _OPTIONAL[process]):
                return group, lags, _never_ran(group, process)
            return group, lags, _judge(group, process, members, lags)

        looking = [asyncio.create_task(look(process, topic)) for process, topic in READ_BY.items()]
        try:
            for group, lags, finding in await asyncio.gather(*looking):
                diagnosis.lags[group] = lags
                diagnosis.findings.append(finding)
        finally:
            await end_tasks(looking)


async def _kept(
    settings: Settings, reports: Sequence[TopicReport], partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    """Where documents go on, whether or not Kafka still knows their group; what cannot be read is told elsewhere."""
    if documents_places.TOPIC in [report.definition for report, _ in _led_in_part(reports)]:
        return {}
    try:
        until = await dealt_with_until(settings.kafka, [tp.partition for tp in partitions])
    except TopicsError:
        return {}
    return {tp: until[tp.partition] for tp in partitions}


def _never_ran(group_id: str, process: str) -> Finding:
    advice = f"If you want what it does, start one with 'boxoffice run {process}'."
    return Finding(group_id, State.WARNING, "No worker has ever run.", advice)


def _judge(group_id: str, process: str, members: int, lags: Sequence[Lag]) -> Finding:
    behind = sum(lag.records for lag in lags)
    stuck = [str(lag.partition) for lag in lags if lag.records and not lag.moves]
    if not members:
        sentence = f"No worker runs; {number_of(behind, 'record')} waiting."
        return Finding(group_id, State.PROBLEM, sentence, f"Start one with 'boxoffice run {process}'.")
    if stuck:
        return Finding(
            group_id,
            State.PROBLEM,
            f"{number_of(members, 'worker')}, and no progress on partition {', '.join(stuck)}; "
            f"{number_of(behind, 'record')} waiting.",
            "Read the workers' logs: a partition that is refused says why. Then look with 'boxoffice audit'.",
        )
    waiting = f"{number_of(behind, 'record')} waiting, and getting on" if behind else "nothing waiting"
    return Finding(group_id, State.OK, f"{number_of(members, 'worker')}; {waiting}.")


class _Watch:
    """Looks at a group's committed offsets, or what it has ``kept``, until each partition that is behind has moved."""

    def __init__(
        self,
        client: AIOKafkaAdminClient,
        consumer: AIOKafkaConsumer,
        group_id: str,
        partitions: Sequence[TopicPartition],
        kept: Mapping[TopicPartition, int],
    ) -> None:
        self._kept = kept
        self._client = client
        self._consumer = consumer
        self._group_id = group_id
        self._partitions = partitions

    async def lags(self, watch_s: float) -> list[Lag]:
        """The lag of every partition."""
        deadline_s = monotonic() + watch_s
        starts = await self._consumer.beginning_offsets(self._partitions)
        first = await self._committed(starts)
        ends = await self._consumer.end_offsets(self._partitions)
        behind = {tp for tp in self._partitions if first[tp] < ends[tp] and await self._has_records(tp, first, ends)}
        now, moved = first, set[TopicPartition]()
        while (behind - moved) and monotonic() < deadline_s:
            await asyncio.sleep(_POLL_INTERVAL_S)
            now = await self._committed(starts)
            moved = {tp for tp in behind if now[tp] > first[tp]}
        ends = await self._consumer.end_offsets(self._partitions)
        return [
            Lag(tp.partition, max(ends[tp] - now[tp], 0) if tp in behind else 0, tp in moved) for tp in self._partitions
        ]

    async def _committed(self, starts: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        found = await committed_offsets(self._client, self._group_id)
        return {tp: max(found.get(tp, self._kept.get(tp, start)), start) for tp, start in starts.items()}

    async def _has_records(
        self, tp: TopicPartition, first: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> bool:
        """Whether there is something to read: a topic may end in a transaction's marker."""
        async for _ in read_between(self._consumer, tp, first[tp], ends[tp]):
            return True
        return False
