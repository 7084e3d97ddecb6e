"""The table of routes of an HTTP endpoint: which function takes the requests of which path.

The MCP endpoint itself, HTTP+SSE and health are rows of it, and features and users add others. It knows
paths and methods; the endpoint checks Host, Origin and sender as a row says, then calls the row's function.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import attrs

from trimcp.endpoint.http_reply import reply_of
from trimcp.errors import UsageError
from trimcp.transports.http.door import Fields, HttpRequest, HttpResponse, Refusal

TEXT: Final[Fields] = ((b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store"))
NOT_FOUND: Final = Refusal(404, TEXT, b"There is nothing here.\n")
NO_WEBSOCKET: Final = Refusal(404, TEXT, b"There is no WebSocket here.\n")

_METHOD: Final = re.compile(r"[A-Z][A-Z-]{0,31}")

Take = Callable[[HttpRequest, HttpResponse], Awaitable[None]]
"""Takes a request, and answers it now or later, in one piece or as a stream."""
Answer = Callable[[HttpRequest], Awaitable[Any]]
"""Takes a request, and returns an `HttpReply`, or a body alone."""


def any_request(request: HttpRequest) -> bool:
    """Whether any request is taken: it is."""
    return True


class Owner(NamedTuple):
    """What a path belongs to, for the error that says that it is in use."""

    name: str
    remedy: str
    """What to do where another route wants the path."""


ANOTHER: Final = Owner("another route", "give one of them another path, or other methods")


@attrs.frozen(kw_only=True, eq=False)
class HttpRoute:
    """One row: a path, its methods, and the function that takes the requests."""

    path: str
    """Percent-decoded; below the mount, where the endpoint is mounted in another application."""
    take: Take
    methods: tuple[str, ...] = ()
    """In upper case; empty for any."""
    is_prefix: bool = False
    """Whether the paths below it are meant as well, such as `/.well-known/oauth-protected-resource/mcp`."""
    guarded: bool = True
    """Whether Host and Origin are checked."""
    authenticated: bool = True
    """Whether `authenticate` is asked who sends the request."""
    has_task: bool = False
    """Whether `take` runs in a task of its own, which is cancelled when the client leaves."""
    opens_websocket: bool = False
    """Whether a WebSocket may be opened there."""
    is_taken: Callable[[HttpRequest], bool] = any_request
    """Whether a request with one of the methods is taken, by its head; if not, the answer is 405."""
    owner: Owner = ANOTHER
    """What the path belongs to."""


class Place:
    """The rows of one path."""

    __slots__ = ("_any", "_by_method", "guarded", "methods", "not_allowed", "opens_websocket", "routes")

    def __init__(self, routes: Sequence[HttpRoute]) -> None:
        self.routes = tuple(routes)
        self._by_method = {method: route for route in routes for method in route.methods}
        self._any = next((route for route in routes if not route.methods), None)
        self.guarded = any(route.guarded for route in routes)
        self.opens_websocket = any(route.opens_websocket for route in routes)
        self.methods = ", ".join(self._by_method).encode()
        """Those that are taken, as `Allow` has them."""
        self.not_allowed = Refusal(405, (*TEXT, (b"allow", self.methods)), b"Method not allowed.\n")

    def route(self, request: HttpRequest) -> HttpRoute | None:
        """The row that takes a request; None where its method is not taken."""
        route = self._by_method.get(request.method, self._any)
        return route if route is not None and route.is_taken(request) else None


class RouteTable:
    """Rows by their paths."""

    def __init__(self) -> None:
        self._exact: dict[str, Place] = {}
        self._prefixes: dict[str, Place] = {}

    def add(self, route: HttpRoute) -> None:
        """Add a row. Rows of one path may differ in their methods.

        Raises:
            UsageError: another row has that path and one of the methods.
        """
        places = self._prefixes if route.is_prefix else self._exact
        others = places[route.path].routes if route.path in places else ()
        for other in others:
            common = sorted({*other.methods} & {*route.methods})
            if common or not other.methods or not route.methods:
                what = f"{', '.join(common or route.methods)} {route.path}".strip()
                raise UsageError(f"The path of the route {what} belongs to {other.owner.name}: {other.owner.remedy}")
        places[route.path] = Place((*others, route))
        if route.is_prefix:  # the longest that fits is found first
            self._prefixes = dict(sorted(places.items(), key=lambda item: -len(item[0])))

    def place(self, path: str) -> Place | None:
        """The rows of a path: its own, or those of the longest prefix."""
        place = self._exact.get(path)
        if place is None and self._prefixes:
            for prefix, found in self._prefixes.items():
                if path == prefix or path.startswith(f"{prefix.rstrip('/')}/"):
                    return found
        return place

    def __iter__(self) -> Iterator[HttpRoute]:
        for place in (*self._exact.values(), *self._prefixes.values()):
            yield from place.routes


def answering(function: Answer) -> Take:
    """A function that returns the whole reply, as one that takes a request and answers it."""

    async def take(request: HttpRequest, response: HttpResponse) -> None:
        reply = reply_of(await function(request))
        fields, body = reply.encoded()
        response.respond(reply.status, fields, body)

    return take


def user_route(
    path: str, function: Answer, methods: Sequence[str], *, authenticate: bool, guarded: bool, prefix: bool
) -> HttpRoute:
    """The row of a route that a user declares.

    Raises:
        UsageError: the path, the methods or the function cannot be those of a route.
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
        owner=Owner(f"another route, {_name_of(function)}", ANOTHER.remedy),
    )


def _innermost(function: Any) -> Any:
    """The function in a partial, or behind a callable object."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004


def _name_of(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))
