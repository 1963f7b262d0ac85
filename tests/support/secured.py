"""Secured servers for tests, and a box office on them whose processes come each as its own user."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from boxoffice.embedded.cluster import EmbeddedCluster
from boxoffice.embedded.environment import redis_variables, secured_kafka_variables
from boxoffice.embedded.users import ADMIN, MECHANISM, Users
from boxoffice.kafka.access import BY_USER, acls, set_acls
from boxoffice.kafka.topics import create_topics
from boxoffice.settings import KafkaSettings, load_settings
from tests.support.office import Office, Process
from tests.support.settings import changed

OPERATOR: Final = "operator"
NOBODY: Final = "nobody"
"""A user whom both servers let in, and who may do nothing."""
_DENIALS_LOGGED: Final = ("-Dorg.slf4j.simpleLogger.log.kafka.authorizer.logger=info",)


class Secured(Protocol):
    """A Redis, or several, that knows its users."""

    def url_for(self, user: str) -> str: ...


def new_users(folder: Path) -> Users:
    """Everybody of the tables, an administrator, and one who may do nothing."""
    users = Users(folder / "security", (*BY_USER, NOBODY))
    users.prepare()
    return users


@contextmanager
def secured_brokers(
    folder: Path, users: Users, brokers: int = 1, properties: Mapping[str, str] | None = None
) -> Iterator[EmbeddedCluster]:
    """Brokers that say in their logs whom they have denied what."""
    cluster = EmbeddedCluster(folder, brokers, users=users, properties=properties, java_options=_DENIALS_LOGGED)
    with ExitStack() as opened:
        opened.callback(lambda: asyncio.run(cluster.stop()))
        asyncio.run(cluster.launch())
        yield cluster


def denials(cluster: EmbeddedCluster) -> list[str]:
    """What brokers have denied to somebody."""
    return [
        line
        for broker in cluster.brokers
        for line in broker.log_file.read_text(errors="replace").splitlines()
        if "is Denied" in line
    ]


def kafka_as(settings: KafkaSettings, users: Users, user: str) -> KafkaSettings:
    """The same settings, as another user."""
    return settings.model_copy(
        update={
            "sasl_username": user,
            "sasl_password": type(settings.sasl_password)(users.password(user)),
        }
    )


class SecuredOffice(Office):
    """A box office whose tests are its administrator, whose commands an operator's, and whose processes themselves."""

    def __init__(
        self, cluster: EmbeddedCluster, users: Users, redis: Secured, prefix: str, folder: Path, partitions: int = 6
    ) -> None:
        super().__init__(cluster.bootstrap_servers, redis.url_for(ADMIN), prefix, folder, partitions)
        self.users = users
        self.redis = redis
        self.settings = changed(
            self.settings,
            kafka_security_protocol="SASL_SSL",
            kafka_sasl_mechanism=MECHANISM,
            kafka_sasl_username=ADMIN,
            kafka_sasl_password=users.password(ADMIN),
            kafka_ssl_cafile=users.authority.certificate,
        )

    @property
    def environment(self) -> dict[str, str]:
        """What an operator's shell has."""
        return {**super().environment, **self.variables_of(OPERATOR)}

    def variables_of(self, user: str) -> dict[str, str]:
        """What makes a process a user of both servers."""
        kafka = secured_kafka_variables(self.settings.kafka.bootstrap_servers, self.users, user)
        return {**kafka, **redis_variables(self.redis.url_for(user))}

    async def open(self) -> None:
        """Create the topics, and let everybody do what he may."""
        await create_topics(self.settings.kafka)
        await set_acls(self.settings.kafka, acls(self.settings.kafka))

    def start(self, process: str = "purchases", **environment: str) -> Process:
        """Start a process by its line in the Procfile, as its own user."""
        return super().start(process, **{**self.variables_of(process), **environment})

    def as_user(self, user: str, **given: Any) -> KafkaSettings:
        """Settings of Kafka with which a user comes."""
        return kafka_as(load_settings(**given).kafka if given else self.settings.kafka, self.users, user)
