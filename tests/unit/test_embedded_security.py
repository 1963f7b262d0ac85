"""What secured servers of one's own are told: who they are, whom they let in, and no password where others read it."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from boxoffice.cli.secured import secured, write_login
from boxoffice.embedded import EmbeddedRedis, EmbeddedStack
from boxoffice.embedded.cluster import EmbeddedCluster
from boxoffice.embedded.environment import secured_kafka_variables
from boxoffice.embedded.redis import Guard
from boxoffice.embedded.users import ADMIN, Users
from boxoffice.kafka.access import BY_USER
from boxoffice.redis.connection import connect
from boxoffice.settings import load_settings, settings_from

NAMES = ("purchases", "live")


@pytest.fixture
def users(tmp_path: Path) -> Users:
    made = Users(tmp_path / "security", NAMES)
    made.prepare()
    return made


def told(cluster: EmbeddedCluster) -> list[dict[str, str]]:
    """What each broker's configuration says."""
    cluster._prepare()
    found = []
    for broker in cluster.brokers:
        broker.folder.mkdir(parents=True)
        written = broker.folder / broker._write_properties(broker.data_folder)
        found.append(dict(line.split("=", 1) for line in written.read_text().splitlines()))
    return found


def passwords(users: Users) -> list[str]:
    return [users.password(name) for name in users.names]


def test_brokers_of_a_cluster_agree_on_who_votes_and_have_ports_of_their_own(tmp_path: Path) -> None:
    cluster = EmbeddedCluster(tmp_path, 3, 19092)
    properties = told(cluster)
    assert [one["node.id"] for one in properties] == ["1", "2", "3"]
    [voters] = {one["controller.quorum.voters"] for one in properties}
    ports = {port for one in properties for port in re.findall(r":(\d+)", one["listeners"])}
    assert len(ports) == 9
    assert set(re.findall(r":(\d+)", voters)) <= ports
    assert cluster.bootstrap_servers.startswith("127.0.0.1:19092,")
    assert {broker.membership.cluster_id for broker in cluster.brokers if broker.membership} == {
        (tmp_path / "cluster-id").read_text()
    }


@pytest.mark.parametrize(
    ("brokers", "replicas", "in_sync"), [(1, "1", "1"), (2, "2", "1"), (3, "3", "2"), (5, "3", "2")]
)
def test_three_brokers_or_more_survive_the_loss_of_one(
    tmp_path: Path, brokers: int, replicas: str, in_sync: str
) -> None:
    for one in told(EmbeddedCluster(tmp_path, brokers)):
        assert one["default.replication.factor"] == one["offsets.topic.replication.factor"] == replicas
        assert one["min.insync.replicas"] == one["transaction.state.log.min.isr"] == in_sync


def test_a_secured_broker_asks_clients_for_passwords_and_brokers_for_certificates(users: Users, tmp_path: Path) -> None:
    for number, one in enumerate(told(EmbeddedCluster(tmp_path / "kafka", 3, users=users)), 1):
        assert one["listener.security.protocol.map"] == "CLIENTS:SASL_SSL,BROKERS:SSL,CONTROLLER:SSL"
        assert one["listener.name.brokers.ssl.client.auth"] == "required"
        assert one["listener.name.controller.ssl.client.auth"] == "required"
        assert one["authorizer.class.name"].endswith("StandardAuthorizer")
        assert one["super.users"] == "User:CN=broker-1;User:CN=broker-2;User:CN=broker-3;User:admin"
        assert "allow.everyone.if.no.acl.found" not in one
        store = tmp_path / "kafka" / f"broker-{number}" / one["ssl.keystore.location"]
        certificate = x509.load_pem_x509_certificate(store.resolve().read_bytes().partition(b"-----END PRIVATE")[2])
        assert certificate.subject.rfc4514_string() == f"CN=broker-{number}"


