"""Record a command's last screen as SVG: python docs/pictures/record.py FILE.svg COMMAND [ARGUMENT]..."""

from __future__ import annotations

import io
import os
import pty
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 100
_FONT_FACES = re.compile(r"@font-face\s*{.*?}", re.DOTALL)


def run_in_terminal(command: list[str]) -> str:
    """What a command writes to a terminal, with colours."""
    output = bytearray()

    def read(descriptor: int) -> bytes:
        chunk = os.read(descriptor, 65_536)
        output.extend(chunk)
        return chunk

    os.environ |= {"COLUMNS": str(WIDTH), "LINES": "200", "TERM": "xterm-256color"}
    pty.spawn(command, read)
    return output.decode(errors="replace")


def last_screen(output: str) -> str:
    """What is left to see: lines that were drawn over are gone."""
    lines: list[str] = []
    for line in output.replace("\r\n", "\n").split("\n"):
        ups = len(re.findall(r"\x1b\[1A", line))
        if ups:
            del lines[-ups:]
        lines.append(re.sub(r"\x1b\[(\?25[hl]|\d*[AKJ])", "", line).rsplit("\r", 1)[-1])
    return "\n".join(lines)


def main() -> None:
    """Run the command and write the picture."""
    path, *command = sys.argv[1:]
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(last_screen(run_in_terminal(command)).strip()))
    svg = console.export_svg(title=" ".join(["boxoffice", *command[1:]]))
    # The picture must not fetch fonts from anywhere.
    Path(path).write_text(_FONT_FACES.sub("", svg))


if __name__ == "__main__":
    main()
