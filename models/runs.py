"""Tickets by their numbers, in runs of consecutive ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from models.accepted import Run, Runs


def count_of(runs: Sequence[Run]) -> int:
    """How many tickets these are."""
    if len(runs) == 1:
        return runs[0][1] - runs[0][0] + 1
    return sum(last - first + 1 for first, last in runs)


def numbers_in(runs: Iterable[Run]) -> Iterator[int]:
    """The tickets' numbers, one by one."""
    return (number for first, last in runs for number in range(first, last + 1))


def without(runs: Runs, others: Runs) -> Runs:
    """The tickets that are not among the others, in order."""
    gone = set(numbers_in(others))
    return tuple(those_of(runs, lambda number: number not in gone))


def those_of(runs: Runs, is_wanted: Callable[[int], bool]) -> Iterator[Run]:
    """The tickets that are wanted, run by run: the last of a category and the first of the next are consecutive too."""
    for run in runs:
        yield from _consecutive(number for number in numbers_in((run,)) if is_wanted(number))


def _consecutive(numbers: Iterable[int]) -> Iterator[Run]:
    first = last = None
    for number in numbers:
        if last is not None and number == last + 1:
            last = number
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = number
    if first is not None and last is not None:
        yield first, last
