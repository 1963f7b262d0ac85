"""What becomes of the records that lie on an owned partition."""

from __future__ import annotations

from boxoffice.kafka.clients import header, home_partition
from boxoffice.kafka.record_batches import MAX_HEADERS, NOT_UNPACKED, UNREADABLE_HEADER
from boxoffice.selling.deciding import OwnedPartition, Record, new_partition
from boxoffice.selling.publishing import ledger_record
from boxoffice.selling.recovery import is_answered_by
from models.commands import MAX_HEADER_BYTES
from models.facts import read_fact
from models.ledger import Ledger
from tests.unit.records import creation, purchase, record
from topics.dead_letters import CUT_HEADER, POSITION_HEADER, REASON_HEADER
from topics.purchase_requests import ORIGIN_HEADER

PARTITIONS = 4


def event_at(partition: int) -> str:
    return next(str(number) for number in range(1, 1000) if home_partition(str(number), PARTITIONS) == partition)


HOME = event_at(0)
AWAY = event_at(3)


def owned() -> OwnedPartition:
    partition = OwnedPartition(0, PARTITIONS, Ledger(0))
    partition.answer([record(0, creation(HOME))])
    return partition


def test_javas_partitioner_says_where_home_is() -> None:
    """The values of Java's Utils.murmur2 test: toPositive(murmur2(bytes)) % partitions."""
    assert [home_partition(key, 100) for key in ("21", "foobar", "a-little-bit-long-string")] == [
        (hash_ & 0x7FFFFFFF) % 100 for hash_ in (-973932308, -790332482, -985981536)
    ]


def test_a_command_at_home_is_decided() -> None:
    [answer] = owned().answer([record(1, purchase("r-1", HOME, 2))])
    assert answer.fact["type"] == "purchase_confirmed"
    assert answer.fact["tickets"] == [f"{HOME}-000001", f"{HOME}-000002"]
    assert answer.fact["source"] == {"partition": 0, "offset": 1}
    assert answer.fact["at"] == "2026-11-22T10:00:00.124Z"
    assert answer.decided is not None
    assert answer.decided.fact["seq"] == 2


def test_a_repeat_is_answered_from_memory_and_not_sent_to_redis() -> None:
    partition = owned()
    [first] = partition.answer([record(1, purchase("r-1", HOME))])
    [again] = partition.answer([record(2, purchase("r-1", HOME))])
    assert again.fact == first.fact
    assert again.decided is None
    assert (again.first, again.last) == (2, 2)


def test_a_command_away_from_home_is_forwarded_unchanged_with_its_origin() -> None:
    partition = owned()
    found = record(
        1, purchase("r-1", AWAY), key=b"k", headers=(("traceparent", b"00-abc"), (ORIGIN_HEADER, b"2:7"), ("x", b"y"))
    )
    [answer] = partition.answer([found])
    assert answer.fact["type"] == "command_forwarded"
    assert answer.fact["home"] == 3
    assert answer.forward == (
        AWAY.encode(),
        found.value,
        [("traceparent", b"00-abc"), ("x", b"y"), (ORIGIN_HEADER, b"0:1")],
    )


def test_the_second_copy_of_a_forward_is_skipped_and_accounted_for_by_the_next_record() -> None:
    partition = owned()
    origin = ((ORIGIN_HEADER, b"2:7"),)
    [first] = partition.answer([record(1, purchase("r-1", HOME), headers=origin)])
    assert first.fact["source"] == {"partition": 2, "offset": 7}
    assert partition.answer([record(2, purchase("r-1", HOME), headers=origin)]) == []
    [next_one] = partition.answer([record(3, purchase("r-2", HOME))])
    assert (next_one.first, next_one.last) == (2, 3)


def test_an_origin_on_its_own_partition_or_beyond_all_or_malformed_counts_as_none() -> None:
    partition = owned()
    for offset, origin in enumerate((b"0:0", b"4:0", b"2:-1", b"2:07", b"x", b"2:9223372036854775808"), 1):
        [answer] = partition.answer([record(offset, purchase(f"r-{offset}", HOME), headers=((ORIGIN_HEADER, origin),))])
        assert answer.fact["source"] == {"partition": 0, "offset": offset}


