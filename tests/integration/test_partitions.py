"""Promise: whatever becomes of the topics' partitions, what was sold is not sold again, and everybody says why.

The ledger is written by the product's own decisions, with a number of partitions that the topics then lose.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from boxoffice.audit import Audit
from boxoffice.errors import PartitionsChangedError
from boxoffice.kafka import clients
from boxoffice.kafka.homes import LOOKED_AT, look_at_ledger
from boxoffice.kafka.topics import check_count, check_topics, examine_topics
from boxoffice.operating.doctor import examine
from boxoffice.selling.deciding import new_partition
from boxoffice.selling.publishing import ledger_record
from boxoffice.selling.recovery import Recovery
from tests.support.office import Office
from tests.support.servers import KafkaAddress, RedisAddress
from tests.support.settings import changed
from tests.support.sold import SoldOffice
from tests.unit.records import creation, record
from topics.purchase_results import PARTITIONS_HEADER


@pytest.fixture
async def sold(kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path) -> SoldOffice:
    """Three partitions that become six."""
    office = Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path, partitions=3)
    await office.open()
    return SoldOffice(office, 6)


async def test_the_header_tells_also_where_all_events_happen_to_lie_at_home(sold: SoldOffice) -> None:
    await sold.sell(sold.still[0])
    await sold.raise_partitions()
    with pytest.raises(PartitionsChangedError, match="was written with 3 partitions and has 6 now"):
        await check_topics(sold.office.settings.kafka)


@pytest.mark.parametrize("says_number", [True, False])
async def test_a_box_office_that_keeps_its_number_is_not_refused(sold: SoldOffice, says_number: bool) -> None:
    await sold.sell(*sold.away[:8], *sold.still[:8], says_number=says_number)
    assert await check_topics(sold.office.settings.kafka) == sold.before


async def test_an_empty_box_office_may_have_any_number(sold: SoldOffice) -> None:
    await sold.raise_partitions()
    assert await check_topics(sold.office.settings.kafka) == sold.after


async def test_a_ledger_of_an_earlier_release_is_judged_by_where_its_events_lie(sold: SoldOffice) -> None:
    await sold.sell(*sold.away[:8], says_number=False)
    await sold.raise_partitions()
    otherwise = await look_at_ledger(sold.office.settings.kafka, sold.after)
    assert otherwise is not None
    assert otherwise.written == sold.before
    with pytest.raises(PartitionsChangedError, match="The partitions were raised"):
        await check_topics(sold.office.settings.kafka)


async def test_what_others_wrote_behind_the_facts_says_nothing(sold: SoldOffice) -> None:
    await sold.sell(sold.away[0])
    nonsense: list[tuple[bytes | None, list[tuple[str, bytes]]]] = [
        (b"hello", []),
        (None, []),
        (b"[]", [(PARTITIONS_HEADER, b"twelve")]),
        (b"{}", [(PARTITIONS_HEADER, b"0")]),
        (b"{}", [(PARTITIONS_HEADER, b"9" * 40)]),
        (b"{}", [(PARTITIONS_HEADER, b"")]),
    ]
    async with clients.producer(sold.office.settings.kafka) as producer:
        for value, headers in nonsense:
            await producer.send_and_wait(sold.office.ledger, value, b"", sold.home(sold.away[0]), headers=headers)
    assert await check_topics(sold.office.settings.kafka) == sold.before
    await sold.raise_partitions()
    with pytest.raises(PartitionsChangedError, match="was written with 3 "):
        await check_topics(sold.office.settings.kafka)


@pytest.mark.parametrize("accounts", [True, False])
async def test_facts_of_strangers_that_hide_the_numbers_refuse_nobody(sold: SoldOffice, accounts: bool) -> None:
    """Those that claim to account for a command, as facts do, hide one partition's number; the others hide all."""
    await sold.sell(*sold.away[:8])
    elsewhere = {sold.home(event_id): event_id for event_id in sold.away[:8]}
    hidden = [0] if accounts else range(sold.before)
    async with clients.producer(sold.office.settings.kafka) as producer:
        for number in hidden:
            foreign = next(event_id for home, event_id in elsewhere.items() if home != number)
            [answer] = new_partition(0, 1).answer([record(0, creation(foreign))])
            _, value, headers = ledger_record(answer, sold.before)
            kept = [one for one in headers if accounts and one[0] != PARTITIONS_HEADER]
            for _ in range(LOOKED_AT):
                await producer.send_and_wait(sold.office.ledger, value, b"", number, headers=kept)
    assert await check_topics(sold.office.settings.kafka) == sold.before


async def test_whoever_takes_a_partition_over_refuses_an_event_that_is_not_at_home(sold: SoldOffice) -> None:
    await sold.sell(sold.away[0], says_number=False)
    await sold.raise_partitions()
    home = sold.home(sold.away[0])
    recovery = Recovery(sold.office.settings.kafka, sold.after)
    with pytest.raises(PartitionsChangedError, match=f"Event {sold.away[0]} lies on partition {home} "):
        await recovery.recover({number: new_partition(number, sold.after) for number in range(sold.after)})


async def test_whoever_is_given_a_partition_that_it_does_not_know_of_refuses_all(sold: SoldOffice) -> None:
    await sold.sell(sold.away[0])
    await sold.raise_partitions()
    recovery = Recovery(sold.office.settings.kafka, sold.before)
    with pytest.raises(PartitionsChangedError, match="Partition 5 was assigned"):
        await recovery.recover({number: new_partition(number, sold.before) for number in range(sold.after)})


@pytest.mark.parametrize("grown", ["requests", "ledger"])
async def test_a_look_at_the_topics_sees_that_one_was_raised(sold: SoldOffice, grown: str) -> None:
    await check_count(sold.office.settings.kafka, sold.before)
    await sold.raise_partitions(getattr(sold.office, grown))
    with pytest.raises(PartitionsChangedError, match=f"it was 3, and now .*{getattr(sold.office, grown)} has 6"):
        await check_count(sold.office.settings.kafka, sold.before)


async def test_topics_that_are_gone_were_not_raised(office: Office) -> None:
    await office.delete_topic(office.ledger)
    await check_count(office.settings.kafka, office.settings.kafka.partitions)


async def test_doctor_topics_and_audit_say_it_in_the_same_words(sold: SoldOffice) -> None:
    await sold.sell(sold.away[0], sold.still[0])
    await sold.raise_partitions()
    settings = sold.office.settings
    raised = f"The partitions were raised: {sold.office.ledger} was written with 3 partitions and has 6 now"
    topics = [str(difference) for report in await examine_topics(settings.kafka) for difference in report.differences]
    doctor = [finding for finding in (await examine(settings, 0)).findings if "partitions" in finding.sentence]
    audit = (await Audit(settings, wait_s=0).run()).differences
    for [said] in (topics, [finding.sentence for finding in doctor], [one for one in audit if "in Redis" not in one]):
        assert said.startswith(raised)
        assert "boxoffice topics grow --to 6 --prefix NEW" in said
    assert "BOXOFFICE_PARTITIONS" not in doctor[0].advice


async def test_doctor_says_to_set_the_variable_only_where_that_is_right(sold: SoldOffice) -> None:
    await sold.sell(sold.away[0])
    found = (await examine(changed(sold.office.settings, partitions=6), 0)).findings
    advice = {finding.advice for finding in found if "not 6" in finding.sentence}
    assert len(advice) == 1
    assert advice.pop().startswith("Set BOXOFFICE_PARTITIONS=3: ")
