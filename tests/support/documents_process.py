"""The documents process with a drawer of the tests: ``python -m tests.support.documents_process NAME``.

Each process of its pool imports this module again: what takes long to import is imported by who runs it.
"""

from __future__ import annotations

import sys


def run(name: str) -> int:
    """As ``boxoffice run documents`` does, with a pool that draws by a function of tests/support/drawers.py."""
    from functools import partial
    from unittest.mock import patch

    from agents.documents import main
    from boxoffice import failpoints
    from boxoffice.documents.pool import Pool
    from boxoffice.logs import configure
    from boxoffice.settings import load_settings
    from tests.support import drawers

    settings = load_settings()
    configure(settings, "documents")
    failpoints.arm(settings.process.failpoints)
    with patch("boxoffice.documents.making.Pool", partial(Pool, draw=getattr(drawers, name))):
        return main(settings)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1]))
