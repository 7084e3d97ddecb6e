"""`ServerRun`: one run of a server, with its lifespan, its places, its jobs and its sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from trimcp.actors.supervisor import Supervisor, open_supervisor
from trimcp.errors import UsageError
from trimcp.framing.headers import NAMED_PARAMS
from trimcp.observability import events, log
from trimcp.protocol.principal import Principal, principal_of
from trimcp.server.context.context import Context
from trimcp.server.features.logging import LogMessages
from trimcp.server.features.notification_handlers import NotificationHandlers
from trimcp.server.features.pending_url_elicitations import PendingUrlElicitations
from trimcp.server.features.subscriptions.bus import SubscriptionBus
from trimcp.server.features.subscriptions.grants import SubscriptionGrants
from trimcp.server.lifespans import entered
from trimcp.server.service import ServerService
from trimcp.session.admission import Admission
from trimcp.session.delivery import NO_FIELDS, Delivery
from trimcp.session.drain_report import DrainReport
from trimcp.session.duplex_session import DuplexSession
from trimcp.session.expiry import ended_at_expiry
from trimcp.session.job import Jobs
from trimcp.session.peer import Peer
from trimcp.session.request import InboundRequest
from trimcp.session.senders import Senders
from trimcp.session.session import CLOSE_TIMEOUT, Session
from trimcp.session.tasks.watched import WatchedTasks
from trimcp.transports.duplex import Duplex

if TYPE_CHECKING:
    from trimcp.http.server.routes import HttpRoute
    from trimcp.limits import Limits
    from trimcp.observability.instruments import Instruments
    from trimcp.schema.header_params import HeaderParams
    from trimcp.server.context.client_view import NotifyingServer
    from trimcp.server.context.sealed_state import Sealer
    from trimcp.server.declarations import Declarations
    from trimcp.server.features.task_support import TaskRun
    from trimcp.server.run_snapshot import RunSnapshot
    from trimcp.stores.node_lease import NodeLease
    from trimcp.stores.node_messages import NodeMessages
    from trimcp.stores.secret_store import Secrets
    from trimcp.stores.server_secrets import ServerSecrets
    from trimcp.stores.store import Store
    from trimcp.types.revisions import Revision
    from trimcp.types.utilities import LoggingLevel

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]
"""An async context manager function. It is called with the server."""

FLUSH_SECONDS: Final = 5.0
"""Seconds that an endpoint has, at the end of a drain, to write to its stores."""


class Flushed(Protocol):
    """An endpoint that writes to stores behind its sessions."""

    async def flush(self) -> None:
        """Wait until the stores have everything."""
        ...


class ServerRun:
    """Serves sessions in one run of a server. `Server.running` makes it."""

    def __init__(
        self,
        declarations: Declarations,
        server: NotifyingServer,
        instruments: Instruments,
        supervisor: Supervisor,
        state: Any,
        extension_states: Mapping[str, Any],
        node: NodeLease | None = None,
    ) -> None:
        """
        Args:
            declarations: the declarations of the server.
            server: the server itself, for the contexts of handlers.
            instruments: count the requests.
            supervisor: of the actors that all sessions of the run share.
            state: the value that the lifespan yielded.
            extension_states: the values that the lifespans of extensions yielded, by identifier.
            node: the lease of this run in a shared store.
        """
        self._declarations = declarations
        self.server: NotifyingServer = server
        self.supervisor: Supervisor = supervisor
        self.nursery: trio.Nursery = supervisor.nursery
        """Holds the tasks of the run: its jobs, and the endpoints that are mounted in other applications."""
        self.state: Any = state
        self.extension_states: Mapping[str, Any] = extension_states
        """The values that the lifespans of extensions yielded, and the tasks of the run, by identifier."""
        self.limits: Limits = declarations.limits
        self.store: Store | None = declarations.store
        """Keeps everything of the run; None: in memory."""
        self.node: NodeLease | None = node
        """The lease of this run where its store is shared: it has the incarnation, and tells of fences."""
        self.admission: Admission = Admission(self.limits.server_requests)
        self._senders = Senders(self.limits)
        self.jobs: Jobs = Jobs(supervisor, self.limits.server_requests)
        self.endpoints: list[Supervisor] = []
        """The supervisors of its HTTP endpoints. Each endpoint adds and removes its own."""
        self.sessions: set[Session] = set()
        self.callers: set[Session] = set()
        """Peers of 2026-07-28 over HTTP, which have no session: each is a connection, or a principal."""
        self.messages: NodeMessages | None = None
        """Carries messages to and from the other nodes of a shared store."""
        if node is not None and self.store is not None:
            from trimcp.stores.node_messages import NodeMessages

            self.messages = supervisor.add(NodeMessages(supervisor, self.store.bus, node))
        grants = SubscriptionGrants(declarations, self)
        self.subscriptions: SubscriptionBus = supervisor.add(
            SubscriptionBus(supervisor, self.sessions, grants, self.limits, declarations.revisions, self.messages)
        )
        self._log_messages = supervisor.add(LogMessages(supervisor))
        self.notification_handlers: NotificationHandlers = supervisor.add(NotificationHandlers(supervisor, self.limits))
        self.tasks: TaskRun | None = None
        """Runs tools as tasks, if any tool is declared so."""
        self.service: ServerService = ServerService(declarations, self, instruments)
        if declarations.tasks is not None:
            self.tasks = declarations.tasks.open(self, declarations)
            self.extension_states = {**extension_states, declarations.tasks.extension.identifier: self.tasks}
        self.url_elicitations: PendingUrlElicitations = PendingUrlElicitations()
        self.client_tasks: WatchedTasks = WatchedTasks()
        """Gets the notifications of clients about tasks that they run for this server."""
        self._sealer: Sealer | None = None
        self._sealed_with: Secrets | None = None
        self.leaving: trio.Event = trio.Event()
        """Set when the run is going to drain, and is not ready for further clients."""
        self.flushed: list[Flushed] = []
        """The endpoints whose stores must have everything before the run ends."""
        self.draining: trio.Event = trio.Event()
        """Set when the run refuses new work."""
        self.drained: trio.Event = trio.Event()
        """Set when all requests are answered or given up, so that listeners may close."""
        self.report: DrainReport = DrainReport()
        """Of the drain, once that is over."""
        named = {} if declarations.extensions is None else declarations.extensions.named_params()
        self.named_params: Mapping[str, str] = {**NAMED_PARAMS, **named} if named else NAMED_PARAMS
        """The member of params that `Mcp-Name` mirrors, by method."""

    # --- for contexts -----------------------------------------------------------------

    @property
    def sealer(self) -> Sealer:
        """Seals the states of requests that ask the client. Made for the first of them, and again after a rotation."""
        secrets = self._declarations.keys.current
        if self._sealer is None or self._sealed_with is not secrets:
            from trimcp.server.context.sealed_state import PURPOSE, Sealer

            self._sealed_with = secrets
            self._sealer = Sealer(secrets.derive(PURPOSE))
        return self._sealer

    def context(self, request: InboundRequest) -> Context:
        """Make the context of a request."""
        return Context(request, self)

    def log(self, request: InboundRequest, level: LoggingLevel, data: Any, logger: str | None) -> None:
        """Send a log message on the stream of a request. See `Context.log`."""
        if not self._declarations.logging:
            raise UsageError("This server sends no log messages: make it without logging=False")
        self._log_messages.send(request, level, data, logger)

    def url_elicited(self, id: str, session: Peer) -> None:
        """Remember the session to notify when a URL elicitation is complete."""
        self.url_elicitations.add(id, session)

    def may_have_extension(self, identifier: str, revision: Revision) -> bool:
        """Whether a revision has an extension. True for extensions that the server does not use."""
        return self._declarations.may_have_extension(identifier, revision)

    def extension_of(self, name: str) -> str:
        """Return the identifier of the extension that has a method or notification."""
        return self._declarations.extension_of(name)

    # --- for HTTP endpoints -----------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of the server."""
        return self.server.name

    @property
    def secrets(self) -> ServerSecrets:
        """The secrets of the server. The keys for the data that clients keep are derived from them."""
        return self._declarations.keys

    @property
    def routes(self) -> Sequence[HttpRoute]:
        """The HTTP routes beside the endpoint."""
        return self._declarations.http_routes

    def header_params(self, tool: Any) -> HeaderParams | None:
        """Return the parameters of a tool that are mirrored into header fields, if there are any."""
        found = self._declarations.tools.catalog.get(tool) if type(tool) is str else None
        return None if found is None else found.header_params

    # --- sessions ---------------------------------------------------------------------

    async def serve(
        self,
        duplex: Duplex,
        *,
        principal: Principal | str | None = None,
        fields: Mapping[bytes, bytes] = NO_FIELDS,
        hides_forbidden: bool = False,
    ) -> Session:
        """Serve one connection until it ends, or its principal expires; return its session, which has the reason.

        Args:
            duplex: the connection.
            principal: the authenticated sender, if there is one.
            fields: the fields of the HTTP request that opened the connection, by their names in lower case.
            hides_forbidden: whether features whose scopes the sender lacks are unknown to it; see `Delivery`.
        """
        delivery = Delivery(principal_of(principal), fields, hides_forbidden=hides_forbidden)
        session = DuplexSession(duplex, self.service, self.admission, delivery=delivery)
        if self.admits(session):
            with ended_at_expiry(session, self.nursery):
                await session.run()
        else:
            await duplex.aclose()
        return session

    def resubscribe(self, session: Session, uris: Collection[str], *, is_on: bool, is_late: bool = False) -> None:
        """See `ServedRun`."""
        self.subscriptions.resubscribe(session, uris, is_on=is_on, is_late=is_late)

    def missed_changes(self, session: Session) -> None:
        """See `ServedRun`."""
        self.subscriptions.missed_changes(session)

    def admits(self, session: Session, *, is_known: bool = False) -> bool:
        """Return whether there is room for one more session. If there is not, close it.

        `is_known`: whether it was admitted before, by another node or by this one.
        """
        if self.draining.is_set():
            why = "the server is stopping"
        elif len(self.sessions) >= self.limits.sessions:
            why = "too many sessions"
        elif not is_known and self._senders.has_too_many(session, self.sessions):
            why = "too many sessions of this sender"
        else:
            return True
        log.warning(events.SESSION_REFUSED, peer=session.description, why=why)
        session.close()
        return False

    def session_opened(self, session: Session) -> None:
        """Add a session that began to run, or a peer without a session."""
        (self.callers if session.is_stateless else self.sessions).add(session)

    def session_ended(self, session: Session) -> None:
        """Forget a session and its subscriptions, and cancel its notification handlers."""
        self.sessions.discard(session)
        self.callers.discard(session)
        self.url_elicitations.session_ended(session)
        self.subscriptions.session_ended(session)
        self.notification_handlers.session_ended(session)

    async def drain(self, deadline: float) -> DrainReport:
        """Drain every session at once, then end it.

        A server says that it is not ready `Limits.drain_delay` seconds before, so that balancers send no more clients.
        A second call does not wait for that.
        """
        if not self.leaving.is_set():
            self.leaving.set()
            with trio.move_on_after(self.limits.drain_delay):
                await self.draining.wait()
        self.draining.set()
        reports: list[DrainReport] = []

        async def drain_one(session: Session) -> None:
            reports.append(await session.drain(deadline))
            session.close()
            # A request in flight means that a handler shields itself, perhaps for long.
            if not (session.is_running and len(session.requests.in_flight)):
                with trio.move_on_after(CLOSE_TIMEOUT):
                    await session.wait_over()

        seen: set[Session] = set()
        async with trio.open_nursery() as draining:
            if self.tasks is not None:
                draining.start_soon(self.tasks.drain, deadline)
            # A session that was admitted just before may begin to run only now.
            while pending := (self.sessions | self.callers) - seen:
                seen |= pending
                async with trio.open_nursery() as nursery:
                    for session in pending:
                        nursery.start_soon(drain_one, session)
                await trio.lowlevel.checkpoint()
        self.jobs.cancel_all()
        for endpoint in self.flushed:
            with trio.move_on_after(FLUSH_SECONDS):
                await endpoint.flush()
        report = sum(reports, DrainReport())
        if report.requests >= self.report.requests:  # the drain that began first saw the most
            self.report = report
            log.info(events.DRAIN_FINISHED, finished=report.finished, cancelled=report.cancelled, lost=report.lost)
        self.drained.set()
        return report

    @property
    def threads(self) -> int:
        """The number of threads that run sync functions now, abandoned ones included."""
        return self._declarations.tools.threads_in_use

    def session(self, number: int) -> Session | None:
        """Return the session, or the peer without a session, of that number."""
        return next((each for each in (*self.sessions, *self.callers) if each.number == number), None)

    def snapshot(self, most: int | None = None) -> RunSnapshot:
        """Return a snapshot of the run; with at most that many sessions, callers and listens, the busy ones first."""
        from trimcp.server.run_snapshot import RunSnapshot, snapshots_of

        declared = self._declarations
        return RunSnapshot(
            server=self.server.name,
            draining=self.draining.is_set(),
            places=self.admission.most,
            places_free=self.admission.free,
            session_places=self.limits.session_requests,
            sessions_waiting=self.admission.sessions_waiting,
            tools=declared.count("tools"),
            resources=declared.count("resources"),
            prompts=declared.count("prompts"),
            providers=tuple(added.name for added in declared.providers.added),
            tool_threads=self.threads,
            jobs=len(self.jobs),
            tasks=0 if self.tasks is None else self.tasks.running,
            listens=self.subscriptions.listens,
            subscriptions=self.subscriptions.watched,
            watched=self.subscriptions.snapshot_of_all(most),
            supervisor=self.supervisor.snapshot(),
            endpoints=tuple(endpoint.snapshot() for endpoint in self.endpoints),
            sessions=snapshots_of(self.sessions, most),
            sessions_open=len(self.sessions),
            callers=snapshots_of(self.callers, most),
        )


