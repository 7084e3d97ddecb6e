"""`tools/call` of tools that may run as tasks: the middleware of both dialects.

In 2025-11-25 the client asks for a task, which begins at once. In 2026-07-28 the server decides: the tool runs for its
request at first, and the call becomes a task when the tool says so, or when it takes longer than a moment.
"""

from __future__ import annotations

from typing import Any

import trio

from trimcp.errors import RequestFailed, UsageError
from trimcp.extensions.tasks import wire
from trimcp.extensions.tasks.manager import TaskManager
from trimcp.extensions.tasks.questions import TaskQuestions
from trimcp.extensions.tasks.running_task import RunningTask
from trimcp.extensions.tasks.streams import TaskProgress, TaskStream
from trimcp.extensions.tasks.work import TaskWork
from trimcp.protocol.cancel_reason import CancelReason
from trimcp.server.context.client_requests import InputRounds
from trimcp.server.context.context import Context
from trimcp.server.context.sealed_state import State
from trimcp.server.features.task_support import TaskTool
from trimcp.server.features.tools import ToolRequests
from trimcp.server.middleware import Continuation, Proceed
from trimcp.session.detached import DetachedPeer
from trimcp.session.peer import Peer
from trimcp.session.request import InboundRequest
from trimcp.stores.task_store import TaskRecord
from trimcp.types.jsonrpc import METHOD_NOT_FOUND, STORE_UNAVAILABLE
from trimcp.types.task_extension import IDENTIFIER, CreatedTask
from trimcp.types.tasks import CreateTaskResult, Task
from trimcp.types.tools import CallToolRequestParams


class TaskCalls:
    """Answers calls of tools with tasks, in one run of a server."""

    def __init__(self, manager: TaskManager, tools: ToolRequests) -> None:
        """`tools`: the tools of the server and of its providers."""
        self._manager = manager
        self._tools = tools

    # --- 2025-11-25 -------------------------------------------------------------------

    async def core(self, ctx: Context, params: CallToolRequestParams, proceed: Proceed) -> Any:
        """Call a tool as a task, if the client asks for one. A middleware."""
        tool = await self._tools.task_tool(ctx.request, params.name)
        if tool is None or params.task is None:
            if tool is not None and tool.task == "required":
                raise RequestFailed(METHOD_NOT_FOUND, f"The tool {tool.name} runs as a task only: call it with task")
            return await proceed(params)
        if tool.task == "forbidden":
            raise RequestFailed(METHOD_NOT_FOUND, f"The tool {tool.name} does not run as a task: call it without task")
        request = ctx.request
        work = self._admitted(request, params, proceed)
        try:
            record = await self._manager.create(request, tool, params.task.ttl, None)
        except BaseException:
            self._manager.left(work)
            raise
        detached(self._manager, record, work, request.session)
        self._manager.start(work)
        return CreateTaskResult(wire.core_task(record, Task))

    # --- 2026-07-28 -------------------------------------------------------------------

    async def modern(self, ctx: Context, params: CallToolRequestParams, proceed: Proceed) -> Any:
        """Call a tool for its request first, and let the call become a task. A middleware."""
        tool = await self._tools.task_tool(ctx.request, params.name)
        if tool is None or tool.task == "forbidden":
            return await proceed(params)
        if tool.task == "required":
            ctx.require_extension(IDENTIFIER)
        elif ctx.extension(IDENTIFIER) is None:
            return await proceed(params)
        request = ctx.request
        work = self._admitted(request, params, proceed)
        self._manager.start(work)
        try:
            with trio.move_on_after(self._manager.limits.task_after):
                await work.stirred.wait()
            if not work.has_ended or (tool.task == "required" and work.has_result):
                try:
                    return await self._become(work, request, tool)
                except RequestFailed as exc:
                    if exc.code != STORE_UNAVAILABLE or (tool.task == "required" and not work.has_ended):
                        raise
                work.stay_call()
                await work.gone.wait()
        finally:
            if work.became is None and not work.has_ended:
                work.cancel(request.why_cancelled or CancelReason.SESSION_LOST)
                # Work that takes longer goes on in its own worker, and keeps its place there.
                with trio.move_on_after(request.session.limits.cleanup, shield=True):
                    await work.gone.wait()
            request.reports = max(request.reports, work.reports)
        return work.outcome

    async def _become(self, work: TaskWork, request: InboundRequest, tool: TaskTool) -> CreatedTask:
        record = await self._manager.create(request, tool, None, _state_of(work))
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
        except trio.Cancelled:  # meanwhile: the client will never know of the task
            with trio.CancelScope(shield=True):  # each call of the store has a deadline
                await self._manager.table.discard(record)
            raise
        request.reports = max(request.reports, work.reports)
        task = detached(self._manager, record, work, request.session)
        if work.has_ended:
            task.work_ended()
        return wire.extension_task(record, CreatedTask)

    # --- both -------------------------------------------------------------------------

    def _admitted(self, request: InboundRequest, params: CallToolRequestParams, proceed: Proceed) -> TaskWork:
        if not isinstance(proceed, Continuation):
            raise UsageError("Invalid proceed for a task: pass on the one that the middleware was called with")
        work = TaskWork(request, proceed.handle, params, self._manager)
        self._manager.admit(work)
        return work


def detached(manager: TaskManager, record: TaskRecord, work: TaskWork, session: Peer | None) -> RunningTask:
    """Let some work go on as that of a task, which runs from now on.

    Args:
        manager: of the tasks of this node.
        record: the task.
        work: perhaps of a request that will be answered with the task.
        session: of the request, if there is one.
    """
    task = manager.begin(record, work)
    limits, delivery, is_core = manager.limits, work.delivery, work.revision.server_asks
    stream = TaskStream(record.id, session, limits.task_bytes, delivery) if is_core and session is not None else None
    number = None if session is None else session.number
    peer = DetachedPeer(limits, delivery, work.revision, work.profile, stream, number, TaskProgress(task, limits))
    rounds = work.rounds if isinstance(work.rounds, InputRounds) else None
    work.detach(task, peer, TaskQuestions(work, task, rounds), keeps_progress=is_core)
    return task


def _state_of(work: TaskWork) -> State | None:
    """Return the answers and the results of steps before the call became a task."""
    return work.rounds.state if isinstance(work.rounds, InputRounds) else None
