"""``boxoffice door``: the keys that sign tickets' codes, and whether a code is good."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxoffice.cli.tables import print_table, say

if TYPE_CHECKING:
    from boxoffice.door.desk import Desk
    from boxoffice.door.holding import Holdings
    from boxoffice.door.keys import Key, KeyRing
    from boxoffice.settings import KafkaSettings

app = typer.Typer(help="Make the keys that sign tickets, and verify tickets' codes.", no_args_is_help=True)
keys = typer.Typer(help="Make, list, rotate and revoke the keys that sign tickets.", no_args_is_help=True)
app.add_typer(keys, name="keys")

_STDIN = "-"
_LONGEST_LINE_BYTES = 1024
"""A code has 144 characters; whatever is longer is none, and is not kept."""
_ROTATE_IN_S = 60.0
_TIMEOUT_S = 30.0


def _ring_path() -> Path:
    from boxoffice.settings import load_settings

    return load_settings().door.ring_path


@keys.command()
def create(
    lost: Annotated[
        Path | None,
        typer.Option("--after", metavar="FILE", help="Public keys of a ring that was lost: their codes stay good."),
    ] = None,
    if_missing: Annotated[
        bool,
        typer.Option("--if-missing", help="Let a ring that is there be, and succeed: for what runs at each start."),
    ] = False,
) -> None:
    """Make a key ring with one key, where BOXOFFICE_DOOR_KEYS says; one that is there is never written over."""
    from boxoffice.door.ring_file import create, load

    path = _ring_path()
    if if_missing and path.exists():
        load(path)  # which says it where they are none
        say(f"There are keys at {path}, and they stay.")
        return
    key = create(path, lost).keys[-1]
    say(f"Made key {key.id} in {path}: it is secret. Keep a copy where nobody else can read it.")


@keys.command("list")
def show(
    public: Annotated[
        bool, typer.Option("--public", "--json", help="Print the public keys as JSON, for who verifies codes.")
    ] = False,
) -> None:
    """Show which keys there are; never the secret part of one."""
    from boxoffice.door.keys import ring_text
    from boxoffice.door.ring_file import load

    ring = load(_ring_path())
    if public:
        for line in ring_text(ring.public).splitlines():
            say(line)
        return
    print_table(("key#", "created", "signs sales from", "revoked", "state"), [_row(ring, key) for key in ring.keys])


@keys.command()
def rotate(
    in_s: Annotated[
        float,
        typer.Option(
            "--in", metavar="SECONDS", min=0, max=31_536_000, help="When it begins to sign: time to carry the ring."
        ),
    ] = _ROTATE_IN_S,
) -> None:
    """Add a key, which signs what is sold from then on; codes by the others stay good."""
    from boxoffice.door.ring_file import rotate

    path = _ring_path()
    key = rotate(path, in_s).keys[-1]
    say(f"Made key {key.id} in {path}: it signs what is sold from {key.signs_from} on.")


@keys.command()
def revoke(key_id: Annotated[int, typer.Argument(metavar="KEY", help="The key's id.", min=1, max=255)]) -> None:
    """Revoke a key for ever: it signs no more, and its codes are void until their tickets are made again."""
    from boxoffice.door.ring_file import revoke

    path = _ring_path()
    revoke(path, key_id)
    say(
        f"Revoked key {key_id} in {path}: all codes by it are void. docs/operations.md says how tickets are made again."
    )


def _row(ring: KeyRing, key: Key) -> tuple[object, ...]:
    from boxoffice.door.ring_file import now

    state = "revoked" if key.revoked_at else "verifies only" if key.seed is None else "signs"
    if key.signs and ring.signing_key(now()) != key:
        state = "waits" if key.signs_from > now() else "signs what was sold in its time"
    return key.id, key.created_at, key.signs_from, key.revoked_at or "", state


@app.command()
def verify(
    code: Annotated[
        str, typer.Argument(metavar="CODE", help="What the QR code says, in single quotes; - reads lines.")
    ],
    public: Annotated[
        Path | None,
        typer.Option("--keys", metavar="FILE", help="The ring, or its public keys; that of the settings unless given."),
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="Ask the ledger too: sold so, cancelled since, sold again since?")
    ] = False,
    timeout_s: Annotated[
        float,
        typer.Option("--timeout", min=0.1, metavar="SECONDS", help="How long the ledger may be read, for a code."),
    ] = _TIMEOUT_S,
) -> None:
    """Say whether a ticket's code is good: exit 0 good, 7 not, 4 or 5 the ledger cannot be asked."""
    from boxoffice.door.desk import Desk
    from boxoffice.settings import load_settings

    settings = load_settings()
    desk = Desk(public or settings.door.ring_path, _holdings(settings.kafka, timeout_s) if online else None)
    # Without keys no code is read at all.
    desk.check()
    if code != _STDIN:
        say(desk.judge(code))
    elif status := _judge_lines(desk):
        raise typer.Exit(status)


def _holdings(settings: KafkaSettings, timeout_s: float) -> Holdings:
    from boxoffice.door.holding import Holdings

    return Holdings(settings, timeout_s)


def _judge_lines(desk: Desk) -> int:
    """A sentence for each line of standard input; returns the status of the first code that is not good.

    Raises:
        MalformedCodeError: there was none: nothing is good because nobody looked.
    """
    from boxoffice.door.errors import MalformedCodeError
    from boxoffice.errors import BoxOfficeError

    status = None
    for line in _lines():
        try:
            say(desk.judge(line))
            status = status or 0
        except BoxOfficeError as error:
            say(str(error))
            status = status or error.exit_status
    if status is None:
        raise MalformedCodeError("nothing came on standard input")
    return status


def _lines() -> Iterator[str]:
    """The lines of standard input that are not empty, whatever stands in them; of long ones only the beginning."""
    if sys.stdin is None:  # who started it has closed it
        return
    given = sys.stdin.buffer
    while line := given.readline(_LONGEST_LINE_BYTES):
        whole = line.endswith(b"\n")
        while not whole and (rest := given.readline(_LONGEST_LINE_BYTES)):
            whole = rest.endswith(b"\n")
        # No code begins or ends with a space.
        if text := line.decode("ascii", "replace").strip():
            yield text
