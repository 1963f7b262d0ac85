"""All commands. What a command needs is imported when it runs, so that ``--help`` is there at once."""

from __future__ import annotations

import os
from functools import cache
from typing import Annotated, Any

import typer

from boxoffice import __version__
from boxoffice.cli import (
    access,
    dead_letters,
    documents,
    door,
    events,
    fallback,
    keys,
    operations,
    orders,
    profiling,
    purchases,
    reference,
    stack,
    stats,
    topics,
)
from boxoffice.cli.parsing import strict
from boxoffice.cli.tables import note

app = typer.Typer(
    name="boxoffice",
    help="Ticket sales as a stream processor: the log decides, Redis serves.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(topics.app, name="topics")
app.add_typer(events.app, name="event")
app.add_typer(orders.app, name="orders")
app.add_typer(documents.app, name="documents")
app.add_typer(door.app, name="door")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(fallback.app, name="fallback")
app.add_typer(keys.app, name="keys")
for _module in (purchases, documents, operations, fallback, stats, profiling, stack, access, reference):
    for _command in _module.COMMANDS:
        app.command()(_command)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    # A process says it in its log.
    if context.invoked_subcommand != "run" and any(name.startswith("BOXOFFICE_") for name in os.environ):
        from boxoffice.settings import misspelt

        for sentence in misspelt():
            note(sentence)


@cache
def program() -> Any:
    """The command line with all commands, as it is run."""
    return strict(typer.main.get_command(app))
