"""Redis in several servers, which tests make suffer: a cluster with a replica for each primary, and Sentinels."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, Final

from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from boxoffice.embedded import EmbeddedRedis
from boxoffice.embedded.ports import HOST, free_port
from boxoffice.embedded.redis import Guard, server_program
from boxoffice.embedded.users import ADMIN
from tests.support.office import POLL_S

PRIMARIES: Final = 3
SLOTS: Final = 16_384
DEADLINE_S: Final = 60
NODE_TIMEOUT_MS: Final = 2_000
SERVICE: Final = "shop"
_IN_A_HURRY: Final = {"repl-diskless-sync-delay": "0", "repl-timeout": "5"}


def ask(server: EmbeddedRedis, *words: Any) -> Any:
    """One command to one server, as who may do everything."""
    client: Any = Redis.from_url(server.url, decode_responses=True, socket_timeout=5)
    with client:
        return client.execute_command(*words)


async def until_so(condition: Any, what: str) -> None:
    """Wait until something is so; a server that does not answer yet says that it is not."""
    deadline_s = monotonic() + DEADLINE_S
    while True:
        with suppress(RedisError, OSError):
            if await asyncio.to_thread(condition):
                return
        assert monotonic() < deadline_s, f"waited {DEADLINE_S} s for {what}"
        await asyncio.sleep(POLL_S)


class RedisCluster:
    """Six servers; ``guard`` says who is let into each."""

    def __init__(self, folder: Path, guard: Guard | None = None) -> None:
        self._guard = guard
        self._buses = [free_port() for _ in range(2 * PRIMARIES)]
        self.nodes: Final = [
            EmbeddedRedis(folder / f"node-{number}", options=self._options(bus), guard=guard)
            for number, bus in enumerate(self._buses)
        ]

    def _options(self, bus: int) -> Mapping[str, str]:
        options = {
            **_IN_A_HURRY,
            "cluster-enabled": "yes",
            "cluster-port": str(bus),
            "cluster-node-timeout": str(NODE_TIMEOUT_MS),
        }
        if self._guard is not None:
            options |= {"masteruser": ADMIN, "masterauth": self._guard.users.password(ADMIN)}
            if self._guard.program is not None:
                options |= {"tls-cluster": "yes", "tls-replication": "yes"}
        return options

    @property
    def url(self) -> str:
        """All of them, any of which may be down."""
        return self.url_for(ADMIN)

    def url_for(self, user: str) -> str:
        """The same for a user."""
        scheme, _, rest = self.nodes[0].url_for(user).partition("://")
        login, at, address = rest.rpartition("@")
        _, _, query = address.partition("?")
        addresses = ",".join(node.address for node in self.nodes)
        return f"{scheme}+cluster://{login}{at}{addresses}{'?' if query else ''}{query}"

    async def open(self) -> None:
        """Start all, share out the slots, and let each primary have a replica."""
        await asyncio.gather(*(node.launch() for node in self.nodes))
        first, *others = self.nodes
        share = SLOTS // PRIMARIES + 1
        for number, node in enumerate(self.nodes[:PRIMARIES]):
            begin = number * share
            ask(node, "CLUSTER", "ADDSLOTSRANGE", begin, min(begin + share, SLOTS) - 1)
        for node, bus in zip(others, self._buses[1:], strict=True):
            ask(first, "CLUSTER", "MEET", HOST, node.port, bus)
        await until_so(lambda: all(self._knows_all(node) for node in self.nodes), "all to know each other")
        for primary, replica in zip(self.nodes[:PRIMARIES], self.nodes[PRIMARIES:], strict=True):
            ask(replica, "CLUSTER", "REPLICATE", ask(primary, "CLUSTER", "MYID"))
        await self.well()

    async def mend(self) -> None:
        """Whatever a test has done: all are there, and each primary has a replica."""
        for node in self.nodes:
            node.resume()
            if not node.running:
                await node.launch()
        await self.well()

    async def well(self) -> None:
        """Wait until every slot is served and every replica follows."""
        await until_so(lambda: all(map(self._is_well, self.nodes)), "the cluster to be well")

    def _knows_all(self, node: EmbeddedRedis) -> bool:
        known = _lines(ask(node, "CLUSTER", "INFO"))
        return int(known["cluster_known_nodes"]) == len(self.nodes)

    def _is_well(self, node: EmbeddedRedis) -> bool:
        info = _lines(ask(node, "CLUSTER", "INFO"))
        replication = ask(node, "INFO", "replication")
        follows = replication["role"] == "master" or replication["master_link_status"] == "up"
        served = info["cluster_state"] == "ok" and int(info["cluster_slots_ok"]) == SLOTS
        has_replica = replication["role"] != "master" or int(replication["connected_slaves"]) >= 1
        return served and follows and has_replica

    def primary_of(self, event_id: str) -> EmbeddedRedis:
        """Who serves an event now."""
        alive = next(node for node in self.nodes if node.running)
        slot = key_slot(event_id.encode())
        for begin, end, primary in _slots(alive):
            if begin <= slot <= end:
                return next(node for node in self.nodes if node.port == primary)
        raise LookupError(event_id)

    def fullest_primary(self) -> EmbeddedRedis:
        """The primary that holds most keys."""
        alive = next(node for node in self.nodes if node.running)
        ports = {primary for _, _, primary in _slots(alive)}
        primaries = [node for node in self.nodes if node.port in ports and node.running]
        return max(primaries, key=lambda node: int(ask(node, "DBSIZE")))

    async def move(self, event_id: str) -> EmbeddedRedis:
        """Move an event's slot, with all that lies in it, to another primary, as operators do; returns who has it."""
        source = self.primary_of(event_id)
        ports = {primary for _, _, primary in _slots(source)}
        taker = next(node for node in self.nodes if node.port in ports - {source.port})
        slot = key_slot(event_id.encode())
        ids = {node.port: ask(node, "CLUSTER", "MYID") for node in (source, taker)}
        ask(taker, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source.port])
        ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[taker.port])
        while keys := ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 1):
            # One key at a time: what is asked meanwhile finds some here and some there.
            ask(source, "MIGRATE", HOST, taker.port, keys[0], 0, 5_000)
            await asyncio.sleep(POLL_S)
        for node in (taker, source):
            ask(node, "CLUSTER", "SETSLOT", slot, "NODE", ids[taker.port])
        return taker

    def stop(self) -> None:
        """End all."""
        for node in self.nodes:
            node.resume()
            node.kill()


