"""The endpoint: one URL at which clients of every revision are served, and the paths beside it.

A request takes one way: routes → security → authentication → `post.py` → `stateless.py` or `legacy_requests.py` →
Router. The endpoint is a supervisor: its sessions, its handler actors, its Router for stateless peers, and the actors
that write streams and stores live in its nursery.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypedDict

import attrs
import trio

from trimcp.actors.supervisor import Supervisor, open_supervisor
from trimcp.codec.jsontext import dumps
from trimcp.errors import Unauthenticated, UsageError
from trimcp.framing import headers
from trimcp.http.binding import Fields, HttpRequest, HttpResponse, Refusal
from trimcp.http.server.access_log import LoggedResponse, log_access
from trimcp.http.server.authentication import Authenticate, authenticated, challenge
from trimcp.http.server.browser_page import is_of_browser, show_page
from trimcp.http.server.event_log import open_event_log
from trimcp.http.server.legacy_requests import LegacyRequests
from trimcp.http.server.legacy_sessions import LegacySessions
from trimcp.http.server.observed_response import TappedResponse
from trimcp.http.server.post import PostHandler
from trimcp.http.server.protection import Protection
from trimcp.http.server.request_tasks import RequestTasks, request_failed, split_request_error
from trimcp.http.server.routes import (
    NO_WEBSOCKET,
    NOT_FOUND,
    HttpRoute,
    PathOwner,
    RouteTable,
)
from trimcp.http.server.security import Cors, RequestGuard
from trimcp.http.server.served_run import ServedRun
from trimcp.http.server.session_table import open_session_table, session_store_of, subscription_store_of
from trimcp.http.server.sse_2024 import Sse2024, check_reference
from trimcp.http.server.stateless import StatelessRequests
from trimcp.http.server.stream_writer import StreamWriter
from trimcp.observability import events, log
from trimcp.session.handler_actors import HandlerActors
from trimcp.stores.event_store import EventStore
from trimcp.stores.session_store import SessionStore
from trimcp.stores.subscription_store import SubscriptionStore
from trimcp.stores.sync_event_store import event_store_of
from trimcp.types.revisions import Era

JSON: Final = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))

MCP: Final = PathOwner("the MCP endpoint", "give the route another path, or the endpoint one by `path=`")
SSE: Final = PathOwner("HTTP+SSE", "give the route another path, or serve without `sse=True`")
HEALTH: Final = PathOwner("the health checks", "give the route another path, or serve without `health=True`")


class SecurityOptions(TypedDict, total=False):
    """The keyword arguments that decide which requests are served, by HTTP and by WebSocket."""

    hosts: Sequence[str]
    """Values of `Host` that are served, such as `example.com` or `*.example.com:8443`, beside the names of loopback
    if the server is bound to loopback. `RequestGuard` says what is served by default."""
    origins: Sequence[str]
    """Origins of web pages that may send requests, such as `https://app.example.com`, beside the server's own."""
    authenticate: Authenticate | None
    """An async function that is called with each request and returns its sender: a `Principal`, its subject alone as
    a string, None for an anonymous request, or `Unauthenticated`. Sessions, request states and limits belong to the
    issuer, subject and client of that principal."""
    auth: Protection | None
    """A `trimcp.auth.ResourceServer`, which verifies the access token of each request, in place of `authenticate`."""


class HttpOptions(SecurityOptions, total=False):
    """The keyword arguments that `Server.serve_http`, `Server.serve_hypercorn` and `Server.asgi` share."""

    path: str
    """The path of the endpoint, `/mcp` by default. In a mounted application it is below the mount."""
    cors: Cors | None
    """Which pages of other origins may read responses; none by default."""
    sse: bool
    """Whether clients of 2024-11-05 are served on `/sse` and `/messages` (HTTP+SSE); not by default."""
    messages: str
    """The URI reference that clients of HTTP+SSE are told to post to: by default `/messages` below the mount. If a
    proxy strips a prefix, give the path as clients see it, such as `/tools/messages`, or the relative `messages`."""
    health: bool
    """Whether `GET /health/live` and `/health/ready` are answered; not by default."""
    metrics: bool
    """Whether `GET /metrics` is answered, for Prometheus; not by default. `authenticate` and `auth` hold for it too."""
    access_log: bool
    """Whether each HTTP request is a line of the log (`http.answered`), whatever its level; not by default."""
    registry: SessionStore | None
    """Where the records of legacy sessions are kept; in this process by default. See `SessionStore`."""
    subscriptions: SubscriptionStore | None
    """Where the subscriptions of legacy sessions are kept; in this process by default. See `SubscriptionStore`."""
    store: EventStore | None
    """Where events are kept for clients that lose a connection; in this process by default. See `EventStore`."""