def forwarded_from(number: int, offset: int, request_id: str, at: int, event_id: str = HOME) -> Record:
    return record(at, purchase(request_id, event_id), headers=((ORIGIN_HEADER, b"%d:%d" % (number, offset)),))


def test_an_origin_behind_the_end_of_its_partition_counts_as_none() -> None:
    partition = new_partition(0, PARTITIONS, {2: 8})
    true, false = forwarded_from(2, 7, "r-1", 0), forwarded_from(2, 8, "r-2", 1)
    first, second = partition.answer([true, false])
    assert first.fact["source"] == {"partition": 2, "offset": 7}
    assert second.fact["source"] == {"partition": 0, "offset": 1}
    assert partition.not_believed == [{"partition": 2, "offset": 8}]
    assert partition.answer([forwarded_from(2, 7, "r-1", 2)]) == []


def test_it_stops_before_an_origin_behind_the_end_known_until_that_was_asked() -> None:
    ends = {2: 8}
    partition = new_partition(0, PARTITIONS, ends)
    records = [forwarded_from(2, 7, "r-1", 0), forwarded_from(2, 9, "r-2", 3), record(4, purchase("r-3", HOME))]
    assert [answer.fact["request_id"] for answer in partition.answer(records, ())] == ["r-1"]
    assert (partition.position, partition.unsettled) == (3, 1)
    ends[2] = 10
    second, third = partition.answer(records[1:], {2})
    assert second.fact["source"] == {"partition": 2, "offset": 9}
    assert (second.first, second.last, third.last, partition.position) == (1, 3, 4, 5)
    assert partition.not_believed == []


def test_a_partition_whose_end_is_not_known_is_asked_for() -> None:
    ends: dict[int, int] = {}
    partition = new_partition(0, PARTITIONS, ends)
    assert partition.answer([forwarded_from(2, 0, "r-1", 0)], {1, 3}) == []
    ends[2] = 0
    [answer] = partition.answer([forwarded_from(2, 0, "r-1", 0)], {2})
    assert answer.fact["source"] == {"partition": 0, "offset": 0}


def test_what_comes_from_a_partition_whose_end_nobody_could_say_is_believed() -> None:
    partition = new_partition(0, PARTITIONS, {})
    [answer] = partition.answer([forwarded_from(2, 7, "r-1", 0)], {2})
    assert answer.fact["source"] == {"partition": 2, "offset": 7}
    assert partition.not_believed == []


def test_a_forged_origin_hides_no_command_of_another_name() -> None:
    """Not even at the same place; where it was below the end it is believed, and takes one of many places."""
    partition = new_partition(0, PARTITIONS, {2: 1_000})
    partition.answer([forwarded_from(2, 999, "forged", 0), forwarded_from(2, 7, "forged-2", 1)])
    honest = [forwarded_from(2, offset, f"r-{offset}", offset) for offset in range(2, 20)]
    assert len(partition.answer(honest)) == len(honest)
    assert partition.answer(honest) == []


def test_markers_between_commands_belong_to_the_record_that_follows() -> None:
    [answer] = owned().answer([record(5, purchase("r-1", HOME))])
    assert (answer.first, answer.last) == (1, 5)


def test_what_cannot_be_read_becomes_a_dead_letter_and_is_accounted_for() -> None:
    found = record(1, b"garbage", key=b"k", headers=(("h", b"v"),))
    [answer] = owned().answer([found])
    assert answer.fact["type"] == "command_unreadable"
    assert (answer.fact["event_id"], answer.fact["request_id"], answer.fact["seq"]) == (None, None, 0)
    assert answer.dead_letter is not None
    key, value, headers = answer.dead_letter
    assert (key, value) == (b"k", b"garbage")
    assert headers[0] == ("h", b"v")
    assert header(headers, POSITION_HEADER) == b"purchase-requests:0:1"
    assert b"JSON" in (header(headers, REASON_HEADER) or b"")
    assert header(headers, CUT_HEADER) is None


