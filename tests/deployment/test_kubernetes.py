"""The manifests: Kubernetes takes them, and what they say of processes, settings and ports is what the code says."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import kubernetes_validate
import pytest
import yaml

from boxoffice.gateway.haproxy import METRICS_PORT, MOST_GATEWAYS
from boxoffice.kafka.clients import group_id
from boxoffice.process.health import Health
from boxoffice.redis.presence import Presence
from boxoffice.settings import SETTINGS, load_settings, settings_from
from tests.deployment.shipped import KUBERNETES, KUSTOMIZATIONS, OTHERS, PROCFILE, VERSION, manifests, of_kind
from topics import purchase_requests

Manifest = dict[str, Any]

OLDEST, NEWEST = "1.30", "1.37"
"""Releases of Kubernetes; ``preStop: sleep`` is as old as the first."""
WORKLOADS = ("Deployment", "Job")
EVERYWHERE = pytest.mark.parametrize("kustomization", KUSTOMIZATIONS)


def pods(kustomization: str) -> Iterator[tuple[str, Manifest, Manifest]]:
    """Name, pod and its one container of whatever runs."""
    for name, manifest in of_kind(kustomization, *WORKLOADS).items():
        pod = manifest["spec"]["template"]["spec"]
        [container] = pod["containers"]
        yield name, pod, container


def labels_of(kustomization: str) -> list[dict[str, str]]:
    """The labels of every pod."""
    return [one["spec"]["template"]["metadata"]["labels"] for one in of_kind(kustomization, *WORKLOADS).values()]


def settings_map(kustomization: str) -> tuple[str, dict[str, str]]:
    """The name and the content of the ConfigMap of all settings."""
    [found] = [one for name, one in of_kind(kustomization, "ConfigMap").items() if name.startswith("settings-")]
    return found["metadata"]["name"], found["data"]


# Kubernetes takes them


@EVERYWHERE
@pytest.mark.parametrize("release", [OLDEST, NEWEST])
def test_kubernetes_takes_every_manifest_and_knows_every_field(kustomization: str, release: str) -> None:
    for manifest in manifests(kustomization):
        if manifest["kind"] not in OTHERS:
            kubernetes_validate.validate(manifest, release, strict=True)


def test_a_field_that_is_misspelt_would_be_found() -> None:
    deployment = of_kind("base", "Deployment")["gateway"]
    container = {**deployment["spec"]["template"]["spec"]["containers"][0], "livenesProbe": {}}
    pod = {**deployment["spec"]["template"]["spec"], "containers": [container]}
    spoilt = {**deployment, "spec": {**deployment["spec"], "template": {"metadata": {}, "spec": pod}}}
    with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
        kubernetes_validate.validate(spoilt, NEWEST, strict=True)


@EVERYWHERE
def test_all_is_in_one_namespace_that_takes_only_restricted_pods(kustomization: str) -> None:
    [namespace] = of_kind(kustomization, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for manifest in manifests(kustomization):
        if manifest["kind"] != "Namespace":
            assert manifest["metadata"]["namespace"] == namespace["metadata"]["name"]


# The processes


@EVERYWHERE
@pytest.mark.parametrize("process", PROCFILE)
def test_each_process_of_the_procfile_is_a_deployment_that_runs_its_line(kustomization: str, process: str) -> None:
    [container] = of_kind(kustomization, "Deployment")[process]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == shlex.split(PROCFILE[process])
    assert "command" not in container
    assert container["image"] == f"boxoffice:{VERSION}"


@EVERYWHERE
def test_nothing_else_runs_but_haproxy_and_who_makes_the_topics(kustomization: str) -> None:
    assert of_kind(kustomization, *WORKLOADS).keys() == PROCFILE.keys() | {"haproxy", "topics"}


@EVERYWHERE
def test_what_is_set_are_settings_and_can_be_used(kustomization: str) -> None:
    name, given = settings_map(kustomization)
    assert given.keys() <= SETTINGS.keys()
    settings_from(given)
    for process, _, container in pods(kustomization):
        if process == "haproxy":
            continue
        own = {variable["name"]: variable for variable in container.get("env", ())}
        assert own.keys() <= SETTINGS.keys()
        settings_from(given | {key: variable["value"] for key, variable in own.items() if "value" in variable})
        assert {"configMapRef": {"name": name}} in container["envFrom"]
        assert {"secretRef": {"name": "boxoffice"}} in container["envFrom"]


@EVERYWHERE
def test_nothing_secret_lies_in_a_manifest(kustomization: str) -> None:
    secret = {"BOXOFFICE_KAFKA_SASL_PASSWORD", "BOXOFFICE_KAFKA_SSL_PASSWORD", "BOXOFFICE_REDIS_URL"}
    assert not settings_map(kustomization)[1].keys() & secret
    for _, _, container in pods(kustomization):
        for variable in container.get("env", ()):
            assert variable["name"] not in secret or "secretKeyRef" in variable["valueFrom"]
    for name, manifest in of_kind(kustomization, "Secret").items():
        assert name == "keda-kafka"
        assert manifest["data"].keys() == {"username"}


async def test_the_probes_ask_for_what_processes_serve(unused_process: Health) -> None:
    """The audit has no health of its own, and serves metrics."""
    url = f"http://127.0.0.1:{unused_process.port}"
    async with aiohttp.ClientSession() as session:
        for name, _, container in pods("base"):
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if name in {"haproxy", "topics"}:
                    continue
                asked = container[probe]["httpGet"]
                assert asked["port"] == "health"
                assert (asked["path"] == "/metrics") == (name == "audit")
                async with session.get(url + asked["path"]) as response:
                    assert response.status in (200, 503), (name, probe)


@pytest.fixture
async def unused_process() -> AsyncIterator[Health]:
    """A process that waits for Kafka, and serves its health."""
    settings = load_settings(redis_url="redis://127.0.0.1:1", kafka_bootstrap_servers="127.0.0.1:1", health_port=0)
    health = Health(settings.process, "purchases", Presence(settings.redis, "purchases", 3.0))
    await health.start()
    yield health
    await health.stop()


@EVERYWHERE
def test_a_process_that_waits_for_kafka_is_not_started_again(kustomization: str) -> None:
    for name, _, container in pods(kustomization):
        if name in PROCFILE and name != "audit":
            assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
            assert container["startupProbe"]["httpGet"]["path"] == "/health/live"
            assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"


@EVERYWHERE
def test_ports_are_those_of_the_settings(kustomization: str) -> None:
    settings = settings_from(settings_map(kustomization)[1])
    http = {"gateway": settings.gateway.port, "live": settings.live.port, "haproxy": 8080}
    for name, _, container in pods(kustomization):
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
        internal = {"internal": METRICS_PORT} if name == "haproxy" else {"health": settings.process.health_port}
        assert ports == ({} if name == "topics" else internal | ({"http": http[name]} if name in http else {}))


@EVERYWHERE
def test_a_process_ends_by_itself_before_it_is_killed(kustomization: str) -> None:
    stop_s = settings_from(settings_map(kustomization)[1]).process.stop_timeout_ms / 1000
    for name, pod, _ in pods(kustomization):
        if name in PROCFILE:
            assert pod["terminationGracePeriodSeconds"] > stop_s


# What a pod may, and takes


@EVERYWHERE
def test_no_pod_may_more_than_it_must(kustomization: str) -> None:
    for name, pod, container in pods(kustomization):
        assert pod["serviceAccountName"] == "boxoffice"
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"].items() >= {"runAsNonRoot": True, "runAsUser": 10001}.items(), name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert all("hostPath" not in volume for volume in pod.get("volumes", ()))
    [account] = of_kind(kustomization, "ServiceAccount").values()
    assert account["automountServiceAccountToken"] is False


@EVERYWHERE
def test_every_pod_says_what_it_takes_at_most(kustomization: str) -> None:
    for name, _, container in pods(kustomization):
        resources = container["resources"]
        assert resources["requests"].keys() >= {"cpu", "memory"}, name
        assert resources["limits"].keys() == {"memory", "ephemeral-storage"}, name


@EVERYWHERE
def test_one_pod_at_a_time_may_be_taken_away(kustomization: str) -> None:
    budgets = of_kind(kustomization, "PodDisruptionBudget")
    deployments = of_kind(kustomization, "Deployment")
    assert budgets.keys() == deployments.keys() - {"audit"}
    for name, budget in budgets.items():
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["selector"] == deployments[name]["spec"]["selector"]


@EVERYWHERE
def test_pods_of_a_kind_are_spread(kustomization: str) -> None:
    for name, pod, _ in pods(kustomization):
        if name not in {"audit", "topics"}:
            for spread in pod["topologySpreadConstraints"]:
                assert spread["labelSelector"]["matchLabels"] == {"app.kubernetes.io/component": name}


# Who finds whom


@EVERYWHERE
def test_every_service_finds_pods_that_have_its_port(kustomization: str) -> None:
    by_labels = [
        (one["spec"]["template"]["metadata"]["labels"], one) for one in of_kind(kustomization, "Deployment").values()
    ]
    for name, service in of_kind(kustomization, "Service").items():
        selector = service["spec"]["selector"].items()
        found = [manifest for labels, manifest in by_labels if selector <= labels.items()]
        assert found, name
        for port in service["spec"]["ports"]:
            for manifest in found:
                [container] = manifest["spec"]["template"]["spec"]["containers"]
                assert port["targetPort"] in {one["name"] for one in container["ports"]}, (name, port)


def test_haproxy_looks_for_services_that_there_are() -> None:
    services = of_kind("base", "Service")
    [configuration] = [one for name, one in of_kind("base", "ConfigMap").items() if name.startswith("haproxy-")]
    for name in ("gateway", "live"):
        assert services[name]["spec"]["clusterIP"] == "None", "every pod has to be found, not one address for all"
        [port] = services[name]["spec"]["ports"]
        assert f"{name}.${{NAMESPACE}}.svc.cluster.local:{port['port']}" in configuration["data"]["haproxy.cfg"]


@EVERYWHERE
def test_nothing_may_talk_unless_it_says_so(kustomization: str) -> None:
    policies = of_kind(kustomization, "NetworkPolicy")
    nothing = policies.pop("nothing")["spec"]
    [(label, value)] = nothing.pop("podSelector")["matchLabels"].items()
    assert nothing == {"policyTypes": ["Ingress", "Egress"]}
    assert all(labels[label] == value for labels in labels_of(kustomization))
    names = {port["name"] for _, _, container in pods(kustomization) for port in container.get("ports", ())}
    for name, policy in policies.items():
        assert policy["spec"]["podSelector"], "it would hold for the brokers too, which may be beside us"
        for rule in (*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())):
            assert rule["ports"], name
            assert {one["port"] for one in rule["ports"] if isinstance(one["port"], str)} <= names
    incoming = {name: policy["spec"]["ingress"] for name, policy in policies.items() if "ingress" in policy["spec"]}
    assert {name for name, rules in incoming.items() if any("from" not in rule for rule in rules)} == {"front-door"}


# How many


def test_there_are_never_more_gateways_than_haproxy_looks_for() -> None:
    for kustomization in ("base", "overlays/cluster"):
        [scaler] = of_kind(kustomization, "HorizontalPodAutoscaler").values()
        assert scaler["spec"]["scaleTargetRef"]["name"] == "gateway"
        assert scaler["spec"]["maxReplicas"] == MOST_GATEWAYS
        assert "replicas" not in of_kind(kustomization, "Deployment")["gateway"]["spec"]


def test_workers_follow_their_own_lag_and_are_never_more_than_partitions() -> None:
    settings = settings_from(settings_map("overlays/cluster")[1])
    [scaled] = of_kind("overlays/cluster", "ScaledObject").values()
    assert scaled["spec"]["scaleTargetRef"] == {"name": "purchases"}
    assert scaled["spec"]["maxReplicaCount"] == settings.kafka.partitions
    [trigger] = scaled["spec"]["triggers"]
    assert trigger["metadata"]["consumerGroup"] == group_id(settings.kafka, "purchases")
    assert trigger["metadata"]["topic"] == purchase_requests.TOPIC.full_name(settings.kafka.topic_prefix)
    assert trigger["metadata"]["bootstrapServers"] == settings.kafka.bootstrap_servers
    assert "replicas" not in of_kind("overlays/cluster", "Deployment")["purchases"]["spec"]


@EVERYWHERE
def test_no_worker_is_added_before_another_leaves(kustomization: str) -> None:
    """It would find no partition, and a rollout would wait for it in vain."""
    strategy = of_kind(kustomization, "Deployment")["purchases"]["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_a_small_house_runs_one_of_each_and_needs_no_operator() -> None:
    deployments = of_kind("overlays/small", "Deployment")
    assert {deployment["spec"]["replicas"] for deployment in deployments.values()} == {1}
    assert not {manifest["kind"] for manifest in manifests("overlays/small")} & {*OTHERS, "HorizontalPodAutoscaler"}


def test_in_a_small_house_tickets_are_where_everybody_looks() -> None:
    url = settings_map("overlays/small")[1]["BOXOFFICE_DOCUMENTS_URL"]
    mounts = {name: container.get("volumeMounts", ()) for name, _, container in pods("overlays/small")}
    found = {name for name, of_pod in mounts.items() if url in {f"file://{mount['mountPath']}" for mount in of_pod}}
    assert found == {"documents", "gateway", "audit"}


def test_in_a_cluster_each_process_signs_in_to_kafka_as_itself() -> None:
    settings = settings_from(settings_map("overlays/cluster")[1])
    assert settings.kafka.security_protocol == "SASL_SSL"
    for name, _, container in pods("overlays/cluster"):
        if name != "haproxy":
            own = {variable["name"]: variable["valueFrom"] for variable in container["env"] if "valueFrom" in variable}
            password = own["BOXOFFICE_KAFKA_SASL_PASSWORD"]["secretKeyRef"]
            assert password == {"name": name, "key": "password"}
            assert "component" in own["BOXOFFICE_KAFKA_SASL_USERNAME"]["fieldRef"]["fieldPath"]
            [mount] = [mount for mount in container["volumeMounts"] if mount["name"] == "kafka"]
            assert f"{mount['mountPath']}/ca.crt" == str(settings.kafka.ssl_cafile)


@pytest.mark.parametrize("path", sorted((KUBERNETES / "examples").iterdir()), ids=lambda path: path.name)
def test_the_examples_are_for_the_cluster_as_it_is_shipped(path: Path) -> None:
    """What Kafka and the secrets are called there is what the manifests look for."""
    found = [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]
    names = {(one["kind"], one["metadata"]["name"]) for one in found}
    assert names
    if path.name == "kafka.yaml":
        assert ("Kafka", "kafka") in names
        assert settings_map("overlays/cluster")[1]["BOXOFFICE_KAFKA_BOOTSTRAP_SERVERS"] == "kafka-kafka-bootstrap:9093"


def test_prometheus_finds_each_process_under_the_job_that_the_rules_know() -> None:
    [monitor] = of_kind("overlays/cluster", "ServiceMonitor").values()
    [endpoint] = monitor["spec"]["endpoints"]
    [named] = endpoint["relabelings"]
    assert named["targetLabel"] == "job"
    assert named["sourceLabels"] == ["__meta_kubernetes_pod_label_app_kubernetes_io_component"]
    selector = monitor["spec"]["selector"]["matchLabels"].items()
    services = of_kind("overlays/cluster", "Service")
    found = [one for one in services.values() if selector <= one["metadata"].get("labels", {}).items()]
    assert {port["name"] for one in found for port in one["spec"]["ports"]} == {endpoint["port"]}
    assert all(one["spec"]["publishNotReadyAddresses"] for one in found), "who is not ready is looked at most"
    assert of_kind("overlays/cluster", "PrometheusRule").keys() == {"boxoffice"}


def test_there_is_no_manifest_that_nobody_applies() -> None:
    named = "\n".join(path.read_text() for path in KUBERNETES.rglob("kustomization.yaml"))
    for path in KUBERNETES.rglob("*.yaml"):
        if path.name != "kustomization.yaml" and path.parent.name != "examples":
            assert path.name in named, path
