"""`CallsByName`: the calls of tools and prompts that `Client` and `Group` share; `TaskCalls`, of `Client` alone.

A client calls on its one server, a group on the member that a name belongs to: each says where a call goes.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from trimcp.client.features.prompts import get_prompt
from trimcp.errors import RequestFailed
from trimcp.types.jsonrpc import METHOD_NOT_FOUND

if TYPE_CHECKING:
    from trimcp.client.features.tools import ToolResult
    from trimcp.client.run import ClientRun
    from trimcp.client.tasks.calls import ReachTasks
    from trimcp.session.call import OnProgress
    from trimcp.session.tasks.handle import TaskHandle
    from trimcp.session.tasks.state import TaskState
    from trimcp.types.prompts import GetPromptResult

T = TypeVar("T")


class CallsByName(abc.ABC):
    """Calls tools, and gets prompts, by their names."""

    @abc.abstractmethod
    async def _route(self, kind: Literal["tools", "prompts"], name: str) -> tuple[ClientRun, str]:
        """Return the client that a call goes to, and the name that its server has for the tool or prompt."""

    @abc.abstractmethod
    def _reach_of(self, name: str, run: ClientRun) -> ReachTasks:
        """Return the way to the server of a call, over the connection of that moment."""

    @overload
    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> ToolResult: ...

    @overload
    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        returns: type[T],
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> T: ...

    # `int | None` and the like are no `type` to a type checker.
    @overload
    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        returns: UnionType,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Any: ...

    @overload
    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        task: Literal[True],
        ttl: float | None = None,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> TaskHandle[ToolResult]: ...

    @overload
    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        returns: type[T],
        task: Literal[True],
        ttl: float | None = None,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> TaskHandle[T]: ...

    @overload
    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        returns: UnionType,
        task: Literal[True],
        ttl: float | None = None,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> TaskHandle[Any]: ...

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        returns: Any = None,
        task: bool = False,
        ttl: float | None = None,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a tool (server/tools, "Calling Tools").

        A call is made once: where the connection ends before the answer comes, it raises, since the server may have
        acted.

        Args:
            name: of the tool; in a group, as `list_tools` of the group has it.
            arguments: by name: JSON values, and objects of dataclasses, attrs, msgspec and pydantic.
            returns: a type (a class of attrs, a dataclass, a TypedDict, a pydantic model, `int`,
                `list[str]`, `int | None`, …) to make the structured content into.
            task: return a `TaskHandle` as soon as the server has begun, and have the server run the tool as a task:
                it does where it can (2025-11-25), or where it wants to (2026-07-28). Otherwise the handle has the
                result already.
            ttl: with `task`, seconds for which the server should keep the task (2025-11-25).
            timeout: seconds to wait, instead of `Timeouts.request`.
            on_progress: called, or awaited, with each report of progress; see `Client.request`.
            meta: further keys for the request's `_meta`.

        Returns:
            The result, also where the tool says that it failed (`is_error`); with `returns`, an
            object of that type; with `task`, a handle that gives the result.

        Raises:
            ToolFailed: with `returns`, the tool says that it failed.
            InvalidResult: the structured content breaks the schema that the tool declared, or
                does not fit `returns`.
            ConsentRefused: the consent of the client does not allow the call.
            UsageError: in a group, the name belongs to no member that is ready.
        """
        run, own = await self._route("tools", name)
        if not task and run.tools.task_support.get(own) != "required":
            try:
                return await run.tools.call(own, arguments, returns, timeout, on_progress, meta)
            except RequestFailed as exc:
                refused = exc
            if refused.code != METHOD_NOT_FOUND or not await run.tasks.must_be_task(own):
                raise refused
        tasks = run.tasks
        handle = await tasks.start(own, arguments, returns, timeout, on_progress, meta, ttl, self._reach_of(name, run))
        return handle if task else await tasks.finish(handle, timeout)

    async def get_prompt(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> GetPromptResult:
        """Get the messages of a prompt (server/prompts, "Getting a Prompt").

        Args:
            name: of the prompt; in a group, as `list_prompts` of the group has it.
            arguments: by name. They are sent as text; a value that is not a string is sent as the text of its JSON.
            timeout: seconds to wait, instead of `Timeouts.request`.
            on_progress: called, or awaited, with each report of progress; see `Client.request`.
            meta: further keys for the request's `_meta`.

        Raises:
            InvalidParams: there is no such prompt, or an argument is missing or does not fit.
            UsageError: an argument has no JSON form; in a group, the name belongs to no member that is ready.
        """
        run, own = await self._route("prompts", name)
        return await get_prompt(run.requests, own, arguments, timeout, on_progress, meta)


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
