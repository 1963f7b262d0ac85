"""Headers with names that no str can be, sent by aiokafka's producer."""

from __future__ import annotations

import pytest
from aiokafka.producer import message_accumulator, producer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy


class OddName(str):
    """A name that is encoded as given, by aiokafka's builder in Python."""

    raw: bytes

    __slots__ = ("raw",)

    def __new__(cls, raw: bytes) -> OddName:
        """``raw`` is what will be sent."""
        name = super().__new__(cls, raw.decode(errors="replace"))
        name.raw = raw
        return name

    def encode(self, _encoding: str = "utf-8", _errors: str = "strict") -> bytes:
        """What is sent."""
        return self.raw


def let_producers_send_odd_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Aiokafka's faster builder takes nothing but str."""
    for module in (message_accumulator, producer):
        monkeypatch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
