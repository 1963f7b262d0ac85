"""haproxy's configuration holds what the gateway promises: its bounds, its waits, its words."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from boxoffice.errors import ExitStatus
from boxoffice.gateway import haproxy
from boxoffice.gateway.desk import ACKNOWLEDGED_WITHIN_S
from boxoffice.gateway.haproxy import (
    METRICS_PORT,
    MOST_GATEWAYS,
    MOST_LIVE,
    Balancer,
    Instance,
    NoHaproxyError,
    deployed,
    example,
)
from boxoffice.gateway.preferences import LONGEST_WAIT_S
from boxoffice.gateway.problems import TYPES, TYPES_PATH
from models.commands import MAX_COMMAND_BYTES

GATEWAYS = [Instance("gateway-1", "127.0.0.1:15001", 15101), Instance("gateway-2", "127.0.0.1:15002", 15102)]
PAGE = Instance("live", "127.0.0.1:15003", 15103)
WITH_PAGE = Balancer("127.0.0.1:8080", GATEWAYS, [PAGE], 300).configuration()
ALONE = Balancer("127.0.0.1:8080", GATEWAYS, (), 300).configuration()


def section(name: str, configuration: str = WITH_PAGE) -> str:
    """What stands below a section's line."""
    parts = re.split(r"^(?=\S)(?!#)", configuration, flags=re.MULTILINE)
    return next(part for part in parts if part.partition("\n")[0].strip() == name)


def errors() -> dict[int, dict[str, Any]]:
    """What haproxy itself answers, by its own status."""
    found = re.findall(r"http-error status (\d+) content-type \S+ string '(.*?)' hdr", section("defaults"))
    return {int(status): json.loads(body) for status, body in found}


def test_each_gateway_is_checked_on_its_internal_port_and_on_no_other() -> None:
    gateways = section("backend gateways")
    for one in GATEWAYS:
        assert f"    server {one.name} {one.address} port {one.health_port}\n" in gateways
    assert "uri /health/ready" in gateways
    assert re.search(r"default-server check .*maxconn 300$", gateways, re.MULTILINE)
    assert "maxconn 600\n" in section("frontend front_door")


def test_an_event_stays_with_one_gateway_that_does_not_have_too_much() -> None:
    gateways = section("backend gateways")
    for line in ("balance uri depth 3", "hash-type consistent sdbm avalanche", "hash-balance-factor 150"):
        assert f"    {line}\n" in gateways


def test_an_answer_is_waited_for_longer_than_a_gateway_may_take() -> None:
    [seconds] = re.findall(r"timeout server (\d+)s", WITH_PAGE)
    assert int(seconds) > LONGEST_WAIT_S + ACKNOWLEDGED_WITHIN_S


def test_whoever_looks_goes_to_the_page_where_there_is_one() -> None:
    front = section("frontend front_door")
    assert "use_backend live if METH_GET !of_gateways { nbsrv(live) gt 0 }" in front
    assert "server live 127.0.0.1:15003 port 15103" in section("backend live")
    assert re.search(r"\blive\b", WITH_PAGE)
    assert not re.search(r"\b(use_backend|live)\b", ALONE)


@pytest.mark.parametrize(
    ("path", "is_gateways"),
    [
        ("/v1/events/42/requests/k-1", True),
        ("/v1/events/42/tickets/42-000001.pdf", True),
        ("/openapi.json", True),
        ("/v1/problems", True),
        ("/v1/problems/sold-out", True),
        ("/v1/events", False),
        ("/v1/events/42", False),
        ("/v1/events/42/stream", False),
        ("/", False),
    ],
)
def test_what_only_a_gateway_can_say_it_is_asked_for(path: str, is_gateways: bool) -> None:
    front = section("frontend front_door")
    exact = re.findall(r"acl of_gateways path (\S+)", front)
    begins = re.findall(r"acl of_gateways path_beg (\S+)", front)
    patterns = re.findall(r"acl of_gateways path_reg (\S+)", front)
    assert (exact, begins, len(patterns)) == (["/openapi.json", TYPES_PATH.rstrip("/")], [TYPES_PATH], 1)
    found = path in exact or path.startswith(tuple(begins)) or bool(re.search(patterns[0], path))
    assert found is is_gateways


