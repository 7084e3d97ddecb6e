"""The requests about tasks of 2025-11-25: `tasks/get`, `tasks/result`, `tasks/list`, `tasks/cancel`.

basic/utilities/tasks of 2025-11-25.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import trio

from trimcp.actors.backoff import doubled_pause
from trimcp.errors import ConnectionEnded, InvalidParams, RequestFailed, RequestTimedOut
from trimcp.extensions.tasks import lifecycle, wire
from trimcp.extensions.tasks.manager import TaskManager, is_visible
from trimcp.extensions.tasks.running_task import LOOK_AGAIN, MOST_WAIT
from trimcp.extensions.tasks.watching import TaskWatch
from trimcp.protocol.principal import key_of
from trimcp.server.context.client_requests import ANSWER_TIMEOUT
from trimcp.server.features.pagination import Paginator, invalid_cursor
from trimcp.server.middleware import Handle
from trimcp.session.delivery import Delivery
from trimcp.session.request import InboundRequest
from trimcp.stores.task_store import TaskRecord
from trimcp.types.capabilities import ServerTaskRequestsCapability, ServerTasksCapability, ToolTasksCapability
from trimcp.types.jsonrpc import METHOD_NOT_FOUND
from trimcp.types.payload import PaginatedRequestParams
from trimcp.types.tasks import (
    CancelTaskResult,
    GetTaskPayloadResult,
    GetTaskResult,
    ListTasksResult,
    Task,
    TaskRequestParams,
)

LIST: Final = "tasks"
"""The label of the cursors."""
PATIENCE: Final = 60.0
"""Seconds for which the store may fail while a client waits for the result of a task."""


def capability(delivery: Delivery) -> ServerTasksCapability:
    """Return the capability for one client. Tasks are listed for a principal alone ("Task Isolation")."""
    return ServerTasksCapability(
        list=None if delivery.principal is None else {},
        cancel={},
        requests=ServerTaskRequestsCapability(tools=ToolTasksCapability(call={})),
    )


class CoreTaskRequests:
    """Answers the requests about tasks of 2025-11-25, in one run of a server."""

    def __init__(self, manager: TaskManager, paginator: Paginator) -> None:
        self._manager = manager
        self._paginator = paginator

    @property
    def handlers(self) -> Mapping[str, Handle]:
        """The handlers by method."""
        return {
            "tasks/get": self.get,
            "tasks/result": self.result,
            "tasks/list": self.list,
            "tasks/cancel": self.cancel,
        }

    async def get(self, request: InboundRequest, params: TaskRequestParams) -> GetTaskResult:
        """Answer `tasks/get`: the state of a task."""
        return wire.core_task(await self._manager.find(request, params.task_id), GetTaskResult)

    async def cancel(self, request: InboundRequest, params: TaskRequestParams) -> CancelTaskResult:
        """Answer `tasks/cancel`: the task, which is cancelled already."""
        record = await self._manager.find(request, params.task_id)
        was_final = record.is_final

        def step(newest: TaskRecord) -> TaskRecord | None:
            nonlocal was_final
            was_final = newest.is_final
            return lifecycle.cancelled(newest, lifecycle.now())

        newest = await self._manager.change(record, step)
        if newest is None:
            raise wire.no_such_task()
        if was_final:
            raise InvalidParams(f"Cannot cancel the task: it has ended already, as {newest.status}")
        return wire.core_task(newest, CancelTaskResult)

    async def list(self, request: InboundRequest, params: PaginatedRequestParams) -> ListTasksResult:
        """Answer `tasks/list`: the tasks of the principal, oldest first."""
        principal = key_of(request.delivery.principal)
        if principal is None:
            raise RequestFailed(METHOD_NOT_FOUND, "Tasks are listed for authenticated clients alone")
        label, size = f"{LIST} {principal}", self._paginator.size
        after = None
        if params.cursor is not None:
            after = self._paginator.unseal(label, params.cursor)
            if after is None:
                raise invalid_cursor()
        try:
            found = await self._manager.list(request, after, size + 1)
        except KeyError:
            raise invalid_cursor() from None
        shown = [wire.core_task(record, Task) for record in found[:size] if is_visible(record, request)]
        more = len(found) > size
        return ListTasksResult(shown, next_cursor=self._paginator.seal(label, found[size - 1].id) if more else None)

    async def result(self, request: InboundRequest, params: TaskRequestParams) -> GetTaskPayloadResult:
        """Answer `tasks/result`: wait for the end of a task, and ask the client its questions meanwhile."""
        id = params.task_id
        with self._manager.watching(id) as watch:
            record = await self._manager.find(request, id)
            if not record.is_final:
                record = await TaskDialogue(self._manager, request, watch, record).run()
        result = wire.result_of(record)
        meta = {**(result.pop("_meta", None) or {}), **wire.related(id)}
        return GetTaskPayloadResult(meta=meta, extra=result)


class TaskDialogue:
    """Asks the client the questions of one task, on the stream of a `tasks/result`, until the task has ended."""

    def __init__(self, manager: TaskManager, request: InboundRequest, watch: TaskWatch, record: TaskRecord) -> None:
        self._manager = manager
        self._request = request
        self._watch = watch
        self._record = record
        self._scopes: dict[str, trio.CancelScope] = {}
        """Questions that were asked here, by key, each in its scope."""

    async def run(self) -> TaskRecord:
        """Return the record of the task when it has ended.

        Raises:
            InvalidParams: the task has expired.
            RequestFailed: the store failed for a minute.
        """
        failure: RequestFailed | None = None
        failed_at: float | None = None
        async with trio.open_nursery() as nursery:
            while not self._record.is_final:
                questions = lifecycle.questions_of(self._record)
                for key in self._scopes.keys() - questions.keys():
                    self._scopes.pop(key).cancel()  # answered elsewhere, or taken back: it may be asked again
                for key in questions.keys() - self._scopes.keys():
                    self._scopes[key] = trio.CancelScope()
                    nursery.start_soon(self._ask, key, questions[key], self._scopes[key])
                await self._watch.wait(LOOK_AGAIN if self._manager.is_shared or failed_at is not None else math.inf)
                try:
                    newest = await self._manager.table.find(self._record.id)
                except RequestFailed as exc:
                    failed_at = trio.current_time() if failed_at is None else failed_at
                    if trio.current_time() - failed_at < PATIENCE:
                        continue
                    failure = exc
                    break
                failed_at = None
                if newest is None:
                    failure = wire.no_such_task()
                    break
                self._record = newest
            nursery.cancel_scope.cancel()
        if failure is not None:  # raised here, since a nursery would raise a group
            raise failure
        return self._record

    async def _ask(self, key: str, question: Mapping[str, Any], scope: trio.CancelScope) -> None:
        """Ask one question, and put the answer into the record. A client that is gone is asked by its next request."""
        method, params = question["method"], dict(question.get("params") or {})
        params["_meta"] = {**params.get("_meta", {}), **wire.related(self._record.id)}
        request = self._request
        with scope:
            try:
                answer = {
                    "result": await request.session.calls.call(method, params, timeout=ANSWER_TIMEOUT, via=request)
                }
            except RequestFailed as exc:
                answer = {"error": {"code": exc.code, "message": exc.message, "data": exc.data}}
            except (ConnectionEnded, RequestTimedOut):
                return
            await self._answered({key: answer})

    async def _answered(self, answers: Mapping[str, Any]) -> None:
        """Store answers, however long the store does not take them: the client believes that it has answered."""
        failures = 0
        while True:
            try:
                await self._manager.change(
                    self._record, lambda newest: lifecycle.answered(newest, answers, lifecycle.now())
                )
            except RequestFailed:  # it was logged
                failures += 1
                await trio.sleep(doubled_pause(failures, longest=MOST_WAIT))
            else:
                return
