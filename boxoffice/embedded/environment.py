"""The environment variables with which processes find an embedded stack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

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
