"""A second opinion on a whole sale: the rules written once more, from the text, sharing no code with the product.

:func:`check` takes every record of ``purchase-requests`` and ``purchase-results`` (and of ``dead-letters``),
decides all commands itself with lists and dictionaries, and says in sentences where the ledger is not what
the rules ask for. Only the standard library is imported here, and nothing of the product ever is.

The requests have to be all there are from offset 0 on, read committed.

| file | judges |
|---|---|
| ``reading.py``, ``claims.py`` | what can be read, and what the rest shows of itself |
| ``homes.py``, ``sale.py`` | where each command is decided, from where it came, and in which order |
| ``events.py``, ``rules.py`` | what follows from a request that is new |
| ``repeats.py`` | what a request, or a payment, is answered with again |
| ``ledger.py`` | the chain, its headers, and each fact beside what it should be |
| ``consumer.py`` | what must hold whoever decided |
| ``others.py`` | forwards and dead letters |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.checker.claims import claimed
from tests.support.checker.homes import home_of, murmur2
from tests.support.checker.ledger import Ledger, told_by
from tests.support.checker.others import check_dead_letters, check_forwards
from tests.support.checker.records import SHOWN_OF_A_KIND, Problems, Record, Verdict
from tests.support.checker.rules import PRESENT_RULES
from tests.support.checker.sale import ORIGINS_KEPT, Sale
from tests.support.checker.summary import summary_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["SHOWN_OF_A_KIND", "Record", "Verdict", "check", "claimed", "home_of", "murmur2"]


def check(  # noqa: PLR0913  # what only some tests know is named
    requests: Iterable[Record],
    results: Iterable[Record],
    partitions: int,
    dead_letters: Iterable[Record] | None = None,
    *,
    harmed: bool = False,
    forged: bool = False,
    origins_kept: int = ORIGINS_KEPT,
    ends: Mapping[int, int] | None = None,
    rules: Sequence[int] = (PRESENT_RULES,),
) -> Verdict:
    """Compare a ledger with the rules.

    Args:
        requests: every record of ``purchase-requests``, in any order.
        results: every record of ``purchase-results``.
        partitions: how many partitions each of the two has.
        dead_letters: every record of ``dead-letters``; None leaves them unchecked.
        harmed: the test itself damaged the ledger: records that are not what they should be are
            counted and passed over, as a worker passes over them, and only the chain must close.
        forged: clients of the test say that their commands were forwarded.
        origins_kept: how many origins of a partition are remembered.
        ends: where the partitions of the requests end; behind their last records, unless markers follow them.
        rules: the versions by which events may have been created: of several releases, the ledger says which.
    """
    problems = Problems()
    requests = sorted(requests, key=lambda record: record.position)
    results = sorted(results, key=lambda record: record.position)
    sale = Sale(partitions, requests, told_by(results), origins_kept, rules)
    sale.ends.update(ends or {})
    for record in requests:
        sale.take(record)
    ledger = Ledger(sale, problems, harmed)
    for record in results:
        ledger.take(record)
    ledger.close()
    check_forwards(sale, problems, forged)
    if dead_letters is not None:
        check_dead_letters(sale, dead_letters, problems)
    return Verdict(problems.sentences(), summary_of(sale, ledger))