def test_who_waits_for_a_command_that_cannot_be_read_finds_its_ids_in_the_fact() -> None:
    """They stand beside the null ones: the fact is of no event, has no seq, and lies where the command was."""
    value = b'{"request_id":"r-1","event_id":%s,"buyer":"b","quantity":101}' % AWAY.encode()
    [answer] = owned().answer([record(1, value)])
    fact = answer.fact
    assert fact["type"] == "command_unreadable"
    assert (fact["event_id"], fact["request_id"], fact["seq"]) == (None, None, 0)
    assert (fact["claimed_event_id"], fact["claimed_request_id"]) == (AWAY, "r-1")
    assert fact["source"] == {"partition": 0, "offset": 1}
    key, written, _ = ledger_record(answer, PARTITIONS)
    assert key == b""
    assert read_fact(written) == fact


def test_ids_are_claimed_too_where_headers_make_a_command_unreadable() -> None:
    [answer] = owned().answer([record(1, purchase("r-1", HOME), headers=(("h", b"v" * 20_000),))])
    assert answer.fact["type"] == "command_unreadable"
    assert (answer.fact["claimed_event_id"], answer.fact["claimed_request_id"]) == (HOME, "r-1")


def test_a_fact_without_readable_ids_claims_none() -> None:
    [answer] = owned().answer([record(1, b"garbage")])
    assert not {name for name in answer.fact if name.startswith("claimed_")}


def test_a_command_with_nulls_is_decided_and_forwarded_as_it_came() -> None:
    partition = owned()
    nulls = {"quantity": None, "type": None, "note": None}
    [bought, again] = partition.answer([record(1, purchase("r-1", HOME) | nulls), record(2, purchase("r-1", HOME))])
    assert bought.fact["type"] == "purchase_confirmed"
    assert again.fact == bought.fact
    away = record(3, purchase("r-1", AWAY) | nulls)
    [forwarded] = partition.answer([away])
    assert forwarded.forward is not None
    assert forwarded.forward[1] == away.value


def test_the_record_at_the_bookmark_is_known_by_its_ids_whichever_release_read_it() -> None:
    """Else a release that reads more, or less, would take the topic for another one and refuse the partition."""
    [sold] = owned().answer([record(1, purchase("r-1", HOME))])
    unread_here = record(1, purchase("r-1", HOME) | {"seats": "of a newer release"})
    assert is_answered_by(record(1, purchase("r-1", HOME)), sold.fact)
    assert is_answered_by(unread_here, sold.fact)
    for other in (purchase("r-2", HOME), purchase("r-1", AWAY), b"garbage", None):
        assert not is_answered_by(record(1, other), sold.fact)
    [unread] = owned().answer([unread_here])
    assert unread.fact["type"] == "command_unreadable"
    assert is_answered_by(record(1, purchase("r-1", HOME)), unread.fact)


def test_the_record_at_the_bookmark_is_known_whichever_request_its_fact_was_first_the_answer_to() -> None:
    """A purchase is answered by what has become of it, and a payment by what was made of it."""
    about = {"event_id": HOME, "purchase": "r-1"}
    paid = {"type": "confirm_purchase", **about, "amount": 4500, "currency": "EUR"}
    asked = [
        purchase("r-1", HOME),
        paid | {"request_id": "q-1", "payment": "pay-1"},
        purchase("r-1", HOME),
        paid | {"request_id": "q-2", "payment": "pay-1"},
        paid | {"request_id": "q-3", "payment": "pay-2"},
        paid | {"request_id": "q-4", "payment": "pay-2"},
        {"type": "cancel_purchase", "request_id": "x-1", **about},
        purchase("r-1", HOME),
    ]
    records = [record(offset, members) for offset, members in enumerate(asked, 1)]
    partition = OwnedPartition(0, PARTITIONS, Ledger(0))
    partition.answer([record(0, creation(HOME) | {"hold_s": 60})])
    answers = partition.answer(records)
    assert [answer.fact["request_id"] for answer in answers] == [
        *("r-1", "q-1", "q-1", "q-1", "q-3", "q-3", "x-1", "x-1")
    ]
    for found, answer in zip(records, answers, strict=True):
        assert is_answered_by(found, answer.fact)
        for other in (purchase("r-2", HOME), paid | {"request_id": "q-5", "payment": "pay-3"}):
            assert not is_answered_by(record(1, other), answer.fact)
    assert not is_answered_by(record(1, purchase("r-1", HOME)), answers[4].fact), (
        "a refused payment answers no purchase"
    )


