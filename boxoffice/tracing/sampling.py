"""Which traces begin here: those that OpenTelemetry's own sampler takes, but at most so many a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes
from typing_extensions import override


class Rate:
    """So many a second on the average; what was not used in a second is there in the next one."""

    def __init__(self, per_s: float, now_s: Callable[[], float] = monotonic) -> None:
        self._per_s = per_s
        self._most = max(per_s, 1.0) if per_s else 0.0
        self._now_s = now_s
        self._left = self._most
        self._at_s = now_s()

    def take(self) -> bool:
        """Whether one more may be."""
        now_s = self._now_s()
        self._left = min(self._most, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class AtMost(Sampler):
    """What another sampler takes, but at most so many a second."""

    def __init__(self, sampler: Sampler, rate: Rate) -> None:
        self._sampler = sampler
        self._rate = rate

    @override
    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """As the other sampler says, unless there are too many."""
        result = self._sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if result.decision is Decision.RECORD_AND_SAMPLE and not self._rate.take():
            return ALWAYS_OFF.should_sample(parent_context, trace_id, name)
        return result

    def get_description(self) -> str:
        """What it is called."""
        return f"AtMost{{{self._sampler.get_description()}}}"
