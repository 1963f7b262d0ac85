"""Every error says what happened and what to do."""

from __future__ import annotations

import pytest

from boxoffice.errors import BoxOfficeError, ExitStatus
from boxoffice.schema.reference import errors

ERRORS = errors()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{error.__module__}.{error.__name__}")
def test_an_error_says_what_happened_and_what_to_do(error: type[BoxOfficeError]) -> None:
    assert (error.__doc__ or "").partition("\n\n")[0].endswith(".")
    assert "remedy" in vars(error), "it has no remedy of its own"
    assert error.remedy.endswith(".")
    assert "|" not in error.remedy
    assert error.exit_status is not ExitStatus.OK


def test_each_status_has_a_meaning() -> None:
    assert all(status.meaning.endswith(".") for status in ExitStatus)
    assert len({status.meaning for status in ExitStatus}) == len(ExitStatus)


def test_every_status_but_success_is_some_errors() -> None:
    assert {error.exit_status for error in ERRORS} == set(ExitStatus) - {ExitStatus.OK}
