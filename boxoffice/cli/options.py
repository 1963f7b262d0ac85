"""Options and arguments that several commands have."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Final

import typer

# Not what int() takes besides: signs, spaces, underscores, the digits of every script.
_WHOLE: Final = re.compile(r"[0-9]+")
_MOST_DIGITS: Final = 18
_MOST_SHOWN: Final = 40


def whole_number(least: int = 0, most: int | None = None) -> Callable[[str], int]:
    """What reads a whole number as people write it, and nothing that is nearly one: for all commands."""

    def read(text: str) -> int:
        # Some versions of typer hand over the default too, as it is.
        if not _WHOLE.fullmatch(str(text)):
            raise typer.BadParameter(f"{text[:_MOST_SHOWN]!r} is no whole number: write digits only, such as 1000.")
        if len(str(text)) > _MOST_DIGITS:
            raise typer.BadParameter(f"{text[:_MOST_SHOWN]}… is too much: {_MOST_DIGITS} digits at most.")
        number = int(text)
        if number < least:
            raise typer.BadParameter(f"{number} is too little: it must be {least} at least.")
        if most is not None and number > most:
            raise typer.BadParameter(f"{number} is too much: it may be {most} at most.")
        return number

    return read


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
EventArgument = Annotated[str, typer.Argument(metavar="EVENT", help="The event's id: 1 to 18 digits.")]


def check_event(event: str | None) -> str | None:
    """An event's id, which nobody can have if it is not like one."""
    from models.members import EVENT_ID_PATTERN

    if event is not None and not re.fullmatch(EVENT_ID_PATTERN, event):
        raise typer.BadParameter("is no event's id: it has 1 to 18 digits, and no 0 before them.")
    return event


RequestId = Annotated[
    str | None,
    typer.Option(
        "--request-id",
        metavar="ID",
        help="The command's id; the same one again has no second effect. Random unless given.",
    ),
]
TimeoutS = Annotated[
    float, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="How long to wait for the answer.")
]
Actor = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Who asks: the fact repeats it, and the ledger keeps it for ever."),
]
