"""What an engine or a cluster leaves in the firewall is taken out again, and nothing of anybody else's."""

from __future__ import annotations

from tests.deployment.host import without_ours

BEFORE = """\
*filter
:INPUT ACCEPT [10:800]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [10:800]
:OURS - [0:0]
-A INPUT -j OURS
-A OURS -s 192.0.2.1/32 -j DROP
COMMIT
"""
AFTER = """\
*filter
:INPUT ACCEPT [99:9900]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [99:9900]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
:KUBE-FIREWALL - [0:0]
:OURS - [0:0]
-A INPUT -j KUBE-FIREWALL
-A INPUT -j OURS
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i br-0123456789ab -j ACCEPT
-A DOCKER-USER -j RETURN
-A OURS -s 192.0.2.1/32 -j DROP
-A OURS -s 192.0.2.2/32 -j DROP
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER -i docker0 -j RETURN
COMMIT
"""


def test_chains_and_rules_of_engines_go_and_those_of_others_stay() -> None:
    assert without_ours(AFTER, BEFORE).splitlines() == [
        "*filter",
        ":INPUT ACCEPT [99:9900]",
        ":FORWARD ACCEPT [0:0]",
        ":OUTPUT ACCEPT [99:9900]",
        ":OURS - [0:0]",
        "-A INPUT -j OURS",
        "-A OURS -s 192.0.2.1/32 -j DROP",
        "-A OURS -s 192.0.2.2/32 -j DROP",
        "COMMIT",
        "*nat",
        ":PREROUTING ACCEPT [0:0]",
        "COMMIT",
    ]


def test_an_engine_that_was_there_before_keeps_its_own() -> None:
    assert without_ours(AFTER, AFTER) == AFTER
