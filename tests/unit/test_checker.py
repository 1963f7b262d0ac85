"""The checker agrees with the models on every sale, and sees what is wrong in a ledger that was falsified."""

from __future__ import annotations

import ast
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.kafka.clients import home_partition
from models.commands import UnreadableCommandError, read_command
from models.reasons import PaymentReason, Reason
from models.values import claimed_ids
from tests.support import checker
from tests.support.checker import Record, Verdict, check, claimed, home_of, murmur2
from tests.unit.sale import UNREADABLE, Sale
from tests.unit.strangers import TIMES, WRAPPINGS
from tests.unit.strategies import members, opening, purchase
from tests.unit.test_commands import EXAMPLES, JSON

if TYPE_CHECKING:
    from collections.abc import Callable

SEEDS = st.integers(0, 2**32 - 1)


def checked(sale: Sale) -> Verdict:
    return check(sale.all_requests, sale.all_results, sale.partitions, sale.dead_letters, rules=sale.rules)


RULES = ((2,), (2,), (1, 2), (1, 1, 1, 2))
"""The versions of the rules by which a sale's events are created."""


def sold(seed: int, count: int = 60) -> Sale:
    sale = Sale(seed, rules=RULES[seed % len(RULES)])
    for _ in range(3):
        sale.ask(count // 3)
        sale.work()
    for _ in range(sale.random.randint(0, 4)):
        sale.stale_worker_repeats()
    sale.work()
    return sale


@given(SEEDS)
def test_the_checker_agrees_with_the_models_on_any_sale(seed: int) -> None:
    assert checked(sold(seed)).problems == []


@given(SEEDS)
def test_the_final_state_is_that_of_the_models(seed: int) -> None:
    sale = sold(seed)
    summary = checked(sale).summary
    events = {
        event_id: (number, event)
        for number in range(sale.partitions)
        for event_id, event in sale.worker(number).ledger.inventory.events.items()
    }
    assert summary["events"].keys() == events.keys()
    archived = (sale.worker(number).ledger.inventory.archived for number in range(sale.partitions))
    assert summary["archives"] == {event_id: seq for known in archived for event_id, seq in known.items()}
    for event_id, (number, event) in events.items():
        told = summary["events"][event_id]
        assert told["partition"] == number
        assert (told["seq"], told["closed"], told["cancelled"]) == (event.seq, event.closed, event.cancelled)
        assert (told["sold"], told["held"], told["left"]) == (event.sold, event.held, event.left)
        assert (told["rules"], told["removed"]) == (event.rules, event.removed)
        assert len(told["owners"]) == event.sold + event.held
        for category in event.categories:
            assert told["categories"][category.id] == {
                "price": category.price,
                "issued": category.issued,
                "removed": category.removed,
                "sold": category.sold,
                "held": category.held,
                "queue": event.tickets(tuple(category.queue)),
            }


KINDS_OF_FACTS = (
    *("created", "confirmed", "held", "expired", "cancelled", "changed", "added", "removed", "closed", "called_off"),
    *("archived", "payments_refused"),
)


@given(SEEDS)
def test_tickets_add_up_in_each_category(seed: int) -> None:
    for event in checked(sold(seed)).summary["events"].values():
        for category in event["categories"].values():
            somewhere = len(category["queue"]) + category["held"] + category["sold"]
            assert category["issued"] - category["removed"] == somewhere


@given(SEEDS)
def test_the_figures_add_up(seed: int) -> None:
    sale = sold(seed)
    summary = checked(sale).summary
    assert summary["commands"] == summary["readable"] + summary["unreadable"]
    assert summary["ledger"]["records"] == len(sale.all_results)
    assert summary["ledger"]["chain"] + summary["second_copies"] == len(sale.all_requests)
    decided = sum(summary[name] for name in KINDS_OF_FACTS) + summary["repeats"]
    assert decided + sum(summary["rejected"].values()) >= summary["readable"]
    assert (
        sum(summary["decided_by"].values()) + summary["forwarded"] + summary["unreadable"]
        == (summary["ledger"]["chain"])
    )


def test_random_sales_have_everything_in_them() -> None:
    """Else the tests above would agree about nothing."""
    verdicts = [checked(sold(seed, 100)) for seed in range(120)]
    for name in ("forwarded", "second_copies", "unreadable", "repeats", *KINDS_OF_FACTS):
        assert sum(verdict.summary[name] for verdict in verdicts) > 10, name
    assert sum(verdict.summary["ledger"]["ignored"] for verdict in verdicts) > 20
    reasons = {reason for verdict in verdicts for reason in verdict.summary["rejected"]}
    assert reasons == {*Reason}
    reasons = {reason for verdict in verdicts for reason in verdict.summary["reasons_of_payments"]}
    assert reasons == {*PaymentReason}


# A falsified ledger


def small_sale() -> Sale:
    """Three purchases of two tickets, one of them cancelled, on event 42; one command from elsewhere."""
    sale = Sale(1)
    sale.random.choice = lambda values: values[0]  # type: ignore[method-assign,assignment]  # no offset is left out
    home = home_partition("42", 3)
    commands: list[dict[str, Any]] = [
        opening(max_per_order=4).model_dump(),
        *(purchase(f"r-{number}", 2).model_dump() for number in (1, 2, 3)),
        EXAMPLES["cancel_purchase"],
    ]
    for command in commands:
        sale.produce(json.dumps(command).encode(), home, b"42")
    sale.produce(json.dumps(purchase("r-4").model_dump()).encode(), (home + 1) % 3, None)
    sale.produce(b"tickets please", (home + 1) % 3, None)
    sale.random.random = lambda: 0.99  # type: ignore[method-assign]  # nobody dies
    sale.work()
    return sale


HOME = home_partition("42", 3)
AWAY = (HOME + 1) % 3


def rewrite(records: list[Record], index: int, **members: Any) -> None:
    """Change members of the fact in a record."""
    fact = json.loads(records[index].value or b"")
    records[index] = replace(records[index], value=json.dumps(fact | members).encode())


def reheader(records: list[Record], index: int, name: str, value: bytes | None) -> None:
    """Change a header of a record."""
    headers = tuple((header, old if header != name else value) for header, old in records[index].headers)
    records[index] = replace(records[index], headers=headers)


def repeat(records: list[Record], index: int, **members: Any) -> None:
    """Append a record once more, with other members."""
    records.append(replace(records[index], offset=records[-1].offset + 1))
    rewrite(records, -1, **members)


def forwarded(sale: Sale) -> int:
    return next(
        index for index, record in enumerate(sale.requests[HOME]) if record.header("boxoffice-origin") is not None
    )


def test_a_sale_without_fault_has_no_problem() -> None:
    verdict = checked(small_sale())
    assert verdict.problems == []
    assert verdict.summary["confirmed"] == 4
    assert verdict.summary["forwarded"] == 1


FALSIFICATIONS: dict[str, tuple[Callable[[Sale], object], str]] = {
    "the ledger's last record is missing": (lambda sale: sale.results[HOME].pop(), "has no answer"),
    "a record in the middle is missing": (lambda sale: sale.results[HOME].pop(2), "has no answer"),
    "everything is missing": (lambda sale: sale.results[HOME].clear(), "has no answer"),
    "other tickets": (
        lambda sale: rewrite(sale.results[HOME], 1, tickets=["42-000002", "42-000001"]),
        "tickets should be ['42-000001', '42-000002']",
    ),
    "a ticket sold twice": (
        lambda sale: rewrite(sale.results[HOME], 2, tickets=["42-000002", "42-000003"]),
        "Ticket 42-000002 belongs to r-1 of event 42 and is sold to r-2",
    ),
    "a ticket given back by another": (
        lambda sale: rewrite(sale.results[HOME], 4, purchase="r-2"),
        "given back by r-2, who has not got it",
    ),
    "a gap in the seqs": (lambda sale: rewrite(sale.results[HOME], 3, seq=5), "goes from seq 3 to 5"),
    "a seq used twice": (lambda sale: rewrite(sale.results[HOME], 3, seq=3), "is repeated otherwise"),
    "another time": (
        lambda sale: rewrite(sale.results[HOME], 1, at="2026-11-22T10:00:00.001Z"),
        "at should be",
    ),
    "another source": (
        lambda sale: rewrite(sale.results[HOME], 1, source={"partition": AWAY, "offset": 9}),
        "source should be",
    ),
    "a rejection of what was to be sold": (
        lambda sale: rewrite(sale.results[HOME], 1, type="purchase_rejected", reason="sold_out"),
        "type should be 'purchase_confirmed'",
    ),
    "a member that nobody knows": (lambda sale: rewrite(sale.results[HOME], 1, note="hi"), "note should be"),
    "an unknown decider": (lambda sale: rewrite(sale.results[HOME], 1, decided_by="me"), "decided_by is 'me'"),
    "a repeat that says otherwise": (
        lambda sale: repeat(sale.results[HOME], 1, buyer="b-9"),
        "repeats another otherwise",
    ),
    "a range that leaves a command out": (
        lambda sale: reheader(sale.results[HOME], 1, "boxoffice-read", b"1-999"),
        "accounts for 1-999 and passes over [1",
    ),
    "a range of another beginning": (
        lambda sale: reheader(sale.results[HOME], 0, "boxoffice-read", b"7-8"),
        "has no answer",
    ),
    "another number of partitions": (
        lambda sale: reheader(sale.results[HOME], 1, "boxoffice-partitions", b"6"),
        "boxoffice-partitions",
    ),
    "no range": (lambda sale: reheader(sale.results[HOME], 1, "boxoffice-read", None), "is damaged"),
    "no JSON": (
        lambda sale: sale.results[HOME].__setitem__(1, replace(sale.results[HOME][1], value=b"?")),
        "is damaged",
    ),
    "another key": (
        lambda sale: sale.results[HOME].__setitem__(1, replace(sale.results[HOME][1], key=b"7")),
        "has the key b'7'",
    ),
    "two lines": (
        lambda sale: sale.results[HOME].__setitem__(
            1, replace(sale.results[HOME][1], value=(sale.results[HOME][1].value or b"") + b"\n")
        ),
        "is not one line",
    ),
    "another CloudEvents id": (lambda sale: reheader(sale.results[HOME], 1, "ce_id", b"42-9"), "has ce_id b'42-9'"),
    "another CloudEvents type": (lambda sale: reheader(sale.results[HOME], 1, "ce_type", b"x"), "has ce_type b'x'"),
    "no CloudEvents source": (lambda sale: reheader(sale.results[HOME], 1, "ce_source", b""), "no ce_source"),
    "a forward that never arrived": (
        lambda sale: sale.requests[HOME].pop(forwarded(sale)),
        "never arrived at home",
    ),
    "a forward that arrived changed": (
        lambda sale: rewrite(sale.requests[HOME], forwarded(sale), buyer="b-9"),
        "arrived changed",
    ),
    "a forward with another key": (
        lambda sale: sale.requests[HOME].__setitem__(
            forwarded(sale), replace(sale.requests[HOME][forwarded(sale)], key=None)
        ),
        "has the key None",
    ),
    "a forward of nothing": (
        lambda sale: reheader(sale.requests[HOME], forwarded(sale), "boxoffice-origin", b"%d:1" % AWAY),
        "where nothing was forwarded",
    ),
    "a home that it is not": (lambda sale: rewrite(sale.results[AWAY], 0, home=AWAY), "home should be"),
    "an unreadable command that is not a dead letter": (
        lambda sale: sale.dead_letters.clear(),
        "is not among the dead letters",
    ),
    "a dead letter that was readable": (
        lambda sale: reheader(sale.dead_letters, 0, "boxoffice-position", b"purchase-requests:%d:0" % HOME),
        "where no unreadable command is",
    ),
    "a dead letter without a position": (
        lambda sale: reheader(sale.dead_letters, 0, "boxoffice-position", b"?"),
        "does not say where it comes from",
    ),
    "a dead letter without a reason": (
        lambda sale: reheader(sale.dead_letters, 0, "boxoffice-reason", b""),
        "gives no reason",
    ),
    "a dead letter of another value": (
        lambda sale: sale.dead_letters.__setitem__(0, replace(sale.dead_letters[0], value=b"?")),
        "its value is not the original's",
    ),
}


@pytest.mark.parametrize(("falsify", "problem"), FALSIFICATIONS.values(), ids=FALSIFICATIONS)
def test_a_fault_is_told(falsify: Callable[[Sale], object], problem: str) -> None:
    sale = small_sale()
    falsify(sale)
    problems = checked(sale).problems
    assert any(problem in sentence for sentence in problems), problems


def test_a_forwarded_command_all_of_whose_copies_count_as_second_ones_is_a_loss() -> None:
    """It would be the forwarder's fault: the copies were not sent in the order in which they were found."""
    sale = Sale(1)
    sale.random.random = lambda: 0.99  # type: ignore[method-assign]  # nobody dies
    sale.produce(json.dumps(opening().model_dump()).encode(), HOME, b"42")
    for number in (1, 2):
        sale.produce(json.dumps(purchase(f"r-{number}").model_dump()).encode(), AWAY, None)
    away = sale.worker(AWAY)
    away.sell(2)
    first, second = sale.requests[HOME][1:]
    sale.requests[HOME][1:] = [replace(second, offset=first.offset), replace(first, offset=second.offset)]
    sale.work()
    assert checked(sale).problems == []
    problems = check(sale.all_requests, sale.all_results, sale.partitions, origins_kept=1).problems
    assert any("every copy counts as a second one" in problem for problem in problems)


def test_what_was_forwarded_must_be_answered_as_such() -> None:
    sale = small_sale()
    at = forwarded(sale)
    own = {"partition": HOME, "offset": sale.requests[HOME][at].offset}
    rewrite(sale.results[HOME], len(sale.results[HOME]) - 1, source=own)
    assert any("source should be" in problem for problem in checked(sale).problems)


@pytest.mark.parametrize(("offset", "is_possible"), [(0, True), (1, True), (2, False), (2**63 - 1, False)])
def test_a_forged_origin_may_be_believed_only_where_there_is_such_a_place(offset: int, is_possible: bool) -> None:
    sale = small_sale()
    value = json.dumps(purchase("forged", event_id="42").model_dump()).encode()
    sale.produce(value, HOME, b"42", (("boxoffice-origin", b"%d:%d" % (AWAY, offset)),))
    sale.work()
    own, place = {"partition": HOME, "offset": sale.requests[HOME][-1].offset}, {"partition": AWAY, "offset": offset}
    for source, is_right in ((own, True), (place, is_possible)):
        rewrite(sale.results[HOME], len(sale.results[HOME]) - 1, source=source)
        problems = check(sale.all_requests, sale.all_results, sale.partitions, forged=True).problems
        assert (problems == []) is is_right, problems


@given(SEEDS, st.data())
def test_any_lost_record_of_the_chain_is_told(seed: int, data: st.DataObject) -> None:
    sale = Sale(seed)
    sale.ask(20)
    sale.random.random = lambda: 0.99  # type: ignore[method-assign]  # nobody dies: no record stands twice
    sale.work()
    number = data.draw(st.sampled_from([number for number, results in enumerate(sale.results) if results]))
    sale.results[number].pop(data.draw(st.integers(0, len(sale.results[number]) - 1)))
    assert any("has no answer" in problem for problem in checked(sale).problems)


@given(SEEDS, st.data())
def test_a_harmed_ledger_is_well_once_its_chain_is_closed(seed: int, data: st.DataObject) -> None:
    sale = sold(seed, 20)
    number = data.draw(st.sampled_from([number for number, results in enumerate(sale.results) if results]))
    place = data.draw(st.integers(0, len(sale.results[number]) - 1))
    record = sale.results[number][place]
    sale.results[number][place] = replace(record, value=data.draw(st.sampled_from([b"?", None, b"{}"])))
    sale.random.random = lambda: 0.99  # type: ignore[method-assign]  # nobody dies
    sale.work()
    verdict = check(
        sale.all_requests, sale.all_results, sale.partitions, sale.dead_letters, harmed=True, rules=sale.rules
    )
    assert verdict.problems == []
    assert verdict.summary["ledger"]["damaged"] <= 1


def test_many_problems_of_a_kind_are_counted_and_not_all_told() -> None:
    sale = Sale(1)
    for _ in range(40):
        sale.produce(b"?", 0, None)
    problems = checked(sale).problems
    assert len(problems) == 2 * (checker.SHOWN_OF_A_KIND + 1)
    assert "... and 35 more: no answer." in problems


def test_a_request_that_was_given_twice_is_the_tests_own_mistake() -> None:
    record = Record(0, 0, None, b"?")
    with pytest.raises(ValueError, match="given twice"):
        check([record, record], [], 1)


# Its own reading and hashing


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_javas(key: bytes, hashed: int) -> None:
    """The figures stand in Kafka's own tests."""
    assert murmur2(key) == hashed & 0xFFFFFFFF


@given(st.integers(0, 10**18 - 1).map(str), st.integers(1, 1_000))
def test_an_events_home_is_the_one_that_the_product_takes(event_id: str, partitions: int) -> None:
    assert home_of(event_id, partitions) == home_partition(event_id, partitions)


def agree(value: bytes | None) -> None:
    """The checker and the models read the same, or nothing, and then see the same ids."""
    readable = True
    try:
        read_command(value)
    except UnreadableCommandError:
        readable = False
    assert check([Record(0, 0, None, value)], [], 1).summary["readable"] == readable, value
    assert claimed(value) == {f"claimed_{name}": claim for name, claim in claimed_ids(value).items()}, value


@pytest.mark.parametrize("value", UNREADABLE)
def test_the_checker_reads_none_of_the_unreadable(value: bytes | None) -> None:
    assert check([Record(0, 0, None, value)], [], 1).summary["unreadable"] == 1
    agree(value)


ODD: st.SearchStrategy[Any] = JSON | st.sampled_from(
    ["", "0", "042", "9" * 19, 0, 10**18, -1, 100, 101, 10**6, 10**6 + 1, 10**12 + 1, True, 1.0, None,
     "x" * 64, "x" * 65, "x" * 128, "x" * 129, "x" * 200, "x" * 201, "\x1f", "\x7f", "\x9f", "\xa0", "b\n",
     "2027-02-29T19:30:00Z", "2028-02-29T19:30:00.5+23:59", "0000-01-01T00:00:00Z", "2027-03-01T24:00:00Z",
     {"amount": 1, "currency": "EUR"}, {"amount": 1.0, "currency": "EUR"}, {"amount": 1, "currency": "eur"},
     {"amount": -1, "currency": "EUR"}, {"amount": 10**12, "currency": "EUR", "x": 1}, {}, [],
     {"amount": 1, "currency": "EUR", "x": None}, {"amount": 1, "currency": None}, *TIMES]
)  # fmt: skip


@given(members(), st.data())
def test_the_checker_reads_what_the_models_read(command: dict[str, Any], data: st.DataObject) -> None:
    agree(json.dumps(command).encode())
    member = data.draw(st.sampled_from([*command, "note"]))
    agree(json.dumps({**command, member: data.draw(ODD)}).encode())
    del command[data.draw(st.sampled_from(sorted(command)))]
    agree(json.dumps(command).encode())


@given(members(), st.data())
def test_the_checker_reads_damaged_bytes_as_the_models_do(command: dict[str, Any], data: st.DataObject) -> None:
    value = bytearray(json.dumps(command).encode())
    place = data.draw(st.integers(0, len(value) - 1))
    value[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    agree(bytes(value))


@given(members(), st.sampled_from([*WRAPPINGS]), st.data())
def test_the_checker_sees_the_ids_that_the_models_see(
    command: dict[str, Any], wrapping: str, data: st.DataObject
) -> None:
    command |= data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(("event_id", "request_id", "quantity"), ODD)))
    agree(WRAPPINGS[wrapping](json.dumps(command).encode()))


def test_the_checker_shares_no_code_with_the_product() -> None:
    """An independent opinion imports nothing but the standard library."""
    files = list(Path(checker.__file__).parent.glob("*.py"))
    assert len(files) > 5
    imported = {
        name
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    others = {name.partition(".")[0] for name in imported if not name.startswith(f"{checker.__name__}.")}
    assert others <= sys.stdlib_module_names
