"""The tasks of a server and of each of its runs, and their extension of 2026-07-28."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trimcp.extensions.tasks import lifecycle, wire
from trimcp.extensions.tasks.calls import TaskCalls
from trimcp.extensions.tasks.core import CoreTaskRequests, capability
from trimcp.extensions.tasks.manager import TaskManager, is_visible
from trimcp.extensions.tasks.watching import ClientNotifier
from trimcp.server.context.context import Context
from trimcp.server.features.provider_lists import ProviderLists
from trimcp.server.features.tools import ToolRequests
from trimcp.server.middleware import Handle, Middleware, Proceed
from trimcp.server.server_extension import ServerExtension
from trimcp.session.delivery import Delivery
from trimcp.stores.memory_tasks import MemoryTaskStore
from trimcp.types.capabilities import ServerTasksCapability
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

if TYPE_CHECKING:
    from trimcp.server.declarations import Declarations
    from trimcp.server.run import ServerRun
    from trimcp.stores.node_messages import NodeMessages


class Tasks:
    """The tasks of one server. See `TaskFeature`."""

    def __init__(self) -> None:
        self.extension: ServerExtension = server_extension()

    def open(self, run: ServerRun, declarations: Declarations) -> RunTasks:
        """Make the tasks of one run."""
        return RunTasks(run, declarations)


class RunTasks:
    """The tasks of one run of a server. See `TaskRun`."""

    def __init__(self, run: ServerRun, declarations: Declarations) -> None:
        supervisor = run.supervisor
        store = MemoryTaskStore(clock=lifecycle.now) if run.store is None else run.store.tasks
        self.manager: TaskManager = supervisor.add(
            TaskManager(supervisor, store, run.limits, is_shared=run.node is not None, is_durable=run.store is not None)
        )
        self._notifier = ClientNotifier(run.subscriptions)
        self.manager.observers.append(self._notifier)
        self._tools = ToolRequests(
            declarations.tools, ProviderLists(declarations.providers, declarations.paginator, run), run
        )
        self.calls: TaskCalls = TaskCalls(self.manager, self._tools)
        self._core = CoreTaskRequests(self.manager, declarations.paginator)
        if run.messages is not None:
            self._connect(run, run.messages)

    def _connect(self, run: ServerRun, messages: NodeMessages) -> None:
        """Join the tasks of the other nodes that share the store."""
        from trimcp.extensions.tasks.cluster import TaskCluster
        from trimcp.extensions.tasks.rerun import Reruns

        reruns = Reruns(self.manager, self._tools, run.service.routes)
        cluster = run.supervisor.add(
            TaskCluster(run.supervisor, self.manager, messages, run.subscriptions, self._notifier, reruns)
        )
        run.nursery.start_soon(cluster.take_over, name="trimcp tasks of others")
        run.nursery.start_soon(cluster.look_again, name="trimcp tasks of listens")

    def core_handlers(self) -> Mapping[str, Handle]:
        """See `TaskRun`."""
        return self._core.handlers

    @property
    def core_middleware(self) -> Middleware:
        """See `TaskRun`."""
        return self.calls.core

    def core_capability(self, delivery: Delivery) -> ServerTasksCapability:
        """See `TaskRun`."""
        return capability(delivery)

    @property
    def running(self) -> int:
        """See `TaskRun`."""
        return self.manager.running

    async def tell_listens(self, ids: Sequence[str]) -> None:
        """Tell listens that have just begun the state of their tasks: a change may have come in between."""
        for id in ids:
            record = await self.manager.table.find(id)
            if record is not None:
                self._notifier.changed(record, None)

    async def drain(self, deadline: float) -> None:
        """See `TaskRun`."""
        await self.manager.drain(deadline)


# --- the extension of 2026-07-28 -------------------------------------------------------


def server_extension() -> ServerExtension:
    """Make `io.modelcontextprotocol/tasks` of 2026-07-28: its requests, and the topic of its listens."""
    extension = ServerExtension(IDENTIFIER, revisions=REVISIONS, results=[CREATED], sends=[STATUS])

    def tasks_of(ctx: Context) -> RunTasks:
        tasks: RunTasks = ctx.state_of(IDENTIFIER)
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
