"""Consumer records as aiokafka gives them."""

from __future__ import annotations

import json
from typing import Any

from aiokafka import ConsumerRecord

AT_MS = 1_795_341_600_123


def record(
    offset: int,
    value: bytes | dict[str, Any] | None,
    *,
    partition: int = 0,
    key: bytes | None = None,
    headers: tuple[tuple[str, bytes], ...] = (),
) -> ConsumerRecord[bytes, bytes]:
    """A record of ``purchase-requests``, appended one millisecond after the one before."""
    raw = json.dumps(value).encode() if isinstance(value, dict) else value
    return ConsumerRecord(
        topic="purchase-requests",
        partition=partition,
        offset=offset,
        timestamp=AT_MS + offset,
        timestamp_type=1,
        key=key,
        value=raw,
        checksum=None,
        serialized_key_size=len(key or b""),
        serialized_value_size=len(raw or b""),
        headers=headers,
    )


def creation(event_id: str, capacity: int = 10) -> dict[str, Any]:
    """A create_event."""
    return {
        "type": "create_event",
        "request_id": "create",
        "event_id": event_id,
        "name": "Night at the Opera",
        "venue": "Main Hall",
        "starts_at": "2027-03-01T19:30:00Z",
        "capacity": capacity,
        "price": {"amount": 4500, "currency": "EUR"},
    }


def purchase(request_id: str, event_id: str, quantity: int = 1) -> dict[str, Any]:
    """A purchase."""
    return {"request_id": request_id, "event_id": event_id, "buyer": "b-77", "quantity": quantity}
