"""Who may do what on Kafka: one table, from which ACLs are set, printed and documented.

A process has a user of its own, and may do what it has to and nothing else. What a producer with ``acks=all`` and an
idempotent producer need beyond the right to write follows from that right; nobody uses a transactional id.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple

from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest

from boxoffice.errors import BoxOfficeError, ExitStatus
from boxoffice.kafka.clients import admin, group_id
from boxoffice.kafka.letter_box import GROUP as DEAD_LETTERS
from boxoffice.settings import KafkaSettings
from topics import (
    TOPICS,
    TopicDefinition,
    api_keys,
    clock_places,
    dead_letters,
    documents_places,
    event_stats,
    purchase_requests,
    purchase_results,
    stats_changelog,
    ticket_documents,
)


class AclsError(BoxOfficeError):
    """The broker did not take the ACLs."""

    exit_status = ExitStatus.REJECTED
    remedy = (
        "Ask as a user who may alter the cluster, such as a super user, and see that the brokers have an authorizer "
        "(`authorizer.class.name`)."
    )


@dataclass(frozen=True)
class Access:
    """What one user needs, and for what; ``sees`` are topics at whose settings it looks besides.

    ``joins`` are groups, by the process whose they are, that it is a member of or commits for; ``watches`` are groups
    whose offsets and members it reads.
    """

    user: str
    does: str
    reads: Sequence[TopicDefinition] = ()
    writes: Sequence[TopicDefinition] = ()
    sees: Sequence[TopicDefinition] = ()
    joins: Sequence[str] = ()
    watches: Sequence[str] = ()

    @property
    def is_client(self) -> bool:
        """Whether it is no process of ours: it has a group of its own name, and looks at no topic's settings."""
        return self.user == _CLIENT


_CLIENT: Final = "shop"
_LEDGER: Final = purchase_results.TOPIC
_REQUESTS: Final = purchase_requests.TOPIC
_READ_BY_OTHERS: Final = (_LEDGER, ticket_documents.TOPIC, event_stats.TOPIC)
_BUT_ROWS: Final = tuple(topic for topic in TOPICS if topic is not stats_changelog.TOPIC)
_WORKERS: Final = ("purchases", "documents", "stats", "clock")

ACCESS: Final[Sequence[Access]] = (
    Access(
        "purchases",
        "decides commands",
        reads=(_REQUESTS, _LEDGER),
        writes=(_REQUESTS, _LEDGER, dead_letters.TOPIC),
        joins=("purchases", DEAD_LETTERS),
    ),
    Access(
        "documents",
        "draws tickets",
        reads=(_LEDGER, documents_places.TOPIC),
        writes=(ticket_documents.TOPIC, documents_places.TOPIC, dead_letters.TOPIC),
        sees=(_REQUESTS,),
        joins=("documents",),
    ),
    Access(
        "stats",
        "counts",
        reads=(_LEDGER, stats_changelog.TOPIC),
        writes=(event_stats.TOPIC, stats_changelog.TOPIC),
        sees=(_REQUESTS,),
        joins=("stats",),
    ),
    Access(
        "clock",
        "asks about holds that are due",
        reads=(_LEDGER, clock_places.TOPIC),
        writes=(_REQUESTS, clock_places.TOPIC),
        joins=("clock",),
    ),
    Access(
        "gateway",
        "takes commands over HTTP",
        reads=(_LEDGER, event_stats.TOPIC, ticket_documents.TOPIC, api_keys.TOPIC),
        writes=(_REQUESTS,),
    ),
    Access(
        "live",
        "shows events, and operators how all is",
        reads=_BUT_ROWS,
        sees=(stats_changelog.TOPIC,),
        watches=_WORKERS,
    ),
    Access(
        "audit",
        "compares everything with the ledger",
        reads=tuple(topic for topic in _BUT_ROWS if topic is not api_keys.TOPIC),
        sees=(stats_changelog.TOPIC,),
        watches=_WORKERS,
    ),
    Access(
        "operator",
        "runs commands: creates events, makes keys, looks at everything",
        reads=_BUT_ROWS,
        writes=(_REQUESTS, api_keys.TOPIC),
        sees=(stats_changelog.TOPIC,),
        watches=_WORKERS,
    ),
    Access(_CLIENT, "is a client that you trust: asks, and follows what is sold", _READ_BY_OTHERS, (_REQUESTS,)),
)
"""Every user. Topics are made and moved, and ACLs set, by whoever administers the brokers."""