def test_a_command_without_a_key_is_never_sent_twice() -> None:
    front = section("frontend front_door")
    assert "http-request disable-l7-retry if !METH_GET !{ req.hdr(idempotency-key) -m found }" in front
    assert "retry-on conn-failure empty-response\n" in section("defaults")


def test_bodies_and_headers_have_the_bounds_of_the_gateway() -> None:
    assert f"req.hdr_val(content-length) gt {MAX_COMMAND_BYTES}" in section("frontend front_door")
    assert "tune.http.maxhdr 64" in section("global")


def test_what_haproxy_says_itself_is_a_problem_that_callers_know() -> None:
    assert errors().keys() == {400, 408, 413, 500, 502, 503, 504}
    for status, body in errors().items():
        kind = TYPES[body["type"].removeprefix(TYPES_PATH)]
        assert body["title"] == kind.title
        # A gateway that was lost is no other to a caller than a Kafka that was: he asks again with the same key.
        assert body["status"] == kind.status == (503 if status in (502, 504) else status)
    assert "http-after-response set-status 503 if { status 502 504 }" in section("frontend front_door")


def test_what_may_be_in_the_log_is_not_said_to_be_lost() -> None:
    assert {status for status, body in errors().items() if body.get("outcome") == "outcome-unknown"} == {500, 502, 504}
    assert errors()[503]["outcome"] == errors()[408]["outcome"] == "not-taken"


def test_its_own_metrics_are_served_where_somebody_wants_them_and_nothing_else_is_there() -> None:
    metrics = section("frontend metrics", example())
    assert f"    bind :{METRICS_PORT}\n" in metrics
    assert "use-service prometheus-exporter if { path /metrics }\n    http-request deny" in metrics
    assert "frontend metrics" not in WITH_PAGE


def test_haproxy_itself_says_that_it_lives_and_nothing_of_the_gateways() -> None:
    assert "    monitor-uri /health/live\n" in section("frontend metrics", example())
    assert "monitor fail" not in example()


@pytest.mark.parametrize("configuration", deployed().values(), ids=deployed())
def test_where_instances_come_and_go_they_are_looked_up_by_their_name(configuration: str) -> None:
    gateways, live = section("backend gateways", configuration), section("backend live", configuration)
    assert re.search(
        rf"server-template gateway- {MOST_GATEWAYS} \S+ port 9464 resolvers names init-addr none", gateways
    )
    assert re.search(rf"server-template live- {MOST_LIVE} \S+ port 9464 resolvers names init-addr none", live)
    assert "parse-resolv-conf" in section("resolvers names", configuration)
    assert "balance uri depth 3" in gateways


def test_a_name_server_that_is_gone_takes_no_gateway_away() -> None:
    names = section("resolvers names", deployed()["docker/haproxy.cfg"])
    for answer in ("timeout", "refused", "other"):
        assert f"hold {answer} 24h" in names


def test_where_instances_are_named_nothing_is_looked_up() -> None:
    assert "resolvers" not in WITH_PAGE


def test_the_example_names_two_gateways_and_a_page() -> None:
    assert len(re.findall(r"^    server ", example(), re.MULTILINE)) == 3


def test_without_haproxy_the_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    error = NoHaproxyError(2)
    assert error.exit_status is ExitStatus.USAGE
    assert "apt-get install haproxy" in str(error)
    assert "--gateways" in str(error)
    monkeypatch.setattr(haproxy, "_SYSTEM_FOLDERS", ())
    monkeypatch.setenv("PATH", "/nowhere")
    assert haproxy.haproxy_program() is None
