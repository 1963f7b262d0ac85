"""Run schedules, on all cores; or replay one, with all that happened in it."""

from __future__ import annotations

import argparse
import secrets
import sys
from time import monotonic

from tests.simulation.exploring import problems_with
from tests.simulation.schedule import ScheduleError, run


def main() -> int:
    """Returns the exit status: 1 if a schedule failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this schedule")
    parser.add_argument("--schedules", type=int, default=1_000, help="how many to try")
    parser.add_argument(
        "--first", type=int, default=secrets.randbits(40), help="the first seed; by default a random one"
    )
    arguments = parser.parse_args()
    return replay(arguments.seed) if arguments.seed is not None else explore(arguments.first, arguments.schedules)


def replay(seed: int) -> int:
    """Run one schedule and show it."""
    try:
        lines = run(seed, whole=True)
    except ScheduleError as error:
        print(error)  # noqa: T201  # a command's output
        return 1
    print("\n".join(lines))  # noqa: T201
    return 0


def explore(first: int, count: int) -> int:
    """Run many schedules and show those that fail."""
    begun_s = monotonic()
    print(f"{count} schedules from seed {first} on")  # noqa: T201
    told = problems_with(range(first, first + count))
    for problem in told:
        print(problem, end="\n\n")  # noqa: T201
    if not told:
        print(f"all held, {count / (monotonic() - begun_s) * 60:.0f} a minute")  # noqa: T201
    return int(bool(told))


if __name__ == "__main__":
    sys.exit(main())
