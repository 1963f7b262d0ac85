"""What everybody has to say of a sale, whatever has died in it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.office import Office


async def agree(office: Office, deadline_s: int = 30) -> dict[str, Any]:
    """The independent checker and the audit find nothing wrong; returns the checker's figures."""
    audit, verdict = await asyncio.gather(
        asyncio.to_thread(office.boxoffice, "audit", "--wait", str(deadline_s)), office.verdict()
    )
    assert verdict.problems == [], verdict.problems
    assert audit.returncode == 0, audit.stdout + audit.stderr
    return verdict.summary


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
