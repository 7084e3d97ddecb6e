"""Answers the questions of one task, while a caller waits for the task.

In 2025-11-25 the server asks by requests of its own, on the stream of a `tasks/result` that is open meanwhile. In
2026-07-28 the questions are in the state of the task, and the answers go out by `tasks/update`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import trio

from trimcp.client.tasks.core_requests import CoreTaskRequests
from trimcp.client.tasks.extension_requests import ExtensionTaskRequests
from trimcp.client.tasks.task_requests import TaskRequests
from trimcp.errors import ConnectionEnded, InvalidResult, RequestFailed, RequestTimedOut
from trimcp.session.tasks.state import TaskState

MOST_QUESTIONS: Final = 1024
"""The most questions of one task in all; a task with more of them is refused."""

Answer = Callable[[Mapping[str, Mapping[str, Any]]], Awaitable[dict[str, Any]]]
"""Answers raw questions by key, by the functions of the program."""


class AskedCaller(Protocol):
    """The part that waits for a task, as its questions see it. Its methods never wait."""

    def found(self, result: dict[str, Any]) -> None:
        """Take the result of the task."""
        ...

    def failed(self, error: Exception) -> None:
        """Take the error of a question: the task cannot go on."""
        ...


class AnsweredQuestions:
    """Remembers which questions of one task were answered: each is asked once, whatever the connection does."""

    def __init__(self, answers: dict[str, Any]) -> None:
        """`answers`: by key, as `TaskPoller` keeps them."""
        self.answers = answers

    def add(self, key: str, answer: Any) -> None:
        """Keep an answer.

        Raises:
            InvalidResult: there are too many.
        """
        if len(self.answers) >= MOST_QUESTIONS:
            raise InvalidResult([f"the task asks more than {MOST_QUESTIONS} questions"])
        self.answers[key] = answer


class OpenQuestions:
    """Answers questions of one task over one connection, in tasks of a nursery."""

    def __init__(
        self,
        id: str,
        requests: TaskRequests,
        answered: AnsweredQuestions,
        answer: Answer,
        caller: AskedCaller,
        nursery: trio.Nursery,
    ) -> None:
        self._id = id
        self._requests = requests
        self._answered = answered
        self._answer = answer
        self._caller = caller
        self._nursery = nursery
        self._open: dict[str, trio.CancelScope] = {}
        self._fetches = False

    def see(self, state: TaskState) -> None:
        """Begin to answer the new questions of a state, and give up those that it no longer has. Never waits."""
        requests = self._requests
        if isinstance(requests, CoreTaskRequests):
            if state.status == "input_required" and not self._fetches:
                self._fetches = True
                self._nursery.start_soon(self._fetch, requests)
        elif isinstance(requests, ExtensionTaskRequests):
            self._see(requests, state.questions if state.status == "input_required" else {})

    def _see(self, requests: ExtensionTaskRequests, questions: Mapping[str, dict[str, Any]]) -> None:
        for key in self._open.keys() - questions.keys():
            self._open.pop(key).cancel()
        for key, question in questions.items():
            is_acknowledged = self._answered.answers.get(key, question) is None
            if not is_acknowledged and key not in self._open:
                scope = self._open[key] = trio.CancelScope()
                self._nursery.start_soon(self._settle, requests, key, question, scope)

    async def _fetch(self, requests: CoreTaskRequests) -> None:
        """Hold `tasks/result` open: questions arrive as long as it is."""
        try:
            self._caller.found(await requests.result(self._id))
        except (RequestFailed, RequestTimedOut, ConnectionEnded):
            self._fetches = False  # the polls find out what has become of the task

    async def _settle(
        self, requests: ExtensionTaskRequests, key: str, question: dict[str, Any], scope: trio.CancelScope
    ) -> None:
        """Answer one question, and send the answer; other questions may take longer."""
        answers = self._answered
        with scope:
            try:
                if key not in answers.answers:
                    answers.add(key, (await self._answer({key: question}))[key])
                await requests.update(self._id, {key: answers.answers[key]})
                answers.answers[key] = None
            except Exception as exc:  # noqa: BLE001 - raised to the caller that waits for the task
                self._caller.failed(exc)
            self._open.pop(key, None)
