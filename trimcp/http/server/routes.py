"""The routes of an HTTP endpoint: which function takes the requests of which path, and how users declare theirs.

The MCP endpoint itself, HTTP+SSE and the health checks are rows of the table; features and users add others. The table
knows paths and methods alone. The endpoint checks Host, Origin and sender as a row says, then calls the row's function.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import attrs

from trimcp.codec.jsontext import dumps
from trimcp.errors import UsageError
from trimcp.http.binding import Fields, HttpRequest, HttpResponse, Refusal
from trimcp.schema.header_params import is_header_name

_OF_THE_CONNECTION: Final = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"})
_BODILESS: Final = (204, 304)

HeaderValues = Mapping[str, str] | Iterable[tuple[str, str]]


def _pairs_of(headers: HeaderValues) -> tuple[tuple[str, str], ...]:
    given: Any = headers
    pairs: list[tuple[str, str]] = []
    for name, value in given.items() if isinstance(given, Mapping) else given:
        _check_field(name, value)
        pairs.append((name, value))
    return tuple(pairs)


def _check_field(name: object, value: object) -> None:
    if not isinstance(name, str) or not is_header_name(name):
        raise UsageError(f"Invalid header name {name!r} of an HttpReply: use letters, digits and hyphens")
    if name.lower() in _OF_THE_CONNECTION:
        raise UsageError(f"Invalid header {name} of an HttpReply: leave it out, since the server writes it")
    # The value is not in the error, since it may be secret.
    if not isinstance(value, str) or any(c in "\r\n\0" or c > "\xff" for c in value):
        raise UsageError(f"Invalid value of the header {name} of an HttpReply: write one line of Latin-1 characters")


@attrs.frozen
class HttpReply:
    """The whole response of a user's HTTP route; see `Server.route`.

        trimcp.HttpReply({"ok": True}, status=201, headers={"Location": "/hooks/7"})

    Raises:
        UsageError: the status is not final, or allows no body, or a header cannot be sent.
    """

    body: Any = None
    """Bytes are sent as they are, a string as UTF-8 text, None as no body, anything else as JSON."""
    status: int = attrs.field(default=200, kw_only=True)
    """200 to 599."""
    headers: HeaderValues = attrs.field(default=(), kw_only=True, repr=False, converter=_pairs_of)
    """Header fields, as a mapping or as pairs. `Content-Type` follows from the body by default."""

    def __attrs_post_init__(self) -> None:
        if self.status not in range(200, 600):
            raise UsageError(f"Invalid status {self.status!r} of an HttpReply: use 200 to 599")
        if self.status in _BODILESS and self.body is not None:
            raise UsageError(f"Invalid body of an HttpReply: leave it out, since {self.status} has none")

    def encoded(self) -> tuple[Fields, bytes]:
        """Return the header fields and the body as they are sent.

        Raises:
            InvalidPayload: the body cannot be written as JSON.
        """
        kind: bytes | None = None
        body: bytes = b""
        if isinstance(self.body, bytes | bytearray | memoryview):
            kind, body = b"application/octet-stream", bytes(self.body)
        elif isinstance(self.body, str):
            kind, body = b"text/plain; charset=utf-8", self.body.encode()
        elif self.body is not None:
            kind, body = b"application/json", dumps(self.body)
        fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in _pairs_of(self.headers)]
        if kind is not None and not any(name == b"content-type" for name, _ in fields):
            fields.append((b"content-type", kind))
        return fields, body


def reply_of(result: object) -> HttpReply:
    """Return the result of a route's function as a reply: with 204 for None, and 200 for any other body."""
    if isinstance(result, HttpReply):
        return result
    return HttpReply(status=204) if result is None else HttpReply(result)


