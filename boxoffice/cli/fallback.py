"""``boxoffice fallback`` and ``boxoffice rebuild``: how workers get on without Redis, and bring it back."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from boxoffice.cli.options import AsJson
from boxoffice.cli.tables import print_json, print_table, tell
from boxoffice.errors import ExitStatus
from models.words import number_of

if TYPE_CHECKING:
    from boxoffice.operating.requests import FallbackStatus
    from boxoffice.redis.presence import ProcessState

app = typer.Typer(help="See who decides without Redis, and practise it.", no_args_is_help=True)
drill = typer.Typer(help="Let workers decide without Redis, for practice.", no_args_is_help=True)
app.add_typer(drill, name="drill")

_REBUILD_WAIT_S = 120.0
_DRILL_S = 3_600
_LONGEST_DRILL_S = 7 * 86_400


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show who decides without Redis: exit 0 nobody, 1 some worker does or a drill is on, 5 Redis is unreachable."""
    from boxoffice.operating.requests import read_status
    from boxoffice.settings import load_settings

    found = asyncio.run(read_status(load_settings().redis))
    if as_json:
        members = asdict(found) | {"workers": [worker.model_dump() for worker in found.workers]}
        print_json({"active": found.is_active, **members})
    else:
        _print(found)
    if found.is_active:
        raise typer.Exit(ExitStatus.DIFFERS)


@drill.command("on")
def drill_on(
    duration_s: Annotated[
        int,
        typer.Option("--for", min=1, max=_LONGEST_DRILL_S, metavar="SECONDS", help="It ends by itself after this."),
    ] = _DRILL_S,
) -> None:
    """Let all workers decide without Redis, from about a second from now on; sales go on."""
    from boxoffice.operating.requests import begin_drill
    from boxoffice.settings import load_settings

    asyncio.run(begin_drill(load_settings().redis, duration_s))
    tell(
        f"A drill is on: workers decide without Redis. It ends in {duration_s} s, or by 'boxoffice fallback drill off'."
    )


@drill.command("off")
def drill_off() -> None:
    """Let Redis decide again: workers bring it up to the ledger first."""
    from boxoffice.operating.requests import end_drill
    from boxoffice.settings import load_settings

    was_on = asyncio.run(end_drill(load_settings().redis))
    tell("The drill is over: workers tell Redis what it missed." if was_on else "There was no drill.")


def rebuild(
    event: Annotated[list[str] | None, typer.Argument(metavar="[EVENT]...", help="These events.")] = None,
    all_events: Annotated[bool, typer.Option("--all", help="Every event of the ledger.")] = False,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="How long it may take.")
    ] = _REBUILD_WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Let the workers load events anew into Redis from the ledger, while sales go on.

    What Redis has of them is replaced at once, whatever it is. Exit 0: done; 3: no such event; 4: not done in
    time; 5: Kafka or Redis cannot be reached.
    """
    from boxoffice.operating.requests import rebuild as rebuild_events
    from boxoffice.settings import load_settings

    if bool(event) == all_events:
        raise typer.BadParameter("give events, or --all", param_hint="EVENT")
    found = asyncio.run(rebuild_events(load_settings(), frozenset(event or ()), timeout_s))
    if as_json:
        print_json({event_id: position._asdict() for event_id, position in found.items()})
        return
    print_table(
        ("event", "seq#", "sold#", "held#", "left#"),
        [(event_id, position.seq, position.sold, position.held, position.left) for event_id, position in found.items()],
    )


def _print(found: FallbackStatus) -> None:
    if found.drill_ends_in_s is not None:
        tell(f"A drill is on; it ends in {found.drill_ends_in_s:.0f} s, or by 'boxoffice fallback drill off'.")
    if found.to_rebuild:
        tell(f"To be rebuilt: {number_of(len(found.to_rebuild), 'event')}.")
    if not found.workers:
        tell("No purchases process says that it runs.")
        return
    print_table(("host", "process#", "decides", "why", "facts that Redis has missed#"), map(_row, found.workers))


def _row(worker: ProcessState) -> tuple[object, ...]:
    how = "without Redis" if worker.using_fallback else "with Redis"
    return worker.host, worker.pid, how, worker.fallback_reason, worker.backlog_facts


COMMANDS = (rebuild,)
