"""``boxoffice dead-letters``: what could not be read or made, and commands among it published again."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boxoffice.cli.options import AsJson, whole_number
from boxoffice.cli.tables import print_json, print_table, say
from boxoffice.errors import ExitStatus
from boxoffice.showing.printing import told_apart

if TYPE_CHECKING:
    from boxoffice.kafka.dead_letters import DeadLetter, DeadLetters, Listed, Retried

app = typer.Typer(help="What could not be read or made: look at it, and publish commands again.", no_args_is_help=True)

_MOST_CHARACTERS = 100
"""Of a reason in a list."""

_MOST_REASONS = 20

_PositionText = Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="Where it lies, as 'list' shows it.")]


@app.command("list")
def list_newest(
    reason: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only those with this in their reason, as it is or as it is counted."),
    ] = None,
    limit: Annotated[int, typer.Option(parser=whole_number(1), metavar="N", help="The newest so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show the newest, and how many there are of each reason; N stands for every number in it."""
    from boxoffice.cli.waiting import look_settings, looked
    from boxoffice.kafka.dead_letters import DeadLetters

    settings = look_settings()
    listing = looked(DeadLetters(settings.kafka).newest(limit, reason), settings)
    if as_json:
        print_json({"letters": [_listed_members(letter) for letter in listing.letters], "reasons": listing.reasons})
        return
    headings = ("position", "at", "of", "original", "bytes#", "cut", "reason")
    print_table(headings, [_row(letter) for letter in listing.letters])
    print_table(("#", "reason"), _counts(listing.reasons))


def _row(letter: Listed) -> tuple[object, ...]:
    from models.facts import at_text

    cut = "yes" if letter.cut else "no"
    at = at_text(letter.at_ms)
    return letter.position, at, letter.kind, letter.original, letter.size_bytes, cut, _short(letter.reason)


def _counts(reasons: Counter[str]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = [(count, _short(reason)) for reason, count in reasons.most_common(_MOST_REASONS)]
    others = len(reasons) - len(rows)
    if others > 0:
        rows.append(
            (reasons.total() - sum(count for _, count in reasons.most_common(_MOST_REASONS)), f"{others} others")
        )
    return rows


def _short(reason: str) -> str:
    return told_apart(reason if len(reason) <= _MOST_CHARACTERS else f"{reason[: _MOST_CHARACTERS - 1]}…")


def _listed_members(letter: Listed) -> dict[str, Any]:
    from models.facts import at_text

    return {
        "position": str(letter.position),
        "at": at_text(letter.at_ms),
        "of": letter.kind,
        "original": letter.original or None,
        "size_bytes": letter.size_bytes,
        "cut": letter.cut,
        "reason": letter.reason,
    }


@app.command()
def show(position: _PositionText, as_json: AsJson = False) -> None:
    r"""Show one whole; what is not printable is escaped as in Python, a backslash is \\. Exit 3 if there is none."""
    from boxoffice.cli.waiting import look_settings, looked
    from boxoffice.kafka.dead_letters import DeadLetters, read_position

    settings = look_settings()
    letters = DeadLetters(settings.kafka)
    letter = looked(letters.at(read_position(position)), settings)
    if as_json:
        print_json(_members(letters, letter))
    else:
        _print(letters, letter)


def _print(letters: DeadLetters, letter: DeadLetter) -> None:
    members = _members(letters, letter)
    rows = [(name, members[name]) for name in ("position", "at", "of", "original", "ticket", "size_bytes", "cut")]
    print_table(("", ""), [*rows, ("reason", told_apart(letter.reason)), ("key", _shown(letter.key))])
    print_table(("header", "value"), [(told_apart(name), _shown(value)) for name, value in letter.headers])
    say(told_apart(letter.value))


def _shown(raw: bytes | None) -> str | None:
    return None if raw is None else told_apart(raw)


def _members(letters: DeadLetters, letter: DeadLetter) -> dict[str, Any]:
    listed, marks = letters.listed(letter), letter.marks
    return {
        **_listed_members(listed),
        "reason": letter.reason,
        "ticket": None if marks is None else marks.ticket,
        "key": _bytes_members(letter.key),
        "value": _bytes_members(letter.value),
        "headers": [{"name": name, "value": _bytes_members(value)} for name, value in letter.headers],
    }


def _bytes_members(raw: bytes | None) -> dict[str, str | None] | None:
    """Bytes as they are, and as text where they are UTF-8."""
    if raw is None:
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = None
    return {"text": text, "base64": base64.b64encode(raw).decode()}


@app.command()
def retry(
    position: Annotated[
        str | None, typer.Argument(metavar="PARTITION:OFFSET", help="Where it lies, as 'list' shows it.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are there now.")] = False,
    reason: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Those with this in their reason, as it is or as 'list' counts it."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """Publish commands again as they were, and say where they lie now.

    A command that was decided meanwhile is answered as before, and one that
    still cannot be read becomes a new dead letter. Exit 1 if any was refused:
    one that was cut, a document's, or one that the box office did not put there.
    """
    if [position is not None, every, reason is not None].count(True) != 1:
        raise typer.BadParameter("give one of PARTITION:OFFSET, --all and --reason.")
    counts = asyncio.run(_retry(position, reason, dry_run=dry_run, as_json=as_json))
    if not as_json:
        done = "would be published" if dry_run else "published"
        say(f"{counts['published']} {done}, {counts['refused']} refused.")
    if counts["refused"]:
        raise typer.Exit(ExitStatus.DIFFERS)


async def _retry(position: str | None, reason: str | None, *, dry_run: bool, as_json: bool) -> Counter[str]:
    from contextlib import aclosing

    from boxoffice.kafka.dead_letters import DeadLetters, read_position
    from boxoffice.settings import load_settings

    letters = DeadLetters(load_settings().kafka)
    chosen = None if position is None else read_position(position)
    counts: Counter[str] = Counter()
    async with aclosing(letters.retry(chosen, reason, dry_run=dry_run)) as all_retried:
        async for retried in all_retried:
            counts["published" if retried.refused is None else "refused"] += 1
            if as_json:
                print_json(_retried_members(retried), indent=None)
            else:
                say(f"{retried.position} {_what_became(retried, letters.requests)}")
    return counts


def _what_became(retried: Retried, requests: str) -> str:
    if retried.refused is not None:
        return f"is refused: {retried.refused}."
    if retried.landed is None:
        return "would be published."
    return f"is published: {requests}:{retried.landed}."


def _retried_members(retried: Retried) -> dict[str, Any]:
    landed = None if retried.landed is None else str(retried.landed)
    return {"position": str(retried.position), "landed": landed, "refused": retried.refused}
