"""The Session: the supervisor of one peer, in either role, whatever the medium.

Its nursery holds every task that works for this peer, and none outlives it. The members of the crew
and the watch over cancelled handlers get their tasks when they have something to wait for.

How a session ends: at end of input a server's session drains; `close` and a failure of the
medium end it at once. Either way what we asked of the peer fails with a clear exception, what
the peer asked of us is cancelled with a reason, the medium is closed, and nobody else notices.

What is beneath, a duplex connection or HTTP, is a subclass.
"""

from __future__ import annotations

import abc
import itertools
from typing import Any, ClassVar, Final

import attrs
import trio

from trimcp.actors.crew import Crew
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
from trimcp.session.intake import Intake
from trimcp.session.lane import Lane
from trimcp.session.outlet import Outlet
from trimcp.session.progress_tracker import ProgressTracker
from trimcp.session.router import Router
from trimcp.session.service import Service
from trimcp.session.snapshot import SessionSnapshot, snapshot_of
from trimcp.types.jsonrpc import RequestId
from trimcp.types.revisions import LATEST, Revision

_numbers: Final = itertools.count(1)

CLOSE_TIMEOUT: Final = 1.0
"""Seconds that closing the medium may take; it is shielded, so it must have a bound."""

FAILED: Final = "the session failed; the log has the traceback"
CANCELLED: Final = "the scope that the session ran in was cancelled"

