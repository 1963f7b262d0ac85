"""Several brokers that are one cluster, for whoever wants to see one die; secured if they are given users.

All brokers are controllers too. Secured, clients are let in by name and password (SCRAM) over TLS, and may do what
ACLs allow; the brokers know each other by their certificates alone, since a controller has no passwords of its own.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from boxoffice.embedded.folders import make_private
from boxoffice.embedded.kafka import HEAP, EmbeddedKafka, Membership, new_cluster_id
from boxoffice.embedded.ports import HOST, free_port
from boxoffice.embedded.process import STOP_DEADLINE_S
from boxoffice.embedded.users import ADMIN, MECHANISM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from boxoffice.embedded.authority import Authority
    from boxoffice.embedded.jars import DownloadProgress
    from boxoffice.embedded.users import Users

CLIENTS, BROKERS, CONTROLLERS = "CLIENTS", "BROKERS", "CONTROLLER"
_PLAIN: Final = "PLAINTEXT"
_MOST_REPLICAS: Final = 3
_START_DEADLINE_S: Final = 120.0
_WITHOUT_MAJORITY_S: Final = 2.0
_LOGIN: Final = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_AUTHORIZER: Final = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
_CLUSTER_ID_FILE: Final = "cluster-id"


class _Ports(NamedTuple):
    clients: int
    brokers: int
    controller: int


class EmbeddedCluster:
    """So many brokers on one machine; a broker may be killed and started again by itself (``brokers``).

    ``port`` is the first broker's. ``users`` secure it; ``properties`` are added to every broker's configuration.
    """

    def __init__(
        self,
        folder: Path,
        brokers: int,
        port: int | None = None,
        *,
        users: Users | None = None,
        properties: Mapping[str, str] | None = None,
        java_options: Sequence[str] = (),
        progress: DownloadProgress | None = None,
    ) -> None:
        self.folder: Final = folder.absolute()
        self._users = users
        self._properties = dict(properties or {})
        self._ports = {
            number: _Ports(port if port is not None and number == 1 else free_port(), free_port(), free_port())
            for number in range(1, brokers + 1)
        }
        self.brokers: Final = [
            EmbeddedKafka(
                self.folder / f"broker-{number}",
                ports.clients,
                java_options=(HEAP, *java_options),
                progress=progress if number == 1 else None,
            )
            for number, ports in self._ports.items()
        ]

    @property
    def bootstrap_servers(self) -> str:
        """What a client connects to."""
        return ",".join(broker.address for broker in self.brokers)

    @property
    def pid(self) -> int | None:
        """The first broker's process id, while it runs."""
        return self.brokers[0].pid

    async def launch(self, deadline_s: float = _START_DEADLINE_S) -> None:
        """Start all brokers, and wait until each serves."""
        self._prepare()
        await asyncio.gather(*(asyncio.to_thread(broker.prepare) for broker in self.brokers))
        try:
            for broker in self.brokers:
                broker.start()
            for broker in self.brokers:
                await broker.wait_ready(deadline_s)
        except BaseException:
            self.kill()
            raise

    async def stop(self) -> None:
        """Ask one after the other to end; those that find no majority to hand over to would wait for minutes."""
        for broker in reversed(self.brokers):
            has_majority = 2 * sum(one.running for one in self.brokers) > len(self.brokers)
            await broker.stop(STOP_DEADLINE_S if has_majority else _WITHOUT_MAJORITY_S)

    def kill(self) -> None:
        """End all at once."""
        for broker in self.brokers:
            broker.kill()

    async def __aenter__(self) -> Self:
        await self.launch()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _prepare(self) -> None:
        """Certificates are made anew; data that is there is kept."""
        make_private(self.folder)
        cluster_id = self._cluster_id()
        authority = self._users.authority if self._users is not None else None
        for number, broker in enumerate(self.brokers, 1):
            broker.membership = Membership(
                cluster_id,
                number,
                {
                    **_shared(len(self.brokers)),
                    **self._addresses(number),
                    **self._security(number, authority),
                    **self._properties,
                },
                self._users.scram() if self._users is not None else (),
                self._users.client(ADMIN) if self._users is not None else {},
            )

    def _cluster_id(self) -> str:
        """The same for all, and at each start."""
        path = self.folder / _CLUSTER_ID_FILE
        if not path.exists():
            path.write_text(new_cluster_id())
        return path.read_text()

    def _addresses(self, number: int) -> dict[str, str]:
        ports = self._ports[number]
        protocols = {CLIENTS: _PLAIN, BROKERS: _PLAIN, CONTROLLERS: _PLAIN}
        if self._users is not None:
            protocols = {CLIENTS: "SASL_SSL", BROKERS: "SSL", CONTROLLERS: "SSL"}
        advertised = f"{CLIENTS}://{HOST}:{ports.clients},{BROKERS}://{HOST}:{ports.brokers}"
        return {
            "listeners": f"{advertised},{CONTROLLERS}://{HOST}:{ports.controller}",
            "advertised.listeners": advertised,
            "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
            "inter.broker.listener.name": BROKERS,
            "controller.listener.names": CONTROLLERS,
            "controller.quorum.voters": ",".join(
                f"{voter}@{HOST}:{of_voter.controller}" for voter, of_voter in self._ports.items()
            ),
        }

    def _security(self, number: int, authority: Authority | None) -> dict[str, str]:
        if authority is None:
            return {}
        # Paths as the broker finds them from its folder, whatever the folder's name is.
        folder = self.brokers[number - 1].folder
        store = os.path.relpath(authority.store(f"broker-{number}"), folder)
        trusted = os.path.relpath(authority.certificate, folder)
        supers = [f"User:CN=broker-{other}" for other in self._ports]
        listener = f"listener.name.{CLIENTS.lower()}"
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": store,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": trusted,
            f"listener.name.{BROKERS.lower()}.ssl.client.auth": "required",
            f"listener.name.{CONTROLLERS.lower()}.ssl.client.auth": "required",
            f"{listener}.sasl.enabled.mechanisms": MECHANISM,
            f"{listener}.{MECHANISM.lower()}.sasl.jaas.config": _LOGIN,
            "authorizer.class.name": _AUTHORIZER,
            "super.users": ";".join([*supers, f"User:{ADMIN}"]),
        }


def _shared(brokers: int) -> dict[str, str]:
    """What survives the loss of one broker, where there are three or more."""
    replicas = str(min(brokers, _MOST_REPLICAS))
    in_sync = "2" if brokers >= _MOST_REPLICAS else "1"
    internal = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    return {
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        **{f"{name}.replication.factor": replicas for name in internal},
        **{f"{name}.min.isr": in_sync for name in internal[1:]},
    }
