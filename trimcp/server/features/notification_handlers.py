"""Runs the functions of a program that handle notifications of clients: one at a time per session and kind.

The session hands a notification over and goes on. Notifications that come while the function runs wait, in
their order; of those that say no more than that something changed, the newest replaces the others.
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
    from trimcp.session.limits import Limits
    from trimcp.session.session import Session

WAITING: Final = 64
"""Notifications of one kind and session that wait for the function; the oldest of more is dropped, and logged."""
INCOMING: Final = 4096
"""Notifications that wait for this actor, of all sessions, before it has had its turn; more are dropped, and logged."""

Handle = Callable[[], Awaitable[None]]
"""Calls the function of the program for one notification."""


@attrs.frozen
class _Notified:
    session: Session
    kind: Hashable
    handle: Handle
    latest: bool


@attrs.frozen
class _Handled:
    """A function has ended, and its worker is free."""

    session: Session
    kind: Hashable


@attrs.frozen
class _SessionEnded:
    session: Session


_Message = _Notified | _Handled | _SessionEnded


class NotificationHandlers(Actor[_Message]):
    """All notifications of clients that a program handles, in one run of a server."""

    name = "notification handlers"

    def __init__(self, supervisor: Supervisor, limits: Limits) -> None:
        """`limits`: of the server; as many functions run at once as it runs requests."""
        room = limits.server_requests + limits.sessions  # one `_Handled` for each that runs, one end for each session
        super().__init__(supervisor, Mailbox(INCOMING + room, Overflow.REPLACE, key=_key))
        self._most = limits.server_requests
        self._pool = supervisor.open_pool(self.name, limits.server_requests)
        self._queues: dict[Session, dict[Hashable, _Queue]] = {}
        self._turns: deque[_Queue] = deque()  # those that wait since as many as may run already
        self._running = 0
        self._dropped = 0

    def notified(self, session: Session, kind: Hashable, handle: Handle, *, latest: bool = False) -> None:
        """Handle a notification, after those of the same session and kind. Never waits, nor raises.

        Args:
            session: of the client that sent it. Its end cancels the handling.
            kind: of notification.
            handle: calls the function of the program. The log gets its exception.
            latest: whether it replaces those of its kind that wait.
        """
        if self.mailbox.waiting < INCOMING:
            self.tell(_Notified(session, kind, handle, latest))
        else:
            self._drop(kind)

    def session_ended(self, session: Session) -> None:
        """Cancel what runs for a session, and forget what waits."""
        if self.mailbox.told:
            self.tell(_SessionEnded(session))

    # --- the actor's own task ---------------------------------------------------------

    def handle(self, message: _Message) -> None:
        """See `Actor`."""
        match message:
            case _Notified(session, kind):
                if session.end is None:  # nothing of it would be cancelled any more
                    self._notified(self._queues.setdefault(session, {}).setdefault(kind, _Queue(kind)), message)
            case _Handled(session, kind):
                self._handled(session, kind)
            case _SessionEnded(session):
                self._forget(session)

    def _notified(self, queue: _Queue, message: _Notified) -> None:
        if message.latest:
            queue.waiting.clear()
        elif len(queue.waiting) >= WAITING:
            queue.waiting.popleft()
            self._drop(message.kind)
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

    def _handled(self, session: Session, kind: Hashable) -> None:
        self._running -= 1
        queues = self._queues.get(session, {})
        queue = queues.get(kind)
        if queue is not None:
            queue.running = None
            if queue.waiting:
                queue.has_turn = True
                self._turns.append(queue)
            else:
                del queues[kind]
                if not queues:
                    del self._queues[session]
        while self._turns and self._running < self._most:
            queue = self._turns.popleft()
            queue.has_turn = False
            if queue.waiting:  # none, where its session has ended
                self._start(queue)

    def _forget(self, session: Session) -> None:
        for queue in self._queues.pop(session, {}).values():
            queue.waiting.clear()
            if queue.running is not None:
                queue.running.cancel()

    def _drop(self, kind: Hashable) -> None:
        self._dropped += 1
        if log.is_worth_saying(self._dropped):
            log.warning(events.MESSAGE_IGNORED, method=str(kind), why="too many wait", count=self._dropped)


class _Queue:
    """The notifications of one kind that a session has sent."""

    __slots__ = ("has_turn", "kind", "running", "waiting")

    def __init__(self, kind: Hashable) -> None:
        self.kind = kind
        self.waiting: deque[_Notified] = deque()
        self.running: _Handling | None = None
        self.has_turn = False
        """Whether it is among those that wait for others to end."""


class _Handling:
    """`Work` of the pool: one notification."""

    def __init__(self, message: _Notified, actor: NotificationHandlers) -> None:
        self.scope: trio.CancelScope | None = None
        self._message = message
        self._actor = actor
        self._is_cancelled = False

    def cancel(self) -> None:
        """End it: its session is over."""
        self._is_cancelled = True
        if self.scope is not None:
            self.scope.cancel()

    async def run(self) -> None:
        """Call the function."""
        if not self._is_cancelled:
            await self._message.handle()

    def failed(self, error: BaseException) -> None:
        """See `Work`: the next notification is not to blame."""
        log.error(events.HANDLER_FAILED, exc_info=error, method=str(self._message.kind))

    def finished(self) -> bool:
        """See `Work`. The next notification need not wait for what this one has left open."""
        self._actor.tell(_Handled(self._message.session, self._message.kind))
        return self._is_cancelled

    def left(self) -> None:
        """See `Work`."""

    def handed_back(self) -> None:
        """See `Work`: the run is over."""


def _key(message: _Message) -> Hashable | None:
    """Those that say no more than that something changed replace each other."""
    return (message.session, message.kind) if isinstance(message, _Notified) and message.latest else None