def own_paths(options: HttpOptions) -> Mapping[PathOwner, Sequence[str]]:
    """Return the paths of the endpoint itself, by the part that they belong to."""
    path = options.get("path", "/mcp").rstrip("/")
    return {
        MCP: (path, f"{path}/"),
        SSE: ("/sse", "/messages", "/messages/") if options.get("sse") else (),
        HEALTH: ("/health/live", "/health/ready") if options.get("health") else (),
    }


def check_routes(options: HttpOptions, routes: Iterable[HttpRoute]) -> None:
    """Refuse routes that have a path of the endpoint itself.

    Raises:
        UsageError: a route has such a path.
    """
    table = RouteTable()
    for owner, paths in own_paths(options).items():
        for path in paths:
            table.add(HttpRoute(path=path, take=_untaken, owner=owner))
    for route in routes:
        table.add(route)


async def _untaken(request: HttpRequest, response: HttpResponse) -> None:
    raise AssertionError("this row is in the table for its path alone")


class Timed(Protocol):
    """A part of the endpoint that has something to do as time passes."""

    def check_times(self) -> None:
        """Keep quiet streams alive, and end requests and sessions without a client. Never waits."""
        ...


class _KnownHead(NamedTuple):
    """Holds what the endpoint found out from the head of a request, which a client repeats with the next ones."""

    endpoint: Endpoint
    fields: Mapping[bytes, bytes]
    route: HttpRoute
    further: Fields


