"""`TaskRequests`: the requests about tasks in one revision, on the connection that a client has now."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trimcp.errors import RequestFailed, UsageError

if TYPE_CHECKING:
    from trimcp.client.requests import ClientRequests
    from trimcp.session.tasks.state import TaskState


class TaskRequests(abc.ABC):
    """Makes the requests about tasks. A subclass knows one revision."""

    notification: str
    """The notification by which servers tell of a changed state."""
    is_offered: bool
    """Whether the server declared that it runs calls of tools as tasks."""

    def __init__(self, requests: ClientRequests) -> None:
        self._requests = requests

    @property
    @abc.abstractmethod
    def stamp(self) -> dict[str, Any] | None:
        """The members of `_meta` in every request about tasks; None in a legacy session."""

    @abc.abstractmethod
    def decoded_tool_result(self, raw: Mapping[str, Any]) -> Any:
        """Decode the answer to `tools/call`: its own result, questions, or a task."""

    @abc.abstractmethod
    async def get(self, id: str) -> TaskState:
        """Ask for the state of a task."""

    @abc.abstractmethod
    async def cancel(self, id: str) -> TaskState | None:
        """Ask the server to cancel a task; return the new state, if the answer has it."""

    @abc.abstractmethod
    async def outcome(self, state: TaskState) -> dict[str, Any]:
        """Return the raw result of a task that has ended.

        Raises:
            RequestFailed: the request of the task failed with this error.
            TaskCancelled: it was cancelled.
        """

    @abc.abstractmethod
    async def list(self) -> Sequence[TaskState]:
        """Read the list of all tasks."""

    @abc.abstractmethod
    def told(self, params: Mapping[str, Any]) -> TaskState:
        """Return the state that a notification tells of.

        Raises:
            InvalidPayload: it breaks the schema.
        """

    @abc.abstractmethod
    async def listen(self, id: str) -> None:
        """Have the server send notifications about a task, until cancelled. Returns where the server sends none."""

    def post_cancel(self, id: str) -> None:
        """Ask the server to cancel a task, and ignore the answer. Never waits, and never fails."""
        params: dict[str, Any] = {"taskId": id}
        if self.stamp is not None:
            params["_meta"] = self.stamp
        self._requests.session.calls.post("tasks/cancel", params)

    async def _request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        return await self._requests.request(method, params, stamp=self.stamp)


def no_tasks(version: str) -> UsageError:
    """Return the error for a server without tasks."""
    return UsageError(f"the server has no tasks in {version}: call its tools without task=True")


def error_of(raw: Mapping[str, Any]) -> RequestFailed:
    """Return the exception of a raw JSON-RPC error."""
    code, message = raw.get("code"), raw.get("message")
    return RequestFailed(
        code if type(code) is int else -32603, message if type(message) is str else "the task failed", raw.get("data")
    )
