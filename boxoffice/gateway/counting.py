"""What the gateway counts: cheaply with each request, and told to the metrics when somebody looks."""

from __future__ import annotations

from collections import defaultdict

from boxoffice import metrics


class Counting:
    """Responses by their status, and how long answers took."""

    def __init__(self) -> None:
        self._statuses: defaultdict[int, int] = defaultdict(int)
        self._answers = metrics.Gathered(metrics.ANSWER_DURATION)

    def responded(self, status: int) -> None:
        """A request was answered."""
        self._statuses[status] += 1

    def answered(self, seconds: float) -> None:
        """A command has its answer, after so long."""
        self._answers.observe(seconds)

    def tell(self) -> None:
        """Let the metrics have what came since the last time."""
        for status, count in self._statuses.items():
            metrics.REQUESTS.labels(str(status)).inc(count)
        self._statuses.clear()
        self._answers.tell()
