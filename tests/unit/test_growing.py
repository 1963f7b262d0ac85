"""Which of the commands that nobody has decided move with a box office: each once, wherever it says it comes from."""

from __future__ import annotations

from boxoffice.batching import Record
from boxoffice.kafka.clients import home_partition
from boxoffice.operating.growing import _Old, _without_second_copies
from models.origins import ORIGINS_KEPT, Origins
from tests.unit.records import purchase, record
from topics.purchase_requests import ORIGIN_HEADER

EVENT = next(str(number) for number in range(1, 100) if home_partition(str(number), 2) == 0)


def at_home(offset: int, name: str, origin: int) -> Record:
    return record(offset, purchase(name, EVENT), headers=((ORIGIN_HEADER, b"1:%d" % origin),))


def away(offset: int, name: str) -> Record:
    return record(offset, purchase(name, EVENT), partition=1)


def test_a_command_moves_once_wherever_its_copies_lie() -> None:
    decided = Origins()
    decided.add((5, EVENT, "r-5"))
    found = [at_home(10, "r-5", 5), at_home(11, "r-6", 6), at_home(12, "r-6", 6)]
    found += [away(offset, f"r-{offset}") for offset in (5, 6, 7)]
    moved = _without_second_copies(found, {0: _Old(9, {1: decided}), 1: _Old(4, {})}, 2)
    assert [(one.partition, one.offset) for one in moved] == [(0, 11), (1, 7)]


def test_forged_origins_keep_no_command_back() -> None:
    forged = [at_home(number, f"f-{number}", 2**63 - 1 - number) for number in range(2 * ORIGINS_KEPT)]
    found = [*forged, *(away(offset, f"r-{offset}") for offset in range(20))]
    assert _without_second_copies(found, {0: _Old(-1, {}), 1: _Old(-1, {})}, 2) == found
