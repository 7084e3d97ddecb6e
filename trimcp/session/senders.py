"""Tells the senders of sessions apart, so that one of them cannot take all sessions of a server.

A sender is a principal, else an IP address. This machine and trusted proxies are no senders: many peers share them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

from trimcp.errors import UsageError
from trimcp.limits import Limits
from trimcp.session.peer import Peer

SITE: Final = 64
"""Bits of an IPv6 address that tell its site: a single host has all addresses of the rest."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Senders:
    """Judges by `Limits.sender_sessions` whether a sender may have one more session."""

    def __init__(self, limits: Limits) -> None:
        """
        Raises:
            UsageError: an entry of `Limits.proxies` is neither an IP address nor a network.
        """
        self._most = limits.sender_sessions
        self._proxies = [_network(text) for text in limits.proxies]

    def has_too_many(self, session: Peer, others: Iterable[Peer]) -> bool:
        """Return whether the sender of a session has as many others as it may have."""
        sender = self._sender_of(session)
        if sender is None:
            return False
        return sum(self._sender_of(other) == sender for other in others) >= self._most

    def _sender_of(self, session: Peer) -> str | None:
        if session.principal is not None:
            return f"principal {session.principal.key}"
        address = address_of(session.description)
        if address is None or address.is_loopback or any(address in network for network in self._proxies):
            return None
        if isinstance(address, ipaddress.IPv6Address):
            return f"site {int(address) >> (128 - SITE):x}"
        return f"address {address}"


def address_of(peer: str) -> Address | None:
    """Return the IP address in the description of a peer, such as `tcp [::1]:50000`; None if there is none."""
    host = peer.partition(",")[0].rpartition(" ")[2].rpartition(":")[0]
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        what = f"Invalid entry {text!r} of Limits.proxies"
        raise UsageError(f"{what}: give IP addresses, or networks such as 10.0.0.0/8") from None