def test_a_dead_letter_is_a_cloud_event_whatever_the_original_was() -> None:
    found = record(1, b"garbage", headers=(("ce_id", b"theirs"), ("ce_type", b"order"), ("content-type", b"text/csv")))
    [answer] = owned().answer([found])
    assert answer.dead_letter is not None
    headers = answer.dead_letter[2]
    assert headers[:3] == list(found.headers)
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_source": b"boxoffice/dead-letters",
        "ce_type": b"boxoffice.command_dead_letter.v1",
        "ce_id": b"0-1",
        "ce_time": b"2026-11-22T10:00:00.124Z",
        "content-type": b"application/octet-stream",
        REASON_HEADER: b"no JSON: expected value at line 1 column 1",
        POSITION_HEADER: b"purchase-requests:0:1",
    }


def test_a_header_counts_16_bytes_at_least_for_a_command_and_for_its_dead_letter() -> None:
    """A forward has one more, which counts nothing: it is readable at home."""
    forwarded = (*(("", b""),) * 1_024, (ORIGIN_HEADER, b"1:7"))
    [answer] = owned().answer([record(1, purchase("r-1", HOME), headers=forwarded)])
    assert answer.fact["type"] == "purchase_confirmed"
    [answer] = owned().answer([record(1, purchase("r-1", HOME), headers=(("x", b"y"),) * 1_025)])
    assert answer.fact["type"] == "command_unreadable"
    assert answer.dead_letter is not None
    assert [name for name, _ in answer.dead_letter[2]].count("x") == 1_024
    assert len(answer.dead_letter[2]) <= MAX_HEADERS


def test_what_was_not_unpacked_is_answered_with_the_reason() -> None:
    headers = ((UNREADABLE_HEADER, NOT_UNPACKED),)
    [answer] = owned().answer([record(1, None, headers=headers)])
    assert answer.fact["type"] == "command_unreadable"
    assert answer.fact["reason"] == "its record batch unpacks to more than 4194304 bytes, or not at all"
    assert answer.dead_letter is not None
    assert header(answer.dead_letter[2], REASON_HEADER) == NOT_UNPACKED
    [answer] = owned().answer([record(1, purchase("r-1", HOME), headers=headers)])
    assert answer.fact["type"] == "purchase_confirmed"


def test_headers_over_16_kib_make_a_command_unreadable() -> None:
    [answer] = owned().answer([record(1, purchase("r-1", HOME), headers=(("h", b"v" * 20_000),))])
    assert answer.fact["type"] == "command_unreadable"
    assert "headers" in answer.fact["reason"]


def test_a_dead_letter_fits_and_says_how_long_the_original_was() -> None:
    [answer] = owned().answer([record(1, b"x" * 100_000, key=b"k" * 5_000, headers=(("h", b"v" * 20_000),))])
    assert answer.dead_letter is not None
    key, value, headers = answer.dead_letter
    assert (len(key or b""), len(value)) == (1024, 64 * 1024)
    assert header(headers, "h") is None
    assert header(headers, CUT_HEADER) == b"125001"


def test_a_record_without_a_value_is_unreadable() -> None:
    [answer] = owned().answer([record(1, None)])
    assert answer.fact["type"] == "command_unreadable"


def test_what_was_answered_and_not_acknowledged_is_counted() -> None:
    partition = owned()
    partition.answer([record(1, purchase("r-1", HOME)), record(2, purchase("r-2", HOME))])
    assert partition.unsettled == 3
    assert partition.position == 3


def test_a_second_copy_whose_headers_are_too_large_is_unreadable_and_needs_an_answer() -> None:
    owned = new_partition(0, 2)
    event_id = next(str(number) for number in range(100) if home_partition(str(number), 2) == 0)
    forwarded = (ORIGIN_HEADER, b"1:5")
    owned.answer([record(0, creation(event_id), headers=(forwarded,))])
    again = record(1, creation(event_id), headers=(forwarded,))
    assert owned.is_second_copy(again)
    laden = record(1, creation(event_id), headers=(forwarded, ("x", b"x" * (MAX_HEADER_BYTES + 1))))
    assert not owned.is_second_copy(laden)
    [answer] = owned.answer([laden])
    assert answer.fact["type"] == "command_unreadable"
