"""A delivery: who sent a request, and with which header fields, as far as its transport knows.

Each request over HTTP has its own. The requests of a duplex connection share one: that of the upgrade
of a WebSocket, of the stream of HTTP+SSE, or `LOCAL` on stdio, sockets and in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trimcp.framing.headers import HeaderFields
from trimcp.protocol.principal import Principal

NO_FIELDS: Final[Mapping[bytes, bytes]] = {}


class Delivery:
    """Holds what the transport knows about the sender of one request. It never changes."""

    __slots__ = ("_fields", "hides_forbidden", "principal")

    def __init__(
        self,
        principal: Principal | None,
        fields: Mapping[bytes, bytes] = NO_FIELDS,
        *,
        hides_forbidden: bool = False,
    ) -> None:
        """
        Args:
            principal: the authenticated sender; None for an anonymous request.
            fields: the header fields of the HTTP request, by their names in lower case.
            hides_forbidden: whether features whose scopes the sender lacks are unknown to it, rather than refused.
        """
        self.principal: Principal | None = principal
        """The authenticated sender; None for an anonymous request."""
        self._fields = fields
        self.hides_forbidden: bool = hides_forbidden
        """Whether features whose scopes the sender lacks are unknown to it, rather than refused."""

    @property
    def is_local(self) -> bool:
        """Whether the transport knows no senders, such as stdio and sockets: everything is permitted there."""
        return self.principal is None and not self._fields

    def with_principal(self, principal: Principal) -> Delivery:
        """Return the same with another principal."""
        return Delivery(principal, self._fields, hides_forbidden=self.hides_forbidden)

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields of the HTTP request, by names in any case; empty on other transports."""
        return HeaderFields(self._fields)


LOCAL: Final = Delivery(None)
"""The delivery of requests whose transport knows nothing about the sender."""
