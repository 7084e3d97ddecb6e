"""The Session: the supervisor of one peer, in either role, whatever the medium.

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
import itertools
from typing import Any, ClassVar, Final

import attrs
import trio

from trimcp.actors.supervisor import Supervisor, open_supervisor
from trimcp.errors import ConnectionClosed, ConnectionEnded, ConnectionLost
from trimcp.observability import events, log
from trimcp.protocol.cancelling import CancelReason
from trimcp.protocol.lifecycle import Handshake
from trimcp.protocol.principal import Principal
from trimcp.protocol.profile import ClientProfile
from trimcp.session.admission import Admission
from trimcp.session.calls import Calls, Way
from trimcp.session.cancellation_manager import CancellationManager
from trimcp.session.delivery import LOCAL, Delivery
from trimcp.session.dispatcher import Dispatcher
from trimcp.session.eras import Eras
from trimcp.session.handler_actors import HandlerActors
from trimcp.session.outlet import Outlet, Stream
from trimcp.session.progress_tracker import ProgressTracker
from trimcp.session.register import Register
from trimcp.session.router import Router
from trimcp.session.service import Service
from trimcp.session.snapshot import SessionSnapshot, snapshot_of
from trimcp.session.violations import Violations
from trimcp.types.jsonrpc import RequestId
from trimcp.types.revisions import LATEST, Revision

_numbers: Final = itertools.count(1)

CLOSE_TIMEOUT: Final = 1.0
"""Seconds that closing the medium may take; it is shielded, so it must have a bound."""

FAILED: Final = "the session failed; the log has the traceback"
CANCELLED: Final = "the scope that the session ran in was cancelled"


@attrs.frozen
class DrainReport:
    """What became of the requests that were in flight when a drain began."""

    finished: int = 0
    """Answered within the deadline."""
    cancelled: int = 0
    """Cancelled at the deadline, and answered so."""
    lost: int = 0
    """Left without an answer: the handler did not end, or the peer did not read."""

    def __add__(self, other: DrainReport) -> DrainReport:
        return DrainReport(self.finished + other.finished, self.cancelled + other.cancelled, self.lost + other.lost)


class Session(abc.ABC):
    """One live peer."""

    supervisor: Supervisor
    router: Router
    requests: Register
    """The peer's requests; the Router owns it, others read it."""
    dispatcher: Dispatcher
    writer: Stream
    """The session's own stream: what belongs to no request leaves by it."""
    calls: Calls
    cancellation: CancellationManager
    progress: ProgressTracker
    violations: Violations
    outlet: Outlet
    """Where the messages that belong to a request leave, if it has no stream of its own."""
    is_stateless: ClassVar[bool] = False
    """Whether there is no session in the protocol: every request must say for itself who asks."""

    def __init__(
        self,
        service: Service,
        admission: Admission | None = None,
        *,
        delivery: Delivery = LOCAL,
    ) -> None:
        """
        Args:
            service: what is served on it, and as which role.
            admission: the places shared with other sessions; its own, if there are none.
            delivery: who opened it; of its requests too, where their outlets say nothing else.
        """
        self.number = next(_numbers)
        self.service = service
        self.limits = service.limits
        self.delivery = delivery
        self.handshake = Handshake()
        self.client: ClientProfile | None = None
        """Whom `initialize` introduced; only ever set on a server."""
        self.revision: Revision | None = None
        """What the handshake agreed upon; on a client, what it chose to speak."""
        self._admission = admission or Admission(service.limits.server_requests)
        self.is_running = False
        """Whether the session has its actors: from `run` to its end."""
        self._reading = trio.CancelScope()
        self._over = trio.Event()
        self._end: ConnectionEnded | None = None
        self._ending = trio.Event()
        self.lost = 0
        """Requests that were accepted and not answered, when the session drained or ended."""

    @property
    def principal(self) -> Principal | None:
        """The authenticated sender that opened the session; None for an anonymous one."""
        return self.delivery.principal

    @property
    def unreadable_id_is_null(self) -> bool:
        """How errors are written that answer no id that could be read."""
        return (self.revision or LATEST).unreadable_id_is_null

    @property
    def end(self) -> ConnectionEnded | None:
        """Why the session ended, or will; None while it goes on."""
        return self._end

    @property
    def is_ending(self) -> bool:
        """Whether the session drains, or is over."""
        return self._ending.is_set()

    async def wait_ending(self) -> None:
        """Wait until the session begins to end."""
        await self._ending.wait()

    # --- the medium beneath -----------------------------------------------------------

    @property
    @abc.abstractmethod
    def description(self) -> str:
        """Where it leads, for logs and errors."""

    @abc.abstractmethod
    def _way_out(self, supervisor: Supervisor) -> tuple[Stream, Outlet]:
        """Make the session's own stream, and the outlet of requests that have no other."""

    @abc.abstractmethod
    async def _listen(self) -> None:
        """Be there until the peer has nothing more to say.

        Raises:
            ConnectionEnded: the medium failed.
        """

    @abc.abstractmethod
    async def _close_medium(self) -> None:
        """Close it. Idempotent; waits for nobody."""

    @property
    def _cut_short(self) -> bool:
        """Whether the medium failed while something was being written by the session's own stream."""
        return False

    async def _flushed(self) -> None:
        """Wait until all that was posted has left."""
        await self.progress.flushed()
        await self.writer.flushed()

    @property
    def _peer_may_read(self) -> bool:
        """Whether a peer that has nothing more to say may still wait for answers."""
        return True

    @property
    def messages_read(self) -> int:
        """Messages of the peer's so far."""
        return 0

    # --- life -------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[Session] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve the peer until the session is over. Raises nothing but `Cancelled`.

        Whatever ends it is in `end` afterwards, and in the log.
        """
        if self._end is not None:  # closed before it began
            await self._closed_medium()
            self._over.set()
            task_status.started(self)
            return
        try:
            async with open_supervisor(f"session {self.number}") as supervisor:
                self._assemble(supervisor)
                self.is_running = True
                self.service.opened(self)
                log.debug(events.SESSION_OPENED, session=self.number, peer=self.description)
                task_status.started(self)
                await self._live(supervisor)
        except* Exception as group:  # noqa: BLE001
            # A bug of ours. It ends this session, since its state cannot be trusted, and no other.
            log.error(events.SESSION_FAILED, exc_info=group, session=self.number)
            self._failed()
        finally:
            await self._finish()

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
        self._take_part()

    def _make_router(self, supervisor: Supervisor) -> Router:
        actors = HandlerActors(supervisor, self.limits.session_requests)
        return Router(supervisor, Eras(self.service), actors, self._admission, self.cancellation)

    def _take_part(self) -> None:
        """Make what is this session's alone, whoever owns its Router."""
        self.requests = Register(self, self.router, self.limits.session_requests)
        self.writer, self.outlet = self._way_out(self.supervisor)
        self.calls = Calls(self, self.limits)
        self.violations = Violations(self)
        self.dispatcher = Dispatcher(self)

    def send_call(
        self, id: RequestId, method: str, params: dict[str, Any] | None, frame: bytes, via: Way | None
    ) -> None:
        """Send a request of ours."""
        (self.writer if via is None else via).write(frame)

    def give_up_call(self, id: RequestId, why: str, via: Way | None) -> None:
        """Tell the peer that no caller waits for the answer any more."""
        self.cancellation.give_up(id, why, self.writer if via is None else via)

    async def _input_ended(self) -> None:
        """The peer has closed its side: nothing it asked for is lost, nothing we ask is answered."""
        ended = ConnectionLost(f"the peer ({self.description}) closed the connection")
        self.calls.fail_all(ended)
        if self.service.role == "server" and self._peer_may_read:
            await self.drain(self.limits.grace)
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
        """Refuse new work, end subscriptions, let what is in flight finish, answer what does not, flush.

        The connection stays open, and answers, cancels and pings are taken until the end.

        Args:
            deadline: seconds until what still runs is cancelled; a further `Limits.cleanup`
                seconds are for its cleaning up.

        Returns:
            What became of the requests that were in flight.
        """
        if not self.is_running:
            return DrainReport()
        router, requests = self.router, self.requests
        self._ending.set()
        at_start = await router.drain(requests).wait()
        log.debug(events.DRAIN_STARTED, session=self.number, in_flight=at_start)
        with trio.move_on_after(deadline):
            await router.when_idle(requests).wait()
        cancelled = 0
        if self._end is None:
            cancelled = await router.cancel_all(requests, CancelReason.SHUTDOWN).wait()
        if len(requests.in_flight):
            with trio.move_on_after(self.limits.cleanup):
                await router.when_idle(requests).wait()
        await self._flushed()  # bounded by the Writer: the peer must take some of it in each write timeout
        # Where the connection was lost meanwhile, what was in flight then has got no answer either.
        unanswered = requests.unanswered if self._end is None else requests.abandoned
        lost = unanswered
        if self._cut_short:
            lost += 1  # at least the answer that the peer would not take
        self.lost = max(self.lost, lost)
        report = DrainReport(at_start - max(cancelled, unanswered), max(cancelled - unanswered, 0), lost)
        log.debug(events.DRAIN_FINISHED, session=self.number, lost=lost)
        return report

    def _tasks(self) -> int:
        return len(self.supervisor.nursery.child_tasks) + 1 if self.is_running else 0

    # --- a look at it -----------------------------------------------------------------

    def snapshot(self) -> SessionSnapshot:
        """What it does now; computed when asked for."""
        return snapshot_of(self, self._tasks(), is_alive=self.is_running)
