"""Create the topics, and compare what the broker has with what the product needs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from time import monotonic

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from boxoffice.errors import TopicsError
from boxoffice.kafka.clients import admin
from boxoffice.settings import KafkaSettings
from topics import TOPICS, TopicDefinition, dead_letters, purchase_requests, purchase_results

_POLL_S = 0.05


@dataclass(frozen=True)
class ExistingTopic:
    """A topic as the broker has it."""

    partitions: int
    replicas: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class TopicReport:
    """A topic as it should be, as it is (None: it is missing), and in sentences what differs."""

    name: str
    definition: TopicDefinition
    existing: ExistingTopic | None
    differences: tuple[str, ...]
    created: bool = False


async def describe_topics(settings: KafkaSettings) -> list[TopicReport]:
    """The state of every topic.

    Raises:
        UnreachableError: no broker answered.
    """
    async with admin(settings) as client:
        return await _describe(client, settings)


async def create_topics(settings: KafkaSettings) -> list[TopicReport]:
    """Create the topics that are missing; one that exists is compared and left as it is.

    Raises:
        UnreachableError: no broker answered.
        TopicsError: the broker refused to create one, or does not show it within ``kafka_request_timeout_ms``.
    """
    async with admin(settings) as client:
        before = await _describe(client, settings)
        missing = [report for report in before if report.existing is None]
        if missing:
            await _create(client, settings, missing)
        created = {report.name for report in missing}
        return [
            TopicReport(report.name, report.definition, report.existing, report.differences, report.name in created)
            for report in await _describe_all(client, settings)
        ]


SALE = (purchase_requests.TOPIC, purchase_results.TOPIC, dead_letters.TOPIC)
"""The topics without which nothing can be sold; what others lack does not stop a sale."""


async def check_topics(settings: KafkaSettings, *also: TopicDefinition) -> int:
    """The number of partitions that commands and facts have in common.

    The topics of the sale are checked, and those that the caller needs ``also``.

    Raises:
        UnreachableError: no broker answered.
        TopicsError: a topic is missing, or one that decisions depend on differs.
    """
    needed = (*SALE, *also)
    reports = {report.definition.name: report for report in await describe_topics(settings)}
    missing = [report.name for report in reports.values() if report.existing is None and report.definition in needed]
    if missing:
        raise TopicsError(f"Missing topics: {', '.join(missing)}; create them with 'boxoffice topics create'.")
    requests = reports[purchase_requests.TOPIC.name]
    results = reports[purchase_results.TOPIC.name]
    assert requests.existing is not None
    assert results.existing is not None
    if requests.existing.partitions != results.existing.partitions:
        raise TopicsError(
            f"{requests.name} has {requests.existing.partitions} partitions and {results.name} has "
            f"{results.existing.partitions}: they must have the same number."
        )
    unusable = [
        sentence
        for report in (requests, results)
        for sentence in report.differences
        if any(key in sentence for key in ("message.timestamp.type", "cleanup.policy"))
        or (report is results and "retention" in sentence)
    ]
    if unusable:
        raise TopicsError(f"The topics cannot be used as they are: {' '.join(unusable)}")
    return requests.existing.partitions


async def check_partitions(settings: KafkaSettings, partitions: int, topics: Collection[TopicDefinition]) -> None:
    """See that topics whose records lie on the ledger's partitions have so many.

    Raises:
        UnreachableError: no broker answered.
        TopicsError: one has another number.
    """
    for report in await describe_topics(settings):
        found = report.existing.partitions if report.existing is not None else 0
        if report.definition in topics and found != partitions:
            raise TopicsError(f"{report.name} has {found} partitions, and must have {partitions}, as the ledger.")


async def _create(client: AIOKafkaAdminClient, settings: KafkaSettings, missing: list[TopicReport]) -> None:
    response = await client.create_topics(
        [
            NewTopic(
                report.name,
                settings.partitions,
                settings.replication_factor,
                replica_assignments={} if settings.replication_factor == -1 else None,
                topic_configs=dict(report.definition.config),
            )
            for report in missing
        ]
    )
    for name, code, *reason in response.topic_errors:  # type: ignore[attr-defined]  # as its schema says
        if code not in (0, TopicAlreadyExistsError.errno):
            raise TopicsError(f"The broker did not create {name}: {reason[0] or for_code(code).__name__}.")


async def _describe_all(client: AIOKafkaAdminClient, settings: KafkaSettings) -> list[TopicReport]:
    """The controller has created a topic before a broker shows it: who came meanwhile would find it missing."""
    deadline_s = monotonic() + settings.request_timeout_ms / 1000
    while True:
        reports = await _describe(client, settings)
        hidden = [report.name for report in reports if report.existing is None]
        if not hidden:
            return reports
        if monotonic() > deadline_s:
            raise TopicsError(f"The broker does not show what was created: {', '.join(hidden)}.")
        await asyncio.sleep(_POLL_S)


async def _describe(client: AIOKafkaAdminClient, settings: KafkaSettings) -> list[TopicReport]:
    names = {definition.full_name(settings.topic_prefix): definition for definition in TOPICS}
    found = {topic["topic"]: topic for topic in await client.describe_topics(list(names)) if topic["error_code"] == 0}
    config = await _config(client, list(found)) if found else {}
    return [
        _report(name, definition, found.get(name), config.get(name, {}), settings) for name, definition in names.items()
    ]


async def _config(client: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    responses = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for response in responses
        for _, _, _, name, entries in response.resources  # type: ignore[attr-defined]  # as its schema says
    }


def _report(
    name: str,
    definition: TopicDefinition,
    found: Mapping[str, list[Mapping[str, list[int]]]] | None,
    config: Mapping[str, str],
    settings: KafkaSettings,
) -> TopicReport:
    if found is None:
        return TopicReport(name, definition, None, ())
    existing = ExistingTopic(len(found["partitions"]), len(found["partitions"][0]["replicas"]), config)
    differences = [
        f"{name} has {key}={config.get(key)}, not {value}."
        for key, value in definition.config.items()
        if config.get(key) != value
    ]
    if existing.partitions != settings.partitions:
        differences.append(f"{name} has {existing.partitions} partitions, not {settings.partitions}.")
    return TopicReport(name, definition, existing, tuple(differences))
