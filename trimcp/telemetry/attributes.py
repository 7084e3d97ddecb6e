"""The names of the conventions for MCP, and the attributes of a request.

OpenTelemetry, `semantic-conventions-genai`, docs/gen-ai/mcp.md, version 0.1.0. They are in development, so the names
are here and not in a package.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

METHOD: Final = "mcp.method.name"
VERSION: Final = "mcp.protocol.version"
RESOURCE: Final = "mcp.resource.uri"
REQUEST_ID: Final = "jsonrpc.request.id"
ERROR_TYPE: Final = "error.type"
STATUS_CODE: Final = "rpc.response.status_code"
OPERATION: Final = "gen_ai.operation.name"
TOOL: Final = "gen_ai.tool.name"
ARGUMENTS: Final = "gen_ai.tool.call.arguments"
PROMPT: Final = "gen_ai.prompt.name"
SESSION: Final = "trimcp.session.number"
"""Our own, as in the log. `mcp.session.id` is left out: it lets its owner speak in a session that has no other key."""

LENGTH: Final = 256
"""Characters of a name or an id of a peer that are kept."""

_NAMED: Final = {"tools/call": (TOOL, "name"), "prompts/get": (PROMPT, "name")}
_OF_URIS: Final = ("resources/read", "resources/subscribe", "resources/unsubscribe")
_TRANSPORTS: Final = {
    "tcp": {"network.transport": "tcp"},
    "unix": {"network.transport": "unix"},
    "websocket": {"network.transport": "tcp", "network.protocol.name": "websocket"},
    "http": {"network.transport": "tcp", "network.protocol.name": "http"},
    "sse": {"network.transport": "tcp", "network.protocol.name": "http"},
    "memory": {},
}


def target_of(method: str, params: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """Return the attribute and the name of the tool or the prompt that a request is for."""
    attribute, member = _NAMED.get(method, ("", ""))
    name = (params or {}).get(member)
    return (attribute, name[:LENGTH]) if attribute and isinstance(name, str) else None


def uri_of(method: str, params: Mapping[str, Any] | None) -> str | None:
    """Return the URI of the resource that a request is for."""
    uri = (params or {}).get("uri") if method in _OF_URIS else None
    return uri[:LENGTH] if isinstance(uri, str) else None


@functools.lru_cache(maxsize=1024)
def network_of(description: str, *, is_server: bool) -> tuple[Mapping[str, str], Mapping[str, str | int]]:
    """Return the attributes of a connection: of its transport, and of the address of the other side.

    Args:
        description: of the peer, such as `http 127.0.0.1:50000, session 1f0c…` or `https://example.com/mcp`.
        is_server: whether the peer is a client.
    """
    kind, _, rest = description.partition(" ")
    if kind.startswith(("http://", "https://")):
        kind, rest = "http", kind
    transport = _TRANSPORTS.get(kind, {"network.transport": "pipe"})  # stdio, and the commands of servers
    place = rest.partition(",")[0]
    if place.startswith("unix"):
        transport = {**transport, "network.transport": "unix"}
    if transport.get("network.transport") != "tcp":
        return transport, {}
    role = "client" if is_server else "server"
    address: dict[str, str | int] = {}
    try:
        parts = urlsplit(place if "://" in place else f"//{place}")
        if parts.hostname:
            address[f"{role}.address"] = parts.hostname
        if parts.port:
            address[f"{role}.port"] = parts.port
    except ValueError:  # a proxy or a socket whose peer has no address
        pass
    return transport, address