BY_USER: Final[Mapping[str, Access]] = {access.user: access for access in ACCESS}


class Resource(IntEnum):
    """Kafka's kinds of resources, by its protocol's numbers."""

    TOPIC = 2
    GROUP = 3


class Operation(IntEnum):
    """Kafka's operations, likewise. Who may read or write may describe."""

    READ = 3
    WRITE = 4
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10

    @property
    def word(self) -> str:
        """As Kafka's tools write it."""
        return self.name.title().replace("_", "")


class Acl(NamedTuple):
    """One right of one user on one resource, from any host."""

    user: str
    resource: Resource
    name: str
    operation: Operation

    @property
    def principal(self) -> str:
        """The user as Kafka names him."""
        return f"User:{self.user}"


def acls(settings: KafkaSettings, names: Mapping[str, str] | None = None) -> list[Acl]:
    """The ACLs of all users, on the topics and groups of these settings.

    ``names`` are what users are called that are not called as in the table.
    """
    called = {access.user: access.user for access in ACCESS} | dict(names or {})
    return [acl._replace(user=called[access.user]) for access in ACCESS for acl in _acls_of(access, settings)]


def _acls_of(access: Access, settings: KafkaSettings) -> Iterator[Acl]:
    for topic in TOPICS:
        for operation in operations(access, topic):
            yield Acl(access.user, Resource.TOPIC, topic.full_name(settings.topic_prefix), operation)
    for process in access.joins:
        yield Acl(access.user, Resource.GROUP, group_id(settings, process), Operation.READ)
    for process in access.watches:
        yield Acl(access.user, Resource.GROUP, group_id(settings, process), Operation.DESCRIBE)
    if access.is_client:
        yield Acl(access.user, Resource.GROUP, access.user, Operation.READ)


def operations(access: Access, topic: TopicDefinition) -> list[Operation]:
    """What a user may do with a topic; nothing if it is in no way concerned."""
    found = []
    if topic in access.reads:
        found.append(Operation.READ)
    if topic in access.writes:
        found.append(Operation.WRITE)
    if topic in access.sees:
        found.append(Operation.DESCRIBE)
    if found and not access.is_client:
        # A process looks whether the topics are as it needs them.
        found.append(Operation.DESCRIBE_CONFIGS)
    return found


def tool_lines(wanted: Sequence[Acl], servers: str) -> list[str]:
    """The same as commands for Kafka's own tool: one for each user and resource."""
    grouped: dict[tuple[str, Resource, str], list[str]] = {}
    for acl in wanted:
        grouped.setdefault((acl.principal, acl.resource, acl.name), []).extend(("--operation", acl.operation.word))
    tool = ("kafka-acls.sh", "--bootstrap-server", servers, "--add", "--allow-principal")
    return [
        shlex.join((*tool, principal, *words, f"--{resource.name.lower()}", name))
        for (principal, resource, name), words in grouped.items()
    ]


async def set_acls(settings: KafkaSettings, wanted: Sequence[Acl]) -> None:
    """Let the brokers have these ACLs, beside those that they have.

    Raises:
        UnreachableError: no broker answered.
        AclsError: the broker refused them.
    """
    async with admin(settings) as client:
        response = await client._send_request(_Creations(wanted))
    for code, text in response.creation_responses:  # type: ignore[attr-defined]  # as its schema says
        if code:
            why = text or for_code(code).__name__
            raise AclsError(f"Kafka at {settings.bootstrap_servers} did not take the ACLs: {why}.")


class _Creations(CreateAclsRequest):
    """All ACLs in one request; aiokafka's own has one of them."""

    _LITERAL: Final = 3
    _ALLOW: Final = 3

    def __init__(self, wanted: Sequence[Acl]) -> None:
        self._wanted = wanted

    def build(self, request_struct_class: Any) -> Any:
        """The request, in the form that the broker takes."""
        return request_struct_class(
            [
                (acl.resource, acl.name, self._LITERAL, acl.principal, "*", acl.operation, self._ALLOW)
                for acl in self._wanted
            ]
        )