def _slots(node: EmbeddedRedis) -> list[tuple[int, int, int]]:
    """First slot, last slot, and the port of who serves them."""
    return [(begin, end, int(primary[1])) for begin, end, primary, *_ in ask(node, "CLUSTER", "SLOTS")]


def _lines(told: Any) -> dict[str, str]:
    if isinstance(told, dict):
        return {str(name): str(value) for name, value in told.items()}
    return dict(line.split(":", 1) for line in str(told).splitlines() if ":" in line)


@contextmanager
def open_redis_cluster(folder: Path, guard: Guard | None = None) -> Iterator[RedisCluster]:
    """Start it, and end it."""
    cluster = RedisCluster(folder, guard)
    with ExitStack() as opened:
        opened.callback(cluster.stop)
        asyncio.run(cluster.open())
        yield cluster


class Sentinels:
    """A primary with two replicas, and three Sentinels that watch them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        first = free_port()
        self.servers: Final = [
            EmbeddedRedis(
                folder / f"redis-{number}",
                first if number == 0 else None,
                options=_IN_A_HURRY if number == 0 else {**_IN_A_HURRY, "replicaof": f"{HOST} {first}"},
            )
            for number in range(3)
        ]
        self._ports = [free_port() for _ in range(3)]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """All Sentinels, any of which may be down."""
        return f"redis+sentinel://{','.join(f'{HOST}:{port}' for port in self._ports)}/{SERVICE}"

    async def open(self) -> None:
        """Start all, and wait until the Sentinels know each other and both replicas."""
        for server in self.servers:
            await server.launch()
        for number, port in enumerate(self._ports):
            self._config(number).write_text(
                f"port {port}\nbind {HOST}\ndir {self._folder}\n"
                f"sentinel monitor {SERVICE} {HOST} {self.servers[0].port} 2\n"
                f"sentinel down-after-milliseconds {SERVICE} 1000\n"
                f"sentinel failover-timeout {SERVICE} 6000\n"
            )
        self.start_sentinels()
        await self.well()

    def _config(self, number: int) -> Path:
        return self._folder / f"sentinel-{number}.conf"

    def start_sentinels(self) -> None:
        """Start those that are missing; each remembers in its file what it knew."""
        for number in range(len(self._ports)):
            if number not in self._processes:
                self._processes[number] = subprocess.Popen(
                    [server_program(), str(self._config(number)), "--sentinel"],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )

    def kill_sentinels(self, count: int) -> None:
        """End some, the first ones."""
        for number in sorted(self._processes)[:count]:
            process = self._processes.pop(number)
            process.kill()
            process.wait()

    async def mend(self) -> None:
        """Whatever a test has done: all are there, and two follow the third."""
        self.start_sentinels()
        for server in self.servers:
            server.resume()
            if not server.running:
                await server.launch()
        await self.well()

    async def well(self) -> None:
        """Wait until all Sentinels agree on a primary with two replicas that follow it."""
        await until_so(self._is_well, "the Sentinels to agree")

    def _is_well(self) -> bool:
        told = [self._told(port) for port in self._ports]
        agreed = {(one["ip"], one["port"]) for one in told}
        watched = all(one["num-slaves"] == "2" and one["num-other-sentinels"] == "2" for one in told)
        replication = ask(self.primary, "INFO", "replication")
        return len(agreed) == 1 and watched and int(replication["connected_slaves"]) == len(self.servers) - 1

    @property
    def primary(self) -> EmbeddedRedis:
        """Whom a Sentinel names."""
        port = int(self._told(self._ports[min(self._processes)])["port"])
        return next(server for server in self.servers if server.port == port)

    async def replaced(self, primary: EmbeddedRedis) -> None:
        """Wait until a Sentinel names another: the one that is asked may be the last to hear of it."""
        await until_so(lambda: self.primary is not primary, "another primary")

    def _told(self, port: int) -> dict[str, str]:
        client: Any = Redis(host=HOST, port=port, decode_responses=True, socket_timeout=5)
        with client:
            found = client.execute_command("SENTINEL", "MASTER", SERVICE)
        return found if isinstance(found, dict) else dict(zip(found[::2], found[1::2], strict=True))

    def stop(self) -> None:
        """End all."""
        self.kill_sentinels(len(self._processes))
        for server in self.servers:
            server.resume()
            server.kill()


@contextmanager
def open_sentinels(folder: Path) -> Iterator[Sentinels]:
    """Start them, and end them."""
    sentinels = Sentinels(folder)
    with ExitStack() as opened:
        opened.callback(sentinels.stop)
        asyncio.run(sentinels.open())
        yield sentinels
