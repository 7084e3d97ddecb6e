"""The endpoint: what is behind the doors. It judges each request, and gives it to whom it concerns.

An actor with a nursery of its own, in which the sessions that it opens, the crew of all of
them and of its modern exchanges, and its caretaker live. A door calls `refuse` with the head of a request, and `handle`
with the whole of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import trio

from trimcp.actors.supervisor import open_supervisor
from trimcp.codec.jsontext import dumps
from trimcp.endpoint.accepts import accepted
from trimcp.endpoint.contained_store import ContainedStore
from trimcp.endpoint.event_store import MemoryEventStore, read_event_id
from trimcp.endpoint.exchanges import Exchanges
from trimcp.endpoint.options import HttpOptions, authenticated
from trimcp.endpoint.posting import UNKNOWN_SESSION, Posting, refuse
from trimcp.endpoint.registry import LocalSessions
from trimcp.endpoint.sessions import HttpSessions
from trimcp.endpoint.stream_writer import StreamWriter
from trimcp.errors import Unauthenticated
from trimcp.framing import headers
from trimcp.observability import events, log
from trimcp.session.handler_actors import HandlerActors
from trimcp.session.job import parted
from trimcp.transports.http.door import HttpRequest, HttpResponse, Refusal
from trimcp.types.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST
from trimcp.types.revisions import Era

if TYPE_CHECKING:
    from trimcp.endpoint.host import Host
    from trimcp.endpoint.legacy_sse import LegacySse
    from trimcp.endpoint.security import Guard

TEXT: Final = ((b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store"))
JSON: Final = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))


class Endpoint:
    """One URL, and what may stand beside it. See `Handler` for what doors see of it."""

    def __init__(self, host: Host, guard: Guard, options: HttpOptions) -> None:
        """
        Args:
            host: the run of a server.
            guard: which requests come from where they should.
            options: the user's.
        """
        self._host = host
        self._guard = guard
        self._options = options
        limits = host.service.limits
        self._limits = limits
        self.body_limit = limits.message_bytes
        has_legacy = any(r.era is Era.LEGACY for r in host.service.revisions)
        self._methods = ("POST", "GET", "DELETE") if has_legacy else ("POST",)
        self._allow: Final = (b"allow", ", ".join(self._methods).encode())
        self._ready = trio.Event()
        self._posting: Posting | None = None
        self._sessions: HttpSessions | None = None
        self._exchanges: Exchanges | None = None
        self._legacy_sse: LegacySse | None = None
        self._paths = self._route()

    def _route(self) -> Mapping[str, str]:
        path = self._options.get("path", "/mcp").rstrip("/")
        paths = {path: "mcp", path + "/": "mcp"}
        if self._options.get("sse"):
            paths |= {"/sse": "sse", "/messages": "messages", "/messages/": "messages"}
        if self._options.get("health"):
            paths |= {"/health/live": "live", "/health/ready": "ready"}
        return paths

    # --- life -------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[Endpoint] = trio.TASK_STATUS_IGNORED) -> None:
        """Be there for the doors, until cancelled."""
        host, limits, options = self._host, self._limits, self._options
        async with open_supervisor("http endpoint") as supervisor:
            nursery = supervisor.nursery
            store, registry = options.get("store"), options.get("registry")
            if store is None:  # one that is empty may well be false
                store = MemoryEventStore(events=limits.stored_events, bytes=limits.stored_bytes, age=limits.stored_age)
            else:
                store = ContainedStore(store)
            if registry is None:
                registry = LocalSessions()
            actors = HandlerActors(supervisor, limits.server_requests)
            writer = supervisor.add(StreamWriter(supervisor))
            self._exchanges = Exchanges(host.service, host.admission, host.draining, supervisor, actors, writer)
            self._sessions = HttpSessions(host, registry, store, nursery, actors, writer)
            self._posting = Posting(host, self._exchanges, self._sessions)
            if options.get("sse"):
                from trimcp.endpoint.legacy_sse import LegacySse

                self._legacy_sse = LegacySse(host, nursery)
            nursery.start_soon(self._take_care, name="trimcp caretaker")
            self._ready.set()
            task_status.started(self)
            await trio.sleep_forever()

    async def _take_care(self) -> None:
        """See, now and then, to what passes with time."""
        assert self._exchanges is not None
        assert self._sessions is not None
        while True:
            await trio.sleep(self._limits.keep_alive)
            try:
                self._exchanges.tend()
                self._sessions.tend()
                if self._legacy_sse is not None:
                    self._legacy_sse.tend()
            except Exception as exc:  # noqa: BLE001 - a registry of the user's, or ours: the next round may do better
                log.error(events.CARETAKER_FAILED, exc_info=exc)

    # --- Handler ----------------------------------------------------------------------

    def refuse(self, request: HttpRequest) -> Refusal | None:
        """See `Handler`."""
        place = self._paths.get(request.path)
        if place is None:
            return Refusal(404, TEXT, b"There is nothing here.\n")
        refusal = self._guard.refuse(request)
        if refusal is not None or place in ("live", "ready"):
            return refusal
        if request.opens_websocket:
            return None if place == "mcp" else Refusal(404, TEXT, b"There is no WebSocket here.\n")
        allowed = {"mcp": self._methods, "sse": ("GET",), "messages": ("POST",)}[place]
        if request.method not in allowed or (place == "mcp" and request.method != "POST" and self._is_modern(request)):
            allow = self._allow if place == "mcp" else (b"allow", ", ".join(allowed).encode())
            return Refusal(405, (*TEXT, allow), b"Method not allowed.\n")
        return None

    def _is_modern(self, request: HttpRequest) -> bool:
        """Whether a GET or DELETE is of the modern era, which has none."""
        sent = request.fields.get(headers.PROTOCOL_VERSION, b"").decode("latin-1")
        return any(r.version == sent and r.era is Era.MODERN for r in self._host.service.revisions)

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        """See `Handler`."""
        response.further = self._guard.fields(request)
        try:
            await self._handle(request, response)
        except BaseException as exc:  # noqa: BLE001 - parted into what is our failure and what is not
            failure, passing = parted(exc)
            if failure is not None:
                log.error(events.REQUEST_FAILED, exc_info=failure, path=request.path, method=request.method)
                refuse(response, 500, INTERNAL_ERROR, "Internal error")
            if passing is not None:
                raise passing from None

    async def _handle(self, request: HttpRequest, response: HttpResponse) -> None:
        place = self._paths[request.path]
        if place in ("live", "ready"):
            self._tell_health(place, response)
            return
        if self._posting is None:
            await self._ready.wait()
        try:
            principal = await self.principal_of(request)
        except Unauthenticated as exc:
            challenge = (b"www-authenticate", exc.challenge.encode("latin-1"))
            response.respond(exc.status, (*TEXT, challenge), f"{exc}\n".encode())
            return
        assert self._posting is not None
        if place == "mcp":
            if request.method == "POST":
                await self._posting.take(request, response, principal)
            elif request.method == "GET":
                await self._stand(request, response, principal)
            else:
                await self._delete(request, response, principal)
        elif self._legacy_sse is not None:
            await self._legacy_sse.take(place, request, response, principal)

    async def principal_of(self, request: HttpRequest) -> str | None:
        """Who sends a request.

        Raises:
            Unauthenticated: it is to be sent away.
        """
        return await authenticated(self._options.get("authenticate"), request)

    def _tell_health(self, place: str, response: HttpResponse) -> None:
        draining = self._host.draining.is_set()
        ready = place == "live" or not draining
        said = {"status": "ok" if ready else "draining"}
        response.respond(200 if ready else 503, JSON, dumps(said))

    # --- GET and DELETE of a legacy session -------------------------------------------

    async def _stand(self, request: HttpRequest, response: HttpResponse, principal: str | None) -> None:
        """GET: open a standing stream, or go on with one that lost its connection."""
        assert self._posting is not None
        if not accepted(request.fields.get(b"accept")).sse:
            refuse(response, 406, INVALID_REQUEST, "A stream comes as text/event-stream")
            return
        session = await self._posting.session_of(request, response, principal)
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

    async def _delete(self, request: HttpRequest, response: HttpResponse, principal: str | None) -> None:
        """DELETE: the client needs the session no more."""
        assert self._posting is not None
        session = await self._posting.session_of(request, response, principal)
        if session is not None:
            session.close()
            response.respond(204, ())
