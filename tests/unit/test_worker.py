"""Whatever leaves a process' work ends the process there, at once, with the status that says why."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka.errors import KafkaError, NodeNotReadyError, TopicAuthorizationFailedError

from boxoffice.batching import BatchOptions
from boxoffice.errors import ExitStatus, UnreachableError
from boxoffice.process import worker
from boxoffice.process.worker import make_app, wait_for_topics
from boxoffice.settings import load_settings

FULL = Path("/dev/full")
PROGRAM = """
from boxoffice.errors import PublishError
from boxoffice.process.worker import ending_on_failure
with ending_on_failure():
    raise {error}
print("went on")
"""


@pytest.mark.parametrize(
    ("error", "status"),
    [("PublishError('no')", ExitStatus.PUBLISH_FAILED), ("KeyError('a mistake')", ExitStatus.AGENT_FAILED)],
)
def test_a_failure_ends_the_process(error: str, status: ExitStatus) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(error=error)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == status
    assert "went on" not in ended.stdout


@pytest.mark.skipif(not FULL.exists(), reason="the system has no device that is always full")
def test_a_failure_ends_the_process_also_where_its_log_cannot_be_written() -> None:
    program = PROGRAM.format(error="PublishError('no')")
    with FULL.open("w") as full:
        ended = subprocess.run([sys.executable, "-c", program], stdout=full, stderr=full, timeout=60, check=False)
    assert ended.returncode == ExitStatus.PUBLISH_FAILED


def test_a_process_that_fetches_nothing_for_long_stays_in_its_group() -> None:
    """It may read a long ledger, or have no partition that it may decide on: who leaves does not come back."""
    app = make_app(load_settings().kafka, "purchases", BatchOptions())
    assert app.conf.broker_max_poll_interval >= 365 * 24 * 60 * 60


@pytest.mark.parametrize(
    ("error", "passes"),
    [(NodeNotReadyError("no broker yet"), True), (TopicAuthorizationFailedError("purchase-results"), False)],
)
async def test_a_process_waits_for_a_broker_that_has_just_begun_and_ends_at_what_does_not_pass(
    error: KafkaError, passes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = iter([error, UnreachableError("gone again")])

    async def check_topics(*_: object) -> int:
        if (failure := next(told, None)) is not None:
            raise failure
        return 3

    async def most_batch_bytes(*_: object) -> int:
        return 900_000

    monkeypatch.setattr(worker, "check_topics", check_topics)
    monkeypatch.setattr(worker, "most_batch_bytes", most_batch_bytes)
    monkeypatch.setattr(worker, "WAIT_FOR_BROKER_S", 0)
    waiting = wait_for_topics(load_settings().kafka)
    if passes:
        assert await waiting == (3, 900_000)
    else:
        with pytest.raises(type(error)):
            await waiting
