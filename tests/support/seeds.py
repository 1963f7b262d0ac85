"""Seeds of random tests: the same ones each time, and some that nobody has seen; or the one to be replayed.

``BOXOFFICE_TEST_SEED`` replays one.
"""

from __future__ import annotations

import os
import secrets

_ONE = os.environ.get("BOXOFFICE_TEST_SEED")
# Processes that share the tests between them name them alike only if they draw alike.
_NEW = int(os.environ.setdefault("BOXOFFICE_TEST_NEW_SEEDS", str(secrets.randbits(32))))


def seeds(fixed: int, new: int) -> list[int]:
    """``fixed`` that are always the same, and ``new`` ones."""
    return [int(_ONE)] if _ONE is not None else [*range(fixed), *new_seeds(new)]


def new_seeds(count: int) -> range:
    """Seeds that no run before had."""
    return range(_NEW, _NEW + count)
