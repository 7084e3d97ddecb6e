"""The actor: a mailbox, a task, and a state that no other object touches.

A subclass declares its messages as small frozen classes in its own file, puts plain functions in front
of them (`router.requests(…)`), and handles them in `handle`, which never waits. An actor that must wait
has a `run` of its own. The task starts with the first message, so an idle actor costs none.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

import trio

from trimcp.actors.mailbox import Mailbox, MailboxFull

if TYPE_CHECKING:
    from trimcp.actors.snapshots import ActorSnapshot, State

M = TypeVar("M")


class Owner(Protocol):
    """The supervisor, as its actors see it."""

    def start(self, actor: Actor[M]) -> bool:
        """Start the task of an actor. Returns False where the supervisor is ending, and starts none."""
        ...

    def fail(self, error: BaseException) -> None:
        """End the supervisor with this exception: an actor without a task of its own has failed."""
        ...


class Actor(Generic[M]):
    """Takes messages of type `M`, one at a time, in the order in which they were told."""

    name: str
    """Of its task, and in snapshots. Of the class, or, where a supervisor has many of a kind, of the actor."""

    handlers: ClassVar[Mapping[type, Callable[..., None]]] = {}
    """The handler of each kind of message: methods of the class. For actors with many kinds, instead of `handle`."""

    tell: Callable[..., None]
    """`tell(message, size=0)` puts a message into the mailbox without a wait, or handles it, depending on the state.
    For the functions of the actor's own file. Raises `MailboxFull`."""

    def __init__(self, owner: Owner, mailbox: Mailbox[M], *, in_turn: bool = False) -> None:
        """
        Args:
            owner: the supervisor, which starts the task and ends it.
            mailbox: its bounds and its policy.
            in_turn: handle messages in the turn of their sender, without a task: saves a hop, and gives up that many
                messages are handled at one wake. For actors whose `handle` never waits, where a measurement says so.
        """
        self.mailbox: Mailbox[M] = mailbox
        self._owner = owner
        self._handlers = self.handlers  # read from the instance, which costs less
        self._state: State = "idle"
        self._turn: list[M] | None = None
        self._is_busy = False  # handles messages, in its task or in the turn of a sender
        self.has_failed: bool = False
        """Whether `handle` has raised in the turn of a sender: its state cannot be trusted, nor waited for."""
        self.task: trio.lowlevel.Task | None = None
        """The task of this actor while it runs. Set by the supervisor."""
        self._token: trio.lowlevel.TrioToken | None = None
        self._thread = threading.get_ident()
        if in_turn:
            self._state = "in turn"
            self.tell = self._tell_in_turn
        else:
            self.tell = self._tell_first

    def handle(self, message: M) -> None:
        """Handle one message. Never waits; raises nothing, or the supervisor ends with what it raises."""
        self.handlers[type(message)](self, message)

    async def run(self) -> None:
        """Handle messages until cancelled."""
        while True:
            self._handle_all(await self.mailbox.receive_all())

    def _handle_all(self, messages: deque[M]) -> None:
        """Handle messages that were taken, and those that are told meanwhile."""
        mailbox, handle, handlers = self.mailbox, self.handle, self.handlers
        self._is_busy = True
        try:
            while messages:
                message = messages.popleft()
                if handlers:  # as `handle` does, without its call
                    handlers[type(message)](self, message)
                else:
                    handle(message)
                if not messages and mailbox.waiting:  # told while these were handled
                    messages = mailbox.receive_all_nowait()
        finally:
            self._is_busy = False
            if messages:
                mailbox.put_back(messages)

    # --- telling ----------------------------------------------------------------------

    def tell_now(self, message: M, size: int = 0) -> None:
        """Handle a message in the turn of its sender where the actor is idle, else tell it. The order stays.

        Messages that are told meanwhile are handled too. For actors with `handlers`, in the functions of their own
        files, where a measurement says so.
        """
        mailbox = self.mailbox
        if self._is_busy or self._state != "running" or mailbox.waiting:
            self.tell(message, size)
            return
        self._is_busy = True
        mailbox.handled_at_once += 1
        try:
            self._handlers[type(message)](self, message)
            if self.mailbox.waiting:
                self._handle_all(mailbox.receive_all_nowait())
        except Exception as exc:  # noqa: BLE001 - a failure of the actor, and not of the sender
            self.has_failed = True
            self._owner.fail(exc)
        finally:
            self._is_busy = False

    def _tell_first(self, message: M, size: int = 0) -> None:
        if self._owner.start(self):
            self._state = "running"
            self.tell = self.mailbox.tell
            self.mailbox.tell(message, size)
        else:
            self.end()
            self.tell(message)

    def _tell_in_turn(self, message: M, size: int = 0) -> None:
        if self._turn is not None:  # told while a message is handled: it is the next one
            self._turn.append(message)
            return
        turn = self._turn = [message]
        try:
            for each in turn:  # and those that are told meanwhile
                try:
                    self.handle(each)
                except Exception as exc:  # noqa: BLE001 - a failure of the actor, and not of the sender
                    self.has_failed = True
                    self._owner.fail(exc)
        finally:
            self._turn = None

    def accept_threads(self) -> None:
        """Allow `tell_from_thread` from now on. Called in the thread of the run."""
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.get_ident()

    def tell_from_thread(self, message: M, *, coalesce: bool = False) -> None:
        """Tell a message from any thread: at once in the thread of the run, else soon.

        Args:
            message: the message. A message that comes after the end of the run is dropped.
            coalesce: whether equal messages that have not been told yet become one. They must be hashable.

        Raises:
            RuntimeError: `accept_threads` was not called, and this is not the thread that made the actor.
        """
        if threading.get_ident() == self._thread:
            self.tell(message)
            return
        if self._token is None:
            raise RuntimeError(
                f"{self.name} was told a message from another thread: call `accept_threads` in its own first"
            )
        try:
            self._token.run_sync_soon(self._told_from_thread, message, idempotent=coalesce)
        except trio.RunFinishedError:
            return

    def _told_from_thread(self, message: M) -> None:
        try:
            self.tell(message)
        except (MailboxFull, trio.ClosedResourceError):
            return  # counted by the mailbox; what is raised here would end the run, and the thread has gone on

    # --- the end ----------------------------------------------------------------------

    def end(self) -> None:
        """Handle the messages that wait, and later ones in the turn of their sender. For the supervisor. Idempotent.

        A message that gives a place back must not be lost with the task. An actor that ends its supervisor while it
        handles a message goes on with the others itself, and ends when its task does.
        """
        if self._state == "ended" or (self.task is not None and self.task is trio.lowlevel.current_task()):
            return
        self._state = "ended"
        self.tell = self._tell_in_turn
        while self.mailbox.waiting:
            self._tell_in_turn(self.mailbox.receive_nowait())

    def snapshot(self) -> ActorSnapshot:
        """Take a snapshot of the actor."""
        from trimcp.actors.snapshots import ActorSnapshot

        return ActorSnapshot(self.name, self._state, self.mailbox.statistics(), self.facts())

    def facts(self) -> Mapping[str, int]:
        """Return numbers about the state of the actor, for people. Costs nothing while no snapshot is taken."""
        return {}
