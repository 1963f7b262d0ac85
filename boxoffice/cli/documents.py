"""``boxoffice ticket`` and ``boxoffice documents``: fetch a ticket's PDF, and see how far they are."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from boxoffice.cli.options import AsJson
from boxoffice.cli.tables import print_json, print_table, say

_LONGEST_S = 86_400

app = typer.Typer(help="See how far the tickets' documents are.", no_args_is_help=True)

_STDOUT = Path("-")


def ticket(
    name: Annotated[str, typer.Argument(metavar="TICKET", help="The ticket's name: EVENT-NNNNNN.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it there, - is standard output; ./TICKET.pdf unless given."),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Show it, in whatever shows PDFs here.")] = False,
    wait_s: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", min=0, max=_LONGEST_S, help="How long it may take to be made.")
    ] = 0.0,
) -> None:
    """Fetch a ticket's PDF and print where it was written: exit 0, 3 there is none, 5 a server is unreachable."""
    from boxoffice.cli.streams import telling_failures
    from boxoffice.documents.status import document_of
    from boxoffice.settings import load_settings
    from boxoffice.storage.store import DocumentStore

    if show and out == _STDOUT:
        raise typer.BadParameter("shows a file, and --out - makes none.", param_hint="--open")
    settings = load_settings()
    pdf = asyncio.run(document_of(settings.kafka, DocumentStore(settings.documents), name, wait_s))
    if out == _STDOUT:
        with telling_failures():
            sys.stdout.buffer.write(pdf)
        return
    path = out or (Path(tempfile.mkdtemp(prefix="boxoffice-")) if show else Path()) / f"{name}.pdf"
    _write(path, pdf)
    say(str(path.absolute()))
    if show:
        typer.launch(str(path))


def _write(path: Path, pdf: bytes) -> None:
    try:
        path.write_bytes(pdf)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written: {error.strerror}.", param_hint="--out") from None


@app.callback()
def _documents() -> None:
    pass


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show how many are made, flawed, waiting, drawn again and failed, their size, and the store that they lie in."""
    from boxoffice.cli.waiting import look_settings, looked
    from boxoffice.documents.status import documents_status
    from boxoffice.storage.store import DocumentStore

    settings = look_settings()
    found = looked(documents_status(settings.kafka, DocumentStore(settings.documents)), settings)
    if as_json:
        print_json(asdict(found))
        return
    rows = [
        ("made", found.made, f"documents in {found.store}"),
        ("size", found.size_bytes, "bytes"),
        ("flawed", found.flawed, "tickets with something that cannot be read as it was written"),
        ("waiting", found.waiting, "facts not dealt with"),
        ("renewing", found.renewing, "changed events whose tickets are drawn again"),
        ("failed", found.failed, "tickets on dead-letters"),
    ]
    print_table(("", "#", "of"), rows)


COMMANDS = (ticket,)
