"""One run of a server: its lifespan, its places, its jobs, and the sessions it serves now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trimcp.actors.home_thread import HomeThread
from trimcp.observability import events, log
from trimcp.server.context import Context
from trimcp.server.service import ServerService
from trimcp.server.subscriptions import SubscriptionBus
from trimcp.server.visits import Visits
from trimcp.session.admission import Admission
from trimcp.session.duplex_session import DuplexSession
from trimcp.session.job import Jobs
from trimcp.session.request import InboundRequest
from trimcp.session.session import DrainReport, Session
from trimcp.session.snapshot import SessionSnapshot
from trimcp.transports.duplex import Duplex

if TYPE_CHECKING:
    from trimcp.server.app import Server
    from trimcp.server.registering import Kind
    from trimcp.server.sealed_state import Sealer


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
    tool_threads: int
    """Threads that run sync tools, abandoned ones included."""
    jobs: int
    listens: int
    """SubscriptionBus: `subscriptions/listen` requests in flight."""
    subscriptions: int
    """SubscriptionBus: subscriptions to resources."""
    sessions: tuple[SessionSnapshot, ...]

    def __str__(self) -> str:
        lines = [
            f"server {self.server}{'  draining' if self.draining else ''}",
            f"├── admission  {self.places - self.places_free} of {self.places} places, {self.sessions_waiting} wait",
            f"├── tools  {self.tools}, {self.tool_threads} threads",
            f"├── jobs  {self.jobs}",
            f"├── subscriptions  {self.listens} listens, {self.subscriptions} to resources",
            f"└── sessions  {len(self.sessions)}",
        ]
        for session in self.sessions:
            lines += ["    " + line for line in session.render().splitlines()]
        return "\n".join(lines)


class Running:
    """A server while it runs. Made by `Server.running`."""

    def __init__(self, server: Server, state: Any, nursery: trio.Nursery) -> None:
        self.server = server
        self.state = state
        """What the lifespan yielded."""
        self.admission = Admission(server.limits.server_requests)
        self.jobs = Jobs(nursery, server.limits.server_requests)
        self.sessions: set[Session] = set()
        self.service = ServerService(self)
        self.subscriptions = SubscriptionBus(server.limits, self.sessions, server.has)
        self.home = HomeThread()
        self.visits = Visits()
        self._sealer: Sealer | None = None
        self.draining = trio.Event()
        """Set when no further connection is to be accepted."""

    @property
    def sealer(self) -> Sealer:
        """What seals the states of requests that ask the client; made when the first one does."""
        if self._sealer is None:
            from trimcp.server.sealed_state import PURPOSE, Sealer

            self._sealer = Sealer(self.server.keys.derive(PURPOSE))
        return self._sealer

    def context(self, request: InboundRequest) -> Context:
        """The context of a request."""
        return Context(request, self)

    async def serve(self, duplex: Duplex, *, principal: str | None = None) -> Session:
        """Serve one connection until it ends; return its session, which says why."""
        session = DuplexSession(duplex, self.service, self.admission, principal=principal)
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

    def changed(self, kind: Kind) -> None:
        """Tell every client that wants to know that the list of `tools`, `resources` or `prompts` has changed."""
        self.subscriptions.changed(kind)

    def resource_updated(self, uri: str) -> None:
        """Tell every client that subscribed to it that a resource has changed."""
        self.subscriptions.resource_updated(uri)

    async def drain(self, deadline: float) -> DrainReport:
        """Drain every session at once, then end it."""
        self.draining.set()
        reports: list[DrainReport] = []

        async def drain_one(session: Session) -> None:
            reports.append(await session.drain(deadline))
            session.close()

        async with trio.open_nursery() as nursery:
            for session in list(self.sessions):
                nursery.start_soon(drain_one, session)
        self.jobs.cancel_all()
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
            tool_threads=self.server.tools.threads_in_use,
            jobs=len(self.jobs),
            listens=self.subscriptions.listens,
            subscriptions=self.subscriptions.watched,
            sessions=tuple(s.snapshot() for s in sorted(self.sessions, key=lambda s: s.number)),
        )


@asynccontextmanager
async def run_of(server: Server) -> AsyncIterator[Running]:
    """A run of a server: its lifespan entered, its jobs ended with it."""
    async with AsyncExitStack() as stack:
        state = None
        if server.lifespan is not None:
            state = await stack.enter_async_context(server.lifespan(server))
        async with trio.open_nursery() as nursery:
            running = Running(server, state, nursery)
            try:
                yield running
            finally:
                running.jobs.cancel_all()
                nursery.cancel_scope.cancel()
