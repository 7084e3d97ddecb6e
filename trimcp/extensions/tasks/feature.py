"""The tasks of a server and of each of its runs, as the server reaches them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from trimcp.extensions.tasks import lifecycle
from trimcp.extensions.tasks.calls import TaskCalls
from trimcp.extensions.tasks.core import CoreTaskRequests, capability
from trimcp.extensions.tasks.manager import TaskManager
from trimcp.extensions.tasks.modern import server_extension
from trimcp.extensions.tasks.notifier import ClientNotifier
from trimcp.server.features.provider_lists import ProviderLists
from trimcp.server.features.tools import ToolRequests
from trimcp.server.middleware import Handle, Middleware
from trimcp.server.server_extension import ServerExtension
from trimcp.session.delivery import Delivery
from trimcp.stores.memory_tasks import MemoryTaskStore
from trimcp.types.capabilities import ServerTasksCapability

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
