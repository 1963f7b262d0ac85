"""The machine that was measured on: what counts for speed, and nothing that tells whose it is."""

from __future__ import annotations

import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psutil

PACKAGES: Final = ("faust-streaming", "aiokafka", "redis", "hiredis", "pydantic", "reportlab")
_CPU_FACTS: Final = Path("/proc/cpuinfo")


def describe(kafka_version: str, redis_version: str) -> list[tuple[str, str]]:
    """Names and values of what the figures depend on."""
    return [
        ("CPU", f"{_cpu_model()}, {psutil.cpu_count()} cores, shared by workers, broker, Redis and load"),
        ("Memory", f"{psutil.virtual_memory().total / 2**30:.0f} GiB"),
        ("System", f"{platform.system()} {platform.release().partition('-')[0]}, {platform.machine()}"),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("Kafka", f"{kafka_version}, one broker, replication factor 1, heap 384 MiB"),
        ("Redis", f"Valkey {redis_version}, nothing written to disk"),
        ("Packages", ", ".join(f"{package} {version(package)}" for package in PACKAGES)),
    ]


def _cpu_model() -> str:
    """The model that the kernel names, or else the architecture."""
    if _CPU_FACTS.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", _CPU_FACTS.read_text(), re.MULTILINE)
        if found:
            return found[1]
    return platform.processor() or platform.machine()