class Endpoint:
    """The `Handler` that serves one run of a server. Start `run` in a nursery."""

    _tasks: RequestTasks | None = None  # until `run` has made the parts
    _post: PostHandler
    _legacy: LegacyRequests
    _sse: Sse2024
    _sessions: LegacySessions

    def __init__(self, served: ServedRun, guard: RequestGuard, options: HttpOptions) -> None:
        """
        Args:
            served: the run of the server.
            guard: judges Host and Origin.
            options: of the user.

        Raises:
            UsageError: `store`, `registry` or `subscriptions` is not a store of its kind, or `messages` is not a URI
                reference.
        """
        check_reference(options.get("messages", ""))
        self._served = served
        self._guard = guard
        self._options = options
        events, registry, subscriptions = options.get("store"), options.get("registry"), options.get("subscriptions")
        store = served.store
        if served.messages is not None:
            if events is not None or registry is not None or subscriptions is not None:
                raise UsageError(
                    "Two stores: leave out store=, registry= and subscriptions=, since nodes share a store"
                )
        elif store is not None:  # the options may replace its parts; an empty store may be false
            events = store.events if events is None else events
            registry = store.sessions if registry is None else registry
            subscriptions = store.subscriptions if subscriptions is None else subscriptions
        self._event_store = None if events is None else event_store_of(events)
        self._session_store = None if registry is None else session_store_of(registry)
        self._subscription_store = None if subscriptions is None else subscription_store_of(subscriptions)
        self._limits = served.service.limits
        self.body_limit: int = self._limits.message_bytes
        self._has_legacy = any(r.era is Era.LEGACY for r in served.service.revisions)
        self._modern_versions = {r.version for r in served.service.revisions if r.era is Era.MODERN}
        self._ready = trio.Event()
        self._authenticate = options.get("authenticate")
        self._logs_access = options.get("access_log", False)
        self.routes: Final = RouteTable()
        """For features: where they add rows."""
        for route in (*self._own_routes(), *served.routes):
            self.routes.add(route)

    def _own_routes(self) -> Iterator[HttpRoute]:
        paths = own_paths(self._options)
        for path in paths[MCP]:
            row = HttpRoute(path=path, methods=("POST",), take=self._take_post, owner=MCP)
            yield attrs.evolve(row, opens_websocket=True)
            yield attrs.evolve(
                row, methods=("GET",), take=self._take_get, accepts=self._accepts_get, listed=self._has_legacy
            )
            if self._has_legacy:
                yield attrs.evolve(row, methods=("DELETE",), take=self._take_delete, accepts=self._is_legacy)
        for path in paths[SSE]:
            if path == "/sse":
                yield HttpRoute(path=path, methods=("GET",), take=self._take_sse, owner=SSE)
            else:
                yield HttpRoute(path=path, methods=("POST",), take=self._take_sse_post, owner=SSE)
        for path in paths[HEALTH]:
            yield HttpRoute(path=path, take=self._take_health, authenticated=False, owner=HEALTH)

    def _accepts_get(self, request: HttpRequest) -> bool:
        """Return whether the route takes a GET: a legacy one, or one of a browser."""
        return (self._has_legacy and self._is_legacy(request)) or is_of_browser(request)

    def _is_legacy(self, request: HttpRequest) -> bool:
        """Return whether a GET or DELETE is of the legacy era; the modern era has neither."""
        sent = request.fields.get(headers.PROTOCOL_VERSION, b"").decode("latin-1")
        return sent not in self._modern_versions

    # --- life -------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[Endpoint] = trio.TASK_STATUS_IGNORED) -> None:
        """Make the parts of the endpoint, and serve until cancelled."""
        async with open_supervisor("http endpoint") as supervisor:
            self._assemble(supervisor)
            self._served.endpoints.append(supervisor)
            self._served.flushed.append(self._sessions)
            self._ready.set()
            task_status.started(self)
            try:
                await trio.sleep_forever()
            finally:
                self._sessions.leave()
                self._sse.leave()
                self._served.flushed.remove(self._sessions)
                self._served.endpoints.remove(supervisor)

    def _assemble(self, supervisor: Supervisor) -> None:
        """Make the actors and the parts that hand requests to them."""
        served, limits, nursery = self._served, self._limits, supervisor.nursery
        actors = HandlerActors(supervisor, limits.server_requests)
        tasks = RequestTasks(supervisor, limits.server_requests)
        nursery.start_soon(self._end_tasks, tasks, name="trimcp http tasks' end")
        writer = supervisor.add(StreamWriter(supervisor))
        stateless = StatelessRequests(served, supervisor, actors, writer)
        self._sessions = sessions = self._open_sessions(supervisor, actors, writer)
        self._legacy = LegacyRequests(served, sessions)
        self._post = PostHandler(served.service, stateless, self._legacy)
        self._sse = Sse2024(served, nursery, self._options.get("messages"))
        if served.messages is not None and self._options.get("sse"):
            from trimcp.http.server.shared_endpoint import share_sse

            share_sse(self._sse, served)
        nursery.start_soon(self._check_times, (stateless, sessions, self._sse), name="trimcp http times")
        self._tasks = tasks

    def _open_sessions(self, supervisor: Supervisor, actors: HandlerActors, writer: StreamWriter) -> LegacySessions:
        """Make the sessions of the endpoint, with the actors that keep what they store."""
        served, limits = self._served, self._limits
        if served.messages is not None:
            from trimcp.http.server.shared_endpoint import open_shared_sessions

            return open_shared_sessions(served, supervisor, actors, writer)
        event_log = open_event_log(supervisor, self._event_store, limits)
        table = open_session_table(supervisor, self._session_store, self._subscription_store, limits)
        return LegacySessions(served, table, event_log, supervisor.nursery, actors, writer)

    async def _check_times(self, parts: Sequence[Timed]) -> None:
        """Have each part check its times, once in `Limits.keep_alive`: a timer for each stream would cost more."""
        while True:
            await trio.sleep(self._limits.keep_alive)
            for part in parts:
                try:
                    part.check_times()
                except Exception as exc:  # noqa: BLE001 - the next check may do better
                    log.error(events.CARETAKER_FAILED, exc_info=exc)

    async def _end_tasks(self, tasks: RequestTasks) -> None:
        """Once the sessions have drained, give the requests that run functions of the user some more time."""
        await self._served.drained.wait()
        await tasks.finish(self._limits.grace)

    # --- Handler: one request -----------------------------------------------------

    def refuse(self, request: HttpRequest) -> Refusal | None:
        """See `Handler`."""
        known: _KnownHead | None = request.connection.head
        if known is not None and known.fields is request.fields and known.endpoint is self:
            return None
        refusal = self._refuse(request)
        if refusal is not None and self._logs_access:
            log_access(request, refusal.status, len(refusal.body))
        return refusal

    def _refuse(self, request: HttpRequest) -> Refusal | None:
        found = self.routes.find(request.path)
        if found is None:
            return NOT_FOUND
        route = found.route(request)
        if found.guarded if route is None else route.guarded:
            refusal = self._guard.refuse(request, found.methods)
            if refusal is not None:
                return refusal
        if request.opens_websocket:
            return None if found.opens_websocket else NO_WEBSOCKET
        return found.not_allowed if route is None else None

    def _know(self, request: HttpRequest) -> _KnownHead:
        found = self.routes.find(request.path)
        route = None if found is None else found.route(request)
        assert route is not None, "a request that `refuse` has refused"
        known = _KnownHead(self, request.fields, route, self._guard.fields(request) if route.guarded else ())
        if request.scope is None:  # ASGI makes new fields for each request
            request.connection.head = known
        return known

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        """See `Handler`."""
        known: _KnownHead | None = request.connection.head
        if known is None or known.fields is not request.fields or known.endpoint is not self:
            known = self._know(request)
        route = known.route
        if self._logs_access:
            response = LoggedResponse(response, request)
        response.further = known.further
        if self._tasks is None:
            await self._ready.wait()
        if route.has_task or (route.authenticated and self._authenticate is not None):
            assert self._tasks is not None
            work = functools.partial(self._take, route)
            self._tasks.start(work, request, response, is_mcp=not route.has_task)
            return
        try:
            await route.take(request, response)
        except BaseException as exc:  # noqa: BLE001 - split into the failure of this request and the rest
            failure, passing = split_request_error(exc)
            if failure is not None:
                request_failed(failure, request, response, is_mcp=True)
            if passing is not None:
                raise passing from None

    async def _take(self, route: HttpRoute, request: HttpRequest, response: HttpResponse) -> None:
        """Authenticate the sender if the route wants it, and hand the request to the route. Runs in a task."""
        if route.authenticated:
            try:
                principal = await authenticated(self._authenticate, request)
                if principal is not None and principal.expires_at is not None:
                    response.expires_at = principal.expires_at
            except Unauthenticated as exc:
                refusal = challenge(exc)
                response.respond(refusal.status, refusal.fields, refusal.body)
                return
        if not route.has_task:
            response.on_gone = None  # the task ends soon; the route decides what a lost connection means
        if not response.is_gone:
            await route.take(request, response)

    # --- its own routes ---------------------------------------------------------------

    def _tapped(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Tell the wire tap of an exchange, where there is one."""
        tap = self._served.service.instruments.tap
        if tap is None:
            return response
        return TappedResponse(response, tap.exchange(request.method, request.field("mcp-session-id"), request.body))

    def _take_post(self, request: HttpRequest, response: HttpResponse) -> Awaitable[None]:
        if self._served.service.instruments.tap is not None:
            response = self._tapped(request, response)
        return self._post.handle(request, response)

    async def _take_get(self, request: HttpRequest, response: HttpResponse) -> None:
        if is_of_browser(request):
            found = self.routes.find(request.path)
            show_page(response, self._served.name, b"POST" if found is None else found.methods)
        else:
            await self._legacy.get(request, self._tapped(request, response))

    async def _take_delete(self, request: HttpRequest, response: HttpResponse) -> None:
        await self._legacy.delete(request, self._tapped(request, response))

    async def _take_sse(self, request: HttpRequest, response: HttpResponse) -> None:
        await self._sse.open(request, response)

    async def _take_sse_post(self, request: HttpRequest, response: HttpResponse) -> None:
        await self._sse.post(request, response)

    async def _take_health(self, request: HttpRequest, response: HttpResponse) -> None:
        ready = request.path == "/health/live" or not self._served.leaving.is_set()
        response.respond(200 if ready else 503, JSON, dumps({"status": "ok" if ready else "draining"}))
