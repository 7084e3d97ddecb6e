"""Clients that begin tasks, of both dialects, and follow them at whatever node the balancer chooses."""

from __future__ import annotations

import abc
import random
import time
from collections.abc import Sequence
from typing import Any, Final

import trio

from benchmarks.cluster.callers import ANSWER, TASK_META, ModernClient
from benchmarks.cluster.exchange import ExchangeLost
from benchmarks.cluster.ledger import Answer
from benchmarks.cluster.sessions import PAUSE, SessionClient
from benchmarks.cluster.task_ledger import Task, TaskLedger

ENDS_SECONDS: Final = 90.0
"""Seconds in which each task must end and be told, after the last disturbance: the lease of a node that was lost, one
more run, and the work of a machine that is busy."""
TOOLS: Final = ("build", "build", "deliver", "wish")
CANCELS: Final = 0.2
"""The part of the tasks that their clients cancel."""
POLL_SECONDS: Final = 1.0
"""Seconds between two polls, as the server wants."""
INVALID_PARAMS: Final = -32602


class Dialect(abc.ABC):
    """The requests about tasks of one revision."""

    era: str

    @abc.abstractmethod
    async def begin(self, task: Task, arguments: dict[str, Any]) -> Answer:
        """Call the tool; note the id of the task."""

    @abc.abstractmethod
    async def ask(self, method: str, id: str) -> Answer:
        """Send a request about a task."""

    @abc.abstractmethod
    async def poll(self, task: Task) -> None:
        """Ask for the state, and what it lacks of the outcome."""

    @abc.abstractmethod
    async def wait(self, task: Task) -> None:
        """Wait for the end in the way of the revision, until the connection is lost."""


class CoreDialect(Dialect):
    """Tasks of 2025-11-25."""

    era = "legacy"

    def __init__(self, client: SessionClient) -> None:
        self._client = client

    async def begin(self, task: Task, arguments: dict[str, Any]) -> Answer:
        """See `Dialect`."""
        answer = await self._client.ask("tools/call", {"name": task.tool, "arguments": arguments, "task": {}})
        if answer.result is not None:
            task.id = answer.result["task"]["taskId"]
        return answer

    async def ask(self, method: str, id: str) -> Answer:
        """See `Dialect`."""
        return await self._client.ask(method, {"taskId": id})

    async def poll(self, task: Task) -> None:
        """See `Dialect`."""
        assert task.id is not None
        answer = await self.ask("tasks/get", task.id)
        check_known(task, answer)
        if answer.result is not None:
            task.tell_state(answer.result, time.time())
            # A question reaches the client by `tasks/result` alone.
            if task.state is not None or answer.result["status"] == "input_required":
                await self.wait(task)

    async def wait(self, task: Task) -> None:
        """See `Dialect`."""
        assert task.id is not None
        answer = await self.ask("tasks/result", task.id)
        check_known(task, answer)
        told = {"result": answer.result} if answer.result is not None else {"error": answer.error}
        if answer.result is not None or answer.error is not None:
            task.tell_outcome(told)


class ExtensionDialect(Dialect):
    """The extension of 2026-07-28."""

    era = "modern"

    def __init__(self, client: ModernClient) -> None:
        self._client = client

    async def begin(self, task: Task, arguments: dict[str, Any]) -> Answer:
        """See `Dialect`."""
        answer = await self._client.ask("tools/call", {"name": task.tool, "arguments": arguments})
        if answer.result is not None:
            task.id = answer.result["taskId"]
        return answer

    async def ask(self, method: str, id: str) -> Answer:
        """See `Dialect`."""
        return await self._client.ask(method, {"taskId": id})

    async def poll(self, task: Task) -> None:
        """See `Dialect`."""
        assert task.id is not None
        answer = await self.ask("tasks/get", task.id)
        check_known(task, answer)
        if answer.result is not None:
            await self._take(task, answer.result)

    async def wait(self, task: Task) -> None:
        """See `Dialect`."""
        assert task.id is not None
        wanted = {"notifications": {"taskIds": [task.id]}}
        try:
            async with self._client.post("subscriptions/listen", wanted, TASK_META) as reply:
                while reply.status == 200 and not task.has_ended and (event := await reply.event()) is not None:
                    if event.message is not None and event.message.get("method") == "notifications/tasks":
                        await self._take(task, event.message["params"])
        except ExchangeLost:
            task.note("lost")

    async def _take(self, task: Task, state: dict[str, Any]) -> None:
        task.tell_state(state, time.time())
        if task.state is not None:
            task.tell_outcome({name: state[name] for name in ("result", "error") if state.get(name) is not None})
        answers = dict.fromkeys(state.get("inputRequests", ()), ANSWER)
        while answers:  # until a node takes them
            answer = await self._client.ask("tasks/update", {"taskId": task.id, "inputResponses": answers})
            check_known(task, answer)
            if answer.result is not None or answer.error is not None:
                return
            await trio.sleep(PAUSE)


