"""What ``boxoffice up`` starts for callers over HTTP: gateways, haproxy in front of several, and the live page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pydantic_core import to_json

from boxoffice.cli.tables import say
from boxoffice.embedded import PortTakenError, Worker
from boxoffice.embedded.environment import PORTS, port_variables
from boxoffice.embedded.folders import make_private
from boxoffice.embedded.ports import HOST, can_listen, free_port, keep_port
from boxoffice.gateway.haproxy import Balancer, Instance, NoHaproxyError, haproxy_program
from boxoffice.process.open_files import allow_connections
from boxoffice.settings import SETTINGS, is_given, load_settings
from models.api_keys import Scope

GATEWAY: Final = "gateway"
LIVE: Final = "live"
HAPROXY: Final = "haproxy"

CALLER: Final = "boxoffice up"
SCOPES: Final[Sequence[Scope]] = ("buy", "events", "read")
SHOP: Final = "shop page"
SHOP_SCOPES: Final[Sequence[Scope]] = ("buy",)

_EVERYWHERE: Final = ("", "0.0.0.0", "::")  # noqa: S104  # looked for, not listened on
_EVENT: Final = {
    "event_id": "42",
    "name": "Night at the Opera",
    "venue": "Main Hall",
    "starts_at": "2027-03-01T19:30:00+01:00",
    "capacity": 1_000,
    "price": {"amount": 4_500, "currency": "EUR"},
}
_ORDER: Final = {"buyer": "b-77", "quantity": 2}


@dataclass(frozen=True)
class Front:
    """The processes that listen for callers, each by the port on which it does; ``haproxy`` is its program."""

    ports: Mapping[str, int]
    host: str = HOST
    gateways: int = 1
    haproxy: str | None = None

    @property
    def gateway_url(self) -> str:
        """Where callers find the gateway, or haproxy in its place."""
        return self._url(GATEWAY)

    @property
    def page_url(self) -> str:
        """Where people find the live page: haproxy serves it too."""
        return self._url(LIVE if self.haproxy is None else GATEWAY)

    def _url(self, process: str) -> str:
        return f"http://{HOST if self.host in _EVERYWHERE else self.host}:{self.ports[process]}"

    def workers(self, workers: Sequence[Worker], folder: Path, shop_key: str) -> list[Worker]:
        """All workers, those that listen on their ports; haproxy comes before its gateways, and so ends after them.

        Raises:
            FolderError: there is no room for haproxy's configuration in the folder.
        """
        found: list[Worker] = []
        for worker in workers:
            if worker.name == GATEWAY and self.haproxy is not None:
                found += [self._balancer(folder), *(_as(worker, one) for one in self._instances)]
            elif worker.name == GATEWAY:
                found.append(_with(worker, self._gateway_variables()))
            elif worker.name == LIVE:
                found.append(_with(worker, self._live_variables(shop_key)))
            else:
                found.append(worker)
        return found

    @cached_property
    def _instances(self) -> list[Instance]:
        """Gateways that haproxy knows: on free ports, with health ports of their own."""
        numbers = range(1, self.gateways + 1)
        return [Instance(f"{GATEWAY}-{number}", f"{HOST}:{free_port()}", free_port()) for number in numbers]

    @cached_property
    def _page(self) -> Instance:
        return Instance(LIVE, f"{HOST}:{self.ports[LIVE]}", free_port())

    def _balancer(self, folder: Path) -> Worker:
        assert self.haproxy is not None
        most_connections = load_settings().gateway.most_connections
        allow_connections(2 * most_connections * self.gateways)
        balancer = Balancer(
            f"{self.host}:{self.ports[GATEWAY]}",
            self._instances,
            [self._page] if LIVE in self.ports else (),
            most_connections,
        )
        make_private(folder)
        path = folder / f"{HAPROXY}.cfg"
        path.write_text(balancer.configuration(), encoding="utf-8")
        return Worker(HAPROXY, (self.haproxy, "-db", "-f", str(path)))

    def _gateway_variables(self) -> dict[str, str]:
        variables = port_variables(GATEWAY, self.ports[GATEWAY])
        if LIVE in self.ports:
            # A browser's page may be asked for by either name, and each is an origin of its own.
            origins = [f"http://{host}:{self.ports[LIVE]}" for host in (HOST, "localhost")]
            variables["BOXOFFICE_GATEWAY_ORIGINS"] = ",".join(origins)
        return variables

    def _live_variables(self, shop_key: str) -> dict[str, str]:
        variables = port_variables(LIVE, self.ports[LIVE]) | {"BOXOFFICE_LIVE_SHOP_KEY": shop_key}
        if self.haproxy is not None:
            return variables | _behind_haproxy(LIVE, self._page)
        if GATEWAY in self.ports:
            variables["BOXOFFICE_LIVE_GATEWAY_URL"] = self.gateway_url
        return variables

    def say(self, key: str | None) -> None:
        """Say where callers are heard, and what they send."""
        if LIVE in self.ports:
            say(f"Live page: {self.page_url}/")
        if GATEWAY in self.ports:
            self._say_gateway(key)

    def _say_gateway(self, key: str | None) -> None:
        behind = f", which is haproxy before {self.gateways} gateways" if self.haproxy is not None else ""
        say(f"HTTP: {self.gateway_url}{behind}")
        if key is None:
            say("A key for it: boxoffice keys create --scope buy")
            return
        say(f"Key, which may {', '.join(SCOPES)}: {key}")
        say("")
        say("An event, and two tickets for it:")
        say("")
        say(_curl(f"{self.gateway_url}/v1/events", key, "e-1", _EVENT))
        say(_curl(f"{self.gateway_url}/v1/events/{_EVENT['event_id']}/purchases", key, "r-1", _ORDER))
        say("")


def open_front(processes: Sequence[str], gateways: int, port: int | None) -> Front:
    """Find ports for the processes that listen for callers; ``port`` is the gateway's, or haproxy's, if it was given.

    Raises:
        NoHaproxyError: there are several gateways, and no haproxy.
        PortTakenError: a port that was given belongs to somebody else.
    """
    program = None
    if gateways > 1:
        program = haproxy_program()
        if program is None:
            raise NoHaproxyError(gateways)
    ports = {
        process: _port(process, variable, port if process == GATEWAY else None)
        for process, variable in PORTS.items()
        if process in processes
    }
    return Front(ports, load_settings().gateway.host, gateways, program)


def _port(process: str, variable: str, given: int | None) -> int:
    """What somebody chose; else what the setting says by itself, or a free one where another program has that."""
    wanted = given if given is not None else int(str(SETTINGS[variable].value(load_settings())))
    if can_listen(wanted):
        keep_port(wanted)
        return wanted
    if given is not None or is_given(variable):
        raise PortTakenError(process, wanted)
    return free_port()


def _with(worker: Worker, variables: Mapping[str, str]) -> Worker:
    """The worker with these variables, but for those that somebody has set himself."""
    own = {name: value for name, value in variables.items() if name in PORTS.values() or not is_given(name)}
    return replace(worker, env={**worker.env, **own})


def _as(gateway: Worker, instance: Instance) -> Worker:
    host, _, port = instance.address.rpartition(":")
    variables = {"BOXOFFICE_GATEWAY_HOST": host, **port_variables(GATEWAY, int(port))}
    return replace(gateway, name=instance.name, env={**gateway.env, **variables, **_behind_haproxy(GATEWAY, instance)})


def _behind_haproxy(process: str, instance: Instance) -> dict[str, str]:
    """What lets haproxy ask how it is, and say for whom it asks anything else."""
    return {
        "BOXOFFICE_HEALTH_HOST": HOST,
        "BOXOFFICE_HEALTH_PORT": str(instance.health_port),
        f"BOXOFFICE_{process.upper()}_TRUSTED_PROXIES": HOST,
    }


def _curl(url: str, key: str, request: str, body: Mapping[str, Any]) -> str:
    """A command for a shell, on one line, so that it can be copied."""
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": request, "Content-Type": "application/json"}
    words = ["curl", "-sS", *(word for name, value in headers.items() for word in ("-H", f"{name}: {value}"))]
    return shlex.join([*words, "-d", to_json(body).decode(), url])
