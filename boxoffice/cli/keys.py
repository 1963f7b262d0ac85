"""``boxoffice keys``: the callers of the gateway."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from boxoffice.cli.options import AsJson
from boxoffice.cli.tables import print_json, print_table, say
from boxoffice.errors import ExitStatus

if TYPE_CHECKING:
    from models.api_keys import ApiKey

app = typer.Typer(help="API keys of the gateway: who may ask for what.", no_args_is_help=True)

_MOST_DAYS: Final = 36_500
"""A hundred years: what is longer is for ever, which a key without an expiry is."""

_Id = Annotated[str, typer.Argument(metavar="ID", help="The caller's id, as 'list' shows it.")]
_Expiry = Annotated[
    float | None, typer.Option("--expires-in-days", min=0, max=_MOST_DAYS, metavar="DAYS", help="Never, unless given.")
]


@app.command()
def create(
    scope: Annotated[list[str], typer.Option(help="What it may do: buy, read, events, admin. Several are possible.")],
    name: Annotated[str, typer.Option(help="Whose it is, for people.")] = "unnamed",
    event: Annotated[list[str] | None, typer.Option(help="Only for this event. Several are possible.")] = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="N", help="Requests a second; the gateway's setting unless given."),
    ] = None,
    expires_in_days: _Expiry = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, and print it. It is shown this once, and kept nowhere."""
    from boxoffice.gateway.key_ring import KeyRing
    from boxoffice.settings import load_settings

    made = asyncio.run(KeyRing(load_settings().kafka).create(name, scope, event, rate, _at(expires_in_days), _now()))
    _print_made(made.caller, made.key, as_json)


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """Show all callers, and what each may do."""
    from boxoffice.gateway.key_ring import KeyRing
    from boxoffice.settings import load_settings

    callers = asyncio.run(KeyRing(load_settings().kafka).all())
    if as_json:
        secret = {"secrets", "order_secret"}
        print_json([caller.model_dump(exclude=secret) | {"secrets": len(caller.secrets)} for caller in callers])
        return
    print_table(("id", "name", "scopes", "events", "rate", "secrets#", "created"), [_row(caller) for caller in callers])


def _row(caller: ApiKey) -> tuple[object, ...]:
    events = ", ".join(caller.events) if caller.events is not None else "all"
    rate = f"{caller.per_second:g}/s" if caller.per_second is not None else ""
    return caller.id, caller.name, ", ".join(caller.scopes), events, rate, len(caller.secrets), caller.created_at


@app.command()
def revoke(key_id: _Id) -> None:
    """Take a caller's keys away: every gateway refuses them within a second. Exit 3 if there is none."""
    from boxoffice.gateway.key_ring import KeyRing
    from boxoffice.settings import load_settings

    if not asyncio.run(KeyRing(load_settings().kafka).revoke(key_id)):
        say(f"There is no caller {key_id}.")
        raise typer.Exit(ExitStatus.REJECTED)
    say(f"The keys of {key_id} are revoked.")


@app.command()
def rotate(
    key_id: _Id,
    keep_days: Annotated[
        float,
        typer.Option("--keep-days", min=0, max=_MOST_DAYS, metavar="DAYS", help="So long the key before goes on."),
    ] = 7,
    as_json: AsJson = False,
) -> None:
    """Make a new key for a caller, and print it. Its purchases stay its own. Exit 3 if there is none."""
    from boxoffice.gateway.key_ring import KeyRing
    from boxoffice.settings import load_settings

    made = asyncio.run(KeyRing(load_settings().kafka).rotate(key_id, _at(keep_days) or _now(), _now()))
    if made is None:
        say(f"There is no caller {key_id}.")
        raise typer.Exit(ExitStatus.REJECTED)
    _print_made(made.caller, made.key, as_json)


def _print_made(caller: ApiKey, key: str, as_json: bool) -> None:
    if as_json:
        print_json({"id": caller.id, "key": key})
    else:
        say(f"{caller.id}, for {', '.join(caller.scopes)}. The key is shown this once:")
        say(key)


def _now() -> str:
    from models.api_keys import moment

    return moment(datetime.now(UTC))


def _at(days: float | None) -> str | None:
    from models.api_keys import moment

    return None if days is None else moment(datetime.now(UTC) + timedelta(days=days))
