"""Authorization over HTTP: how clients get tokens, and how servers check them (extra `auth`).

Client: MCP request ─ 401 ─▶ discovery ─▶ registration ─▶ flow ─▶ token endpoint ─▶ store ─▶ MCP request with token
Server: token ─▶ verifier ─▶ Principal ─▶ scopes of the server and of the tool ─▶ handler
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimcp.auth.client.callback import Callback as Callback
    from trimcp.auth.client.device_flow import DeviceFlow as DeviceFlow
    from trimcp.auth.client.device_flow import DevicePrompt as DevicePrompt
    from trimcp.auth.client.oauth import OAuth as OAuth
    from trimcp.auth.client.tokens import Tokens as Tokens
    from trimcp.auth.client.unattended import ClientCredentials as ClientCredentials
    from trimcp.auth.client.unattended import EnterpriseManaged as EnterpriseManaged
    from trimcp.auth.client.unattended import IdentityProvider as IdentityProvider
    from trimcp.auth.client.unattended import PrivateKeyJwt as PrivateKeyJwt
    from trimcp.auth.client.unattended import WorkloadIdentity as WorkloadIdentity
    from trimcp.auth.errors import AuthorizationFailed as AuthorizationFailed
    from trimcp.auth.errors import AuthorizationServerUnavailable as AuthorizationServerUnavailable
    from trimcp.auth.file_store import FileStore as FileStore
    from trimcp.auth.keyring_store import KeyringStore as KeyringStore
    from trimcp.auth.server.introspection import IntrospectionVerifier as IntrospectionVerifier
    from trimcp.auth.server.jwt_verifier import JwtVerifier as JwtVerifier
    from trimcp.auth.server.resource_server import ResourceServer as ResourceServer
    from trimcp.auth.server.resource_server import protected_resource_app as protected_resource_app
    from trimcp.auth.server.verifiers import InvalidToken as InvalidToken
    from trimcp.auth.server.verifiers import TokenVerifier as TokenVerifier
    from trimcp.auth.stores import MemoryStore as MemoryStore
    from trimcp.auth.stores import TokenEntry as TokenEntry
    from trimcp.auth.stores import TokenKey as TokenKey
    from trimcp.auth.stores import TokenStore as TokenStore

_PLACES = {
    "AuthorizationFailed": "errors",
    "AuthorizationServerUnavailable": "errors",
    "ClientCredentials": "client.unattended",
    "DeviceFlow": "client.device_flow",
    "DevicePrompt": "client.device_flow",
    "EnterpriseManaged": "client.unattended",
    "FileStore": "file_store",
    "IdentityProvider": "client.unattended",
    "IntrospectionVerifier": "server.introspection",
    "InvalidToken": "server.verifiers",
    "JwtVerifier": "server.jwt_verifier",
    "KeyringStore": "keyring_store",
    "MemoryStore": "stores",
    "OAuth": "client.oauth",
    "PrivateKeyJwt": "client.unattended",
    "ResourceServer": "server.resource_server",
    "TokenEntry": "stores",
    "TokenKey": "stores",
    "TokenStore": "stores",
    "TokenVerifier": "server.verifiers",
    "Tokens": "client.tokens",
    "WorkloadIdentity": "client.unattended",
    "protected_resource_app": "server.resource_server",
}

__all__ = [
    "AuthorizationFailed",
    "AuthorizationServerUnavailable",
    "ClientCredentials",
    "DeviceFlow",
    "DevicePrompt",
    "EnterpriseManaged",
    "FileStore",
    "IdentityProvider",
    "IntrospectionVerifier",
    "InvalidToken",
    "JwtVerifier",
    "KeyringStore",
    "MemoryStore",
    "OAuth",
    "PrivateKeyJwt",
    "ResourceServer",
    "TokenEntry",
    "TokenKey",
    "TokenStore",
    "TokenVerifier",
    "Tokens",
    "WorkloadIdentity",
    "protected_resource_app",
]


if not TYPE_CHECKING:  # a type checker that sees the function accepts every name

    def __getattr__(name: str) -> Any:
        place = _PLACES.get(name)
        if place is None:
            raise AttributeError(f"module 'trimcp.auth' has no attribute {name!r}")
        value = getattr(importlib.import_module(f"trimcp.auth.{place}"), name)
        globals()[name] = value
        return value
