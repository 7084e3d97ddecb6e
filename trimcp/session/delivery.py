"""A delivery: who sent a request, and with which header fields, as far as its transport tells.

Each request over HTTP has its own. The requests of a duplex connection share one: that of the upgrade
of a WebSocket, of the stream of HTTP+SSE, or `LOCAL` on stdio, sockets and in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trimcp.framing.header_fields import HeaderFields
from trimcp.protocol.principal import Principal

NO_FIELDS: Final[Mapping[bytes, bytes]] = {}


class Delivery:
    """The facts about one request that its transport delivered with it. Never changed after it is made."""

    __slots__ = ("_fields", "principal")

    def __init__(self, principal: Principal | None, fields: Mapping[bytes, bytes] = NO_FIELDS) -> None:
        """`fields`: the header fields of the HTTP request, by their names in lower case."""
        self.principal = principal
        """The authenticated sender; None for an anonymous request."""
        self._fields = fields

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields of the HTTP request, by names in any case; empty on other transports."""
        return HeaderFields(self._fields)


LOCAL: Final = Delivery(None)
"""The delivery of requests whose transport tells nothing about the sender."""
