"""What is no fault although schemathesis finds it: a schema cannot say what is sold, nor which days there are."""

from __future__ import annotations

import json
import re
from typing import Any

import schemathesis

from models.times import TIME_PATTERN
from tests.acceptance.contract.events import ENDED, SOLD

REFUSED = {"over-order-limit", "unknown-category", "idempotency-key-reused"}
"""Rules of a sale, which a well-formed order may break."""
ENDINGS = ("{event}/closing", "{event}/cancellation", "{event}/archiving")
TIMES = ("starts_at", "on_sale_at", "off_sale_at")
TOGETHER = {"/lines", "/categories", "/prices"}
"""What is wrong with these together, as a sum or a category that comes twice, is pointed at by the list."""


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:  # noqa: ARG001 - called so
    """Whole numbers without a point, and days that there are: else hardly any event would be created."""
    written = _written(body)
    for name in TIMES if isinstance(written, dict) else ():
        time = written.get(name)
        if isinstance(time, str) and re.match(TIME_PATTERN, time):
            written[name] = "2027-03-01" + time[10:]
    return written


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Sales end in an event of their own: of one that is over nothing else would be tried."""
    ends = context.operation.path.endswith(ENDINGS) and path_parameters.get("event") == SOLD
    return {**path_parameters, "event": ENDED} if ends else path_parameters


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:  # noqa: ARG001 - called so
    """Whether a failure counts."""
    kind = type(failure).__name__
    if kind == "AcceptedNegativeData":
        # Null is left out, whichever member it is.
        return not _has_null(case.body)
    if kind == "RejectedPositiveData" and response.status_code == 422:
        return _is_a_fault(json.loads(response.content), case.body)
    return True


def _is_a_fault(problem: Any, body: Any) -> bool:
    name = problem["type"].rpartition("/")[2]
    if name == "invalid-body":
        told = {error["pointer"] for error in problem.get("errors", ())}
        return not told <= {*(f"/{name}" for name in TIMES), *TOGETHER, *_whole_floats(body)}
    return name not in REFUSED


def _written(value: Any) -> Any:
    """The same, without a point behind what is whole: 2.0 is an integer to JSON Schema, and none to a worker."""
    if isinstance(value, dict):
        return {name: _written(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_written(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _whole_floats(value: Any, pointer: str = "") -> set[str]:
    """Where such a number stands all the same."""
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        return {found for name, inner in inside for found in _whole_floats(inner, f"{pointer}/{name}")}
    return {pointer} if isinstance(value, float) and value.is_integer() else set()


def _has_null(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_null, value.values() if isinstance(value, dict) else value))
    return value is None
