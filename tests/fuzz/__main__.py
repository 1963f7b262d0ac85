"""``make fuzz``: atheris chooses bodies by what the code does with them, for as long as it is let."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports():
    from tests.fuzz.bodies import CORPUS, one_input
from models.commands import MAX_COMMAND_BYTES


def main() -> None:
    """Fuzz; the arguments are libFuzzer's, such as ``-max_total_time=60``."""
    with tempfile.TemporaryDirectory(prefix="boxoffice-fuzz-") as name:
        for number, body in enumerate(CORPUS):
            Path(name, f"{number:03}").write_bytes(body)
        atheris.Setup([sys.argv[0], f"-max_len={MAX_COMMAND_BYTES}", *sys.argv[1:], name], one_input)
        atheris.Fuzz()


main()
