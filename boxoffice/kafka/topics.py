"""Create the topics, and compare what the broker has with what the product needs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code

from boxoffice.errors import PartitionsChangedError, TopicsError
from boxoffice.kafka.clients import admin, topic_partitions
from boxoffice.kafka.homes import WrittenOtherwise, check_written, look_at_ledger
from boxoffice.settings import KafkaSettings
from models.words import number_of
from topics import TOPICS, TopicDefinition, purchase_requests, purchase_results

_POLL_S = 0.05


@dataclass(frozen=True)
class ExistingTopic:
    """A topic as the broker has it; ``without_leader`` are partitions that nobody can reach now."""

    partitions: int
    replicas: int
    config: Mapping[str, str]
    without_leader: frozenset[int] = frozenset()


PARTITIONS: Final = "partitions"
BATCH_BYTES: Final = "max.message.bytes"
"""What a topic takes of one record batch; where it does not say so itself, its brokers' ``message.max.bytes``."""
MOST_BATCH_BYTES: Final = 900_000
"""The batch path's own default. It is not taken from there, since that loads Faust, which few commands need."""
LEAST_BATCH_BYTES: Final = 128 * 1024
"""So much a single record may take: a dead letter, of 64 KiB and its headers, is the largest that we write."""


@dataclass(frozen=True)
class Difference:
    """What a topic has otherwise than it should: a setting by Kafka's name, or its number of ``PARTITIONS``.

    ``stops_sale`` says whether nothing may be sold while it is so.
    """

    setting: str
    sentence: str
    stops_sale: bool = False

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True)
class TopicReport:
    """A topic as it should be, as it is (None: it is missing, or ``hidden`` from who asks), and what differs."""

    name: str
    definition: TopicDefinition
    existing: ExistingTopic | None
    differences: tuple[Difference, ...]
    created: bool = False
    hidden: bool = False


async def describe_topics(
    settings: KafkaSettings, definitions: Collection[TopicDefinition] = TOPICS
) -> list[TopicReport]:
    """The state of every topic, or of some: who needs not all may not be let look at all.

    Raises:
        UnreachableError: no broker answered.
    """
    async with admin(settings) as client:
        return await _describe(client, settings, definitions)


async def examine_topics(settings: KafkaSettings) -> list[TopicReport]:
    """The state of every topic; the ledger's says also whether it fits to the commands and to what was sold.

    Raises:
        UnreachableError: no broker answered.
    """
    reports = await describe_topics(settings)
    requests, results = _of_sale(reports)
    if requests.existing is None or results.existing is None:
        return reports
    if (sentence := _counts_differ(requests.existing, results.existing, settings)) is not None:
        return _with_difference(reports, sentence)
    otherwise = await look_at_ledger(settings, results.existing.partitions, results.existing.without_leader)
    return _with_difference(reports, f"{otherwise} {otherwise.remedy}") if otherwise is not None else reports


async def create_topics(
    settings: KafkaSettings, instead: Mapping[str, Mapping[str, str]] | None = None
) -> list[TopicReport]:
    """Create the topics that are missing; one that exists is compared and left as it is.

    ``instead`` are settings, by the topic's name without a prefix, that one gets instead of those that it needs.

    Raises:
        UnreachableError: no broker answered.
        TopicsError: the broker refused to create one, or does not show it within ``kafka_request_timeout_ms``.
    """
    async with admin(settings) as client:
        before = await _describe(client, settings)
        missing = [report for report in before if report.existing is None]
        if missing:
            await _create(client, settings, missing, instead or {})
        created = {report.name for report in missing}
        return [
            TopicReport(report.name, report.definition, report.existing, report.differences, report.name in created)
            for report in await _describe_all(client, settings)
        ]


SALE = (purchase_requests.TOPIC, purchase_results.TOPIC)
"""The topics without which nothing can be sold; what others lack does not stop a sale."""


async def check_topics(settings: KafkaSettings, *also: TopicDefinition) -> int:
    """The number of partitions that commands and facts have in common, and the ledger was written with.

    The topics of the sale are checked, and those that the caller needs ``also``.

    Raises:
        UnreachableError: no broker answered.
        TopicsError: a topic is missing, or one that decisions depend on differs.
        PartitionsChangedError: the ledger was written with another number of partitions.
    """
    results = await _check_usable(settings, also)
    await check_written(settings, results.partitions, results.without_leader)
    return results.partitions


async def written_otherwise(settings: KafkaSettings) -> tuple[int, WrittenOtherwise | None]:
    """The number of partitions of commands and facts; and what is wrong if the ledger was written with another.

    Raises:
        UnreachableError: no broker answered.
        TopicsError: a topic is missing, or one that decisions depend on differs.
    """
    results = await _check_usable(settings, ())
    return results.partitions, await look_at_ledger(settings, results.partitions, results.without_leader)


