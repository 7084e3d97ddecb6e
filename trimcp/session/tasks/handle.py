"""`TaskHandle`: a request that the peer runs as a task, as programs hold it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

from trimcp.errors import UsageError
from trimcp.session.tasks.poller import TaskPoller

if TYPE_CHECKING:
    from trimcp.session.tasks.state import TaskState
    from trimcp.types.tasks import TaskStatus

T = TypeVar("T")

Build = Callable[[dict[str, Any]], Awaitable[Any]]
"""Makes the result for the program of a raw result."""


class TaskHandle(Generic[T]):
    """A request that the peer runs as a task; or its result, if there is no task.

        task = await client.call_tool("render", {"scene": 7}, task=True)
        async for state in task:
            print(state.status, state.message)
        result = await task.result()

    A client has it of a server's tool (`call_tool`), a server of a client's sampling or elicitation (`ctx.sample`).
    Any number of tasks of the program may wait for it at once. While one waits, it asks the peer for the state, as
    often as the peer wants, and the functions that `connect` was given answer the questions of the task. A server that
    cannot be reached is asked again for `Timeouts.request` seconds. A wait that is cancelled leaves the task as it is;
    `cancel` cancels it.
    """

    def __init__(self, poller: TaskPoller | None, build: Build | None, value: Any = None) -> None:
        """Made by `call_tool`, `Client.task` and `ctx.sample`. Without a poller, `value` is the result."""
        self._poller = poller
        self._build = build
        self._value = value

    @property
    def id(self) -> str | None:
        """The id, by which any client of the same principal gets a task of a server (`Client.task`); None: no task."""
        return None if self._poller is None else self._poller.id

    @property
    def state(self) -> TaskState | None:
        """The state as the peer last told it; None where it is not known, or there is no task."""
        return None if self._poller is None else self._poller.state

    @property
    def status(self) -> TaskStatus | None:
        """The status as the peer last told it; `completed` if there is no task; None: not known yet."""
        if self._poller is None:
            return "completed"
        return None if self._poller.state is None else self._poller.state.status

    @property
    def has_ended(self) -> bool:
        """Whether the task has ended, as far as this client knows."""
        return self._poller is None or self._poller.is_final or self._poller.has_outcome

    async def result(self) -> T:
        """Wait for the end of the task, and return the result, as the call without a task does.

        Raises:
            TaskCancelled: the task was cancelled.
            RequestFailed: the request failed, or the peer does not know the task any more, or a question of it was
                refused here.
            ToolFailed, InvalidResult: as for `call_tool`.
            ConnectionEnded, RequestTimedOut: the peer cannot be reached. The task may go on.
        """
        poller = self._poller
        if poller is None or self._build is None:
            await trio.lowlevel.checkpoint()
            value: T = self._value
            return value
        await poller.wait(lambda: poller.has_outcome)
        if poller.error is not None:
            raise poller.error
        assert poller.result is not None
        built: T = await self._build(poller.result)
        return built

    async def refresh(self) -> TaskState | None:
        """Ask for the state once, unless that would be earlier than the peer wants; return the state."""
        if self._poller is None:
            await trio.lowlevel.checkpoint()
            return None
        await self._poller.refresh()
        return self._poller.state

    async def cancel(self) -> None:
        """Ask the peer to cancel the task. Whether it does, the next states show.

        Raises:
            RequestFailed: the task has ended already (2025-11-25), or the peer does not know it.
            UsageError: the peer does not cancel tasks, or there is no task.
        """
        if self._poller is None:
            raise UsageError("cannot cancel the request: no task was made of it, and it has been answered")
        await self._poller.cancel()

    def __aiter__(self) -> TaskStates:
        """Read the states, from the newest known one to the final one. The loop may be left at any point."""
        return TaskStates(self._poller)

    def __repr__(self) -> str:
        return f"TaskHandle(id={self.id!r}, status={self.status!r})"


class TaskStates:
    """Gives the states of a task as they change: status, message or time of the last change."""

    def __init__(self, poller: TaskPoller | None) -> None:
        self._poller = poller
        self._seen: TaskState | None = None

    def __aiter__(self) -> TaskStates:
        return self

    async def __anext__(self) -> TaskState:
        poller = self._poller
        if poller is None or (self._seen is not None and self._seen.is_final):
            await trio.lowlevel.checkpoint()
            raise StopAsyncIteration
        await poller.wait(lambda: poller.state is not None and poller.state != self._seen)
        assert poller.state is not None
        self._seen = poller.state
        return self._seen
