"""The environment variables with which processes find an embedded stack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from boxoffice.embedded.users import MECHANISM, Users

DOCUMENTS_URL: Final = "BOXOFFICE_DOCUMENTS_URL"
DOOR_KEYS: Final = "BOXOFFICE_DOOR_KEYS"
PORTS: Final[Mapping[str, str]] = {"gateway": "BOXOFFICE_GATEWAY_PORT", "live": "BOXOFFICE_LIVE_PORT"}
"""The processes that everybody may ask over HTTP, and the setting of each one's port."""


def kafka_variables(bootstrap_servers: str) -> dict[str, str]:
    """The settings with which a process finds an embedded broker, as environment variables."""
    return {
        "BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "BOXOFFICE_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
    }


def secured_kafka_variables(bootstrap_servers: str, users: Users, name: str) -> dict[str, str]:
    """The settings with which a process finds embedded brokers and is let in by them as a user."""
    return {
        "BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "BOXOFFICE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "BOXOFFICE_KAFKA_SASL_MECHANISM": MECHANISM,
        "BOXOFFICE_KAFKA_SASL_USERNAME": name,
        "BOXOFFICE_KAFKA_SASL_PASSWORD": users.password(name),
        "BOXOFFICE_KAFKA_SSL_CAFILE": str(users.authority.certificate),
    }


def redis_variables(url: str) -> dict[str, str]:
    """The settings with which a process finds an embedded Redis, as environment variables."""
    return {"BOXOFFICE_REDIS_URL": url}


def documents_variables(folder: Path) -> dict[str, str]:
    """The setting with which a process keeps its documents in a folder."""
    return {DOCUMENTS_URL: folder.absolute().as_uri()}


def door_variables(key_ring: Path) -> dict[str, str]:
    """The setting with which a process signs tickets by a key ring."""
    return {DOOR_KEYS: str(key_ring.absolute())}


def port_variables(process: str, port: int) -> dict[str, str]:
    """The setting with which a process that everybody may ask listens on a port."""
    return {PORTS[process]: str(port)}
