"""`TaskPoller`: learns the state of one task of the peer, for any number of callers that wait for it.

One of the callers polls at a time, in its own task; the others see the state that it finds. So a poll never comes
earlier than the peer wants, nothing is asked while no caller waits, and a caller that is cancelled only stops
waiting. A notification of the peer takes the place of a poll.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

import trio

from trimcp.actors.backoff import Backoff
from trimcp.errors import ConnectionLost, ExchangeFailed, RequestFailed, TaskCancelled
from trimcp.observability import events, log
from trimcp.session.tasks.progress import TaskProgress
from trimcp.session.tasks.state import TaskState
from trimcp.types.jsonrpc import BUSY, DRAINING, NODE_LOST, STORE_UNAVAILABLE

PASSING: Final = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Statuses of HTTP after which the same request may succeed later."""
PASSING_CODES: Final = frozenset((BUSY, DRAINING, STORE_UNAVAILABLE, NODE_LOST))
"""Codes of errors after which it may."""


class PolledRequests(Protocol):
    """The requests about tasks in one revision."""

    async def get(self, id: str) -> TaskState:
        """Ask for the state of a task."""
        ...

    async def cancel(self, id: str) -> TaskState | None:
        """Ask the peer to cancel a task; return the new state, if the answer has it."""
        ...

    async def outcome(self, state: TaskState) -> dict[str, Any]:
        """Return the raw result of a task that has ended.

        Raises:
            RequestFailed: the request of the task failed with this error.
            TaskCancelled: it was cancelled.
        """
        ...

    async def listen(self, id: str) -> None:
        """Have the peer send notifications about a task, until cancelled. Returns where the peer sends none."""
        ...


class QuestionWatch(Protocol):
    """Answers the questions of a task."""

    def see(self, state: TaskState) -> None:
        """Begin to answer the new questions of a state. Never waits."""
        ...


class TaskPeer(Protocol):
    """The peer that is connected now, as a poller of its tasks sees it."""

    @property
    def patience(self) -> float | None:
        """Seconds for which a peer that does not answer is asked again; None: without a limit."""
        ...

    def requests(self) -> PolledRequests:
        """Return the requests in the revision that is spoken now."""
        ...

    def questions(self, poller: TaskPoller, nursery: trio.Nursery) -> QuestionWatch:
        """Return what answers the questions of a task, in tasks of the nursery."""
        ...

    def watched(self, poller: TaskPoller) -> AbstractContextManager[None]:
        """Hand the notifications about a task to its poller, while the context lasts."""
        ...


Reach = Callable[[], Awaitable[TaskPeer]]
"""Returns the peer that has a task; waits for another connection where one follows."""


