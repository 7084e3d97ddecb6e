"""The metadata of a protected resource (RFC 9728): the document, its places, routes and application."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import orjson

from trimcp.auth.client.urls import origin_of
from trimcp.http.binding import HttpRequest, HttpResponse
from trimcp.http.server.routes import HttpRoute, PathOwner

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
MAX_AGE: Final = 300
"""Seconds that a client may keep the document."""
_CORS: Final = ((b"access-control-allow-origin", b"*"),)
_PREFLIGHT: Final = (
    *_CORS,
    (b"access-control-allow-methods", b"GET, HEAD"),
    (b"access-control-allow-headers", b"*, mcp-protocol-version"),
    (b"access-control-max-age", b"86400"),
)
_OWNER: Final = PathOwner(
    "the metadata of the protected resource", "give the route another path, or serve without `auth=`"
)

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class ResourceMetadata:
    """The document of one resource, and where it is."""

    def __init__(self, resource: str, document: Mapping[str, Any], *, at_root: bool) -> None:
        """Prepare it.

        Args:
            resource: the identifier of the resource; from the configuration alone.
            document: the metadata.
            at_root: whether the document is at the root of the origin too, where older clients look.
        """
        path = urlsplit(resource).path.rstrip("/")
        self.url: str = f"{origin_of(resource)}{WELL_KNOWN}{path}"
        """Where it is, as challenges name it."""
        inserted = f"{WELL_KNOWN}{unquote(path)}"
        self.paths: tuple[str, ...] = (inserted, WELL_KNOWN) if at_root and path else (inserted,)
        self.body: bytes = orjson.dumps(dict(document))

    def routes(self) -> Sequence[HttpRoute]:
        """Return the routes of an endpoint that is at the root of its origin."""
        return [
            HttpRoute(path=path, methods=methods, take=take, guarded=False, authenticated=False, owner=_OWNER)
            for path in self.paths
            for methods, take in ((("GET", "HEAD"), self._show), (("OPTIONS",), _preflight))
        ]

    @property
    def fields(self) -> Sequence[tuple[bytes, bytes]]:
        """The header fields of the document."""
        kind = (b"content-type", b"application/json")
        return (kind, (b"cache-control", b"max-age=%d" % MAX_AGE), *_CORS)

    async def _show(self, request: HttpRequest, response: HttpResponse) -> None:
        response.respond(200, self.fields, self.body)


async def _preflight(request: HttpRequest, response: HttpResponse) -> None:
    response.respond(204, _PREFLIGHT)


def metadata_app(metadata: Sequence[ResourceMetadata]) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return an ASGI application that answers at the well-known paths, and with 404 elsewhere. See `ResourceServer`."""
    by_path = {path: each for each in metadata for path in each.paths}
    return functools.partial(_serve, by_path)


async def _serve(by_path: Mapping[str, ResourceMetadata], scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})
        return
    if scope["type"] != "http":
        await send({"type": "websocket.close", "code": 1000})
        return
    found, method = _at(by_path, scope), scope["method"]
    status, body = 200, b""
    fields: Sequence[tuple[bytes, bytes]] = ()
    if found is None:
        status = 404
    elif method == "OPTIONS":
        status, fields = 204, _PREFLIGHT
    elif method not in ("GET", "HEAD"):
        status, fields = 405, ((b"allow", b"GET, HEAD, OPTIONS"),)
    else:
        fields, body = found.fields, found.body
    if status != 204:
        fields = (*fields, (b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": list(fields)})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


def _at(by_path: Mapping[str, ResourceMetadata], scope: Scope) -> ResourceMetadata | None:
    """The document at the path of a request; some frameworks strip what they have mounted the application at."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    for each in (path, f"{root}{path}"):
        if (found := by_path.get(each.rstrip("/"))) is not None:
            return found
    return None