async def partitions_of(settings: KafkaSettings, definition: TopicDefinition) -> list[TopicPartition]:
    """All partitions of a topic, as many as it has by itself.

    Raises:
        UnreachableError: no broker answered.
        TopicsError: it is missing.
    """
    name = definition.full_name(settings.topic_prefix)
    async with admin(settings) as client:
        [found] = await client.describe_topics([name])
    if found["error_code"]:
        raise _lacking(settings, [TopicReport(name, definition, None, (), hidden=_is_hidden(found["error_code"]))])
    return topic_partitions(name, len(found["partitions"]))


def _is_hidden(error_code: int) -> bool:
    return error_code == TopicAuthorizationFailedError.errno


def _lacking(settings: KafkaSettings, reports: Collection[TopicReport]) -> TopicsError:
    """What is said of topics that are not to be seen; of those that are there it is no use to create them."""
    if hidden := [report.name for report in reports if report.hidden]:
        return TopicsError(f"{not_allowed(settings, hidden)} 'boxoffice topics acls' says what each user needs.")
    names = ", ".join(report.name for report in reports)
    return TopicsError(f"Missing topics: {names}; create them with 'boxoffice topics create'.")


def not_allowed(settings: KafkaSettings, names: Collection[str]) -> str:
    """What is said of topics that the user of these settings may not look at."""
    return f"{user_of(settings)} may not look at {', '.join(names)}, or not at their settings."


def user_of(settings: KafkaSettings) -> str:
    """As whom somebody comes, to begin a sentence."""
    return f"The user {settings.sasl_username!r}" if settings.sasl_username else "The user of these settings"


async def most_batch_bytes(settings: KafkaSettings, topics: Collection[TopicDefinition]) -> int:
    """How large a record batch may be, so that all of these topics take it: as large as ours are, or less.

    Raises:
        UnreachableError: no broker answered.
    """
    reports = await describe_topics(settings, topics)
    return min(_batch_bytes(report.existing.config) for report in reports if report.existing)


async def check_count(settings: KafkaSettings, partitions: int) -> None:
    """See that commands and facts still have so many partitions; a topic that is not to be seen is left out.

    Raises:
        UnreachableError: no broker answered.
        PartitionsChangedError: one has another number.
    """
    names = [
        definition.full_name(settings.topic_prefix) for definition in (purchase_requests.TOPIC, purchase_results.TOPIC)
    ]
    async with admin(settings) as client:
        found = await client.describe_topics(names)
    counts = {topic["topic"]: len(topic["partitions"]) for topic in found if topic["error_code"] == 0}
    if any(count != partitions for count in counts.values()):
        now = " and ".join(f"{name} has {number_of(count, 'partition')}" for name, count in sorted(counts.items()))
        raise PartitionsChangedError(f"The number of partitions was changed: it was {partitions}, and now {now}.")


async def _check_usable(settings: KafkaSettings, also: Collection[TopicDefinition]) -> ExistingTopic:
    """See that the topics of a sale are there and fit; returns the ledger's."""
    reports = await describe_topics(settings, (*SALE, *also))
    lacking = [report for report in reports if report.existing is None]
    if lacking:
        raise _lacking(settings, lacking)
    requests, results = _of_sale(reports)
    assert requests.existing is not None
    assert results.existing is not None
    if (sentence := _counts_differ(requests.existing, results.existing, settings)) is not None:
        raise TopicsError(sentence)
    unusable = [str(found) for report in reports for found in report.differences if found.stops_sale]
    if unusable:
        raise TopicsError(f"The topics cannot be used as they are: {' '.join(unusable)}")
    return results.existing


def _of_sale(reports: Collection[TopicReport]) -> tuple[TopicReport, TopicReport]:
    """Commands, and the ledger."""
    found = {report.definition.name: report for report in reports}
    return found[purchase_requests.TOPIC.name], found[purchase_results.TOPIC.name]


def _counts_differ(requests: ExistingTopic, results: ExistingTopic, settings: KafkaSettings) -> str | None:
    """In a sentence, if they do."""
    if requests.partitions == results.partitions:
        return None
    return (
        f"{purchase_requests.TOPIC.full_name(settings.topic_prefix)} has "
        f"{number_of(requests.partitions, 'partition')} and {purchase_results.TOPIC.full_name(settings.topic_prefix)} "
        f"has {results.partitions}: they must have the same number, and Kafka cannot take partitions away. What has "
        "sold nothing yet is made again under another BOXOFFICE_TOPIC_PREFIX; what has sold moves with 'boxoffice "
        "topics grow'."
    )


def _with_difference(reports: list[TopicReport], sentence: str) -> list[TopicReport]:
    """The same with what is wrong with the partitions said once, of the ledger."""
    told = Difference(PARTITIONS, sentence, stops_sale=True)
    return [
        replace(
            report,
            differences=(
                *(difference for difference in report.differences if difference.setting != PARTITIONS),
                *((told,) if report.definition is purchase_results.TOPIC else ()),
            ),
        )
        for report in reports
    ]


async def check_partitions(settings: KafkaSettings, partitions: int, topics: Collection[TopicDefinition]) -> None:
    """See that topics whose records lie on the ledger's partitions have so many.

    Raises:
        UnreachableError: no broker answered.
        TopicsError: one has another number.
    """
    for report in await describe_topics(settings, topics):
        found = report.existing.partitions if report.existing is not None else 0
        if found != partitions:
            raise TopicsError(
                f"{report.name} has {number_of(found, 'partition')}, and must have {partitions}, as the ledger."
            )


