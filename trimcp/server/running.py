"""One run of a server: its lifespan, its places, its jobs, and the sessions it serves now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trimcp.actors.supervisor import Supervisor, SupervisorSnapshot, open_supervisor
from trimcp.framing.headers import NAMED_PARAMS
from trimcp.observability import events, log
from trimcp.protocol.principal import Principal, principal_of
from trimcp.server.context import Context
from trimcp.server.features.logging import LogMessages
from trimcp.server.features.notification_handlers import NotificationHandlers
from trimcp.server.features.subscriptions.bus import SubscriptionBus
from trimcp.server.features.subscriptions.grants import Grants
from trimcp.server.features.subscriptions.requests import SubscriptionRequests
from trimcp.server.features.url_elicitations import PendingUrlElicitations
from trimcp.server.lifespan import entered
from trimcp.server.service import ServerService
from trimcp.session.admission import Admission
from trimcp.session.delivery import NO_FIELDS, Delivery
from trimcp.session.duplex_session import DuplexSession
from trimcp.session.job import Jobs
from trimcp.session.request import InboundRequest
from trimcp.session.session import CLOSE_TIMEOUT, DrainReport, Session
from trimcp.session.snapshot import SessionSnapshot
from trimcp.transports.duplex import Duplex

if TYPE_CHECKING:
    from trimcp.endpoint.routes import HttpRoute
    from trimcp.framing.header_params import HeaderParams
    from trimcp.server.app import Server
    from trimcp.server.sealed_state import Sealer
    from trimcp.stores.secret_store import Secrets, SecretStore


@attrs.frozen(kw_only=True, eq=False)
class RunSnapshot:
    """One run of a server at one moment."""

    server: str
    draining: bool
    places: int
    """Admission: how many requests may run at once."""
    places_free: int
    sessions_waiting: int
    """Admission: sessions that wait for a place."""
    tools: int
    resources: int
    """Resources and templates."""
    prompts: int
    providers: tuple[str, ...]
    """The names of the providers that were added, in their order."""
    tool_threads: int
    """Threads that run sync tools, abandoned ones included."""
    jobs: int
    listens: int
    """SubscriptionBus: `subscriptions/listen` requests in flight."""
    subscriptions: int
    """SubscriptionBus: subscriptions to resources."""
    supervisor: SupervisorSnapshot
    """The actors and tasks of the run, which all its sessions share."""
    endpoints: tuple[SupervisorSnapshot, ...]
    """The actors and handler actors of its HTTP endpoints."""
    sessions: tuple[SessionSnapshot, ...]
    callers: tuple[SessionSnapshot, ...]
    """Connections and principals that speak 2026-07-28 over HTTP, without a session."""

    def __str__(self) -> str:
        lines = [
            f"server {self.server}{'  draining' if self.draining else ''}",
            f"├── admission  {self.places - self.places_free} of {self.places} places, {self.sessions_waiting} wait",
            f"├── tools  {self.tools}, {self.tool_threads} threads",
            *([f"├── resources  {self.resources}"] if self.resources else ()),
            *([f"├── prompts  {self.prompts}"] if self.prompts else ()),
            *([f"├── providers  {', '.join(self.providers)}"] if self.providers else ()),
            f"├── jobs  {self.jobs}",
            f"├── subscriptions  {self.listens} listens, {self.subscriptions} to resources",
            *(f"├── {line}" for line in self.supervisor.render()),
            *(f"├── {endpoint.name}: {line}" for endpoint in self.endpoints for line in endpoint.render()),
            *([f"├── callers  {len(self.callers)} without a session"] if self.callers else ()),
            f"└── sessions  {len(self.sessions)}",
        ]
        for session in (*self.sessions, *(caller for caller in self.callers if caller.requests)):
            lines += ["    " + line for line in session.render().splitlines()]
        return "\n".join(lines)


class Running:
    """A server while it runs. Made by `Server.running`."""

    def __init__(self, server: Server, state: Any, supervisor: Supervisor) -> None:
        self.server = server
        self.supervisor = supervisor
        """Of the actors that all sessions of the run share."""
        self.nursery = supervisor.nursery
        """Where what belongs to the run lives: its jobs, and the endpoints of applications that it is mounted in."""
        self.state = state
        """What the lifespan yielded."""
        self.admission = Admission(server.limits.server_requests)
        self.jobs = Jobs(supervisor, server.limits.server_requests)
        self.endpoints: list[Supervisor] = []
        """The supervisors of its HTTP endpoints; each endpoint adds and removes its own."""
        self.sessions: set[Session] = set()
        self.callers: set[Session] = set()
        """Those of 2026-07-28 over HTTP, who have no session: each is a connection, or a principal."""
        self.service = ServerService(self)
        grants = Grants(server, self.context)
        self.subscriptions = supervisor.add(
            SubscriptionBus(supervisor, self.sessions, grants, server.limits, server.revisions)
        )
        self.subscription_requests = SubscriptionRequests(self.subscriptions, grants)
        self.log_messages = supervisor.add(LogMessages(supervisor))
        self.notification_handlers = supervisor.add(NotificationHandlers(supervisor, server.limits))
        self.extension_states: dict[str, Any] = {}
        """What the lifespans of extensions yielded, by identifier."""
        self.url_elicitations = PendingUrlElicitations()
        self._sealer: Sealer | None = None
        self._sealed_with: Secrets | None = None
        self.draining = trio.Event()
        """Set when no new work is taken."""
        self.drained = trio.Event()
        """Set when all that was taken is answered or given up, so that doors may close."""
        named = {} if server.extensions is None else server.extensions.named_params()
        self.named_params: Mapping[str, str] = {**NAMED_PARAMS, **named} if named else NAMED_PARAMS
        """The member of params that `Mcp-Name` mirrors, by method."""

    @property
    def sealer(self) -> Sealer:
        """What seals the states of requests that ask the client; made when the first one does, and after a rotation."""
        secrets = self.server.keys.current
        if self._sealer is None or self._sealed_with is not secrets:
            from trimcp.server.sealed_state import PURPOSE, Sealer

            self._sealed_with = secrets
            self._sealer = Sealer(secrets.derive(PURPOSE))
        return self._sealer

    @property
    def secrets(self) -> SecretStore:
        """What the keys for all that clients keep for the server are derived from."""
        return self.server.keys

    def context(self, request: InboundRequest) -> Context:
        """The context of a request."""
        return Context(request, self)

    @property
    def routes(self) -> Sequence[HttpRoute]:
        """What is served by HTTP beside the endpoint."""
        return self.server.http_routes

    def header_params(self, tool: Any) -> HeaderParams | None:
        """Which parameters of a tool are mirrored into header fields, if any are."""
        found = self.server.tools.catalog.tools.get(tool) if type(tool) is str else None
        return None if found is None else found.header_params

    async def serve(
        self, duplex: Duplex, *, principal: Principal | str | None = None, fields: Mapping[bytes, bytes] = NO_FIELDS
    ) -> Session:
        """Serve one connection until it ends; return its session, which says why.

        `principal`: the authenticated sender, if there is one; `fields`: of the HTTP request that opened the
        connection, by their names in lower case.
        """
        delivery = Delivery(principal_of(principal), fields)
        session = DuplexSession(duplex, self.service, self.admission, delivery=delivery)
        if self.admits(session):
            await session.run()
        else:
            await duplex.aclose()
        return session

    def admits(self, session: Session) -> bool:
        """Whether there is room for one more session; one that there is not is closed."""
        if len(self.sessions) < self.server.limits.sessions and not self.draining.is_set():
            return True
        why = "the server is stopping" if self.draining.is_set() else "too many sessions"
        log.warning(events.SESSION_REFUSED, peer=session.description, why=why)
        session.close()
        return False

    async def drain(self, deadline: float) -> DrainReport:
        """Drain every session at once, then end it."""
        self.draining.set()
        reports: list[DrainReport] = []

        async def drain_one(session: Session) -> None:
            reports.append(await session.drain(deadline))
            session.close()
            if not (
                session.is_running and len(session.requests.in_flight)
            ):  # else a handler shields itself, and may do so for long
                with trio.move_on_after(CLOSE_TIMEOUT):
                    await session.wait_over()

        seen: set[Session] = set()
        # One that was admitted just before may begin to run only now.
        while pending := (self.sessions | self.callers) - seen:
            seen |= pending
            async with trio.open_nursery() as nursery:
                for session in pending:
                    nursery.start_soon(drain_one, session)
            await trio.lowlevel.checkpoint()
        self.jobs.cancel_all()
        self.drained.set()
        return sum(reports, DrainReport())

    def snapshot(self) -> RunSnapshot:
        """What it does now."""
        return RunSnapshot(
            server=self.server.name,
            draining=self.draining.is_set(),
            places=self.admission.most,
            places_free=self.admission.free,
            sessions_waiting=self.admission.sessions_waiting,
            tools=len(self.server.tools),
            resources=self.server.count("resources"),
            prompts=self.server.count("prompts"),
            providers=tuple(added.name for added in self.server.providers.added),
            tool_threads=self.server.tools.threads_in_use,
            jobs=len(self.jobs),
            listens=self.subscriptions.listens,
            subscriptions=self.subscriptions.watched,
            supervisor=self.supervisor.snapshot(),
            endpoints=tuple(endpoint.snapshot() for endpoint in self.endpoints),
            sessions=tuple(s.snapshot() for s in sorted(self.sessions, key=lambda s: s.number)),
            callers=tuple(s.snapshot() for s in sorted(self.callers, key=lambda s: s.number)),
        )


@asynccontextmanager
async def run_of(server: Server) -> AsyncIterator[Running]:
    """A run of a server: its lifespan entered, its jobs ended with it."""
    async with AsyncExitStack() as stack:
        state = None
        if server.lifespan is not None:
            state = await stack.enter_async_context(entered(server.lifespan(server), f"the lifespan of {server.name}"))
        states: dict[str, Any] = {}
        for extension in server.extensions or ():
            if extension.lifespan is not None:
                lifespan = entered(extension.lifespan(server), f"the lifespan of {extension.identifier}")
                states[extension.identifier] = await stack.enter_async_context(lifespan)
        async with open_supervisor(f"server {server.name}") as supervisor:
            running = Running(server, state, supervisor)
            running.extension_states = states
            try:
                yield running
            finally:
                running.jobs.cancel_all()
