"""Python's garbage collector, set as the product's processes set it."""

from __future__ import annotations

import gc

from boxoffice.worker import GARBAGE_THRESHOLDS


def collect_rarely() -> None:
    """Look rarely, and never at what was imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
