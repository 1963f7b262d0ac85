"""A real Apache Kafka and a real Valkey server by pip alone, for the demo, the tests and benchmarks.

``EmbeddedStack`` starts both; ``EmbeddedKafka`` and ``EmbeddedRedis`` are the single servers, which a
test may kill, pause and start again; ``Supervisor`` runs the worker processes beside them. Everything
comes in by parameters: nothing here reads a setting.
"""

from boxoffice.embedded.errors import (
    DownloadError,
    EmbeddedError,
    EmbeddedExtraError,
    FolderError,
    PortTakenError,
    ServerStartError,
    StackInUseError,
)
from boxoffice.embedded.kafka import Detour, EmbeddedKafka
from boxoffice.embedded.redis import EmbeddedRedis
from boxoffice.embedded.stack import EmbeddedStack, default_data_folder
from boxoffice.embedded.supervisor import Supervisor, Worker, WorkerEnd

__all__ = [
    "Detour",
    "DownloadError",
    "EmbeddedError",
    "EmbeddedExtraError",
    "EmbeddedKafka",
    "EmbeddedRedis",
    "EmbeddedStack",
    "FolderError",
    "PortTakenError",
    "ServerStartError",
    "StackInUseError",
    "Supervisor",
    "Worker",
    "WorkerEnd",
    "default_data_folder",
]
