"""What holds for every option and argument of every command, beside what each says of itself.

What was given is used or refused: an empty value is most often a variable that is not set, and a command that
took it for "not given" would do something else than it was told.
"""

from __future__ import annotations

import math
from typing import Any, Final

import typer

MAY_BE_EMPTY: Final = frozenset({"prefix"})
"""Options for which nothing is a value: topics may have no prefix."""


def strict(command: Any, parent: Any = None) -> Any:
    """The command, and all below it, with these rules, and with a help that says how they are used."""
    context = command.context_class(command, info_name=command.name, parent=parent, **command.context_settings)
    for parameter in command.get_params(context):
        if getattr(parameter, "is_flag", False):
            # Or its type is shown behind it, as if it took a value.
            parameter.metavar = ""
        else:
            _restrict(parameter)
    if command.help:
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in command.help.split("\n\n"))
    for below in getattr(command, "commands", {}).values():
        strict(below, context)
    return command


def _restrict(parameter: Any) -> None:
    process = parameter.process_value

    def processed(context: Any, value: Any) -> Any:
        for part in value if isinstance(value, list | tuple) else [value]:
            _check_text(parameter, part)
        found = process(context, value)
        if isinstance(found, float) and not math.isfinite(found):
            raise typer.BadParameter("must be a number that has an end.")
        return found

    parameter.process_value = processed


def _check_text(parameter: Any, given: Any) -> None:
    if not isinstance(given, str):
        return
    if not given and parameter.name not in MAY_BE_EMPTY:
        raise typer.BadParameter("is empty: give a value, or leave it out.")
    if not _is_path(parameter) and any("\ud800" <= character <= "\udfff" for character in given):
        raise typer.BadParameter("is no text in the encoding of this terminal, which is that of the locale.")


def _is_path(parameter: Any) -> bool:
    """A file's name may be any bytes."""
    return bool(getattr(getattr(parameter, "type_descriptor", None), "is_path", False))
