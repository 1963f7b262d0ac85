"""The command line where nobody sells: topics, doctor, and how it says what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from boxoffice.cli.stack import Process
from boxoffice.errors import ExitStatus
from boxoffice.kafka.topics import create_topics, describe_topics
from tests.support.office import ROOT, Office, boxoffice_path
from tests.support.servers import KafkaAddress, RedisAddress
from tests.support.settings import changed
from topics import TOPICS

SLOW_TO_LOAD = {"aiokafka", "faust", "redis", "reportlab", "pydantic", "jsonschema", "structlog", "prometheus_client"}
COMMANDS = [
    "buy",
    "confirm",
    "cancel",
    "results",
    "audit",
    "doctor",
    "run",
    "up",
    "demo",
    "settings",
    "schema",
    "topics",
    "event",
]


@pytest.fixture
def office(kafka: KafkaAddress, redis_server: RedisAddress, prefix: str, tmp_path: Path) -> Office:
    """Servers, and no topics yet."""
    return Office(kafka.bootstrap_servers, redis_server.url, prefix, tmp_path, partitions=3)


def _names(office: Office) -> list[str]:
    return [topic.full_name(office.settings.kafka.topic_prefix) for topic in TOPICS]


# Topics


def test_topics_are_created_once_and_then_left_as_they_are(office: Office) -> None:
    for state in ("created", "as needed"):
        done = office.boxoffice("topics", "create", "--json")
        assert done.returncode == ExitStatus.OK, done.stderr
        found = json.loads(done.stdout)
        assert [(topic["topic"], topic["state"]) for topic in found] == [(name, state) for name in _names(office)]
        assert {topic["partitions"] for topic in found} == {3}
    shown = office.boxoffice("topics", "show")
    assert shown.returncode == ExitStatus.OK
    assert all(name in shown.stdout for name in _names(office))


async def test_topics_are_there_for_everybody_as_soon_as_they_are_created(office: Office) -> None:
    for number in range(20):
        settings = changed(office.settings, topic_prefix=f"{office.settings.kafka.topic_prefix}{number}-")
        assert [report.name for report in await create_topics(settings.kafka) if report.existing is None] == []
        assert [report.name for report in await describe_topics(settings.kafka) if report.existing is None] == []


def test_a_topic_with_other_settings_is_told_and_not_changed(office: Office) -> None:
    office.boxoffice("topics", "create")
    office.settings = changed(office.settings, partitions=4)
    for _ in range(2):
        done = office.boxoffice("topics", "create")
        assert done.returncode == ExitStatus.DIFFERS
        assert f"{office.requests} has 3 partitions, not 4." in done.stdout


def test_missing_topics_are_shown_as_missing(office: Office) -> None:
    done = office.boxoffice("topics", "show", "--json")
    assert {topic["state"] for topic in json.loads(done.stdout)} == {"missing"}


@pytest.mark.parametrize(
    "command", ["buy 42", "results", "audit", "event show 42", "run purchases", "dead-letters list"]
)
def test_without_topics_one_sentence_says_how_to_make_them(office: Office, command: str) -> None:
    done = office.boxoffice(*command.split())
    assert done.returncode == ExitStatus.REFUSED
    assert done.stderr.splitlines()[-1].endswith("create them with 'boxoffice topics create'.")
    assert "Traceback" not in done.stderr


# Nobody answers


def test_no_answer_in_time_is_status_4_and_says_how_to_ask_again(office: Office) -> None:
    office.boxoffice("topics", "create")
    done = office.boxoffice("buy", "42", "--request-id", "r-1", "--timeout", "1")
    assert (done.returncode, done.stdout) == (ExitStatus.NO_ANSWER, "")
    assert done.stderr.startswith("No answer to request r-1 within 1 s")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    ["topics create", "topics show", "buy 42", "cancel 42 r-1", "results", "event show 1", "dead-letters retry 0:0"],
)
def test_an_unreachable_broker_is_status_5_and_one_sentence(office: Office, command: str) -> None:
    office.settings = changed(office.settings, kafka_bootstrap_servers="127.0.0.1:1")
    done = office.boxoffice(*command.split())
    assert done.returncode == ExitStatus.UNREACHABLE
    assert done.stderr.startswith("Kafka at 127.0.0.1:1 cannot be reached")
    assert done.stderr.count("\n") == 1


# Wrong commands


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (["buy", "042"], "event_id"),
        (["buy", "42", "101"], "quantity"),
        (["buy", "42", "--request-id", "r 1"], "request_id"),
        (["buy", "42", "--buyer", "b\n77"], "buyer"),
        (["event", "add", "42", "0"], "count"),
        (["cancel", "42", "no such id"], "purchase"),
    ],
)
def test_a_command_that_would_be_unreadable_is_not_published(
    office: Office, command: list[str], complaint: str
) -> None:
    office.settings = changed(office.settings, kafka_bootstrap_servers="127.0.0.1:1")
    done = office.boxoffice(*command)
    assert done.returncode == ExitStatus.USAGE
    assert done.stderr.startswith(f"This command cannot be published: {complaint}: ")


def test_a_wrong_option_is_status_2(office: Office) -> None:
    for command in (["buy"], ["buy", "42", "--nonsense"], ["run", "nobody"], ["up", "--only", "kafka,zookeeper"]):
        done = office.boxoffice(*command)
        assert done.returncode == ExitStatus.USAGE, command
        assert "Traceback" not in done.stderr


# Doctor


def _finding(told: str, subject: str) -> dict[str, str]:
    return next(finding for finding in json.loads(told)["findings"] if finding["subject"] == subject)


def test_doctor_tells_to_create_the_topics(office: Office) -> None:
    done = office.boxoffice("doctor", "--json")
    assert done.returncode == ExitStatus.DIFFERS
    topics = _finding(done.stdout, "topics")
    assert topics["state"] == "problem"
    assert "boxoffice topics create" in topics["advice"]


def test_doctor_tells_that_commands_wait_and_no_worker_runs(office: Office) -> None:
    office.boxoffice("topics", "create")
    office.boxoffice("buy", "42", "--timeout", "1")
    done = office.boxoffice("doctor", "--json", "--watch", "0.5")
    assert done.returncode == ExitStatus.DIFFERS
    group = _finding(done.stdout, f"{office.settings.kafka.topic_prefix}boxoffice-purchases")
    assert (group["state"], group["sentence"]) == ("problem", "No worker runs; 1 record waiting.")
    assert "boxoffice run purchases" in group["advice"]
    assert _finding(done.stdout, "topics")["state"] == "warning"  # one replica, here
    for process in ("documents", "stats", "clock"):
        optional = _finding(done.stdout, f"{office.settings.kafka.topic_prefix}boxoffice-{process}")
        assert (optional["state"], optional["sentence"]) == ("warning", "No worker has ever run.")
        assert f"boxoffice run {process}" in optional["advice"]
    table = office.boxoffice("doctor", "--watch", "0")
    assert "No worker runs" in table.stdout


@pytest.mark.parametrize(
    ("unreachable", "subject"),
    [({"kafka_bootstrap_servers": "127.0.0.1:1"}, "Kafka"), ({"redis_url": "redis://:pass@127.0.0.1:1"}, "Redis")],
)
def test_doctor_says_which_server_it_cannot_reach(office: Office, unreachable: dict[str, str], subject: str) -> None:
    office.settings = changed(office.settings, **unreachable)
    done = office.boxoffice("doctor", "--json")
    assert done.returncode == ExitStatus.UNREACHABLE
    assert _finding(done.stdout, subject)["state"] == "unreachable"
    other = {"Kafka": "Redis", "Redis": "Kafka"}[subject]
    assert _finding(done.stdout, other)["state"] == "ok"
    assert "pass" not in done.stdout


# The program itself


def test_help_is_there_at_once() -> None:
    """It loads nothing that takes long to load: what a command needs is loaded when it runs."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", boxoffice_path(), "--help"], capture_output=True, text=True, check=True
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "boxoffice.cli.app" in loaded
    assert not loaded & SLOW_TO_LOAD
    for command in (
        "buy",
        "confirm",
        "cancel",
        "orders",
        "results",
        "audit",
        "doctor",
        "run",
        "up",
        "demo",
        "settings",
        "schema",
        "topics",
        "event",
        "dead-letters",
        "door",
    ):
        assert f" {command} " in done.stdout


def test_the_procfile_has_a_line_for_each_process() -> None:
    lines = (ROOT / "Procfile").read_text().splitlines()
    assert lines == [
        *(f"{process}: boxoffice run {process}" for process in Process),
        "audit: boxoffice audit --every 3600",
    ]


def test_the_schemas_are_printed_and_written(tmp_path: Path) -> None:
    printed = subprocess.run([boxoffice_path(), "schema"], capture_output=True, text=True, check=True)
    assert json.loads(printed.stdout)["asyncapi"]["asyncapi"].startswith("3.")
    written = subprocess.run(
        [boxoffice_path(), "schema", "--write", str(tmp_path)], capture_output=True, text=True, check=True
    )
    paths = [Path(line) for line in written.stdout.splitlines()]
    assert paths
    assert all(path.is_relative_to(tmp_path) and path.exists() for path in paths)


def test_a_reader_that_leaves_early_gets_no_stack_trace() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{boxoffice_path()} settings --json | true"],
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    assert done.stderr == ""
