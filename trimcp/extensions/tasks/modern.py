"""The extension `io.modelcontextprotocol/tasks` of 2026-07-28: `tasks/get`, `tasks/update`, `tasks/cancel`, listens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from trimcp.extensions.tasks import lifecycle, wire
from trimcp.extensions.tasks.calls import TaskCalls
from trimcp.extensions.tasks.manager import TaskManager, is_visible
from trimcp.server.context.context import Context
from trimcp.server.middleware import Proceed
from trimcp.server.server_extension import ServerExtension
from trimcp.types.payload import Result
from trimcp.types.task_extension import (
    CANCEL,
    CREATED,
    GET,
    IDENTIFIER,
    REVISIONS,
    STATUS,
    TASK_IDS,
    UPDATE,
    DetailedTask,
    UpdateTaskParams,
)
from trimcp.types.tasks import TaskRequestParams


class ExtensionTasks(Protocol):
    """The tasks of a run, as its requests reach them."""

    manager: TaskManager
    calls: TaskCalls

    async def tell_listens(self, ids: Sequence[str]) -> None:
        """Notify listens of the state of tasks."""
        ...


def server_extension() -> ServerExtension:
    """Make the extension, as a server uses it."""
    extension = ServerExtension(IDENTIFIER, revisions=REVISIONS, results=[CREATED], sends=[STATUS])

    def tasks_of(ctx: Context) -> ExtensionTasks:
        tasks: ExtensionTasks = ctx.state_of(IDENTIFIER)
        return tasks

    @extension.around("tools/call", undeclared=True)
    async def call(ctx: Context, params: Any, proceed: Proceed) -> Any:
        return await tasks_of(ctx).calls.modern(ctx, params, proceed)

    @extension.method(GET)
    async def get(ctx: Context, params: TaskRequestParams) -> DetailedTask:
        return wire.detailed(await tasks_of(ctx).manager.find(ctx.request, params.task_id))

    @extension.method(UPDATE)
    async def update(ctx: Context, params: UpdateTaskParams) -> Result:
        manager = tasks_of(ctx).manager
        record = await manager.find(ctx.request, params.task_id)
        answers = {key: {"result": raw} for key, raw in params.input_responses.items()}
        await manager.change(record, lambda newest: lifecycle.answered(newest, answers, lifecycle.now()))
        return Result()

    @extension.method(CANCEL)
    async def cancel(ctx: Context, params: TaskRequestParams) -> Result:
        manager = tasks_of(ctx).manager
        record = await manager.find(ctx.request, params.task_id)
        await manager.change(record, lambda newest: lifecycle.cancelled(newest, lifecycle.now()))
        return Result()

    async def tell_all(ctx: Context, ids: Sequence[str]) -> None:
        await tasks_of(ctx).tell_listens(ids)

    @extension.topic(TASK_IDS, opened=tell_all)
    async def known(ctx: Context, ids: Sequence[str]) -> list[str]:
        tasks_of(ctx).manager.polls.count(ctx.request, len(ids))  # each is read from the store
        return [id for id in ids if await _may_watch(ctx, id)]

    async def _may_watch(ctx: Context, id: str) -> bool:
        record = await tasks_of(ctx).manager.table.find(id)
        return record is not None and is_visible(record, ctx.request)

    return extension
