"""The documents process with a drawer of the tests: ``python -m tests.support.documents_process NAME``."""

from __future__ import annotations

import sys
from functools import partial
from typing import Final
from unittest.mock import patch

from agents.documents import main
from boxoffice import failpoints
from boxoffice.documents.pool import Pool
from boxoffice.logs import close, configure
from boxoffice.settings import load_settings
from tests.support.drawers import crashing, hanging, raising, slow, stuck

DRAWERS: Final = {drawer.__name__: drawer for drawer in (crashing, hanging, raising, slow, stuck)}


def run(name: str) -> int:
    """As ``boxoffice run documents`` does, with a pool that draws by this function."""
    settings = load_settings()
    configure(settings, "documents")
    failpoints.arm(settings.process.failpoints)
    with patch("boxoffice.documents.making.Pool", partial(Pool, draw=DRAWERS[name])):
        status = main(settings)
    close()
    return status


if __name__ == "__main__":
    sys.exit(run(sys.argv[1]))
