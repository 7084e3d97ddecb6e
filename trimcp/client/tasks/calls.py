"""`Tasks`: the tasks of one client: calls that become tasks, handles by id, lists, notifications."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import trio

from trimcp.client.features.tools import TaskCall, ToolCalls
from trimcp.client.requests import ClientRequests, contained_progress
from trimcp.client.tasks.core_requests import CoreTaskRequests, runs_tools
from trimcp.client.tasks.extension_requests import ExtensionTaskRequests
from trimcp.client.tasks.questions import AnsweredQuestions, OpenQuestions
from trimcp.client.tasks.task_requests import TaskRequests, no_tasks
from trimcp.errors import InvalidPayload, RequestTimedOut
from trimcp.observability import events, log
from trimcp.session.tasks.handle import TaskHandle
from trimcp.session.tasks.poller import TaskPoller
from trimcp.session.tasks.progress import TaskProgress
from trimcp.session.tasks.state import TaskState, state_of
from trimcp.session.tasks.watched import WatchedTasks
from trimcp.types.methods import methods_of
from trimcp.types.payload import TaskMetadata
from trimcp.types.task_extension import CreatedTask
from trimcp.types.tasks import CreateTaskResult

if TYPE_CHECKING:
    from trimcp.session.call import OnProgress
    from trimcp.session.negotiation import Agreement

ReachTasks = Callable[[], Awaitable["Tasks"]]
"""Returns the tasks of the client that reaches a server now, if need be after its next connection."""


class Tasks:
    """The tasks of one client."""

    def __init__(self, requests: ClientRequests, tools: ToolCalls) -> None:
        self._requests = requests
        self._tools = tools
        self._made: tuple[Agreement, TaskRequests] | None = None
        self._watched = WatchedTasks()

    # --- TaskPeer ---------------------------------------------------------------------

    @property
    def patience(self) -> float | None:
        """See `TaskPeer`."""
        return self._requests.timeouts.request

    def requests(self) -> TaskRequests:
        """See `TaskPeer`.

        Raises:
            UsageError: the server, or the revision, has no tasks.
        """
        agreement = self._requests.agreement
        if self._made is None or self._made[0] is not agreement:
            if agreement.revision.result_type:
                made: TaskRequests = ExtensionTaskRequests(self._requests)
            elif "tasks/get" in methods_of(agreement.revision):
                made = CoreTaskRequests(self._requests)
            else:
                raise no_tasks(agreement.revision.version)
            self._made = agreement, made
        return self._made[1]

    def watched(self, poller: TaskPoller) -> AbstractContextManager[None]:
        """See `TaskPeer`."""
        return self._watched.watched(poller.id, poller)

    def questions(self, poller: TaskPoller, nursery: trio.Nursery) -> OpenQuestions:
        """See `TaskPeer`."""
        answered = AnsweredQuestions(poller.answered)
        return OpenQuestions(poller.id, self.requests(), answered, self._requests.answer, poller, nursery)

    def noticed(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Take a notification; those about tasks go to the pollers that wait. Never waits."""
        if not self._watched or self._made is None or method != self._made[1].notification:
            return
        try:
            state = self._made[1].told(params or {})
        except InvalidPayload as exc:
            log.warning(events.MESSAGE_IGNORED, method=method, why=str(exc))
            return
        self._watched.told(state.id, state)

    # --- for programs -----------------------------------------------------------------

    def handle(self, id: str, returns: Any, reach: ReachTasks) -> TaskHandle[Any]:
        """Return a handle of a task. See `Client.task`."""
        return _handle(TaskPoller(reach, id), reach, None, returns)

    async def list(self) -> Sequence[TaskState]:
        """Return the list of all tasks. See `Client.list_tasks`."""
        return await self.requests().list()

    async def start(
        self,
        name: str,
        arguments: Mapping[str, Any] | None,
        returns: Any,
        timeout: float | None,
        on_progress: OnProgress | None,
        meta: Mapping[str, Any] | None,
        ttl: float | None,
        reach: ReachTasks,
    ) -> TaskHandle[Any]:
        """Call a tool, as a task if the server runs it as one. See `Client.call_tool`."""
        task = await self._task_call(name, ttl)
        progress: TaskProgress | None = None
        if task is not None and task.metadata is not None and on_progress is not None:
            progress = TaskProgress(self._requests.session, contained_progress(on_progress))
            meta, on_progress = {**(meta or {}), "progressToken": progress.token}, None
        state: TaskState | None = None
        try:
            value = await self._tools.call(name, arguments, returns, timeout, on_progress, meta, task)
            if isinstance(value, CreateTaskResult | CreatedTask):
                state = state_of(value.task if isinstance(value, CreateTaskResult) else value)
        finally:
            if state is None and progress is not None:
                progress.close()
        if state is None:
            return TaskHandle(None, None, value)
        log.debug(events.TASK_CREATED, task=state.id, tool=name)
        return _handle(TaskPoller(reach, state.id, state, progress), reach, name, returns)

    async def _task_call(self, name: str, ttl: float | None) -> TaskCall | None:
        """Return what makes a call of the tool a task; None where it must be a call like any other."""
        agreement = self._requests.agreement
        if not agreement.revision.result_type:
            if not runs_tools(agreement.capabilities) or not await self._support(name):
                return None
            metadata = TaskMetadata(None if ttl is None else math.ceil(ttl * 1000))
            return TaskCall(metadata, None, self.requests().decoded_tool_result)
        requests = self.requests()
        return TaskCall(None, requests.stamp, requests.decoded_tool_result) if requests.is_offered else None

    async def _support(self, name: str) -> str | None:
        """Return whether a tool may, or must, be a task, as the list of tools says."""
        if name not in self._tools.task_support and not self._tools.is_known:
            await self._tools.list_all()
        return self._tools.task_support.get(name)

    async def must_be_task(self, name: str) -> bool:
        """Return whether a tool of 2025-11-25 is called as a task, or not at all."""
        agreement = self._requests.agreement
        if agreement.revision.result_type or not runs_tools(agreement.capabilities):
            return False
        return await self._support(name) == "required"

    async def finish(self, handle: TaskHandle[Any], timeout: float | None) -> Any:
        """Wait for the result of a task that no other caller knows of; else cancel the task.

        Raises:
            RequestTimedOut: it took longer than `Timeouts.most`.
        """
        most = self._requests.timeouts.most
        limit = math.inf if most is None else max(most, timeout or 0.0)
        try:
            with trio.move_on_after(limit):
                return await handle.result()
            raise RequestTimedOut(f"the task {handle.id} took longer than {limit:g} s, and is cancelled")
        finally:
            if handle.id is not None and not handle.has_ended:
                self.requests().post_cancel(handle.id)

    async def finish_created(self, created: CreatedTask, timeout: float | None, reach: ReachTasks) -> dict[str, Any]:
        """Wait for the raw result of a task that the server made of a call; see `finish`."""

        async def raw(result: dict[str, Any]) -> dict[str, Any]:
            return result

        state = state_of(created)
        result: dict[str, Any] = await self.finish(TaskHandle(TaskPoller(reach, state.id, state), raw), timeout)
        return result

    async def built(self, tool: str | None, result: dict[str, Any], returns: Any) -> Any:
        """Return the result for the program of a raw result."""
        return await self._tools.finished(tool, result, returns)


def _handle(poller: TaskPoller, reach: ReachTasks, tool: str | None, returns: Any) -> TaskHandle[Any]:
    async def build(result: dict[str, Any]) -> Any:
        return await (await reach()).built(tool, result, returns)

    return TaskHandle(poller, build)
