"""``boxoffice topics``: make the topics, look at them, and say who may do what on them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boxoffice.cli.options import AsJson, whole_number
from boxoffice.cli.tables import note, print_json, print_table, say, tell
from boxoffice.errors import ExitStatus
from models.words import number_of

if TYPE_CHECKING:
    from boxoffice.kafka.topics import TopicReport
    from boxoffice.settings import Settings

app = typer.Typer(help="Make the topics, and look at them.", no_args_is_help=True)


@app.command()
def create(as_json: AsJson = False) -> None:
    """Create the topics that are missing. One that exists is left as it is; what differs is said, exit 1."""
    from boxoffice.cli.waiting import looked
    from boxoffice.kafka.topics import create_topics
    from boxoffice.settings import load_settings

    settings = load_settings()
    created = [report.name for report in looked(create_topics(settings.kafka), settings) if report.created]
    _show(settings, created, as_json)


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show the topics as the broker has them, and what differs from what the box office needs."""
    from boxoffice.cli.waiting import look_settings

    _show(look_settings(), (), as_json)


@app.command()
def grow(
    to: Annotated[
        int,
        typer.Option("--to", parser=whole_number(1, 10_000), metavar="PARTITIONS", help="Of the new topics."),
    ],
    prefix: Annotated[str, typer.Option("--prefix", help="BOXOFFICE_TOPIC_PREFIX of the new topics.")],
    start_over: Annotated[
        bool, typer.Option("--start-over", help="Delete first what an interrupted move left under that prefix.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Move a box office that rests to new topics with another number of partitions; the old ones stay as they are."""
    from boxoffice.operating.growing import Growing
    from boxoffice.settings import load_settings

    old, new = load_settings().kafka, load_settings(topic_prefix=prefix, partitions=to).kafka
    grown = asyncio.run(Growing(old, new, note).run(start_over=start_over))
    if as_json:
        print_json(asdict(grown))
        return
    tell(
        f"Moved {number_of(grown.facts, 'fact')} of {number_of(grown.events, 'event')} and "
        f"{number_of(grown.undecided, 'undecided command')} to {number_of(to, 'partition')} in {grown.seconds:.1f} s, "
        "and compared every event."
    )
    tell(
        f"Now set BOXOFFICE_TOPIC_PREFIX={prefix} and BOXOFFICE_PARTITIONS={to}, start the processes, run "
        "'boxoffice audit', and only then let clients send to the new topics: see Growing in docs/operations.md."
    )


@app.command()
def acls(
    apply: Annotated[
        bool, typer.Option("--set", help="Let the brokers have them, as a user who may alter the cluster.")
    ] = False,
    called: Annotated[
        list[str] | None,
        typer.Option(
            "--user", metavar="USER=NAME", help="What a user of the list is called, where it is not so; again for each."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what each process, operators and clients may do on Kafka, as commands for its own tool; or set it.

    Every process has a user of its own name. What the brokers have besides
    is left as it is. docs/security.md has the same as a table.
    """
    from boxoffice.kafka.access import acls as acls_of
    from boxoffice.kafka.access import set_acls, tool_lines
    from boxoffice.settings import load_settings

    settings = load_settings().kafka
    wanted = acls_of(settings, _names(called or ()))
    if apply:
        asyncio.run(set_acls(settings, wanted))
    if as_json:
        print_json(
            [
                {
                    "principal": acl.principal,
                    "resource": acl.resource.name.lower(),
                    "name": acl.name,
                    "operation": acl.operation.word,
                }
                for acl in wanted
            ]
        )
    elif apply:
        tell(f"{number_of(len(wanted), 'ACL')} set at {settings.bootstrap_servers}.")
    else:
        for line in tool_lines(wanted, settings.bootstrap_servers):
            say(line)


def _names(called: Collection[str]) -> dict[str, str]:
    from boxoffice.kafka.access import BY_USER

    names = {}
    for text in called:
        user, _, name = text.partition("=")
        if user not in BY_USER or not name:
            raise typer.BadParameter(
                f"{text!r} must be USER=NAME, and USER one of {', '.join(BY_USER)}.", param_hint="--user"
            )
        names[user] = name
    return names


def _show(settings: Settings, created: Collection[str], as_json: bool) -> None:
    from boxoffice.cli.waiting import looked
    from boxoffice.kafka.topics import examine_topics

    found = looked(examine_topics(settings.kafka), settings)
    reports = [replace(report, created=report.name in created) for report in found]
    if as_json:
        print_json([_members(report) for report in reports])
    else:
        print_table(("topic", "state", "partitions#", "replicas#", "holds"), [_row(report) for report in reports])
        for report in reports:
            for difference in report.differences:
                tell(str(difference))
    if any(report.differences for report in reports):
        raise typer.Exit(ExitStatus.DIFFERS)


def _state(report: TopicReport) -> str:
    if report.existing is None:
        return "not allowed" if report.hidden else "missing"
    if report.created:
        return "created"
    return "differs" if report.differences else "as needed"


def _row(report: TopicReport) -> tuple[object, ...]:
    existing = report.existing
    partitions, replicas = (existing.partitions, existing.replicas) if existing else (None, None)
    return report.name, _state(report), partitions, replicas, report.definition.holds


def _members(report: TopicReport) -> dict[str, Any]:
    existing = report.existing
    return {
        "topic": report.name,
        "state": _state(report),
        "partitions": existing and existing.partitions,
        "replicas": existing and existing.replicas,
        "needed": dict(report.definition.config),
        "differences": [str(difference) for difference in report.differences],
        "differs_in": [difference.setting for difference in report.differences],
        "stops_sale": any(difference.stops_sale for difference in report.differences),
    }