APART: Final = 0.1
"""Seconds between the result of a request that was held and the notice that it is over. Released clients take
the two in that order only where they do not come at once: a result waits for its task, a notice for nobody."""


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

    router: Router
    intake: Intake
    writer: Lane
    """The session's own stream: what belongs to no request leaves by it."""
    calls: Calls
    cancellation: CancellationManager
    progress: ProgressTracker
    outlet: Outlet
    """Where what belongs to a request leaves, if it has no stream of its own."""
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
        self._nursery: trio.Nursery | None = None
        self._idle: trio.Event | None = None
        self._over = trio.Event()
        self._end: ConnectionEnded | None = None
        self._ending = trio.Event()
        self._abandoned = 0
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
    def _way_out(self, nursery: trio.Nursery) -> tuple[Lane, Outlet]:
        """The session's own stream, and where what belongs to a request leaves by it."""

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

    async def _unwound(self) -> None:  # noqa: B027 - there is something to do in some sessions only
        """Wait until no handler of the peer's requests runs any more."""
        # They ran in the nursery, which has waited for them.

    def request_ended(self) -> None:  # noqa: B027 - as above
        """A handler has ended; must not wait, nor raise."""

    async def _flushed(self) -> None:
        """Wait until all that was posted has left."""
        await self.writer.drained()

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
            async with trio.open_nursery() as nursery:
                self._assemble(nursery)
                self.service.opened(self)
                log.debug(events.SESSION_OPENED, session=self.number, peer=self.description)
                task_status.started(self)
                why = FAILED
                try:
                    await self._listen_until_end()
                except trio.Cancelled:
                    if not nursery.cancel_scope.cancel_called:
                        why = CANCELLED
                    raise
                finally:
                    # Before the nursery closes: others must find the session over, and not reach into it.
                    self._lose(ConnectionClosed(why))
                    # And before it waits for handlers that shield themselves: the peer need not.
                    await self._closed_medium()
        except* Exception as group:  # noqa: BLE001
            # A bug of ours. It ends this session, since its state cannot be trusted, and no other.
            log.error(events.SESSION_FAILED, exc_info=group, session=self.number)
            self._lose(ConnectionClosed(FAILED))
        finally:
            await self._finish()

    async def _closed_medium(self) -> None:
        with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
            await self._close_medium()

    async def _listen_until_end(self) -> None:
        try:
            await self._listen()
        except ConnectionEnded as exc:
            self._lose(exc)
        else:
            await self._input_ended()

    def _assemble(self, nursery: trio.Nursery) -> None:
        limits = self.limits
        self._nursery = nursery
        self.writer, self.outlet = self._way_out(nursery)
        self.router = Router(self, self._crew(nursery), self._admission)
        self.cancellation = CancellationManager(self.router, self.writer, limits, nursery)
        self.calls = Calls(self.writer, limits, self._send, self._give_up)
        self.progress = ProgressTracker(self.calls, limits)
        self.intake = Intake(self)

    def _send(self, id: RequestId, method: str, params: dict[str, Any] | None, frame: bytes, via: Way | None) -> None:
        """Send a request of ours."""
        (via or self.writer).post(frame)

    def _give_up(self, id: RequestId, reason: str, via: Way | None) -> None:
        """Tell the peer that nobody waits for the answer any more."""
        self.cancellation.give_up(id, reason, via)

    def _crew(self, nursery: trio.Nursery) -> Crew:
        return Crew(nursery, on_turn_start=self.writer.cork, on_turn_end=self.writer.uncork)

    async def _input_ended(self) -> None:
        """The peer has closed its side: nothing it asked for is lost, nothing we ask is answered."""
        ended = ConnectionLost(f"the peer ({self.description}) closed the connection")
        self.calls.fail_all(ended)
        if self.service.role == "server" and self._peer_may_read:
            await self.drain(self.limits.grace)
        self._lose(ended)

    def _lose(self, end: ConnectionEnded) -> None:
        """End the session at once. The first reason stays. Called from any task, and never waits."""
        if self._end is not None:
            return
        self._end = end
        self._ending.set()
        log.debug(events.CONNECTION_LOST, session=self.number, why=str(end))
        self.calls.fail_all(end)
        self._abandoned = sum(
            r.cancel_reason is not CancelReason.CANCELLED and r.route.hold is None for r in self.router.inbound
        )
        self.lost = max(self.lost, self._abandoned + self._cut_short)
        self.router.cancel_all(CancelReason.SESSION_LOST)
        self.writer.close()
        self._cut()

    def _cut(self) -> None:
        """End every task that works for the peer."""
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    async def _finish(self) -> None:
        if self._end is None:  # cancelled from outside
            self._end = ConnectionClosed(CANCELLED)
        if self._nursery is not None:
            await self._unwound()
            self.calls.fail_all(self._end)
            self.writer.close()
            self.router.close()
        self._nursery = None
        await self._closed_medium()
        self._over.set()
        self.now_idle()
        self.service.ended(self)
        log.debug(events.SESSION_ENDED, session=self.number, why=str(self._end))

    def close(self) -> None:
        """End the session at once, from any task."""
        if self._nursery is None:
            self._end = self._end or ConnectionClosed("closed before it was opened")
        else:
            self._lose(ConnectionClosed("the connection was closed by this side"))

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
        if self._nursery is None:
            return DrainReport()
        router = self.router
        router.draining = True
        self._ending.set()
        afterwards = router.finish_held()
        at_start = len(router.inbound)
        log.debug(events.DRAIN_STARTED, session=self.number, in_flight=at_start)
        with trio.move_on_after(deadline):
            if afterwards:
                await trio.sleep(APART)
            while afterwards:
                afterwards.pop(0)()
            await self._wait_idle()
        for act in afterwards:
            act()
        cancelled = 0
        if self._end is None:
            cancelled = self.cancellation.cancel_all(CancelReason.SHUTDOWN)
        if cancelled:
            with trio.move_on_after(self.limits.cleanup):
                await self._wait_idle()
        await self._flushed()  # bounded by the Writer: the peer must take some of it in each write timeout
        # Where the connection was lost meanwhile, what was in flight then has got no answer either.
        unanswered = len(router.inbound) if self._end is None else self._abandoned
        lost = unanswered
        if self._cut_short:
            lost += 1  # at least the answer that the peer would not take
        self.lost = max(self.lost, lost)
        report = DrainReport(at_start - max(cancelled, unanswered), max(cancelled - unanswered, 0), lost)
        log.debug(events.DRAIN_FINISHED, session=self.number, lost=lost)
        return report

    async def _wait_idle(self) -> None:
        while len(self.router.inbound) and self._nursery is not None:
            if self._idle is None:  # one event for all: several may drain at once
                self._idle = trio.Event()
            await self._idle.wait()

    def now_idle(self) -> None:
        """Nothing of the peer's is in flight any more."""
        if self._idle is not None:
            self._idle.set()
            self._idle = None

    def _tasks(self) -> int:
        return len(self._nursery.child_tasks) + 1 if self._nursery is not None else 0

    # --- a look at it -----------------------------------------------------------------

    def snapshot(self) -> SessionSnapshot:
        """What it does now; computed when asked for."""
        return snapshot_of(self, self._tasks(), is_alive=self._nursery is not None)
