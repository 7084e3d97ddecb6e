"""`ServerSearch`: finds the authorization server of an MCP server, within what the program has pinned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import attrs

from trimcp.auth.client.discovery import (
    AuthorizationServer,
    Discovery,
    ProtectedResource,
    resource_without_metadata,
)
from trimcp.auth.client.http import AuthorizationHttp, open_authorization_http
from trimcp.auth.client.known_server import Binding
from trimcp.auth.client.urls import shown
from trimcp.auth.errors import AuthorizationFailed
from trimcp.types.revisions import LATEST

_SHOWN: Final = 5
"""Authorization servers that an error names; the others are left out."""


@attrs.frozen
class Found:
    """What was found: where tokens come from, and what the documents say of scopes."""

    server: AuthorizationServer
    binding: Binding
    """Without a client id, which is not known yet."""
    resource: ProtectedResource | None
    """None for a server of 2025-03-26."""


@attrs.frozen(kw_only=True)
class ServerSearch:
    """The rules by which a program finds authorization servers."""

    issuer: str | None
    """The only one to use."""
    strict_resource: bool
    allow_private: bool | None
    """None: if the MCP server has a private address."""

    @asynccontextmanager
    async def open_http(self, server_url: str) -> AsyncIterator[AuthorizationHttp]:
        """Open the HTTP client for what an MCP server leads to."""
        own = server_url if self.allow_private is None else None
        async with open_authorization_http(allow_private=self.allow_private is True, server_url=own) as http:
            yield http

    async def find(self, http: AuthorizationHttp, server_url: str, named: str | None) -> Found:
        """Find the authorization server from the start, since an MCP server may have moved to another one.

        Args:
            http: sends the requests.
            server_url: of the MCP server.
            named: where its challenge says that its metadata are.

        Raises:
            AuthorizationFailed, AuthorizationServerUnavailable: as `Discovery`; or the server found is not the pinned.
        """
        discovery = self._discovery(http, server_url)
        resource = await discovery.protected_resource(named)
        if resource is None:
            server = await discovery.server_of_2025_03_26()
            self._chosen([server.issuer])
            binding = Binding(server.issuer, resource_without_metadata(server_url), has_metadata=False)
        else:
            server = await discovery.authorization_server(self._chosen(resource.authorization_servers))
            binding = Binding(server.issuer, resource.resource)
        return Found(server, binding, resource)

    async def find_again(self, http: AuthorizationHttp, server_url: str, binding: Binding) -> AuthorizationServer:
        """Find the authorization server that tokens came from, to renew them.

        Raises:
            AuthorizationFailed, AuthorizationServerUnavailable: as `Discovery`.
        """
        discovery = self._discovery(http, server_url)
        if binding.has_metadata:
            return await discovery.authorization_server(binding.issuer)
        return await discovery.server_of_2025_03_26()

    def _discovery(self, http: AuthorizationHttp, server_url: str) -> Discovery:
        return Discovery(http, server_url, protocol_version=LATEST.version, strict_resource=self.strict_resource)

    def _chosen(self, named: Sequence[str]) -> str:
        """Return the authorization server to use. A pinned one may differ from a named one by a slash at the end."""
        if self.issuer is None:
            return named[0]
        if self.issuer.rstrip("/") not in [issuer.rstrip("/") for issuer in named]:
            raise AuthorizationFailed(
                f"The MCP server takes tokens of {', '.join(map(shown, named[:_SHOWN]))}"
                f"{', …' if len(named) > _SHOWN else ''}, not of {shown(self.issuer)}: "
                "pass one of them as issuer=…"
            )
        return self.issuer