def test_no_password_stands_in_a_configuration_or_a_command_line(users: Users, tmp_path: Path) -> None:
    cluster = EmbeddedCluster(tmp_path / "kafka", 3, users=users)
    guard = Guard(users, lambda known: [f"user {ADMIN} on >{known.password(ADMIN)}"], "/usr/bin/redis-server")
    redis = EmbeddedRedis(tmp_path / "redis", guard=guard)
    redis.prepare()
    written = [value for one in told(cluster) for value in one.values()]
    assert not [word for word in (*written, *redis._command()) if any(one in word for one in passwords(users))]
    assert (redis.folder / "users.acl").stat().st_mode & 0o777 == 0o600


def test_a_data_folder_of_any_name_is_no_trouble_since_paths_are_relative(tmp_path: Path) -> None:
    folder = tmp_path / "a, b:c ü"
    users = Users(folder / "security", NAMES)
    users.prepare()
    for one in told(EmbeddedCluster(folder / "kafka", 2, users=users)):
        assert one["ssl.truststore.location"] == "../../security/authority.pem"


def test_every_user_has_a_password_in_what_kafka_is_formatted_with(users: Users) -> None:
    words = users.scram()
    assert words[::2] == ("--add-scram",) * 3
    assert [re.findall(r"name=(\w+),password=(\S+)\]", word)[0] for word in words[1::2]] == [
        (name, users.password(name)) for name in (ADMIN, *NAMES)
    ]


def test_a_user_is_told_how_to_come(users: Users) -> None:
    variables = secured_kafka_variables("127.0.0.1:1,127.0.0.1:2", users, "live")
    kafka = settings_from(variables).kafka
    assert (kafka.security_protocol, kafka.sasl_mechanism, kafka.sasl_username) == ("SASL_SSL", "SCRAM-SHA-512", "live")
    assert kafka.sasl_password.get_secret_value() == users.password("live")
    assert kafka.ssl_cafile == users.authority.certificate


@pytest.mark.parametrize("program", [None, "/usr/bin/redis-server"])
def test_redis_is_reached_by_tls_where_its_program_speaks_it(users: Users, tmp_path: Path, program: str | None) -> None:
    redis = EmbeddedRedis(tmp_path / "a b&c", guard=Guard(users, lambda _: [], program))
    redis.prepare()
    url = redis.url_for("live")
    assert url.startswith("rediss://live:" if program else "redis://live:")
    assert connect(load_settings(redis_url=url).redis) is not None
    assert redis.speaks_tls is (program is not None)
    words = redis._command()
    assert ("--tls-port" in words) is (program is not None)
    assert words[words.index("--port") + 1] == ("0" if program else str(redis.port))


def test_data_of_secured_servers_is_not_that_of_others(tmp_path: Path) -> None:
    folders = {
        EmbeddedStack(tmp_path, brokers=brokers, secured=secured() if is_secured else None).kafka.folder.name
        for brokers in (1, 3)
        for is_secured in (False, True)
    }
    assert folders == {"kafka", "kafka-3", "kafka-1-secured", "kafka-3-secured"}


def test_redis_knows_everybody_who_comes_and_an_administrator(tmp_path: Path) -> None:
    users = Users(tmp_path / "security", tuple(BY_USER))
    users.prepare()
    lines = secured().redis_lines(users)
    assert lines[0] == "user default off"
    assert {line.split()[1] for line in lines if " on #" in line} == {*BY_USER, ADMIN} - {"shop"}
    assert not [one for one in passwords(users) if one in " ".join(lines)]


def test_a_shell_becomes_the_operator_by_one_line(tmp_path: Path) -> None:
    path = tmp_path / "it's mine" / "operator.env"
    path.parent.mkdir()
    value = "a 'quoted' $HOME `word`"
    line = write_login(path, [("BOXOFFICE_TOPIC_PREFIX", value)])
    assert path.stat().st_mode & 0o777 == 0o600
    done = subprocess.run(
        ["/bin/sh", "-c", f'{line} && printf %s "$BOXOFFICE_TOPIC_PREFIX"'], capture_output=True, text=True, check=True
    )
    assert done.stdout == value
    assert shlex.split(line) == [".", str(path)]
