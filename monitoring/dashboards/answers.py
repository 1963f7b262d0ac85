"""How long answers take: what is promised of them is on several dashboards."""

from __future__ import annotations

from typing import Final

from monitoring.panels import rate

ANSWERS: Final = "boxoffice_answer_duration_seconds"
WITHIN_A_SECOND: Final = rate(f'{ANSWERS}_bucket{{le="1.0"}}') + " / " + rate(f"{ANSWERS}_count")
