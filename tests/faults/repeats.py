"""What is published again says the same, whatever has died."""

from __future__ import annotations

import json
from typing import Any

from tests.support.office import Office


async def differing_repeats(office: Office) -> list[dict[str, Any]]:
    """Facts that were published again, and differ in more than who decided."""
    first: dict[tuple[str, int], dict[str, Any]] = {}
    differing = []
    for record in await office.read(office.ledger):
        fact = json.loads(record.value or b"{}")
        fact.pop("decided_by", None)
        if fact["seq"] and first.setdefault((fact["event_id"], fact["seq"]), fact) != fact:
            differing.append(fact)
    return differing
