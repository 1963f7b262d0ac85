"""Whose address a request came from: the connection's own, or what trusted proxies say that stood before them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

MOST_HOPS: Final = 16
"""Proxies one behind the other that are looked through."""

_OF_ONE: Final = 64
"""Bits that tell one customer's IPv6 network from another's: within it he has any address that he likes."""


class Addresses:
    """Reads ``X-Forwarded-For`` from its right end, where the nearest proxy writes.

    What stands left of an address that is not a trusted proxy's, anybody can have made up.
    """

    def __init__(self, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self._trusted = trusted

    def of(self, peer: str, forwarded: str | None) -> str:
        """The address of whoever asks; ``peer`` is the connection's, ``forwarded`` the header, all lines of it."""
        if not self._trusted:
            return peer
        address = _address(peer)
        if address is None or not self._is_trusted(address):
            return peer
        for text in reversed((forwarded or "").split(",")[-MOST_HOPS:]):
            before = _address(text.strip())
            if before is None:
                break
            address = before
            if not self._is_trusted(address):
                break
        return str(address)

    def _is_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted)


@lru_cache(maxsize=65_536)
def limited_as(address: str) -> str:
    """As what an address is limited: itself, or the network that one customer has of IPv6."""
    found = _address(address)
    if found is None or found.version == 4:  # noqa: PLR2004  # what else there is, is told by its name
        return str(found or address)
    return str(IPv6Network((found, _OF_ONE), strict=False))


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it, perhaps with a port; IPv4 within IPv6 is IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