@asynccontextmanager
async def open_run(
    declarations: Declarations, server: NotifyingServer, lifespan: Lifespan | None, instruments: Instruments
) -> AsyncIterator[ServerRun]:
    """Enter the store, the lifespans and the supervisor of a run. At the end its jobs are cancelled."""
    async with AsyncExitStack() as stack:
        store, node, keys = declarations.store, None, declarations.keys
        if store is not None:
            await stack.enter_async_context(store.open())
            from trimcp.stores.failures import StoreUnavailable
            from trimcp.stores.node_lease import joined

            try:
                await keys.read()
                if store.is_shared:
                    node = await stack.enter_async_context(joined(store.nodes))
            except StoreUnavailable as exc:
                raise UsageError(f"The store cannot be used ({exc}): start the server when the store answers") from exc
        state = None
        if lifespan is not None:
            owner = f"the lifespan of {server.name}"
            state = await stack.enter_async_context(entered(lifespan(server), owner))
        states: dict[str, Any] = {}
        for extension in declarations.extensions or ():
            if extension.lifespan is not None:
                owner = f"the lifespan of {extension.identifier}"
                states[extension.identifier] = await stack.enter_async_context(
                    entered(extension.lifespan(server), owner)
                )
        async with open_supervisor(f"server {server.name}") as supervisor:
            run = ServerRun(declarations, server, instruments, supervisor, state, states, node)
            if node is not None:
                assert run.messages is not None
                supervisor.nursery.start_soon(node.run, name="trimcp node lease")
                supervisor.nursery.start_soon(run.messages.receive, name="trimcp messages of nodes")
                supervisor.nursery.start_soon(run.messages.hand_out_gaps, name="trimcp gaps of messages")
                if keys.source is not None:
                    supervisor.nursery.start_soon(keys.follow, keys.source, name="trimcp secrets")
            try:
                yield run
                if run.tasks is not None and run.store is not None:
                    await run.tasks.drain(run.limits.grace)
            finally:
                run.jobs.cancel_all()
                if run.tasks is not None:
                    with trio.CancelScope(shield=True):  # it has a deadline of its own
                        await run.tasks.drain(0)