TEXT: Final[Fields] = ((b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store"))
NOT_FOUND: Final = Refusal(404, TEXT, b"Not found: no route has this path.\n")
NO_WEBSOCKET: Final = Refusal(404, TEXT, b"Not found: this path takes no WebSocket.\n")

_METHOD: Final = re.compile(r"[A-Z][A-Z-]{0,31}")

TakeRequest = Callable[[HttpRequest, HttpResponse], Awaitable[None]]
"""A function that answers a request, now or later, in one piece or as a stream."""
RouteFunction = Callable[[HttpRequest], Awaitable[Any]]
"""A function of the user that takes a request and returns an `HttpReply`, or a body alone."""


def any_request(request: HttpRequest) -> bool:
    """Accept every request."""
    return True


class PathOwner(NamedTuple):
    """The part of the endpoint that a path belongs to, for the error about a path in use."""

    name: str
    remedy: str
    """What to do if another route needs the path."""


ANOTHER: Final = PathOwner("another route", "give one of them another path, or other methods")


@attrs.frozen(kw_only=True, eq=False)
class HttpRoute:
    """One row of the table: a path, its methods, and the function that takes the requests."""

    path: str
    """Percent-decoded; in a mounted application, below the mount."""
    take: TakeRequest
    """Answers the requests."""
    methods: tuple[str, ...] = ()
    """In upper case; empty for any."""
    is_prefix: bool = False
    """Whether the row has the paths below it as well, such as `/.well-known/oauth-protected-resource/mcp`."""
    guarded: bool = True
    """Whether Host and Origin are checked."""
    authenticated: bool = True
    """Whether `authenticate` is called for the sender of the request."""
    has_task: bool = False
    """Whether `take` runs in a task of its own, which is cancelled when the client leaves."""
    opens_websocket: bool = False
    """Whether a WebSocket may be opened at the path."""
    accepts: Callable[[HttpRequest], bool] = any_request
    """Judges the head of a request with one of the methods; if it returns False, the answer is 405."""
    listed: bool = True
    """Whether its methods are in `Allow`."""
    owner: PathOwner = ANOTHER
    """The part that the path belongs to."""


class PathRoutes:
    """The rows of one path."""

    __slots__ = ("_any", "_by_method", "guarded", "methods", "not_allowed", "opens_websocket", "routes")

    def __init__(self, routes: Sequence[HttpRoute]) -> None:
        self.routes: Final = tuple(routes)
        self._by_method = {method: route for route in routes for method in route.methods}
        self._any = next((route for route in routes if not route.methods), None)
        self.guarded: Final = any(route.guarded for route in routes)
        self.opens_websocket: Final = any(route.opens_websocket for route in routes)
        self.methods: Final = ", ".join(name for name, route in self._by_method.items() if route.listed).encode()
        """The value of `Allow`."""
        self.not_allowed: Final = Refusal(405, (*TEXT, (b"allow", self.methods)), b"Method not allowed.\n")

    def route(self, request: HttpRequest) -> HttpRoute | None:
        """Return the row that takes a request, or None if no row has its method."""
        route = self._by_method.get(request.method, self._any)
        return route if route is not None and route.accepts(request) else None


class RouteTable:
    """Finds rows by their paths."""

    def __init__(self) -> None:
        self._exact: dict[str, PathRoutes] = {}
        self._prefixes: dict[str, PathRoutes] = {}

    def add(self, route: HttpRoute) -> None:
        """Add a row. Rows of one path may differ in their methods.

        Raises:
            UsageError: another row has that path and one of the methods.
        """
        table = self._prefixes if route.is_prefix else self._exact
        others = table[route.path].routes if route.path in table else ()
        for other in others:
            common = sorted({*other.methods} & {*route.methods})
            if common or not other.methods or not route.methods:
                what = f"{', '.join(common or route.methods)} {route.path}".strip()
                raise UsageError(f"The path of the route {what} belongs to {other.owner.name}: {other.owner.remedy}")
        table[route.path] = PathRoutes((*others, route))
        if route.is_prefix:  # the longest that fits is found first
            self._prefixes = dict(sorted(table.items(), key=lambda item: -len(item[0])))

    def find(self, path: str) -> PathRoutes | None:
        """Return the rows of a path, or of the longest prefix that fits it."""
        found = self._exact.get(path)
        if found is None and self._prefixes:
            for prefix, below in self._prefixes.items():
                if path == prefix or path.startswith(f"{prefix.rstrip('/')}/"):
                    return below
        return found


def answering(function: RouteFunction) -> TakeRequest:
    """Wrap a function that returns a reply, as a function that answers the request with it."""

    async def take(request: HttpRequest, response: HttpResponse) -> None:
        reply = reply_of(await function(request))
        fields, body = reply.encoded()
        response.respond(reply.status, fields, body)

    return take


def user_route(
    path: str, function: RouteFunction, methods: Sequence[str], *, authenticate: bool, guarded: bool, prefix: bool
) -> HttpRoute:
    """Make the row of a route that a user declares.

    Raises:
        UsageError: the path, the methods or the function is invalid.
    """
    if not str(path).startswith("/") or "?" in path or "#" in path:
        raise UsageError(f"Invalid path {path!r} of a route: begin it with '/', and leave out queries and fragments")
    if isinstance(methods, str) or not methods:
        raise UsageError(f"Invalid methods of the route {path}: give a list, such as ['GET', 'POST']")
    named = tuple(dict.fromkeys(method.upper() for method in methods))
    if not all(_METHOD.fullmatch(method) for method in named):
        raise UsageError(f"Invalid methods {list(methods)} of the route {path}: give names such as 'GET'")
    if not inspect.iscoroutinefunction(inspect.unwrap(_innermost(function))):
        raise UsageError(f"Invalid function of the route {path}: declare it with `async def`")
    if "GET" in named and "HEAD" not in named:
        named = (*named, "HEAD")  # as RFC 9110, section 9.1, demands; the body is left out on the way
    return HttpRoute(
        path=path,
        take=answering(function),
        methods=named,
        is_prefix=prefix,
        guarded=guarded,
        authenticated=authenticate,
        has_task=True,
        owner=PathOwner(f"another route, {_name_of(function)}", ANOTHER.remedy),
    )


def _innermost(function: Any) -> Any:
    """Return the function inside a partial or a callable object."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004


def _name_of(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))