def check_known(task: Task, answer: Answer) -> None:
    """Note that the server does not know the task."""
    task.note("lost" if answer == Answer() else "refused" if answer.is_refused else "answered")
    error = answer.error
    if error is not None and error["code"] == INVALID_PARAMS and "Cannot cancel" not in error["message"]:
        task.broken.append(f"was refused: {error['message']}")


class TaskCaller:
    """Begins one task after the other, and follows each to its end."""

    def __init__(self, dialect: Dialect, ledger: TaskLedger, longest: float) -> None:
        """`longest`: see `Settings.task_seconds`."""
        self._dialect = dialect
        self._longest = longest
        self._ledger = ledger
        self._tasks: list[Task] = []
        """Those that have ended."""

    async def call_until(self, quiet: trio.Event) -> None:
        """Begin tasks until it shall be quiet and the last task has ended, or should have ended long since.

        After that, ask for all of them once more.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._give_up, quiet, nursery.cancel_scope)
            while not quiet.is_set():
                with trio.move_on_after(random.uniform(0, 2 * PAUSE)):
                    await quiet.wait()
                if not quiet.is_set():
                    await self._run_one()
            for task in self._tasks:
                await self._dialect.poll(task)
            nursery.cancel_scope.cancel()

    async def _give_up(self, quiet: trio.Event, scope: trio.CancelScope) -> None:
        await quiet.wait()
        await trio.sleep(ENDS_SECONDS)
        scope.cancel()

    async def _run_one(self) -> None:
        task = self._ledger.begin(random.choice(TOOLS), self._dialect.era)
        task.is_to_cancel = random.random() < CANCELS
        arguments: dict[str, Any] = {"key": task.key, "seconds": random.uniform(0.1, self._longest)}
        if task.tool == "build":
            # Those that are cancelled would work for minutes.
            steps = 100 if task.is_to_cancel else random.randint(1, 8)
            arguments = {"key": task.key, "steps": steps, "seconds": random.uniform(0.1, self._longest / 4)}
        answer = await self._dialect.begin(task, arguments)
        task.is_refused = answer.is_refused
        if answer.error is not None:
            task.broken.append(f"was not begun: {answer.error}")
        if task.id is None:
            return
        async with trio.open_nursery() as nursery:
            if task.is_to_cancel:
                nursery.start_soon(self._cancel, task, random.uniform(0, 3))
            while not task.has_ended:
                await random.choice((self._dialect.poll, self._dialect.wait))(task)
                if not task.has_ended:
                    await trio.sleep(POLL_SECONDS)
        await trio.sleep(random.uniform(0, PAUSE))
        await self._dialect.poll(task)
        self._tasks.append(task)

    async def _cancel(self, task: Task, seconds: float) -> None:
        """Cancel a task after some seconds, at whatever node; again until it is answered."""
        assert task.id is not None
        await trio.sleep(seconds)
        while True:
            answer = await self._dialect.ask("tasks/cancel", task.id)
            check_known(task, answer)
            if answer.result is not None and "status" in answer.result:
                task.tell_state(answer.result, time.time())
            if answer.result is not None or answer.error is not None:
                return
            await trio.sleep(PAUSE)


def callers_of(
    count: int, longest: float, sessions: Sequence[SessionClient], modern: Sequence[ModernClient], ledger: TaskLedger
) -> Sequence[TaskCaller]:
    """Make callers for some of the clients: half of each dialect, if there are clients of both."""
    dialects: list[Dialect] = []
    for number in range(count):
        if sessions and number % 2 == 0:
            dialects.append(CoreDialect(sessions[number // 2 % len(sessions)]))
        else:
            dialects.append(ExtensionDialect(modern[number // 2 % len(modern)]))
    return [TaskCaller(dialect, ledger, longest) for dialect in dialects]
