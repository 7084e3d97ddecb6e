"""`Elicitation`, the actor that has a user answer one question at a time.

A server that sends five forms at once opens one dialog after the other, and so do several servers of a group: each
client, and each group, has one Elicitation actor, in both eras. A dialog runs in a worker of the actor's pool. A dialog
that waits for a call to a server lets the next dialog open, since that call may need it: otherwise both would wait
for ever. A dialog closes when its asker is cancelled. client/elicitation of every revision.
"""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeVar

import trio

from trimcp.actors.actor import Actor
from trimcp.actors.mailbox import Mailbox
from trimcp.actors.pool_call import PoolCall, PoolEnded
from trimcp.actors.supervisor import Supervisor
from trimcp.actors.worker_pool import WorkerPool
from trimcp.errors import ConnectionClosed, RequestFailed
from trimcp.session.refusals import retry_data
from trimcp.types.jsonrpc import BUSY

T = TypeVar("T")

QUESTIONS: Final = 256
"""The most questions of all servers that wait for the user; further ones are refused as busy."""

_open_dialog: contextvars.ContextVar[Dialog | None] = contextvars.ContextVar("trimcp dialog", default=None)


class _Ask(NamedTuple):
    """A question for the user."""

    dialog: Dialog


class _GivenUp(NamedTuple):
    """The asker of a dialog no longer waits."""

    dialog: Dialog


class _LetIn(NamedTuple):
    """A dialog waits for a call: the next one may open."""

    dialog: Dialog


class _Closed(NamedTuple):
    """A dialog has ended."""

    dialog: Dialog


_Message = _Ask | _GivenUp | _LetIn | _Closed


class Dialog(PoolCall):
    """One question to the user."""

    __slots__ = ("_actor", "_outer")

    def __init__(self, actor: Elicitation, handler: Callable[[], Awaitable[Any]], outer: Dialog | None) -> None:
        """`outer`: the dialog whose handler asks this question, if there is one."""
        super().__init__(handler)
        self._actor = actor
        self._outer = outer

    def let_next_in(self) -> None:
        """Let the next dialog open: this one waits for a call."""
        dialog: Dialog | None = self
        while dialog is not None:
            dialog._actor.tell(_LetIn(dialog))
            dialog = dialog._outer

    async def run(self) -> None:
        """See `Work`."""
        _open_dialog.set(self)
        await super().run()

    def finished(self) -> bool:
        """See `Work`. The dialog is closed, even if its worker waits for nurseries that the handler left open."""
        is_used_up = super().finished()
        self._actor.tell(_Closed(self))
        return is_used_up

    def handed_back(self) -> None:
        """See `Work`: the client ends, and opens no further dialog."""
        super().finished()


class Elicitation(Actor[_Message]):
    """The actor that opens one dialog after the other."""

    name = "elicitation"

    def __init__(self, supervisor: Supervisor) -> None:
        super().__init__(supervisor, Mailbox(4 * QUESTIONS))
        self._supervisor = supervisor
        self._dialogs: WorkerPool | None = None
        self._waiting: deque[Dialog] = deque()
        self._in_front: Dialog | None = None
        """The dialog that keeps the next one from opening."""

    async def ask(self, handler: Callable[[], Awaitable[T]]) -> T:
        """Have the user answer a question, after those that were asked before. Leaving it early closes the dialog.

        Args:
            handler: opens the dialog, and returns the answer.

        Raises:
            RequestFailed: too many questions wait (busy).
            Exception: an error of `handler`.
        """
        if len(self._waiting) >= QUESTIONS:
            raise RequestFailed(BUSY, f"Busy: {QUESTIONS} questions wait for the user", retry_data("busy"))
        dialog = Dialog(self, handler, _open_dialog.get())
        self.tell(_Ask(dialog))
        try:
            answer: T = await dialog.reply.wait()
        except trio.Cancelled:
            self.tell(_GivenUp(dialog))
            raise
        except PoolEnded as exc:
            raise ConnectionClosed("the client has ended, and no longer asks its user") from exc
        return answer

    # --- the actor --------------------------------------------------------------------

    def handle(self, message: _Message) -> None:
        """See `Actor`."""
        dialog = message.dialog
        kind = type(message)
        if kind is _Ask:
            self._waiting.append(dialog)
        elif kind is _GivenUp:
            if dialog in self._waiting:
                self._waiting.remove(dialog)
            else:
                dialog.give_up()
        elif dialog is self._in_front:
            self._in_front = None
        if self._in_front is None and self._waiting:
            self._open(self._waiting.popleft())

    def _open(self, dialog: Dialog) -> None:
        if self._dialogs is None:
            self._dialogs = self._supervisor.open_pool("dialogs", QUESTIONS)
        self._in_front = dialog
        self._dialogs.post(dialog)


def wait_for_call() -> None:
    """Let the next dialog open, if a dialog is about to wait for a call to a server."""
    dialog = _open_dialog.get()
    if dialog is not None:
        dialog.let_next_in()
