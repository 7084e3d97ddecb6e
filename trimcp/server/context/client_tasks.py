"""Has a client of 2025-11-25 run sampling and elicitation as tasks: `ctx.sample(task=True)` and the others.

The client answers the request with a task at once; the handle polls the client, as the handle of a client polls a
server. basic/utilities/tasks of 2025-11-25.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from trimcp.codec.revisions import codec_for
from trimcp.errors import ConnectionEnded, InvalidPayload, InvalidResult, RequestFailed, RequestTimedOut, UsageError
from trimcp.observability import events, log
from trimcp.server.context.client_requests import ANSWER_TIMEOUT, SealingRun, ask, encoded_params, read_answer
from trimcp.server.context.requirements import check
from trimcp.session.tasks.handle import TaskHandle
from trimcp.session.tasks.poller import TaskPoller
from trimcp.session.tasks.state import TaskState, cancelled, state_of
from trimcp.session.tasks.watched import WatchedTasks
from trimcp.types.methods import METHODS
from trimcp.types.tasks import CreateTaskResult

if TYPE_CHECKING:
    from trimcp.server.context.questions import Question
    from trimcp.session.peer import Peer
    from trimcp.session.request import InboundRequest
    from trimcp.types.capabilities import ClientCapabilities

STATUS: Final = "notifications/tasks/status"
PATIENCE: Final = METHODS["tasks/get"].default_deadline
"""Seconds that a client may take to answer a request about a task, and for which a busy one is asked again."""


class AskingRun(SealingRun, Protocol):
    """The run of a server, as far as it has clients run tasks."""

    client_tasks: WatchedTasks
    """Gets the notifications of clients about their tasks."""


async def ask_as_task(
    request: InboundRequest, run: AskingRun, question: Question[Any], key: str | None, ttl: float | None
) -> TaskHandle[Any]:
    """Ask the client, as a task if the client runs such tasks; else wait for the answer.

    Args:
        request: the request that the handler serves.
        run: the run of the server.
        question: what is asked.
        key: see `ask`, for a client that runs no task.
        ttl: seconds for which the client should keep the task.

    Raises: as `ask`.
    """
    if not _may_be_task(request, question):
        (value,) = await ask(request, run, {key: question})
        return TaskHandle(None, None, value)
    check(request, question.requires)
    params = encoded_params(request, question) or {}
    params["task"] = {} if ttl is None else {"ttl": math.ceil(ttl * 1000)}
    session, codec = request.session, codec_for(request.revision)
    raw = await session.calls.call(question.method, params, timeout=ANSWER_TIMEOUT, via=request)
    if not isinstance(raw.get("task"), dict):  # the client has answered at once
        return TaskHandle(None, None, read_answer(question, raw, codec))
    try:
        state = state_of(codec.structure(raw, CreateTaskResult).task)
    except InvalidPayload as exc:
        raise InvalidResult(exc.problems) from None
    log.debug(events.TASK_CREATED, task=state.id, method=question.method)
    asked = AskedClient(request, run)

    async def reach() -> AskedClient:
        return asked

    async def build(raw: dict[str, Any]) -> Any:
        return read_answer(question, raw, codec)

    return TaskHandle(TaskPoller(reach, state.id, state), build)


def _may_be_task(request: InboundRequest, question: Question[Any]) -> bool:
    """Whether the client runs such a question as a task, and there is a session to ask it in."""
    if request.scope is None or request.is_settled or request.rounds is not None or request.profile is None:
        return False
    return _declares(request.profile.capabilities, question.method)


def _declares(capabilities: ClientCapabilities, method: str) -> bool:
    requests = None if capabilities.tasks is None else capabilities.tasks.requests
    if requests is None:
        return False
    if method == "sampling/createMessage":
        return requests.sampling is not None and requests.sampling.create_message is not None
    return requests.elicitation is not None and requests.elicitation.create is not None


def take_status(session: Peer, run: AskingRun, params: Mapping[str, Any] | None) -> None:
    """Take `notifications/tasks/status` of a client. Never waits."""
    if session.revision is None:
        return
    try:
        state = state_of(codec_for(session.revision).params_decoder(STATUS)(params or {}))
    except InvalidPayload as exc:
        log.warning(events.MESSAGE_IGNORED, session=session.number, method=STATUS, why=str(exc))
        return
    run.client_tasks.told((session.number, state.id), state)


class AskedClient:
    """The client of one request, as the pollers of its tasks see it. See `TaskPeer` and `PolledRequests`."""

    patience: float | None = PATIENCE

    def __init__(self, request: InboundRequest, run: AskingRun) -> None:
        self._request = request
        self._session = request.session
        self._codec = codec_for(request.revision)
        self._tasks = run.client_tasks

    def requests(self) -> AskedClient:
        """See `TaskPeer`."""
        return self

    def watched(self, poller: TaskPoller) -> AbstractContextManager[None]:
        """See `TaskPeer`."""
        return self._tasks.watched((self._session.number, poller.id), poller)

    def questions(self, poller: TaskPoller, nursery: trio.Nursery) -> OpenResult:
        """See `TaskPeer`."""
        return OpenResult(self, poller, nursery)

    async def get(self, id: str) -> TaskState:
        """See `PolledRequests`."""
        return await self._state("tasks/get", id)

    async def cancel(self, id: str) -> TaskState:
        """See `PolledRequests`.

        Raises:
            UsageError: the client did not declare that its tasks can be cancelled.
        """
        profile = self._request.profile
        tasks = None if profile is None else profile.capabilities.tasks
        if tasks is None or tasks.cancel is None:
            raise UsageError(f"Cannot cancel the task {id}: the client did not declare tasks.cancel; let it end")
        return await self._state("tasks/cancel", id)

    async def outcome(self, state: TaskState) -> dict[str, Any]:
        """See `PolledRequests`."""
        if state.status == "cancelled":
            raise cancelled(state)
        return await self.result(state.id, PATIENCE)

    async def result(self, id: str, timeout: float | None = None) -> dict[str, Any]:
        """Wait for the raw result of a task."""
        return await self._call("tasks/result", id, timeout)

    async def listen(self, id: str) -> None:
        """See `PolledRequests`. A client sends its notifications without being asked."""
        await trio.lowlevel.checkpoint()

    async def _state(self, method: str, id: str) -> TaskState:
        raw = await self._call(method, id, PATIENCE)
        try:
            state = state_of(self._codec.result_decoder(method)(raw))
        except InvalidPayload as exc:
            raise InvalidResult(exc.problems) from None
        if state.id != id:
            raise InvalidResult([f"the state is that of another task, {state.id!r} @ $.taskId"])
        return state

    async def _call(self, method: str, id: str, timeout: float | None) -> dict[str, Any]:
        """Ask on the stream of the request, and when that is answered on the stream of the session."""
        request = self._request
        via = request if request.session is self._session and not request.is_settled else None
        return await self._session.calls.call(method, {"taskId": id}, timeout=timeout, via=via)


class OpenResult:
    """Holds `tasks/result` open while a task of the client needs input: the client asks on its stream."""

    def __init__(self, client: AskedClient, poller: TaskPoller, nursery: trio.Nursery) -> None:
        self._client = client
        self._poller = poller
        self._nursery = nursery
        self._is_open = False

    def see(self, state: TaskState) -> None:
        """See `QuestionWatch`."""
        if state.status == "input_required" and not self._is_open:
            self._is_open = True
            self._nursery.start_soon(self._fetch)

    async def _fetch(self) -> None:
        try:
            self._poller.found(await self._client.result(self._poller.id))
        except (RequestFailed, RequestTimedOut, ConnectionEnded):
            self._is_open = False  # the polls find out what has become of the task
