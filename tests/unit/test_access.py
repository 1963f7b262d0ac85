"""Who may do what: the tables hold all topics and keys, give nobody too much, and are the documents' tables."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest

from boxoffice.cli import run
from boxoffice.embedded.users import Users
from boxoffice.errors import ExitStatus
from boxoffice.kafka import access as on_kafka
from boxoffice.kafka import topics
from boxoffice.kafka.access import Acl, Operation, Resource, acls, tool_lines
from boxoffice.redis import access as in_redis
from boxoffice.schema.access import kafka_table, redis_table
from boxoffice.settings import load_settings
from lua import SCRIPTS
from tests.support.office import ROOT
from topics import TOPICS, api_keys, purchase_results

GUIDE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
PREFIX = "autumn-"


def all_acls(**names: str) -> list[Acl]:
    return acls(load_settings(topic_prefix=PREFIX).kafka, names)


def writers(topic: Any) -> set[str]:
    return {access.user for access in on_kafka.ACCESS if topic in access.writes}


# Kafka


def test_every_topic_has_somebody_who_writes_it_and_somebody_who_reads_it() -> None:
    for topic in TOPICS:
        assert writers(topic), topic.name
        assert any(topic in access.reads for access in on_kafka.ACCESS), topic.name


def test_only_the_workers_write_the_ledger_and_only_operators_make_keys() -> None:
    assert writers(purchase_results.TOPIC) == {"purchases"}
    assert writers(api_keys.TOPIC) == {"operator"}
    assert {access.user for access in on_kafka.ACCESS if api_keys.TOPIC in access.reads} == {
        "gateway",
        "live",
        "operator",
    }


def test_who_only_looks_writes_nothing() -> None:
    assert not on_kafka.BY_USER["live"].writes
    assert not on_kafka.BY_USER["audit"].writes


def test_an_acl_names_one_user_one_resource_and_one_operation() -> None:
    found = all_acls()
    assert len(found) == len(set(found))
    assert {acl.resource for acl in found} == {Resource.TOPIC, Resource.GROUP}
    assert Acl("purchases", Resource.TOPIC, f"{PREFIX}purchase-results", Operation.WRITE) in found
    assert Acl("purchases", Resource.GROUP, f"{PREFIX}boxoffice-dead-letters", Operation.READ) in found
    assert Acl("live", Resource.GROUP, f"{PREFIX}boxoffice-purchases", Operation.DESCRIBE) in found
    assert not [acl for acl in found if acl.name in ("*", "", PREFIX)]


def test_a_client_looks_at_no_settings_and_has_a_group_of_its_own() -> None:
    of_shop = [acl for acl in all_acls() if acl.user == "shop"]
    assert {acl.operation for acl in of_shop} == {Operation.READ, Operation.WRITE}
    assert [acl.name for acl in of_shop if acl.resource is Resource.GROUP] == ["shop"]


def test_a_user_may_be_called_otherwise() -> None:
    principals = {acl.principal for acl in all_acls(live="CN=live page,O=Opera")}
    assert "User:CN=live page,O=Opera" in principals
    assert "User:live" not in principals


def test_the_lines_for_kafkas_tool_say_all_of_them_and_survive_a_shell() -> None:
    found = set()
    for line in tool_lines(all_acls(live="CN=live page,O=Opera"), "127.0.0.1:9092"):
        words = shlex.split(line)
        assert words[:4] == ["kafka-acls.sh", "--bootstrap-server", "127.0.0.1:9092", "--add"]
        options = list(zip(words[4::2], words[5::2], strict=True))
        [principal] = [value for option, value in options if option == "--allow-principal"]
        [(kind, name)] = [(option, value) for option, value in options if option in ("--topic", "--group")]
        found |= {(principal, kind, name, value) for option, value in options if option == "--operation"}
    wanted = {
        (acl.principal, f"--{acl.resource.name.lower()}", acl.name, acl.operation.word)
        for acl in all_acls(live="CN=live page,O=Opera")
    }
    assert found == wanted


def test_all_of_them_fit_into_one_request_of_the_protocol() -> None:
    request = on_kafka._Creations(all_acls()).prepare({30: (1, 3)})
    decoded: Any = request.decode(request.encode())
    assert len(decoded.creations) == len(all_acls())


@pytest.mark.parametrize("given", ["live", "live=", "=CN=live", "nobody=CN=live"])
def test_a_name_for_nobody_is_refused(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["topics", "acls", "--user", given]) == ExitStatus.USAGE
    assert "USER=NAME" in capsys.readouterr().err


def test_acls_are_printed_where_no_broker_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["topics", "acls"]) == ExitStatus.OK
    assert "--allow-principal User:purchases" in capsys.readouterr().out


# Redis


def test_who_runs_scripts_may_do_what_they_do() -> None:
    done = {name.lower() for script in SCRIPTS for name in re.findall(r"call\(\s*'([A-Z]+)'", script.text)}
    done |= {name.lower() for script in SCRIPTS for name in re.findall(r"in_chunks\('([A-Z]+)'", script.text)}
    assert {"hset", "rename", "ltrim"} <= done
    assert done | {"rpush", "hset"} <= set(in_redis.BY_USER["purchases"].commands)
    assert [access.user for access in in_redis.ACCESS if "evalsha" in access.commands] == ["purchases"]


def test_nobody_has_all_keys_or_a_class_of_commands() -> None:
    for line in in_redis.user_lines(PREFIX):
        assert "@all" not in line.replace("-@all", "")
        assert "+@" not in line
        assert "allkeys" not in line
        assert "~* " not in f"{line} "
        assert "flush" not in line
        assert "keys " not in line
        assert "config" not in line


def test_every_key_pattern_begins_with_the_prefix() -> None:
    for access in in_redis.ACCESS:
        found = in_redis.patterns(access, PREFIX)
        assert found
        assert all(re.fullmatch(rf"(%R)?~{PREFIX}.+", pattern) for pattern in found)


def test_only_workers_write_events_and_only_statistics_write_figures() -> None:
    written = {
        access.user: [pattern for pattern in in_redis.patterns(access, "") if pattern.startswith("~")]
        for access in in_redis.ACCESS
    }
    for queue in ("~event:{*}:tickets", "~event:{*}:tickets:*"):
        assert [user for user, found in written.items() if queue in found] == ["purchases"]
    assert [user for user, found in written.items() if "~event:{*}:stats" in found] == ["stats"]
    assert written["audit"] == []


def test_a_user_without_a_password_is_off_and_one_with_it_is_known_by_its_digest() -> None:
    lines = in_redis.user_lines(PREFIX, {"stats": "secret-word"})
    assert lines[0] == "user default off"
    assert [line.split()[1] for line in lines if " on " in line] == ["stats"]
    assert f"#{sha256(b'secret-word').hexdigest()}" in " ".join(lines)
    assert "secret-word" not in " ".join(lines)


def test_the_lines_of_an_acl_file_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["redis-acls"]) == ExitStatus.OK
    assert capsys.readouterr().out.splitlines() == in_redis.user_lines("")


# Both, and what is said of them


def test_both_tables_know_the_same_processes() -> None:
    assert {*in_redis.BY_USER, "shop"} == set(on_kafka.BY_USER)


@pytest.mark.parametrize("table", [kafka_table(), redis_table()], ids=["Kafka", "Redis"])
def test_the_guides_tables_are_made_from_these(table: str) -> None:
    assert table in GUIDE


def test_the_guide_says_what_every_client_asks_of_redis() -> None:
    [sentence] = [line for line in GUIDE.splitlines() if line.startswith("- Every client also asks ")]
    assert set(re.findall(r"`([^`]+)`", sentence)) == {command.replace("|", " ") for command in in_redis.CONNECTING}


def test_passwords_are_made_once_for_a_folder_and_nobody_else_reads_them(tmp_path: Any) -> None:
    users = Users(tmp_path / "security", ("live", "shop"))
    users.prepare()
    again = Users(tmp_path / "security", ("live", "shop", "audit"))
    again.prepare()
    assert again.password("live") == users.password("live") != users.password("shop")
    assert re.fullmatch(r"[\w-]{32}", again.password("audit"))
    assert (tmp_path / "security").stat().st_mode & 0o777 == 0o700
    for name in ("passwords.json", "authority.pem"):
        assert (tmp_path / "security" / name).exists()
    assert (tmp_path / "security" / "passwords.json").stat().st_mode & 0o777 == 0o600


# Who may not


class Broker:
    """Says of some topics that whoever asks may not see them, or not their settings."""

    def __init__(self, hidden: set[str], closed: set[str]) -> None:
        self._hidden = hidden
        self._closed = closed

    async def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        partitions = [{"partition": 0, "leader": 1, "replicas": [1]}]
        return [
            {"topic": name, "error_code": 29, "partitions": []}
            if name in self._hidden
            else {"topic": name, "error_code": 0, "partitions": partitions}
            for name in names
        ]

    async def describe_configs(self, resources: list[Any]) -> list[Any]:
        told: list[tuple[Any, ...]] = [
            (29, "no", 2, one.name, []) if one.name in self._closed else (0, None, 2, one.name, []) for one in resources
        ]
        return [SimpleNamespace(resources=told)]


async def test_a_topic_that_a_user_may_not_look_at_is_not_said_to_be_missing() -> None:
    settings = load_settings(kafka_sasl_username="live").kafka
    broker: Any = Broker({"purchase-requests"}, {"purchase-results"})
    reports = await topics._describe(broker, settings)
    assert [report.name for report in reports if report.hidden] == ["purchase-requests", "purchase-results"]
    assert all(report.existing is None and not report.differences for report in reports if report.hidden)
    told = str(topics._lacking(settings, reports[:2]))
    assert told.startswith("The user 'live' may not look at purchase-requests, purchase-results, ")
    assert "topics acls" in told
    assert "create" not in told
    assert "Missing topics" in str(topics._lacking(settings, [replace(report, hidden=False) for report in reports[:2]]))
