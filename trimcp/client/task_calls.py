"""`TaskCalls`: tasks by their ids, and their list, for `Client`."""

from __future__ import annotations

from collections.abc import Sequence
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from trimcp.client.features.tools import ToolResult
    from trimcp.client.run import ClientRun
    from trimcp.client.tasks.calls import ReachTasks
    from trimcp.session.tasks.handle import TaskHandle
    from trimcp.session.tasks.state import TaskState

T = TypeVar("T")


class TaskCalls:
    """Finds the tasks that the server keeps for this client, or for others of the same principal."""

    _run: ClientRun

    def _reach_of(self, name: str, run: ClientRun) -> ReachTasks:
        return run.reach_tasks

    @overload
    def task(self, id: str) -> TaskHandle[ToolResult]: ...

    @overload
    def task(self, id: str, *, returns: type[T]) -> TaskHandle[T]: ...

    @overload
    def task(self, id: str, *, returns: UnionType) -> TaskHandle[Any]: ...

    def task(self, id: str, *, returns: Any = None) -> TaskHandle[Any]:
        """Return a handle of the task with this id, which another client or process may have begun. Asks nothing.

        Args:
            id: the `TaskHandle.id` of the task.
            returns: see `call_tool`. The output schema of the tool is not checked.
        """
        run = self._run
        return run.tasks.handle(id, returns, run.reach_tasks)

    async def list_tasks(self) -> Sequence[TaskState]:
        """Read the list of the tasks that the server keeps for this client (2025-11-25).

        Raises:
            UsageError: the server did not declare that it lists tasks; in 2026-07-28 none does.
        """
        return await self._run.tasks.list()
