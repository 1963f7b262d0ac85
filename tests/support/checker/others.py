"""What became of forwarded commands, and of those that cannot be read."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from tests.support.checker.reading import KIB, MAX_HEADERS_BYTES, counted, read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.support.checker.records import Position, Problems, Record
    from tests.support.checker.sale import Sale

MAX_LETTER_BYTES = 64 * KIB
MAX_LETTER_KEY_BYTES = KIB


def _without_origin(record: Record) -> list[tuple[str, bytes | None]]:
    return [(name, value) for name, value in record.headers if name != "boxoffice-origin"]


def check_forwards(sale: Sale, problems: Problems, forged: bool) -> None:
    """Every forwarded command arrived at home, unchanged, and was answered there."""
    forwarded = {record.position for record in sale.forwarded}
    for record in sale.forwarded:
        copies = sale.copies.get(record.position, [])
        if forged:
            copies = [copy for copy in copies if copy.value == record.value]
        if not copies:
            problems.add("never arrived", f"The command forwarded from {record.position} never arrived at home.")
        elif not any(copy.offset in sale.partitions[copy.partition].answers for copy in copies):
            told = (
                f"The command forwarded from {record.position} was never answered: every copy counts as a second one."
            )
            problems.add("never answered", told)
        for copy in copies:
            if copy.value != record.value or _without_origin(copy) != _without_origin(record):
                told = f"The command forwarded from {record.position} arrived changed at {copy.position}."
                problems.add("changed on the way", told)
            event_id = read(record)["event_id"]
            if copy.key != event_id.encode():
                problems.add("key of a forward", f"The forwarded command at {copy.position} has the key {copy.key!r}.")
    for origin, copies in sale.copies.items():
        if origin not in forwarded and not forged:
            told = f"The command at {copies[0].position} says it comes from {origin}, where nothing was forwarded."
            problems.add("unknown origin", told)


def check_dead_letters(sale: Sale, dead_letters: Iterable[Record], problems: Problems) -> None:
    """Every unreadable command is a dead letter, whole or as far as it fits, and no other command is."""
    letters: defaultdict[Position, list[Record]] = defaultdict(list)
    for letter in dead_letters:
        match = re.fullmatch(rb"(.*):([0-9]+):([0-9]+)", letter.header("boxoffice-position") or b"")
        if match is None:
            problems.add("lost position", f"The dead letter at {letter.position} does not say where it comes from.")
        elif match[1].endswith(b"purchase-requests"):
            letters[int(match[2]), int(match[3])].append(letter)
    unreadable = {record.position: record for record in sale.unreadable}
    for position in unreadable.keys() - letters.keys():
        problems.add("no dead letter", f"The unreadable command at {position} is not among the dead letters.")
    for position, copies in letters.items():
        original = unreadable.get(position)
        if original is None:
            problems.add("dead but readable", f"A dead letter comes from {position}, where no unreadable command is.")
            continue
        for letter in copies:
            for fault in _faults(letter, original):
                problems.add("dead letter", f"The dead letter at {letter.position}, from {position}: {fault}.")


def _faults(letter: Record, original: Record) -> list[str]:
    faults = []
    value, key = original.value or b"", original.key
    kept_key = key[:MAX_LETTER_KEY_BYTES] if key is not None else None
    if (letter.value or b"") != value[:MAX_LETTER_BYTES]:
        faults.append("its value is not the original's")
    if (letter.key or b"") != (kept_key or b""):
        faults.append("its key is not the original's")
    if not letter.header("boxoffice-reason"):
        faults.append("it gives no reason")
    lacks_headers = bool(Counter(original.headers) - Counter(letter.headers))
    headers_bytes = sum(map(counted, original.headers))
    if lacks_headers and headers_bytes <= MAX_HEADERS_BYTES:
        faults.append("it lacks headers of the original")
    is_cut = len(value) > MAX_LETTER_BYTES or kept_key != key or lacks_headers
    if is_cut != (letter.header("boxoffice-cut") is not None):
        faults.append("it does not say that it was cut" if is_cut else "it says that it was cut")
    return faults
