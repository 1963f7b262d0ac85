"""How hard hypothesis looks: quickly in every run, longer with ``HYPOTHESIS_PROFILE=thorough``.

A failure prints the line that replays it: ``@reproduce_failure(...)``.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A deadline of one example would measure the machine, not the code.
settings.register_profile(
    "quick", max_examples=100, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
