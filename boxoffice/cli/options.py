"""Options and arguments that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
EventArgument = Annotated[str, typer.Argument(metavar="EVENT", help="The event's id: 1 to 18 digits.")]
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
