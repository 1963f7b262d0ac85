"""Whose address a request came from."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.gateway.addresses import MOST_HOPS, Addresses, limited_as

TRUSTED = Addresses([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        # The connection's own, where no proxy is trusted to know better.
        ("192.0.2.9", ["198.51.100.1"], "192.0.2.9"),
        ("", ["198.51.100.1"], ""),
        # A proxy's word.
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        # What stands left of the first stranger was made up, in however many lines.
        ("10.0.0.1", ["203.0.113.5, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.5", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.5, 10.1.1.1", "198.51.100.1"], "198.51.100.1"),
        # Proxies behind proxies.
        ("10.0.0.1", ["203.0.113.5, 198.51.100.1, 10.0.0.3,10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        # As some write them.
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        # What is no address ends the look.
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, , 10.0.0.2"], "10.0.0.2"),
    ],
)
def test_a_trusted_proxy_is_believed_what_it_added_itself(peer: str, forwarded: list[str], address: str) -> None:
    assert TRUSTED.of(peer, ", ".join(forwarded) if forwarded else None) == address


def test_nobody_is_believed_where_no_proxy_is_trusted() -> None:
    assert Addresses([]).of("10.0.0.1", "198.51.100.1") == "10.0.0.1"


def test_no_more_proxies_are_looked_through_than_anybody_has() -> None:
    forwarded = ["198.51.100.1", *["10.0.0.2"] * MOST_HOPS]
    assert TRUSTED.of("10.0.0.1", ",".join(forwarded)) == "10.0.0.2"


@given(st.text())
def test_no_header_is_too_odd_to_be_read(forwarded: str) -> None:
    TRUSTED.of("10.0.0.1", forwarded)


def test_one_customer_s_network_is_limited_as_one() -> None:
    assert limited_as("2001:db8::7") == limited_as("2001:db8::ffff:1") == "2001:db8::/64"
    assert limited_as("2001:db8:0:1::7") != limited_as("2001:db8::7")
    assert limited_as("192.0.2.9") == limited_as("::ffff:192.0.2.9") == "192.0.2.9"
    assert limited_as("192.0.2.8") != limited_as("192.0.2.9")
    assert limited_as("somewhere") == "somewhere"
