"""The endpoint: what is behind the doors. It judges each request, and gives it to whom it concerns.

A supervisor: the sessions that it opens, its handler actors, its Router for stateless peers, and the actors that see to
streams, stores and time live in its nursery. A binding calls `refuse` with the head of a request, and `handle` with the
whole of it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import attrs
import trio

from trimcp.actors.supervisor import open_supervisor
from trimcp.codec.jsontext import dumps
from trimcp.endpoint.accepts import accepted
from trimcp.endpoint.authentication import authenticated, challenge
from trimcp.endpoint.caretaker import Caretaker
from trimcp.endpoint.event_log import open_event_log
from trimcp.endpoint.event_store import TAG_PURPOSE, read_event_id
from trimcp.endpoint.exchanges import Exchanges
from trimcp.endpoint.live_sessions import open_live_sessions, session_store_of, subscription_store_of
from trimcp.endpoint.posting import UNKNOWN_SESSION, Posting, refuse
from trimcp.endpoint.request_tasks import RequestTasks, request_failed, split_request_error
from trimcp.endpoint.routes import NO_WEBSOCKET, NOT_FOUND, HttpRoute, Owner, RouteTable, Take, any_request
from trimcp.endpoint.sessions import HttpSessions
from trimcp.endpoint.stream_writer import StreamWriter
from trimcp.errors import Unauthenticated
from trimcp.framing import headers
from trimcp.session.handler_actors import HandlerActors
from trimcp.stores.sync_event_store import event_store_of
from trimcp.transports.http.door import HttpRequest, HttpResponse, Refusal
from trimcp.types.jsonrpc import INVALID_REQUEST
from trimcp.types.revisions import Era

if TYPE_CHECKING:
    from trimcp.endpoint.host import Host
    from trimcp.endpoint.legacy_sse import LegacySse
    from trimcp.endpoint.options import HttpOptions
    from trimcp.endpoint.security import Guard

JSON: Final = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))

MCP: Final = Owner("the MCP endpoint", "give the route another path, or the endpoint one by `path=`")
SSE: Final = Owner("HTTP+SSE", "give the route another path, or serve without `sse=True`")
HEALTH: Final = Owner("the health checks", "give the route another path, or serve without `health=True`")


def own_paths(options: HttpOptions) -> Mapping[Owner, Sequence[str]]:
    """The paths of the endpoint itself, by what they belong to."""
    path = options.get("path", "/mcp").rstrip("/")
    return {
        MCP: (path, f"{path}/"),
        SSE: ("/sse", "/messages", "/messages/") if options.get("sse") else (),
        HEALTH: ("/health/live", "/health/ready") if options.get("health") else (),
    }


def check_routes(options: HttpOptions, routes: Iterable[HttpRoute]) -> None:
    """Refuse routes with a path of the endpoint's own.

    Raises:
        UsageError: one of them has.
    """
    table = RouteTable()
    for owner, paths in own_paths(options).items():
        for path in paths:
            table.add(HttpRoute(path=path, take=_untaken, owner=owner))
    for route in routes:
        table.add(route)


async def _untaken(request: HttpRequest, response: HttpResponse) -> None:
    raise AssertionError("a row that is there for its path alone")


class Endpoint:
    """One URL, and what may stand beside it. See `Handler` for what doors see of it."""

    def __init__(self, host: Host, guard: Guard, options: HttpOptions) -> None:
        """
        Args:
            host: the run of a server.
            guard: which requests come from where they should.
            options: the user's.

        Raises:
            UsageError: `store`, `registry` or `subscriptions` is none.
        """
        self._host = host
        self._guard = guard
        self._options = options
        store, registry, subscriptions = options.get("store"), options.get("registry"), options.get("subscriptions")
        self._event_store = None if store is None else event_store_of(store)  # one that is empty may well be false
        self._session_store = None if registry is None else session_store_of(registry)
        self._subscription_store = None if subscriptions is None else subscription_store_of(subscriptions)
        limits = host.service.limits
        self._limits = limits
        self.body_limit = limits.message_bytes
        has_legacy = any(r.era is Era.LEGACY for r in host.service.revisions)
        self._ready = trio.Event()
        self._posting: Posting | None = None
        self._sessions: HttpSessions | None = None
        self._exchanges: Exchanges | None = None
        self._legacy_sse: LegacySse | None = None
        self._authenticate = options.get("authenticate")
        self._tasks: RequestTasks | None = None
        self.routes = RouteTable()
        """For features: where they add rows."""
        for route in (*self._own_routes(has_legacy=has_legacy), *host.routes):
            self.routes.add(route)

    def _own_routes(self, *, has_legacy: bool) -> Iterator[HttpRoute]:
        paths = own_paths(self._options)
        takes: dict[str, Take] = {"POST": self._post}
        if has_legacy:
            takes |= {"GET": self._stand, "DELETE": self._delete}
        for path in paths[MCP]:
            for method, take in takes.items():
                is_taken = any_request if method == "POST" else self._is_legacy
                row = HttpRoute(path=path, methods=(method,), take=take, is_taken=is_taken, owner=MCP)
                yield attrs.evolve(row, opens_websocket=method == "POST")
        for path in paths[SSE]:
            if path == "/sse":
                yield HttpRoute(path=path, methods=("GET",), take=self._begin_sse, owner=SSE)
            else:
                yield HttpRoute(path=path, methods=("POST",), take=self._post_sse, owner=SSE)
        for path in paths[HEALTH]:
            yield HttpRoute(path=path, take=self._tell_health, authenticated=False, owner=HEALTH)

    # --- life -------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[Endpoint] = trio.TASK_STATUS_IGNORED) -> None:
        """Be there for the doors, until cancelled."""
        host, limits, options = self._host, self._limits, self._options
        secret = (await host.secrets.read()).derive(TAG_PURPOSE)[0]
        async with open_supervisor("http endpoint") as supervisor:
            nursery = supervisor.nursery
            event_log = open_event_log(supervisor, self._event_store, limits)
            live = open_live_sessions(supervisor, self._session_store, self._subscription_store, limits)
            actors = HandlerActors(supervisor, limits.server_requests)
            self._tasks = RequestTasks(supervisor, limits.server_requests)
            nursery.start_soon(self._end_tasks, self._tasks, name="trimcp http tasks' end")
            writer = supervisor.add(StreamWriter(supervisor))
            self._exchanges = Exchanges(host.service, host.admission, host.draining, supervisor, actors, writer)
            self._sessions = HttpSessions(host, live, event_log, nursery, actors, writer, secret)
            self._posting = Posting(host, self._exchanges, self._sessions)
            if options.get("sse"):
                from trimcp.endpoint.legacy_sse import LegacySse

                self._legacy_sse = LegacySse(host, nursery)
            caretaker = supervisor.add(Caretaker(supervisor, limits.keep_alive))
            for tended in (self._exchanges, self._sessions, self._legacy_sse):
                if tended is not None:
                    caretaker.watch(tended)
            host.endpoints.append(supervisor)
            self._ready.set()
            task_status.started(self)
            try:
                await trio.sleep_forever()
            finally:
                host.endpoints.remove(supervisor)

    async def _end_tasks(self, tasks: RequestTasks) -> None:
        """Once the sessions have drained, give the requests that functions of the user's work at some time more."""
        await self._host.drained.wait()
        await tasks.finish(self._limits.grace)

    # --- Handler ----------------------------------------------------------------------

    def refuse(self, request: HttpRequest) -> Refusal | None:
        """See `Handler`."""
        place = self.routes.place(request.path)
        if place is None:
            return NOT_FOUND
        route = place.route(request)
        if place.guarded if route is None else route.guarded:
            refusal = self._guard.refuse(request, place.methods)
            if refusal is not None:
                return refusal
        if request.opens_websocket:
            return None if place.opens_websocket else NO_WEBSOCKET
        return place.not_allowed if route is None else None

    def _is_legacy(self, request: HttpRequest) -> bool:
        """Whether a GET or DELETE is of the legacy era: the modern one has none."""
        sent = request.fields.get(headers.PROTOCOL_VERSION, b"").decode("latin-1")
        return not any(r.version == sent and r.era is Era.MODERN for r in self._host.service.revisions)

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        """See `Handler`."""
        place = self.routes.place(request.path)
        route = None if place is None else place.route(request)
        assert route is not None, "a request that `refuse` has refused"
        if route.guarded:
            response.further = self._guard.fields(request)
        if self._tasks is None:
            await self._ready.wait()
        if route.has_task or (route.authenticated and self._authenticate is not None):
            assert self._tasks is not None
            self._tasks.start(functools.partial(self._take, route), request, response, is_mcp=not route.has_task)
            return
        try:
            await route.take(request, response)
        except BaseException as exc:  # noqa: BLE001 - split into what is our failure and what is not
            failure, passing = split_request_error(exc)
            if failure is not None:
                request_failed(failure, request, response, is_mcp=True)
            if passing is not None:
                raise passing from None

    async def _take(self, route: HttpRoute, request: HttpRequest, response: HttpResponse) -> None:
        """Find out who sends a request where the route wants to know, then have it taken."""
        if route.authenticated:
            try:
                await authenticated(self._authenticate, request)
            except Unauthenticated as exc:
                refusal = challenge(exc)
                response.respond(refusal.status, refusal.fields, refusal.body)
                return
        if not route.has_task:
            response.on_gone = None  # from here on a client that leaves is the business of those who take the request
        if not response.is_gone:
            await route.take(request, response)

    async def _post(self, request: HttpRequest, response: HttpResponse) -> None:
        assert self._posting is not None
        await self._posting.take(request, response)

    async def _begin_sse(self, request: HttpRequest, response: HttpResponse) -> None:
        assert self._legacy_sse is not None
        await self._legacy_sse.begin(request, response)

    async def _post_sse(self, request: HttpRequest, response: HttpResponse) -> None:
        assert self._legacy_sse is not None
        self._legacy_sse.post(request, response)

    async def _tell_health(self, request: HttpRequest, response: HttpResponse) -> None:
        draining = self._host.draining.is_set()
        ready = request.path == "/health/live" or not draining
        said = {"status": "ok" if ready else "draining"}
        response.respond(200 if ready else 503, JSON, dumps(said))

    # --- GET and DELETE of a legacy session -------------------------------------------

    async def _stand(self, request: HttpRequest, response: HttpResponse) -> None:
        """GET: open a standing stream, or go on with one that lost its connection."""
        assert self._posting is not None
        if not accepted(request.fields.get(b"accept")).sse:
            refuse(response, 406, INVALID_REQUEST, "A stream comes as text/event-stream")
            return
        session = await self._posting.session_of(request, response)
        if session is None:
            return
        session.touch()
        last = request.fields.get(headers.LAST_EVENT_ID)
        if last:
            read = read_event_id(session.tag, last)
            resumed = read is not None and await session.resume(response, *read)
            if not resumed and session.end is not None:
                refuse(response, 404, INVALID_REQUEST, UNKNOWN_SESSION)
            elif not resumed:
                text = "Last-Event-ID names no event that this session can go on from"
                refuse(response, 400, INVALID_REQUEST, text)
        else:
            session.stand(response)

    async def _delete(self, request: HttpRequest, response: HttpResponse) -> None:
        """DELETE: the client needs the session no more."""
        assert self._posting is not None
        session = await self._posting.session_of(request, response)
        if session is not None:
            session.close()
            response.respond(204, ())
