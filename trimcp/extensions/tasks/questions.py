"""Questions to the client inside a task: `ctx.elicit` and the others, once the call is a task.

The questions are put into the record of the task, by keys that are never used for another question, and the handler
waits until the answers are in the record. How they reach the client is a matter of the dialect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidPayload, InvalidResult, RequestFailed, UsageError
from trimcp.extensions.tasks.lifecycle import kept_of
from trimcp.server.context.client_requests import InputRounds, Questions
from trimcp.server.context.questions import Question
from trimcp.server.context.sealed_state import State, digest_of
from trimcp.session.request import InboundRequest
from trimcp.stores.task_store import TaskRecord
from trimcp.types.jsonrpc import INVALID_REQUEST

T = TypeVar("T")


class AskingTask(Protocol):
    """The running task, as its questions see it."""

    record: TaskRecord

    async def ask(self, requests: Mapping[str, dict[str, Any]]) -> Mapping[str, Any]:
        """Put questions into the record, by key; return the answers as the record has them."""
        ...

    async def keep(self, key: str, value: Any) -> None:
        """Keep the result of a step in the record."""
        ...


class TaskQuestions:
    """Asks the questions of one task. It stands for the `InputRounds` of its request."""

    def __init__(self, request: InboundRequest, task: AskingTask, earlier: InputRounds | None) -> None:
        """
        Args:
            request: the work of the task.
            task: puts the questions into the record and waits for the answers.
            earlier: the rounds before the call became a task.
        """
        self._request = request
        self._task = task
        self._occurrences: dict[str, int] = {} if earlier is None else earlier.occurrences
        self._digests: dict[str, str] = {} if earlier is None else earlier.digests
        self.state: State = State(kept=kept_of(task.record)) if earlier is None else earlier.state

    async def answers(self, questions: Questions) -> list[Any]:
        """See `InputRounds`."""
        asked = [(*self._encoded(key, question), question) for key, question in questions.items()]
        answers = await self._task.ask({key: request for key, request, _ in asked})
        return [self._read(answers[key], question) for key, _, question in asked]

    def _encoded(self, key: str | None, question: Question[Any]) -> tuple[str, dict[str, Any]]:
        """Return the key of a question, which is never used for another one, and the question as JSON."""
        revision = self._request.revision
        try:
            request: dict[str, Any] = codec_for(revision).unstructure(question.request(revision))
        except InvalidPayload as exc:
            version = revision.version
            raise RequestFailed(INVALID_REQUEST, f"{question.method} cannot be asked in {version}: {exc}") from None
        digest = digest_of(request)
        if key is None:
            number = self._occurrences[digest] = self._occurrences.get(digest, 0) + 1
            key = f"{digest}.{number}"
        elif self._digests.get(key, digest) != digest:
            raise UsageError(f"Two different questions have the key {key!r}: give each question its own key")
        self._digests[key] = digest
        return key, request

    def _read(self, answer: Mapping[str, Any], question: Question[T]) -> T:
        error = answer.get("error")
        if error is not None:
            raise RequestFailed(error["code"], error["message"], error.get("data"))
        try:
            return question.answer(answer["result"], codec_for(self._request.revision))
        except InvalidPayload as exc:
            raise InvalidResult(exc.problems) from None

    async def keep(self, key: str, value: Any) -> None:
        """See `InputRounds`. Where the task may run again, the result is stored when this returns."""
        self.state.kept[key] = value
        await self._task.keep(key, value)

    def ended(self) -> None:
        """See `InputRounds`. The task itself wakes those that wait for answers."""
