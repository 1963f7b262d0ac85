"""The documents process and the codes it signs: a sale that no code can say is given up, and others go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from boxoffice.kafka import clients
from tests.support import paperwork
from tests.support.office import Office, until
from tests.support.paperwork import dealt_with

# 19 digits pass for a ticket's name, and are more than a code's numbers may be.
NO_CODE = "42-9999999999999999999"


def _fact(seq: int, **members: Any) -> dict[str, Any]:
    return {
        "event_id": "42",
        "seq": seq,
        "request_id": f"r-{seq}",
        "source": {"partition": 0, "offset": seq},
        "at": "2026-11-22T10:00:00.123Z",
        "decided_by": "redis",
        **members,
    }


async def test_a_forged_sale_that_no_code_can_say_becomes_a_dead_letter_and_the_next_is_drawn(
    office: Office, tmp_path: Path
) -> None:
    folder = tmp_path / "documents"
    price = {"amount": 4500, "currency": "EUR"}
    created = {"name": "Night", "venue": "Hall", "starts_at": "2027-03-01T19:30:00Z", "capacity": 9, "price": price}
    sold = {"type": "purchase_confirmed", "buyer": "b-77", "quantity": 1}
    facts = [
        _fact(1, type="event_created", rules=1, **created),
        _fact(2, tickets=[NO_CODE], **sold),
        _fact(3, tickets=["42-000001"], **sold),
    ]
    home = clients.home_partition("42", office.settings.kafka.partitions)
    async with clients.producer(office.settings.kafka) as producer:
        for fact in facts:
            await producer.send(office.ledger, json.dumps(fact).encode(), key=b"42", partition=home)
        await producer.flush()
    store = {"BOXOFFICE_DOCUMENTS_URL": folder.as_uri(), "BOXOFFICE_HEALTH_PORT": "0"}
    process = office.start("documents", **store)
    await until((folder / "42" / "42-000001.r-3.pdf").exists, 60, "the other ticket")
    settings = paperwork.settings_for(office, folder)
    await dealt_with(settings, process=process)
    status = await paperwork.status(settings)
    assert (status.made, status.failed) == (1, 1)
    assert "its ticket number is 9999999999999999999, which is not from 1 to " in process.log_text()
    assert await process.stop() == 0
