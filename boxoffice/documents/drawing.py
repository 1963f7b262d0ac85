"""What runs in a process of the pool: draw one ticket after the other, until nobody asks any more."""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing import forkserver, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import NamedTuple

from boxoffice.rendering import Rendered, Style, TicketPage

Draw = Callable[[TicketPage, Style], Rendered]
"""Draws a ticket in this style; a function of a module, since it goes to another process by its name."""

_PR_SET_PDEATHSIG = 1


class Drawn(NamedTuple):
    """A ticket's PDF, its digest, and a sentence for each thing in it that does not look as it should."""

    pdf: bytes
    sha256: str
    flaws: tuple[str, ...]


def serve(connection: Connection, draw: Draw, style: Style) -> None:
    """Answer every page with what was drawn, or with a sentence that says why not."""
    _die_with_parent()
    # Ctrl-C reaches the whole terminal; the box office finishes what it has begun.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            page = connection.recv()
        except EOFError:
            return
        connection.send(_answer(draw, page, style))


def _answer(draw: Draw, page: TicketPage, style: Style) -> Drawn | str:
    try:
        rendered = draw(page, style)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is this ticket's
        return f"{type(error).__name__}: {error}"
    return Drawn(rendered.pdf, hashlib.sha256(rendered.pdf).hexdigest(), tuple(rendered.flaws))


def _die_with_parent() -> None:
    """End with the box office, whatever this process is at, even if it is stuck in foreign code.

    The server that forked it ends when the box office does, since nobody else holds its pipe open then, and
    the kernel kills its children. Elsewhere than on Linux a thread of Python's has to look.
    """
    parent = parent_process()
    assert parent is not None
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # Each process gets it, to start others with; and then keeps the server alive as long as itself.
        os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]
        if not parent.is_alive():
            os._exit(1)
    else:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
