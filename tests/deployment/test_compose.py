"""The Compose file: each process is in it, as the Procfile and the settings have it, and none may more than it must."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from boxoffice.embedded.jars import KAFKA_VERSION
from boxoffice.gateway.haproxy import METRICS_PORT
from boxoffice.settings import SETTINGS, settings_from
from tests.deployment.shipped import COMPOSE, DOCKER, PROCFILE, VERSION
from tests.support.servers import KAFKA_IMAGE, REDIS_IMAGE

SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("boxoffice:")}
ONCE = {"topics", "keys"}
"""What runs to its end before the processes begin."""
NODE_PORT = 9100
"""What the exporter of machines listens on unless told otherwise."""
MONITORING = {"prometheus", "alertmanager", "grafana", "node", "traces", "kafka-ui"}
DEFAULT = re.compile(r"\$\{[A-Z_]+:-([^}]*)\}")


def variables(service: dict[str, Any]) -> dict[str, str]:
    """What a service is given of our settings, where nobody has set anything."""
    given = service.get("environment", {})
    return {name: DEFAULT.sub(r"\1", value) for name, value in given.items() if name.startswith("BOXOFFICE_")}


def seconds(text: str) -> float:
    """A duration as Compose writes it."""
    assert text.endswith("s")
    return float(text[:-1])


# The processes


@pytest.mark.parametrize("process", PROCFILE)
def test_each_process_of_the_procfile_is_a_service_that_runs_its_line(process: str) -> None:
    assert SERVICES[process]["command"] == PROCFILE[process]


def test_two_of_each_that_sells_run_behind_one_haproxy() -> None:
    assert {name for name, service in SERVICES.items() if service["deploy"].get("replicas") == 2} == {
        "purchases",
        "gateway",
    }
    [mount] = SERVICES["haproxy"]["volumes"]
    assert mount == "./haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro"
    assert f":{METRICS_PORT}/health/live" in SERVICES["haproxy"]["healthcheck"]["test"][-1]


def test_all_run_the_image_of_this_release() -> None:
    assert PROCFILE.keys() | ONCE | {"boxoffice"} == OURS.keys()
    for service in OURS.values():
        assert service["image"] == f"boxoffice:{VERSION}"
        assert service["pull_policy"] == "never"
    built = {name: service["build"] for name, service in OURS.items() if "build" in service}
    assert built == {"topics": {"context": "..", "dockerfile": "docker/Dockerfile"}}, "once is enough"


@pytest.mark.parametrize("name", OURS)
def test_what_a_service_is_given_are_settings_and_can_be_used(name: str) -> None:
    given = variables(OURS[name])
    assert given.keys() <= SETTINGS.keys()
    settings = settings_from({variable: value for variable, value in given.items() if value})
    if name not in ONCE:
        assert settings.kafka.bootstrap_servers == "kafka:9092"
        assert settings.redis.url.get_secret_value() == "redis://valkey:6379/0"


@pytest.mark.parametrize("process", PROCFILE)
def test_a_process_ends_by_itself_before_it_is_killed(process: str) -> None:
    assert seconds(SERVICES[process]["stop_grace_period"]) > settings_from({}).process.stop_timeout_ms / 1000


@pytest.mark.parametrize("process", PROCFILE)
def test_a_process_begins_when_what_it_needs_is_there(process: str) -> None:
    needs = {name: what["condition"] for name, what in SERVICES[process]["depends_on"].items()}
    assert needs.pop("topics") == "service_completed_successfully"
    assert needs.pop("valkey") == "service_healthy"
    assert needs == ({"keys": "service_completed_successfully"} if process == "documents" else {})
    assert SERVICES["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    assert "healthcheck" not in SERVICES[process], "the image's own says whether it is ready"


def test_callers_are_let_in_when_gateways_and_live_pages_are_ready() -> None:
    assert SERVICES["haproxy"]["depends_on"] == {
        "gateway": {"condition": "service_healthy"},
        "live": {"condition": "service_healthy"},
    }


def test_tickets_are_seen_by_whoever_asks_for_them_and_written_by_one_alone() -> None:
    mounted = {name: mount for name, service in OURS.items() for mount in service.get("volumes", ()) if "doc" in mount}
    writes = {name for name, mount in mounted.items() if not mount.endswith(":ro")}
    assert mounted.keys() == {"documents", "gateway", "audit", "boxoffice"}
    assert writes == {"documents", "boxoffice"}
    for name, mount in mounted.items():
        assert f"file://{mount.split(':')[1]}" == "file:///var/lib/boxoffice/documents", name


def test_the_keys_that_sign_tickets_are_where_tickets_are_made_and_nowhere_else() -> None:
    have = {name for name, service in OURS.items() if any("keys:" in mount for mount in service.get("volumes", ()))}
    assert have == {"keys", "documents", "boxoffice"}


# The servers


def test_the_broker_is_the_release_that_is_tested() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


def test_tests_in_containers_run_on_the_same_images() -> None:
    assert SERVICES["kafka"]["image"] == KAFKA_IMAGE
    assert SERVICES["valkey"]["image"] == REDIS_IMAGE


def test_valkey_keeps_its_file_and_throws_nothing_away() -> None:
    command = SERVICES["valkey"]["command"]
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_only_who_asks_for_monitoring_gets_it() -> None:
    profiles = {name: set(service.get("profiles", ())) for name, service in SERVICES.items()}
    assert {name for name, wanted in profiles.items() if wanted == {"monitoring"}} == MONITORING
    assert {name for name, wanted in profiles.items() if not wanted} == SERVICES.keys() - MONITORING - {"boxoffice"}


# What any of them may


@pytest.mark.parametrize("name", SERVICES)
def test_nobody_may_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["user"].split(":")[0] not in {"0", "root"}
    assert not any("docker.sock" in mount for mount in service.get("volumes", ()))


@pytest.mark.parametrize("name", SERVICES)
def test_nobody_takes_the_whole_machine(name: str) -> None:
    service = SERVICES[name]
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    for mount in service.get("tmpfs", ()):
        assert "size=" in mount or mount.startswith("/opt/kafka"), mount


@pytest.mark.parametrize("name", SERVICES)
def test_who_dies_is_started_again(name: str) -> None:
    wanted = "on-failure:10" if name in ONCE else "no" if name == "boxoffice" else "unless-stopped"
    assert SERVICES[name]["restart"] == wanted


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_named_with_its_release(name: str) -> None:
    _, _, tag = SERVICES[name]["image"].partition(":")
    assert re.match(r"v?\d+\.\d+", tag)


def test_ports_are_open_to_this_machine_alone() -> None:
    published = [DEFAULT.sub(r"\1", port) for service in SERVICES.values() for port in service.get("ports", ())]
    assert "127.0.0.1:8080:8080" in published
    for port in published:
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), port


def test_all_are_on_one_network() -> None:
    assert "networks" not in COMPOSE
    assert not any("networks" in service for service in SERVICES.values())
    assert {name for name, service in SERVICES.items() if "network_mode" in service} == {"keys"}


def test_the_machine_s_own_files_are_seen_by_who_tells_of_it_and_changed_by_nobody() -> None:
    whole = {name: service["volumes"] for name, service in SERVICES.items() if "/:" in str(service.get("volumes", ""))}
    assert whole == {"node": ["/:/host:ro,rslave"]}
    assert {name for name, service in SERVICES.items() if "pid" in service} == {"node"}


def test_what_is_mounted_from_here_is_here() -> None:
    mounted = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", ())}
    for path in sorted(name for name in mounted if name.startswith("./")):
        assert (DOCKER / path).exists(), path


def test_prometheus_scrapes_and_grafana_asks_what_there_is() -> None:
    prometheus = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    found = [one["dns_sd_configs"] for one in prometheus["scrape_configs"] if "dns_sd_configs" in one]
    told = [one["dns_sd_configs"] for one in prometheus["alerting"]["alertmanagers"]]
    names = {name for configs in (*found, *told) for config in configs for name in config["names"]}
    assert names == {*PROCFILE, "haproxy", "node", "alertmanager"}
    ports = {config["names"][0]: config["port"] for configs in found for config in configs}
    assert ports.pop("haproxy") == METRICS_PORT
    assert ports.pop("node") == NODE_PORT
    assert set(ports.values()) == {settings_from({}).process.health_port}
    folder = DOCKER / "grafana" / "provisioning"
    [source] = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text(encoding="utf-8"))["datasources"]
    assert source["url"] == "http://prometheus:9090"
    [provider] = yaml.safe_load((folder / "dashboards" / "boxoffice.yml").read_text(encoding="utf-8"))["providers"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]


def test_every_volume_is_used_and_named() -> None:
    mounted = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", ())}
    assert {name for name in mounted - {"/"} if not name.startswith("./")} == COMPOSE["volumes"].keys()
