"""haproxy in front of several gateways: its configuration, out of one template and the gateway's own numbers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from boxoffice.errors import BoxOfficeError, ExitStatus
from boxoffice.gateway.connections import BODY_WITHIN_S
from boxoffice.gateway.desk import ACKNOWLEDGED_WITHIN_S
from boxoffice.gateway.preferences import LONGEST_WAIT_S
from boxoffice.gateway.problems import MEDIA_TYPE, problem
from models.commands import MAX_COMMAND_BYTES

TEMPLATE: Final = Path(__file__).with_name("haproxy.cfg")

MOST_GATEWAYS: Final = 8
MOST_LIVE: Final = 4
"""So many haproxy finds in the deployments that come with the source."""

_PROGRAM: Final = "haproxy"
_SYSTEM_FOLDERS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where systems put it, and where a user's PATH often does not lead."""
_MARGIN_S: Final = 10
"""So much longer than a gateway may take for an answer it is waited for."""

_SAID: Final = {
    400: ("invalid-header", "The request cannot be read, or its headers are too many or too large."),
    408: ("too-slow", "The request did not come in time."),
    413: ("too-large", f"The body has more than {MAX_COMMAND_BYTES} bytes."),
    500: ("internal-error", "Something failed here that should not."),
    502: ("outcome-unknown", "The gateway was lost before it could answer."),
    503: ("overloaded", "No gateway takes requests now."),
    504: ("outcome-unknown", "The gateway has not answered in time."),
}
"""What haproxy itself answers, by its status: the problem, and the detail."""
_AGAIN: Final = (500, 502, 503, 504)

_ROUTES: Final = """\
    # Whoever only looks is served apart from those who buy, and by the gateways where nobody else is there.
    acl of_gateways path /openapi.json
    acl of_gateways path /v1/problems
    acl of_gateways path_beg /v1/problems/
    acl of_gateways path_reg ^/v1/events/[^/]+/(requests|tickets)/
    use_backend live if METH_GET !of_gateways { nbsrv(live) gt 0 }
"""
_LIVE: Final = """
backend live
    # A stream goes on for hours, so the one with the fewest gets the next.
    balance leastconn
    option httpchk
    http-check send meth GET uri /health/ready
    http-check expect status 200
    default-server check inter 1s fastinter 250ms downinter 500ms rise 1 fall 2
"""
_METRICS: Final = """
frontend metrics
    # For Prometheus, and as the gateways' own health ports for nobody outside.
    bind {bind}
    # Of haproxy itself; that gateways are ready is for their own health to say.
    monitor-uri /health/live
    http-request use-service prometheus-exporter if {{ path /metrics }}
    http-request deny deny_status 404
"""
_NAMES: Final = """\
resolvers names
    parse-resolv-conf
    accepted_payload_size 8192
    timeout resolve 1s
    timeout retry 1s
    hold valid 1s
    # While no name server answers, those who were found stay: whether they serve their health says.
    hold timeout 24h
    hold refused 24h
    hold other 24h

global
    # A container may open files without end, and haproxy would take memory for as many connections.
    fd-hard-limit 50000
"""
METRICS_PORT: Final = 8405
"""What haproxy's own documentation takes for them."""


class NoHaproxyError(BoxOfficeError):
    """Several gateways were asked for, and nothing is there that shares requests out among them."""

    exit_status = ExitStatus.USAGE
    remedy = "Install haproxy (on Debian and Ubuntu `apt-get install haproxy`), or start one gateway."

    def __init__(self, gateways: int) -> None:
        super().__init__(
            f"For {gateways} gateways something has to share requests out among them, and there is no haproxy on the "
            "PATH: install it (on Debian and Ubuntu 'apt-get install haproxy'), or leave --gateways away."
        )


@dataclass(frozen=True)
class Instance:
    """A process behind haproxy: its name there, where it serves, and where it says whether it is ready."""

    name: str
    address: str
    health_port: int


@dataclass(frozen=True)
class Service:
    """Processes behind one name, as in Compose and Kubernetes: they come and go, and the DNS has each one's address."""

    name: str
    address: str
    health_port: int
    most: int
    """Of more than so many, the others are not asked."""


@dataclass(frozen=True)
class Balancer:
    """What haproxy listens on, and what lies behind it."""

    bind: str
    gateways: Sequence[Instance] | Service
    live: Sequence[Instance] | Service = ()
    most_connections: int = 10_000
    """Of one gateway, as its setting says: those beyond wait here."""
    metrics_bind: str = ""
    """Where haproxy serves its own metrics; nowhere unless given."""

    def configuration(self) -> str:
        """What haproxy is told."""
        filled = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
            bind=self.bind,
            body_within_s=round(BODY_WITHIN_S),
            server_s=round(LONGEST_WAIT_S + ACKNOWLEDGED_WITHIN_S + _MARGIN_S),
            most_body_bytes=MAX_COMMAND_BYTES,
            most_connections=self.most_connections,
            most_connections_in_all=self.most_connections * _most(self.gateways),
            errors="\n".join(_error(status) for status in _SAID),
            routes=_ROUTES if self.live else "",
            gateways=_servers(self.gateways),
            live=_LIVE + _servers(self.live) if self.live else "",
            metrics=_METRICS.format(bind=self.metrics_bind) if self.metrics_bind else "",
            names=_NAMES if isinstance(self.gateways, Service) else "",
        )
        return filled.rstrip() + "\n"


def _error(status: int) -> str:
    name, detail = _SAID[status]
    body = problem(name, detail).decode()
    assert "'" not in body, "between quotes haproxy knows no escape"
    again = " hdr Retry-After 1" if status in _AGAIN else ""
    return f"    http-error status {status} content-type {MEDIA_TYPE} string '{body}' hdr Cache-Control no-store{again}"


def _most(instances: Sequence[Instance] | Service) -> int:
    return instances.most if isinstance(instances, Service) else len(instances)


def _servers(instances: Sequence[Instance] | Service) -> str:
    if isinstance(instances, Service):
        template = f"    server-template {instances.name}- {instances.most} {instances.address}"
        return f"{template} port {instances.health_port} resolvers names init-addr none"
    return "\n".join(f"    server {one.name} {one.address} port {one.health_port}" for one in instances)


def example() -> str:
    """The configuration for two gateways and one page, each on a machine of its own: ``docs/haproxy.cfg``."""
    return Balancer(
        ":8080",
        [Instance(f"gateway-{number}", f"192.0.2.{number}:8080", 9464) for number in (1, 2)],
        [Instance("live-1", "192.0.2.3:8081", 9464)],
        metrics_bind=f":{METRICS_PORT}",
    ).configuration()


def deployed() -> Mapping[str, str]:
    """The configurations of the deployments that come with the source, each by its path."""
    return {
        "docker/haproxy.cfg": _before_services("gateway:8080", "live:8081"),
        "kubernetes/base/haproxy.cfg": _before_services(
            '"gateway.${NAMESPACE}.svc.cluster.local:8080"', '"live.${NAMESPACE}.svc.cluster.local:8081"'
        ),
    }


def _before_services(gateways: str, live: str) -> str:
    return Balancer(
        ":8080",
        Service("gateway", gateways, 9464, MOST_GATEWAYS),
        Service("live", live, 9464, MOST_LIVE),
        metrics_bind=f":{METRICS_PORT}",
    ).configuration()


def haproxy_program() -> str | None:
    """Where haproxy is, if it is installed."""
    folders = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS))
    return shutil.which(_PROGRAM, path=folders)
