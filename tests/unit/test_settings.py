"""Settings: one place, one sentence for what is wrong, and no secret shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from boxoffice.errors import ExitStatus, SettingsError
from boxoffice.settings import ENV_PREFIX, SETTINGS, is_given, load_settings, settings_from
from boxoffice.showing.masking import masked

ROOT = Path(__file__).parents[2]
UNITS = {"_ms": "ms", "_s": "s", "_bytes": "bytes", "_days": "days"}


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in SETTINGS:
        monkeypatch.delenv(variable, raising=False)


def _set(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(ENV_PREFIX + name, value)


def test_every_setting_has_a_default_that_is_allowed_and_a_meaning() -> None:
    defaults = {variable: setting.field.default for variable, setting in SETTINGS.items()}
    assert settings_from(defaults) == load_settings()
    assert all((setting.field.description or "").endswith(".") for setting in SETTINGS.values())


def test_a_unit_stands_last_in_the_name_and_again_beside_it() -> None:
    for setting in SETTINGS.values():
        expected = next((unit for ending, unit in UNITS.items() if setting.name.endswith(ending)), "")
        assert setting.unit == expected, setting.variable


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, "PARTITIONS", "7")
    _set(monkeypatch, "KAFKA_BOOTSTRAP_SERVERS", "a:1,b:2")
    assert (load_settings().kafka.partitions, load_settings().kafka.bootstrap_servers) == (7, "a:1,b:2")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KAFKA_BOOTSTRAP_SERVERS", "nowhere"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka://a:1"),
        ("KAFKA_SECURITY_PROTOCOL", "plain"),
        ("KAFKA_REQUEST_TIMEOUT_MS", "0"),
        ("PARTITIONS", "0"),
        ("PARTITIONS", "many"),
        ("TOPIC_PREFIX", "a/b"),
        ("REDIS_URL", "http://127.0.0.1"),
        ("REDIS_TIMEOUT_MS", "1e9"),
        ("ACCEPT_LOSS", "3:5"),
        ("FAILPOINTS", "redis.before_script"),
        ("FAILPOINTS", "redis.before_script=kill@0"),
        ("FAILPOINTS", "redis.before_script=stop@1"),
        ("FAILPOINTS", "redis.before_script=kill@1,nowhere=kill@1"),
        ("LOG_LEVEL", "loud"),
        ("REDIS_POOL_SIZE", "1"),
        ("GATEWAY_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("GATEWAY_TRUSTED_PROXIES", "proxy.example"),
        ("GATEWAY_ORIGINS", "*"),
        ("GATEWAY_ORIGINS", "https://shop.example/"),
        ("GATEWAY_ORIGINS", "shop.example"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    _set(monkeypatch, name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    sentence = str(caught.value)
    assert sentence.startswith(f"BOXOFFICE_{name} ")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert caught.value.exit_status is ExitStatus.USAGE


def test_a_wrong_value_is_not_repeated_since_it_may_be_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, "REDIS_URL", "https://:hunter22@127.0.0.1")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "hunter22" not in str(caught.value)


def test_secrets_are_masked_alone_and_inside_a_url() -> None:
    settings = load_settings(
        redis_url="rediss://user:hunter22@cache.example:6380/0",
        kafka_sasl_password="correct horse",
        documents_url="s3://key:secret@bucket/tickets",
    )
    assert masked(settings.redis.url) == "rediss://***@cache.example:6380/0"
    assert masked(settings.kafka.sasl_password) == "***"
    assert masked(settings.documents.url) == "s3://***@bucket/tickets"
    assert masked(settings.kafka.ssl_password) == ""
    assert masked(settings.kafka.ssl_cafile) == ""
    assert masked(settings.kafka.partitions) == "12"


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "boxoffice.cli", *arguments],
        env={**environment, "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_lists_every_setting_and_no_secret() -> None:
    secrets = {
        "BOXOFFICE_KAFKA_SASL_PASSWORD": "hunter22",
        "BOXOFFICE_KAFKA_SSL_PASSWORD": "hunter22",
        "BOXOFFICE_REDIS_URL": "redis://:hunter22@127.0.0.1:6379",
    }
    table, listed = _run("settings", **secrets), _run("settings", "--json", **secrets)
    assert (table.returncode, listed.returncode) == (0, 0)
    rows = json.loads(listed.stdout)
    assert [row["variable"] for row in rows] == list(SETTINGS)
    assert all(set(row) == {"variable", "value", "default", "unit", "meaning"} for row in rows)
    assert all(row["variable"] in table.stdout and row["meaning"] in table.stdout for row in rows)
    assert "hunter22" not in table.stdout + listed.stdout + table.stderr + listed.stderr


def test_a_wrong_setting_ends_every_command_with_status_2_and_one_sentence() -> None:
    for command in (["settings"], ["topics", "show"], ["run", "purchases"], ["audit"], ["doctor"], ["buy", "42"]):
        done = _run(*command, BOXOFFICE_REDIS_TIMEOUT_MS="soon")
        assert done.returncode == ExitStatus.USAGE, command
        assert done.stderr.startswith("BOXOFFICE_REDIS_TIMEOUT_MS "), command
        assert done.stderr.count("\n") == 1, command
        assert done.stdout == "", command


MISSPELT = {"BOXOFFICE_PARTITION": "3", "BOXOFFICE_TEST_KAFKA": "127.0.0.1:1", "BOXOFFICE_ZZZ": "1"}
TOLD = [
    "BOXOFFICE_PARTITION is no setting and has no effect: is BOXOFFICE_PARTITIONS meant?",
    "BOXOFFICE_ZZZ is no setting and has no effect.",
]


def test_a_misspelt_setting_is_named_by_every_command() -> None:
    nowhere = {"BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "BOXOFFICE_REDIS_URL": "redis://127.0.0.1:1"}
    for command in (["settings"], ["doctor"], ["topics", "show"], ["buy", "42"], ["up", "--only", "nothing"]):
        done = _run(*command, **MISSPELT, **nowhere)
        assert done.stderr.splitlines()[:2] == TOLD, command


def test_a_process_says_in_its_log_which_settings_are_misspelt() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "boxoffice.cli", "run", "stats"],
        env={**MISSPELT, "PATH": "", "BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "BOXOFFICE_HEALTH_PORT": "0"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        lines = [json.loads(process.stderr.readline()) for _ in TOLD]
        process.kill()
    assert [line["message"] for line in lines] == TOLD
    assert {line["level"] for line in lines} == {"warning"}


@pytest.mark.parametrize("variable", sorted(SETTINGS))
def test_an_empty_variable_means_not_given(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    defaults = load_settings()
    monkeypatch.setenv(variable, "")
    assert load_settings() == defaults
    assert not is_given(variable)


def test_what_the_command_line_itself_decides_by_a_variable_is_not_decided_by_an_empty_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from boxoffice.cli.stack import workers
    from boxoffice.cli.up import _is_needed

    for variable in ("BOXOFFICE_LOG_FORMAT", "BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.setenv(variable, "")
    assert all(worker.env["BOXOFFICE_LOG_FORMAT"] == "console" for worker in workers({}))
    assert not _is_needed("BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("PARTITIONS", "many", '"many"'),
        ("LOG_LEVEL", "lo\x1b[31mud", '"lo\\x1b[31mud"'),
        ("DOCUMENTS_URL", "ftp://key:hunter22@host/x", '"ftp://***@host/x"'),
        ("HEALTH_PORT", "x" * 1_000, f'"{"x" * 200}"'),
    ],
)
def test_a_value_that_cannot_be_used_is_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, shown: str
) -> None:
    _set(monkeypatch, name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).endswith(f": it is {shown}.")


SECRET = sorted(variable for variable, one in SETTINGS.items() if isinstance(one.field.default, SecretStr))


@pytest.mark.parametrize("variable", SECRET)
def test_no_secret_is_shown_because_it_cannot_be_used(variable: str) -> None:
    given: dict[str, object] = {variable.removeprefix(ENV_PREFIX).lower(): "hunter22://hunter22"}
    try:
        told = str(load_settings(**given))
    except SettingsError as error:
        told = str(error)
    assert "hunter22" not in told


def test_no_variable_names_code_to_be_run() -> None:
    """What a process does is decided by its release: nothing that it imports is named by its environment."""
    product = (path for folder in ("boxoffice", "agents") for path in (ROOT / folder).rglob("*.py"))
    asking = {path.name for path in product if "import_module(" in path.read_text(encoding="utf-8")}
    # A process of the command line's list, an extra of embedded's, and every module of the product.
    assert asking == {"stack.py", "extras.py", "reference.py"}
    assert not [variable for variable in SETTINGS if "TEST" in variable]


def test_lists_of_the_gateway_are_read_with_and_without_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, "GATEWAY_TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8,192.0.2.7")
    _set(monkeypatch, "GATEWAY_ORIGINS", "https://shop.example,http://127.0.0.1:8081 , https://[::1]:8443")
    gateway = load_settings().gateway
    assert [str(network) for network in gateway.networks] == ["10.0.0.0/8", "fd00::/8", "192.0.2.7/32"]
    assert gateway.allowed_origins == {"https://shop.example", "http://127.0.0.1:8081", "https://[::1]:8443"}
    monkeypatch.delenv(ENV_PREFIX + "GATEWAY_TRUSTED_PROXIES")
    assert load_settings().gateway.networks == []
