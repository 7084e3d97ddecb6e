"""Tasks of 2025-11-25, for a client: it asks for them, and fetches their results by `tasks/result`.

basic/utilities/tasks of 2025-11-25.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import trio

from trimcp.client.tasks.task_requests import TaskRequests, no_tasks
from trimcp.errors import UsageError
from trimcp.session.tasks.state import TaskState, cancelled, state_of

if TYPE_CHECKING:
    from trimcp.client.requests import ClientRequests
    from trimcp.types.capabilities import ServerCapabilities


class CoreTaskRequests(TaskRequests):
    """The requests about tasks in 2025-11-25."""

    notification = "notifications/tasks/status"

    def __init__(self, requests: ClientRequests) -> None:
        """
        Raises:
            UsageError: the server did not declare tasks.
        """
        super().__init__(requests)
        tasks = requests.agreement.capabilities.tasks
        if tasks is None:
            raise no_tasks(requests.agreement.revision.version)
        self._capability = tasks
        self.is_offered: bool = runs_tools(requests.agreement.capabilities)

    @property
    def stamp(self) -> dict[str, Any] | None:
        """See `TaskRequests`."""
        return None

    def decoded_tool_result(self, raw: Mapping[str, Any]) -> Any:
        """See `TaskRequests`."""
        return self._requests.codec.result_decoder("tools/call")(raw)

    async def get(self, id: str) -> TaskState:
        """See `TaskRequests`."""
        return await self._state("tasks/get", id)

    async def cancel(self, id: str) -> TaskState | None:
        """See `TaskRequests`."""
        if self._capability.cancel is None:
            raise UsageError(f"cannot cancel the task {id}: the server did not declare tasks.cancel; let it end")
        return await self._state("tasks/cancel", id)

    async def _state(self, method: str, id: str) -> TaskState:
        raw = await self._request(method, {"taskId": id})
        return state_of(self._requests.decoded(self._requests.codec.result_decoder(method), raw))

    async def outcome(self, state: TaskState) -> dict[str, Any]:
        """See `TaskRequests`."""
        if state.status == "cancelled":
            raise cancelled(state)
        return await self.result(state.id, self._requests.timeouts.request)

    async def result(self, id: str, timeout: float | None = None) -> dict[str, Any]:
        """Wait for the raw result of a task. Meanwhile its questions arrive, as requests of the server."""
        return await self._requests.request("tasks/result", {"taskId": id}, timeout=timeout)

    async def list(self) -> Sequence[TaskState]:
        """See `TaskRequests`."""
        if self._capability.list is None:
            raise UsageError("the server did not declare tasks.list: keep the ids of your tasks")
        return [state_of(task) for task in await self._requests.listing("tasks/list", fresh=True).all()]

    def told(self, params: Mapping[str, Any]) -> TaskState:
        """See `TaskRequests`."""
        return state_of(self._requests.codec.params_decoder(self.notification)(params))

    async def listen(self, id: str) -> None:
        """See `TaskRequests`. A legacy server sends its notifications without being asked."""
        await trio.lowlevel.checkpoint()

    def post_cancel(self, id: str) -> None:
        """See `TaskRequests`."""
        if self._capability.cancel is not None:
            super().post_cancel(id)


def runs_tools(capabilities: ServerCapabilities) -> bool:
    """Return whether a server of 2025-11-25 declared that it runs tools as tasks."""
    tasks = capabilities.tasks
    requests = None if tasks is None else tasks.requests
    tools = None if requests is None else requests.tools
    return tools is not None and tools.call is not None
