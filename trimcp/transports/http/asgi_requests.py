"""Requests as ASGI tells of them: the head out of a scope, the path below a mount, who the peer is.

Pure reading of scopes; `asgi.AsgiDoor` calls it before anything is awaited.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final
from urllib.parse import unquote

from trimcp.transports.http.asgi_response import Message
from trimcp.transports.http.door import Connection, HttpRequest

IDLE_CONNECTIONS: Final = 1024
"""Connections without a request in progress that are remembered; the one that was quiet longest is forgotten."""


class Connections:
    """Who is at the other end, as far as ASGI shows it: by the addresses of both ends.

    Where it does not show the peer (a Unix socket) each request is a connection of its own.
    """

    def __init__(self) -> None:
        self._busy: dict[Any, tuple[Connection, int]] = {}
        self._idle: OrderedDict[Any, Connection] = OrderedDict()

    def enter(self, scope: Message) -> tuple[Any, Connection]:
        """The connection of a request that begins, and the key to `leave` it by when the request is over."""
        client = scope.get("client")
        if client is None:
            return None, Connection(peer_of(scope))
        key = (tuple(client), tuple(scope.get("server") or ()))
        busy = self._busy.get(key)
        if busy is not None:
            connection, requests = busy
        elif key in self._idle:
            connection, requests = self._idle.pop(key), 0
        else:
            connection, requests = Connection(peer_of(scope)), 0
        self._busy[key] = connection, requests + 1
        return key, connection

    def leave(self, key: Any, connection: Connection) -> None:
        """A request is over; whoever has been quiet longest may be forgotten."""
        if key is None:
            connection.close()
            return
        requests = self._busy[key][1] - 1
        if requests:
            self._busy[key] = connection, requests
            return
        del self._busy[key]
        self._idle[key] = connection
        if len(self._idle) > IDLE_CONNECTIONS:
            self._idle.popitem(last=False)[1].close()


def peer_of(scope: Message) -> str:
    """Who is at the other end, for logs."""
    client = scope.get("client")
    if not client:
        return "unix"
    host, port = client[0], client[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def request_of(scope: Message, connection: Connection, method: str | None = None) -> HttpRequest:
    """The head of the request that a scope tells of. A WebSocket's has no method there."""
    fields: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        name = name.lower()
        value = value.strip()
        fields[name] = fields[name] + b", " + value if name in fields else value
    path = scope["path"]
    root = scope.get("root_path")
    return HttpRequest(
        method or scope["method"],
        _relative(path, root, scope.get("raw_path")) if root else path,
        scope.get("query_string", b""),
        fields,
        connection,
        secure=scope.get("scheme") in ("https", "wss"),
        scope=scope,
    )


def _relative(path: str, root: str, raw: bytes | None) -> str:
    """The path below where the application is mounted.

    By ASGI the path holds the root path, and most servers and frameworks keep to that; some that
    mount applications strip it. The raw path is the client's own, so it tells which it is.
    """
    root = root.rstrip("/")
    if raw is not None:
        whole = unquote(raw.partition(b"?")[0].decode("latin-1"))
        if whole != path and whole == root + path:
            return path
    if path == root or path.startswith(root + "/"):
        return path[len(root) :] or "/"
    return path


def declared_length(request: HttpRequest) -> int:
    """How long the head says that the body is; 0 where it does not."""
    value = request.fields.get(b"content-length", b"")
    return int(value) if value.isdigit() else 0


def has_body(request: HttpRequest) -> bool:
    """Whether there may be a body to read."""
    # HTTP/2 sends bodies without saying so in the head, with the methods that have one.
    return (
        request.method not in ("GET", "HEAD", "DELETE", "OPTIONS")
        or b"content-length" in request.fields
        or b"transfer-encoding" in request.fields
    )