async def _create(
    client: AIOKafkaAdminClient,
    settings: KafkaSettings,
    missing: list[TopicReport],
    instead: Mapping[str, Mapping[str, str]],
) -> None:
    response = await client.create_topics(
        [
            NewTopic(
                report.name,
                settings.partitions,
                settings.replication_factor,
                replica_assignments={} if settings.replication_factor == -1 else None,
                topic_configs={**report.definition.config, **instead.get(report.definition.name, {})},
            )
            for report in missing
        ]
    )
    for name, code, *reason in response.topic_errors:  # type: ignore[attr-defined]  # as its schema says
        if code not in (0, TopicAlreadyExistsError.errno):
            raise TopicsError(f"The broker did not create {name}: {reason[0] or for_code(code).__name__}.")


async def wait_until_gone(settings: KafkaSettings, names: Collection[str]) -> None:
    """Wait until no broker shows topics any more that were deleted.

    Raises:
        TopicsError: one is still to be seen after ``kafka_request_timeout_ms``.
    """
    deadline_s = monotonic() + settings.request_timeout_ms / 1000
    while left := [
        report.name for report in await describe_topics(settings) if report.existing and report.name in names
    ]:
        if monotonic() > deadline_s:
            raise TopicsError(f"The broker still shows what was deleted: {', '.join(left)}.")
        await asyncio.sleep(_POLL_S)


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


async def _describe(
    client: AIOKafkaAdminClient, settings: KafkaSettings, definitions: Collection[TopicDefinition] = TOPICS
) -> list[TopicReport]:
    names = {definition.full_name(settings.topic_prefix): definition for definition in definitions}
    topics = await client.describe_topics(list(names))
    found = {topic["topic"]: topic for topic in topics if topic["error_code"] == 0}
    config, hidden = await _config(client, list(found)) if found else ({}, set())
    hidden |= {topic["topic"] for topic in topics if _is_hidden(topic["error_code"])}
    return [
        TopicReport(name, definition, None, (), hidden=True)
        if name in hidden
        else _report(name, definition, found.get(name), config.get(name, {}), settings)
        for name, definition in names.items()
    ]


async def _config(client: AIOKafkaAdminClient, names: list[str]) -> tuple[dict[str, dict[str, str]], set[str]]:
    """The settings of topics; and those whose settings may not be looked at."""
    responses = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    resources = [one for response in responses for one in response.resources]  # type: ignore[attr-defined]  # as its schema says
    config = {name: {entry[0]: entry[1] for entry in entries} for _, _, _, name, entries in resources}
    return config, {name for code, _, _, name, _ in resources if _is_hidden(code)}


def _report(
    name: str,
    definition: TopicDefinition,
    found: Mapping[str, Any] | None,
    config: Mapping[str, str],
    settings: KafkaSettings,
) -> TopicReport:
    if found is None:
        return TopicReport(name, definition, None, ())
    partitions = found["partitions"]
    without_leader = frozenset(one["partition"] for one in partitions if one["leader"] < 0)
    existing = ExistingTopic(len(partitions), len(partitions[0]["replicas"]), config, without_leader)
    differences = [
        _difference(name, definition, key, str(config.get(key)))
        for key, value in definition.config.items()
        if config.get(key) != value
    ]
    if (small := _small_batches(name, config)) is not None:
        differences = [*(difference for difference in differences if difference.setting != BATCH_BYTES), small]
    if existing.partitions != settings.partitions:
        sentence = f"{name} has {number_of(existing.partitions, 'partition')}, not {settings.partitions}."
        differences.append(Difference(PARTITIONS, sentence))
    return TopicReport(name, definition, existing, tuple(differences))


def _batch_bytes(config: Mapping[str, str]) -> int:
    return min(MOST_BATCH_BYTES, int(config.get(BATCH_BYTES, MOST_BATCH_BYTES)))


def _small_batches(name: str, config: Mapping[str, str]) -> Difference | None:
    """What is said of a topic that does not take record batches as large as ours."""
    found = _batch_bytes(config)
    if found == MOST_BATCH_BYTES:
        return None
    stops_sale = found < LEAST_BATCH_BYTES
    harm = (
        f"a record may take {LEAST_BATCH_BYTES}, and who writes it would end again and again"
        if stops_sale
        else "processes that start now write smaller record batches, which is slower"
    )
    sentence = f"{name} has {BATCH_BYTES}={found}, not {MOST_BATCH_BYTES} or more: {harm}."
    return Difference(BATCH_BYTES, sentence, stops_sale)


def _difference(name: str, definition: TopicDefinition, key: str, found: str) -> Difference:
    sentence = f"{name} has {key}={found}, not {definition.config[key]}"
    harm = definition.vital.get(key)
    return Difference(key, f"{sentence}: {harm}." if harm else f"{sentence}.", harm is not None)
