"""The Session: the supervisor of one peer, in either role, on any medium.

Its nursery holds every task that works for this peer, and none outlives it. The Reader runs in the task of the
session itself; the other actors get their tasks with their first message.

How a session ends: at end of input a server's session drains; `close` and a failure of the medium end it at
once. Either way the calls that wait for the peer fail with a clear exception, the requests of the peer are
cancelled with a reason, the medium is closed, and no other session notices. Then the actors stop, in this
order: Reader; requests; CancellationManager; ProgressTracker; Router; Writer.

The medium beneath, a duplex connection or HTTP, is a subclass.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import trio

from trimcp.actors.supervisor import Supervisor, open_supervisor
from trimcp.errors import ConnectionClosed, ConnectionEnded, ConnectionLost
from trimcp.limits import Limits
from trimcp.observability import events, log
from trimcp.observability.instruments import Instruments
from trimcp.protocol.cancel_reason import CancelReason
from trimcp.session.admission import Admission
from trimcp.session.call import CallRoute
from trimcp.session.cancellation_manager import CancellationManager
from trimcp.session.delivery import LOCAL, Delivery
from trimcp.session.dispatcher import Dispatcher
from trimcp.session.drain_report import DrainReport
from trimcp.session.handler_actors import HandlerActors
from trimcp.session.peer import Peer
from trimcp.session.pending_calls import Calls
from trimcp.session.progress_tracker import ProgressTracker
from trimcp.session.register import Register
from trimcp.session.reply_stream import ReplyStream, SessionStream
from trimcp.session.request import InboundRequest, Route
from trimcp.session.router import Router
from trimcp.session.traced_calls import open_calls
from trimcp.types.jsonrpc import Message, RequestId
from trimcp.types.revisions import Revision

if TYPE_CHECKING:
    from trimcp.session.snapshot import SessionSnapshot

CLOSE_TIMEOUT: Final = 1.0
"""Seconds that closing the medium may take; it is shielded, so it must have a bound."""
FLUSH_TIMEOUT: Final = 5.0
"""Seconds that answers have to leave at the end of a drain whose deadline is over."""

FAILED: Final = "the session failed; the log has the traceback"
CANCELLED: Final = "the scope that the session ran in was cancelled"


class Service(abc.ABC):
    """Shows a server or a client to its sessions: the requests that it answers, and its limits.

    A session knows nothing of tools or sampling.
    """

    role: Literal["server", "client"]
    limits: Limits
    revisions: Sequence[Revision]
    """The revisions offered, oldest first."""
    instruments: Instruments
    """Counts requests, while a meter is open."""

    @abc.abstractmethod
    def routes(self, revision: Revision) -> Mapping[str, Route]:
        """Return the routes of a revision, by method; any other method is answered by -32601."""

    @abc.abstractmethod
    def notified(self, session: Peer, method: str, params: Mapping[str, Any] | None) -> None:
        """Take a notification that the session has no use for itself. Must not wait, nor raise."""

    @abc.abstractmethod
    def opened(self, session: Session) -> None:
        """Take note that a session began to run."""

    @abc.abstractmethod
    def ended(self, session: Session) -> None:
        """Take note that a session is over."""


class Session(Peer):
    """Supervises one live peer."""

    supervisor: Supervisor
    router: Router
    requests: Register[InboundRequest]
    """The requests of the peer. The Router alone changes it."""
    dispatcher: Dispatcher
    cancellation: CancellationManager
    # Of `Peer`, and made here:
    progress: ProgressTracker
    writer: SessionStream
    reply_stream: ReplyStream

    def __init__(self, service: Service, admission: Admission | None = None, *, delivery: Delivery = LOCAL) -> None:
        """
        Args:
            service: the server or client behind the session.
            admission: the places shared with other sessions; its own, if not given.
            delivery: who opened the session; also the sender of its requests, where their reply streams name none.
        """
        super().__init__(service.limits, delivery, is_server=service.role == "server")
        self.service: Service = service
        self.instruments: Instruments = service.instruments
        self._admission = admission or Admission(service.limits.server_requests)
        self.is_running: bool = False
        """Whether the session has its actors: from `run` to its end."""
        self._reading = trio.CancelScope()
        self._over = trio.Event()
        self._ending = trio.Event()
        self.has_input_ended: bool = False
        """Whether the peer has said that it sends no more."""
        self.lost: int = 0
        """Requests that were accepted and not answered, when the session drained or ended."""

    @property
    def is_ending(self) -> bool:
        """Whether the session drains, or is over."""
        return self._ending.is_set()

    async def wait_ending(self) -> None:
        """Wait until the session begins to end."""
        await self._ending.wait()

    # --- the medium beneath -----------------------------------------------------------

    @abc.abstractmethod
    def _open_streams(self, supervisor: Supervisor) -> tuple[SessionStream, ReplyStream]:
        """Make the session's own stream, and the reply stream of requests that have no other."""

    @abc.abstractmethod
    async def _listen(self) -> None:
        """Receive until the peer has nothing more to send.

        Raises:
            ConnectionEnded: the medium failed.
        """

    @abc.abstractmethod
    async def _close_medium(self) -> None:
        """Close the medium. Idempotent; does not wait for the peer."""

    @property
    def _cut_short(self) -> bool:
        """Whether the medium failed while the stream of the session was being written."""
        return False

    async def _wait_flushed(self) -> None:
        """Wait until every posted message has left."""
        await self.progress.flushed()
        await self.writer.flushed()

    @property
    def _peer_may_read(self) -> bool:
        """Whether a peer that has nothing more to send may still wait for answers."""
        return True

    @property
    def messages_read(self) -> int:
        """Messages of the peer so far."""
        return 0

    # --- life -------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[Session] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve the peer until the session is over. Raises nothing but `Cancelled`.

        Why it ended is in `end` afterwards, and in the log.
        """
        if self._end is not None and not self.is_running:  # closed before it began
            await self._closed_medium()
            self._over.set()
            task_status.started(self)
            return
        try:
            begun = self.supervisor if self.is_running else None
            async with open_supervisor(f"session {self.number}", begun) as supervisor:
                if not self.is_running:
                    self._open(supervisor)
                task_status.started(self)
                await self._live(supervisor)
        except* Exception as group:  # noqa: BLE001
            # A bug of ours. It ends this session, since its state cannot be trusted, and no other.
            log.error(events.SESSION_FAILED, exc_info=group, session=self.number)
            self._failed()
        finally:
            await self._finish()

    def begin(self, run_soon: Callable[[], object]) -> None:
        """Make the actors in this turn. `run_soon` starts `run` when one of them needs a task, or at the end."""
        self._open(Supervisor(f"session {self.number}", run_soon))

    def _open(self, supervisor: Supervisor) -> None:
        """Make the actors, and be open for messages."""
        self._assemble(supervisor)
        self.is_running = True
        self.service.opened(self)
        log.debug(events.SESSION_OPENED, session=self.number, peer=self.description)

    def _failed(self) -> None:
        self._end = self._end or ConnectionClosed(FAILED)

    async def _live(self, supervisor: Supervisor) -> None:
        """Read until the end, and stop the actors in order."""
        why = FAILED
        try:
            with self._reading:
                await self._listen_until_end()
        except trio.Cancelled:
            if not supervisor.nursery.cancel_scope.cancel_called:
                why = CANCELLED
            raise
        finally:
            # Before the nursery closes: others must find the session over, and not reach into it.
            self.lose(ConnectionClosed(why))
            # And before it waits for handlers that shield themselves: the peer need not.
            await self._closed_medium()
            idle = self.router.when_idle(self.requests)
            if not (supervisor.nursery.cancel_scope.cancel_called or self.router.has_failed):
                with trio.CancelScope(shield=True):  # as a nursery waits: handlers that were cancelled clean up
                    await idle.wait()
            supervisor.stop(*self._stop_order())

    def _stop_order(self) -> tuple[Any, ...]:
        """The actors of the session, in the order in which they stop."""
        return (self.cancellation, self.progress, self.router)

    async def _closed_medium(self) -> None:
        with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
            await self._close_medium()

    async def _listen_until_end(self) -> None:
        try:
            await self._listen()
        except ConnectionEnded as exc:
            self.lose(exc)
        else:
            await self._input_ended()

    def _assemble(self, supervisor: Supervisor) -> None:
        """Make the actors."""
        limits = self.limits
        self.supervisor = supervisor
        self.progress = supervisor.add(ProgressTracker(supervisor, limits))
        self.cancellation = supervisor.add(CancellationManager(supervisor, self.progress, limits))
        self.router = supervisor.add(self._make_router(supervisor))
        self._make_parts()

    def _make_router(self, supervisor: Supervisor) -> Router:
        actors = HandlerActors(supervisor, self.limits.session_requests)
        return Router(supervisor, self.service, actors, self._admission, self.cancellation)

    def _make_parts(self) -> None:
        """Make the parts that belong to this session alone, also where its Router is shared."""
        self.requests = Register(self, self.router, self.limits.session_requests)
        self.writer, self.reply_stream = self._open_streams(self.supervisor)
        self.calls: Calls = open_calls(self, self.limits, self.service.instruments.telemetry)
        self.dispatcher = Dispatcher(self, self.router, self.requests, self.service)

    def take(self, message: Message, reply_stream: ReplyStream, size: int, now: float) -> None:
        """See `Peer`."""
        self.dispatcher.take(message, reply_stream, size, now)

    def send_call(
        self, id: RequestId, method: str, params: dict[str, Any] | None, frame: bytes, via: CallRoute | None
    ) -> None:
        """See `CallSender`."""
        for trace in self.instruments.traces:
            trace.asked(self.number, id, method, params)
        (self.writer if via is None else via).write(frame)

    def give_up_call(self, id: RequestId, why: str, via: CallRoute | None) -> None:
        """See `CallSender`."""
        self.cancellation.give_up(id, why, self.writer if via is None else via)

    async def _input_ended(self) -> None:
        """Answer what the peer asked for, and fail our calls: the peer has closed its side."""
        self.has_input_ended = True
        ended = ConnectionLost(f"the peer ({self.description}) closed the connection")
        self.calls.fail_all(ended)
        if self.is_server and self._peer_may_read:
            await self._drain(self.limits.grace, math.inf)  # the peer may be slow, and nothing else waits
        self.lose(ended)

    def lose(self, end: ConnectionEnded) -> None:
        """End the session at once. The first reason stays. Called from any task, and never waits."""
        if self._end is not None:
            return
        self._end = end
        self._ending.set()
        log.debug(events.CONNECTION_LOST, session=self.number, why=str(end))
        self.calls.fail_all(end)
        self.router.close(self.requests)
        self.writer.close()
        self._reading.cancel()
        self.supervisor.begin()  # its task ends it

    async def _finish(self) -> None:
        if self._end is None:  # cancelled from outside
            self._end = ConnectionClosed(CANCELLED)
        if self.is_running:
            self.is_running = False
            self.calls.fail_all(self._end)
            self.writer.close()
            self.lost = max(self.lost, self.requests.abandoned + self._cut_short)
        await self._closed_medium()
        self._over.set()
        self.service.ended(self)
        log.debug(events.SESSION_ENDED, session=self.number, why=str(self._end))

    def close(self) -> None:
        """End the session at once, from any task."""
        if self.is_running:
            self.lose(ConnectionClosed("the connection was closed by this side"))
        else:
            self._end = self._end or ConnectionClosed("closed before it was opened")

    async def wait_over(self) -> None:
        """Wait until the session is over and its connection closed."""
        await self._over.wait()

    # --- drain ------------------------------------------------------------------------

    async def drain(self, deadline: float) -> DrainReport:
        """Refuse new work, end subscriptions, let requests finish, answer the ones that do not, and flush.

        The connection stays open, and answers, cancels and pings are taken until the end.

        Args:
            deadline: seconds until requests that still run are cancelled; they have `Limits.cleanup` more
                seconds to clean up. Answers have until then to leave, and `FLUSH_TIMEOUT` at least.

        Returns:
            The counts of the requests that were in flight.
        """
        return await self._drain(deadline, FLUSH_TIMEOUT)

    async def _drain(self, deadline: float, flush: float) -> DrainReport:
        if not self.is_running:
            return DrainReport()
        router, requests, started = self.router, self.requests, trio.current_time()
        self._ending.set()
        at_start = await router.drain(requests).wait()
        in_flight = [request for request in requests.in_flight if requests.owes_answer(request)]
        log.debug(events.DRAIN_STARTED, session=self.number, in_flight=at_start)
        with trio.move_on_after(deadline):
            await router.when_idle(requests).wait()
        if self._end is None:
            await router.cancel_in_flight(requests, CancelReason.SHUTDOWN).wait()
        if len(requests.in_flight):
            with trio.move_on_after(self.limits.cleanup):
                await router.when_idle(requests).wait()
        # The Writer has no bound for this: a peer that takes a byte in each write timeout would hold up the end.
        with trio.move_on_after(max(started + deadline - trio.current_time(), flush)) as patience:
            await self._wait_flushed()
        # Where the connection was lost meanwhile, what was in flight then has got no answer either.
        unanswered = requests.unanswered if self._end is None else requests.abandoned
        lost = unanswered + (self._cut_short or patience.cancelled_caught)  # at least the answer that was not taken
        # Another drain, with an earlier deadline, may have cancelled some of them.
        cancelled = sum(request.cancel_reason is CancelReason.SHUTDOWN for request in in_flight)
        self.lost = max(self.lost, lost)
        report = DrainReport(at_start - max(cancelled, unanswered), max(cancelled - unanswered, 0), lost)
        log.debug(events.DRAIN_FINISHED, session=self.number, lost=lost)
        return report

    # --- snapshot ---------------------------------------------------------------------

    def snapshot(self) -> SessionSnapshot:
        """Take a snapshot of the session. One that is over has no actors to ask."""
        from trimcp.session.snapshot import CallSnapshot, RequestSnapshot, SessionSnapshot

        is_alive, now = self.is_running, trio.current_time()
        # A stateless peer that is over may have handlers that have not ended: nothing waited for them.
        in_flight = self.requests.in_flight if is_alive or self.is_stateless else ()
        return SessionSnapshot(
            number=self.number,
            peer=self.description,
            principal=None if self.principal is None else str(self.principal),
            client=None if self.client is None else self.client.name,
            phase=self.handshake.phase.value,
            revision=None if self.revision is None else self.revision.version,
            requests=tuple(RequestSnapshot.of(request, now) for request in in_flight),
            waiting=len(self.requests.waiting) if is_alive else 0,
            refused=self.requests.refused if is_alive else 0,
            asked=tuple(map(CallSnapshot.of, self.calls)) if is_alive else (),
            out_bytes=self.writer.waiting_bytes if is_alive else 0,
            is_blocked=is_alive and self.writer.is_over,
            read=self.messages_read if is_alive else 0,
            written=self.writer.posted if is_alive else 0,
            tasks=len(self.supervisor.tasks) + self.supervisor.is_open if is_alive else 0,
            supervisor=self.supervisor.snapshot() if is_alive and not self.is_stateless else None,
        )
