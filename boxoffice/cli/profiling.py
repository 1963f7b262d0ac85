"""``boxoffice profile``: where a living process spends its time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from boxoffice.cli.options import whole_number
from boxoffice.cli.stack import Process
from boxoffice.cli.tables import say

_SECONDS: Final = whole_number(1, 3_600)
_RATE: Final = whole_number(1, 1_000)
_PROCESS_ID: Final = re.compile(r"[1-9][0-9]{0,9}")
_DEFAULT_S: Final = 30
_DEFAULT_RATE: Final = 100


def profile(
    whom: Annotated[
        str, typer.Argument(metavar="PROCESS", help=f"Which: {', '.join(Process)}, or a process id of this machine.")
    ],
    *,
    seconds: Annotated[
        int, typer.Option("--seconds", parser=_SECONDS, metavar="N", help="How long to look.")
    ] = _DEFAULT_S,
    rate: Annotated[int, typer.Option("--rate", parser=_RATE, metavar="N", help="Looks a second.")] = _DEFAULT_RATE,
    output: Annotated[
        Path | None, typer.Option(help="Where the picture goes; PROCESS-TIME.svg here unless given.")
    ] = None,
    dump: Annotated[
        bool, typer.Option("--dump", help="Print at once what each thread is at, and draw nothing.")
    ] = False,
    pause: Annotated[
        bool, typer.Option("--pause/--no-pause", help="Whether the process stands still for each look, for a moment.")
    ] = True,
) -> None:
    """Draw where a living process spends its time, as a flame graph; Ctrl-C ends it early.

    It goes on meanwhile. Needs the extra 'profiling', and the right to look into the process.
    """
    from boxoffice.cli.waiting import telling
    from boxoffice.operating import profiling
    from boxoffice.showing.printing import printable

    pid = _process_id(whom)
    if dump:
        for line in profiling.dump(pid).splitlines():
            say(printable(line))
        return
    path = output or Path(f"{whom}-{datetime.now().astimezone():%Y%m%d-%H%M%S}.svg")
    with _created(path), telling(f"looking into process {pid} for {seconds} s"):
        profiling.record(pid, path, seconds, rate, pausing=pause)
    say(str(path))


@contextmanager
def _created(path: Path) -> Iterator[None]:
    """See before half a minute is spent that the picture can be written; one that is not is taken away."""
    path.open("ab").close()
    try:
        yield
    finally:
        if path.stat().st_size == 0:
            path.unlink()


def _process_id(process: str) -> int:
    from boxoffice.operating import profiling

    if process in set(Process):
        return profiling.process_id(process)
    if _PROCESS_ID.fullmatch(process):
        return int(process)
    raise typer.BadParameter(f"must be one of {', '.join(Process)}, or a process id.", param_hint="PROCESS")


COMMANDS = (profile,)
