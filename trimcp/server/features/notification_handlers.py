"""Runs the functions that handle notifications of clients: one at a time per session and method.

The session passes a notification on, and does not wait. Notifications that arrive while the function runs wait in
their order. A notification of a change replaces those of the same method that wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Final

import attrs

from trimcp.actors.actor import Actor
from trimcp.actors.mailbox import Mailbox, Overflow
from trimcp.observability import events, log

if TYPE_CHECKING:
    import trio

    from trimcp.actors.supervisor import Supervisor
    from trimcp.limits import Limits
    from trimcp.session.peer import Peer

WAITING: Final = 64
"""Notifications of one method and session that wait for the function. Of more, the oldest is dropped and logged."""
INCOMING: Final = 4096
"""Notifications of all sessions that wait for the actor. More are dropped and logged."""

Handle = Callable[[], Awaitable[None]]
"""Calls the function of the user for one notification."""


@attrs.frozen(eq=False, repr=False)
class _Notified:
    """A notification has arrived."""

    session: Peer
    method: str
    handle: Handle
    latest: bool


@attrs.frozen(eq=False, repr=False)
class _Handled:
    """A function has ended."""

    session: Peer
    method: str


@attrs.frozen(eq=False, repr=False)
class _SessionEnded:
    """A session is over."""

    session: Peer


_Message = _Notified | _Handled | _SessionEnded


class NotificationHandlers(Actor[_Message]):
    """The actor that runs the notification handlers of one run of a server."""

    name = "notification handlers"

    def __init__(self, supervisor: Supervisor, limits: Limits) -> None:
        """`limits`: the limits of the server. As many functions can run at once as requests."""
        room = limits.server_requests + limits.sessions  # one `_Handled` for each that runs, one end for each session
        super().__init__(supervisor, Mailbox(INCOMING + room, Overflow.REPLACE, key=_key))
        self._most = limits.server_requests
        self._pool = supervisor.open_pool(self.name, limits.server_requests)
        self._queues: dict[Peer, dict[str, _Queue]] = {}
        self._turns: deque[_Queue] = deque()  # the queues that wait until fewer functions run
        self._running = 0

    def notified(self, session: Peer, method: str, handle: Handle, *, latest: bool = False) -> None:
        """Handle a notification, after those of the same session and method. Never waits or raises.

        Args:
            session: the session of the client. Its end cancels the function.
            method: the method of the notification.
            handle: calls the function of the user. Its exception goes to the log.
            latest: whether the notification replaces those of its method that wait.
        """
        if self.mailbox.waiting < INCOMING:
            self.tell(_Notified(session, method, handle, latest))
        else:
            self._drop(method)

    def session_ended(self, session: Peer) -> None:
        """Cancel the functions that run for a session, and drop the notifications that wait."""
        if self.mailbox.told:
            self.tell(_SessionEnded(session))

    # --- the actor's own task ---------------------------------------------------------

    def handle(self, message: _Message) -> None:
        """See `Actor`."""
        match message:
            case _Notified(session, method):
                if session.end is None:  # nothing would cancel the function any more
                    self._notified(self._queues.setdefault(session, {}).setdefault(method, _Queue(method)), message)
            case _Handled(session, method):
                self._handled(session, method)
            case _SessionEnded(session):
                self._forget(session)

    def _notified(self, queue: _Queue, message: _Notified) -> None:
        if message.latest:
            queue.waiting.clear()
        elif len(queue.waiting) >= WAITING:
            queue.waiting.popleft()
            self._drop(message.method)
        queue.waiting.append(message)
        if queue.running is None and not queue.has_turn:
            self._start(queue)

    def _start(self, queue: _Queue) -> None:
        if self._running >= self._most:
            queue.has_turn = True
            self._turns.append(queue)
            return
        self._running += 1
        queue.running = _Handling(queue.waiting.popleft(), self)
        self._pool.post(queue.running)

    def _handled(self, session: Peer, method: str) -> None:
        self._running -= 1
        queues = self._queues.get(session, {})
        queue = queues.get(method)
        if queue is not None:
            queue.running = None
            if queue.waiting:
                queue.has_turn = True
                self._turns.append(queue)
            else:
                del queues[method]
                if not queues:
                    del self._queues[session]
        while self._turns and self._running < self._most:
            queue = self._turns.popleft()
            queue.has_turn = False
            if queue.waiting:  # none, where its session has ended
                self._start(queue)

    def _forget(self, session: Peer) -> None:
        for queue in self._queues.pop(session, {}).values():
            queue.waiting.clear()
            if queue.running is not None:
                queue.running.cancel()

    def _drop(self, method: str) -> None:
        log.warning(events.MESSAGE_IGNORED, method=method, why="too many wait")


class _Queue:
    """The notifications of one method that a session has sent."""

    __slots__ = ("has_turn", "method", "running", "waiting")

    def __init__(self, method: str) -> None:
        self.method = method
        self.waiting: deque[_Notified] = deque()
        self.running: _Handling | None = None
        self.has_turn = False
        """Whether the queue waits until fewer functions run."""


class _Handling:
    """`Work` of the pool: handles one notification."""

    def __init__(self, message: _Notified, actor: NotificationHandlers) -> None:
        self.scope: trio.CancelScope | None = None
        self._message = message
        self._actor = actor
        self._is_cancelled = False

    def cancel(self) -> None:
        """Cancel the function: its session is over."""
        self._is_cancelled = True
        if self.scope is not None:
            self.scope.cancel()

    async def run(self) -> None:
        """Call the function."""
        if not self._is_cancelled:
            await self._message.handle()

    def failed(self, error: BaseException) -> None:
        """Log the exception. The next notification is handled all the same."""
        log.error(events.HANDLER_FAILED, exc_info=error, method=self._message.method)

    def finished(self) -> bool:
        """Start the next notification, even if this function has left something open."""
        self._actor.tell(_Handled(self._message.session, self._message.method))
        return self._is_cancelled

    def left(self) -> None:
        """Do nothing: there is no place to give back."""

    def handed_back(self) -> None:
        """Do nothing: the run is over."""


def _key(message: _Message) -> Hashable | None:
    """Return the key under which notifications of a change replace each other."""
    return (message.session, message.method) if isinstance(message, _Notified) and message.latest else None