class TaskPoller:
    """Learns the state of one task, and its outcome."""

    def __init__(
        self, reach: Reach, id: str, state: TaskState | None = None, progress: TaskProgress | None = None
    ) -> None:
        """
        Args:
            reach: the way to the peer.
            id: of the task.
            state: as the peer has just told it; None: it is not known yet.
            progress: reports on the task, if the program wants them.
        """
        self.id: str = id
        self.state: TaskState | None = state
        """The newest state."""
        self.result: dict[str, Any] | None = None
        """The raw result, once it is known."""
        self.error: Exception | None = None
        """The error that stands for the result, once it is known."""
        self._reach = reach
        self._progress = progress
        self._heard_at = trio.current_time() if state is not None else -math.inf
        self._changed = trio.Event()
        self._is_led = False
        self.answered: dict[str, Any] = {}
        """The answers to its questions by key, over all connections; None for those that the peer has acknowledged."""
        self._failure: Exception | None = None

    # --- for callers ------------------------------------------------------------------

    @property
    def is_final(self) -> bool:
        """Whether the task has ended."""
        return self.state is not None and self.state.is_final

    @property
    def has_outcome(self) -> bool:
        """Whether the result, or the error in its place, is known."""
        return self.result is not None or self.error is not None

    async def wait(self, is_done: Callable[[], bool]) -> None:
        """Wait until a condition holds, which depends on this object alone.

        Raises:
            RequestFailed: the peer does not know the task, or a question was refused.
            ConnectionEnded, RequestTimedOut: the peer cannot be reached.
        """
        await trio.lowlevel.checkpoint()
        while not is_done():
            if self._is_led:
                await self._changed.wait()
            else:
                await self._lead(is_done)

    async def refresh(self) -> None:
        """Ask for the state once, unless that would be earlier than the peer wants."""
        if self.is_final or self._wait_until() > trio.current_time():
            await trio.lowlevel.checkpoint()
            return
        self.learn(await (await self._reach()).requests().get(self.id))

    async def cancel(self) -> None:
        """Ask the peer to cancel the task."""
        state = await (await self._reach()).requests().cancel(self.id)
        if state is not None:
            self.learn(state)

    # --- what is told -----------------------------------------------------------------

    def learn(self, state: TaskState) -> None:
        """Take a state that the peer has told. A final state stays. Never waits."""
        self._heard_at = trio.current_time()
        if not self.is_final:
            self.state = state
        self._wake()

    def notified(self, state: TaskState) -> None:
        """Take the state of a notification, unless a newer one is known. Never waits."""
        if self.state is None or state.is_final or state.updated_at >= self.state.updated_at:
            self.learn(state)

    def found(self, result: dict[str, Any]) -> None:
        """See `AskedCaller`."""
        self.result = result
        self._wake()

    def failed(self, error: Exception) -> None:
        """See `AskedCaller`."""
        self._failure = error
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # --- polling ----------------------------------------------------------------------

    def _wait_until(self) -> float:
        """Return the time of the next poll."""
        return self._heard_at + (0.0 if self.state is None else self.state.interval)

    async def _lead(self, is_done: Callable[[], bool]) -> None:
        """Poll until the condition holds, over any number of connections."""
        self._is_led = True
        self._failure = None
        backoff, began = Backoff(budget=None), trio.current_time()
        try:
            while not is_done():
                peer = await self._reach()
                try:
                    await self._follow(peer, is_done)
                except (ConnectionLost, RequestFailed) as exc:
                    if self._heard_at > began:  # it has answered meanwhile
                        backoff, began = Backoff(budget=None), self._heard_at
                    pause = backoff.next_pause(_asked_pause(exc)) or 0.0
                    patience = math.inf if peer.patience is None else peer.patience
                    if not _passes(exc) or trio.current_time() + pause > began + patience:
                        raise
                    log.debug(events.TASK_UNREACHED, task=self.id, why=str(exc), seconds=pause)
                    await trio.sleep(pause)
        finally:
            self._is_led = False
            self._wake()  # another caller leads from here on

    async def _follow(self, peer: TaskPeer, is_done: Callable[[], bool]) -> None:
        """Poll over one connection, and answer the questions of the task meanwhile."""
        failure: Exception | None = None
        requests, progress = peer.requests(), self._progress
        with peer.watched(self):
            async with trio.open_nursery() as nursery:
                questions = peer.questions(self, nursery)
                try:
                    if progress is not None:
                        nursery.start_soon(self._report, progress)
                    await self._poll(requests, questions, nursery, is_done)
                    if progress is not None and self.has_outcome:
                        await progress.finish()
                        self._progress = None
                except Exception as exc:  # noqa: BLE001
                    failure = exc  # raised below by itself, rather than in a group
                nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _poll(
        self, requests: PolledRequests, questions: QuestionWatch, nursery: trio.Nursery, is_done: Callable[[], bool]
    ) -> None:
        listens = False
        while not is_done():
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            state = self.state
            if state is not None and state.is_final:
                await self._fetch_outcome(requests, state)
                continue
            if state is not None:
                questions.see(state)
            changed = self._changed
            with trio.CancelScope(deadline=self._wait_until()) as scope:
                await changed.wait()
            if not scope.cancelled_caught:
                continue
            self.learn(await requests.get(self.id))
            if not listens and not self.is_final:  # it takes longer than one poll
                listens = True
                nursery.start_soon(requests.listen, self.id)

    async def _report(self, progress: TaskProgress) -> None:
        try:
            await progress.run()
        except Exception as exc:  # noqa: BLE001 - of the program's callback: raised to the caller that waits
            self.failed(exc)

    async def _fetch_outcome(self, requests: PolledRequests, state: TaskState) -> None:
        try:
            self.result = await requests.outcome(state)
        except TaskCancelled as exc:
            self.error = exc
        except RequestFailed as exc:
            # Where the task failed, it may be the task whose node was lost, and not the request.
            if _passes(exc) and not (exc.code == NODE_LOST and state.status == "failed"):
                raise
            self.error = exc
        self._wake()


def _passes(exc: ConnectionLost | RequestFailed) -> bool:
    """Return whether the same request may succeed later."""
    if isinstance(exc, RequestFailed):
        return exc.code in PASSING_CODES
    if isinstance(exc, ExchangeFailed):
        return exc.status is None or exc.status in PASSING
    return True


def _asked_pause(exc: ConnectionLost | RequestFailed) -> float | None:
    """Return the seconds that the server wants to pass, if it says so."""
    if isinstance(exc, ExchangeFailed):
        return exc.retry_after
    data = exc.data if isinstance(exc, RequestFailed) else None
    asked = data.get("retryAfterMs") if isinstance(data, dict) else None
    return asked / 1000 if type(asked) is int else None
