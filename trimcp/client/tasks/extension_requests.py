"""Tasks of 2026-07-28, for a client: the extension `io.modelcontextprotocol/tasks`.

The extension is declared with each request about a task, and with each call that may become one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

import attrs

from trimcp.client.features.listen import ListenRequest
from trimcp.client.notifications.notices import Topics
from trimcp.client.tasks.task_requests import TaskRequests, error_of, no_tasks
from trimcp.codec import extension_payloads
from trimcp.errors import ConnectionEnded, InvalidPayload, InvalidResult, UsageError
from trimcp.observability import events, log
from trimcp.session.tasks.state import TaskState, cancelled, state_of
from trimcp.types.extensions import declared_in
from trimcp.types.metadata import CLIENT_CAPABILITIES
from trimcp.types.task_extension import CREATED, GET, IDENTIFIER, TASK_IDS, DetailedTask, ExtensionTask

if TYPE_CHECKING:
    from trimcp.client.requests import ClientRequests

_NO_LIST: Final = "tasks of 2026-07-28 cannot be listed: keep the ids of your tasks, and use client.task(id)"


class ExtensionTaskRequests(TaskRequests):
    """The requests about tasks in 2026-07-28."""

    notification = "notifications/tasks"

    def __init__(self, requests: ClientRequests) -> None:
        super().__init__(requests)
        codec, agreement = requests.codec, requests.agreement
        self._agreement = attrs.evolve(agreement, stamp=with_tasks(agreement.stamp or {}))
        self.is_offered: bool = IDENTIFIER in declared_in(agreement.capabilities)
        self._decode_state = extension_payloads.result_decoder(codec, GET)
        self._decode_told = codec.hooks.decoder(DetailedTask, InvalidPayload)
        self._decode_tool_result = extension_payloads.polymorphic_decoder(
            codec, codec.result_decoder("tools/call"), [CREATED]
        )

    @property
    def stamp(self) -> dict[str, Any] | None:
        """See `TaskRequests`."""
        return self._agreement.stamp

    def decoded_tool_result(self, raw: Mapping[str, Any]) -> Any:
        """See `TaskRequests`."""
        return self._decode_tool_result(raw)

    async def get(self, id: str) -> TaskState:
        """See `TaskRequests`."""
        raw = await self._about_task("tasks/get", {"taskId": id})
        return state_of(self._requests.decoded(self._decode_state, raw))

    async def cancel(self, id: str) -> TaskState | None:
        """See `TaskRequests`."""
        await self._about_task("tasks/cancel", {"taskId": id})
        return None

    async def update(self, id: str, responses: Mapping[str, Any]) -> None:
        """Send answers to questions of a task, by key."""
        await self._about_task("tasks/update", {"taskId": id, "inputResponses": dict(responses)})

    async def _about_task(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if not self.is_offered:
            raise no_tasks(self._agreement.revision.version)
        return await self._request(method, params)

    async def outcome(self, state: TaskState) -> dict[str, Any]:
        """See `TaskRequests`. The state has the result, except as the answer to the call itself."""
        task: ExtensionTask = state.raw  # type: ignore[assignment]  # of this revision
        if not isinstance(task, DetailedTask):
            task = (await self.get(state.id)).raw  # type: ignore[assignment]  # as above
        if task.status == "cancelled":
            raise cancelled(state)
        if isinstance(task, DetailedTask):
            if task.error is not None and task.status == "failed":
                raise error_of(task.error)
            if task.result is not None and task.status == "completed":
                return task.result
        raise InvalidResult([f"the task {state.id} is {task.status}, and has neither result nor error"])

    async def list(self) -> NoReturn:
        """See `TaskRequests`."""
        raise UsageError(_NO_LIST)

    def told(self, params: Mapping[str, Any]) -> TaskState:
        """See `TaskRequests`."""
        return state_of(self._decode_told(params))

    async def listen(self, id: str) -> None:
        """See `TaskRequests`."""
        topics = Topics(more={TASK_IDS: (id,)})
        try:
            listen = ListenRequest(self._requests.session.calls, self._agreement, topics, None, None)
        except ConnectionEnded:
            return
        try:
            await listen.call.reply.wait_set()
            log.debug(
                events.MESSAGE_IGNORED, method="subscriptions/listen", why=f"no news of the task: {listen.call.error}"
            )
        finally:
            listen.abandon("the client no longer waits for the task")


def with_tasks(stamp: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of `_meta` that declare the extension beside all that they declare already."""
    capabilities = stamp.get(CLIENT_CAPABILITIES, {})
    extensions = {IDENTIFIER: {}, **capabilities.get("extensions", {})}
    return {**stamp, CLIENT_CAPABILITIES: {**capabilities, "extensions": extensions}}
