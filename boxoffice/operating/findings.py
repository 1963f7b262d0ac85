"""What a doctor finds: how something is, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How something is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and is not what production wants."""
    PROBLEM = "problem"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do."""

    subject: str
    state: State
    sentence: str
    advice: str = ""
