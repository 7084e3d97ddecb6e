"""A server with tasks for `trimcp.connect`, of either revision: it speaks raw messages, and notes what it is asked.

Each call of the tool `slow` becomes a task. The test moves the tasks by `becomes`; the server checks no rule.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

import trimcp
from tests.session.peer import MODERN, Peer, discovered, error, notification, result
from trimcp.transports.memory import memory_pair

CORE = "2025-11-25"
BOTH = (CORE, MODERN)
EXTENSION = "io.modelcontextprotocol/tasks"
DONE = {"content": [{"type": "text", "text": "done"}]}


@attrs.define
class FakeTask:
    """One task of the server, in words of both revisions."""

    id: str
    status: str = "working"
    poll: int | None = 1000
    message: str | None = None
    updated: int = 0
    outcome: dict[str, Any] = attrs.field(factory=lambda: {"result": DONE})
    questions: dict[str, Any] = attrs.field(factory=dict)
    answers: dict[str, Any] = attrs.field(factory=dict)
    waiting: list[Any] = attrs.field(factory=list)
    """The ids of `tasks/result` requests that wait."""

    def wire(self, version: str) -> dict[str, Any]:
        times = {"createdAt": "2026-11-29T00:00:00Z", "lastUpdatedAt": f"2026-11-29T00:00:{self.updated:02d}Z"}
        more = {} if self.message is None else {"statusMessage": self.message}
        if version == CORE:
            interval = {} if self.poll is None else {"pollInterval": self.poll}
            return {"taskId": self.id, "status": self.status, "ttl": 60_000, **times, **interval, **more}
        interval = {} if self.poll is None else {"pollIntervalMs": self.poll}
        return {"taskId": self.id, "status": self.status, "ttlMs": None, **times, **interval, **more}

    def detailed(self) -> dict[str, Any]:
        more: dict[str, Any] = {}
        if self.status == "input_required":
            more["inputRequests"] = self.questions
        if self.status in ("completed", "failed"):
            more = dict(self.outcome)
        return {**self.wire(MODERN), **more}


class TaskServer:
    """The server's end of a connection, which answers by itself."""

    def __init__(self, version: str, *, support: str = "optional", capability: dict[str, Any] | None = None) -> None:
        self.version = version
        self.support = support
        self.capability = capability
        self.tasks: dict[str, FakeTask] = {}
        self.asked: list[tuple[float, str, dict[str, Any]]] = []
        """The time, the method and the params of each request."""
        self.cancelled: list[Any] = []
        """The params of each `notifications/cancelled`."""
        self.answered: dict[Any, Any] = {}
        """Results of requests of the server, by id."""
        self.peer: Peer
        self.refuse: dict[str, dict[str, Any]] = {}
        """The error that answers a method."""
        self.silent: set[str] = set()
        """Methods that are not answered."""
        self.makes_tasks = True

    # --- for tests --------------------------------------------------------------------

    def times(self, method: str) -> list[float]:
        return [at for at, name, _ in self.asked if name == method]

    def params(self, method: str) -> list[dict[str, Any]]:
        return [params for _, name, params in self.asked if name == method]

    async def becomes(self, id: str, status: str, *, tells: bool = False, **changes: Any) -> None:
        task = self.tasks[id]
        for name, value in changes.items():
            setattr(task, name, value)
        task.status = status
        task.updated += 1
        if status in ("completed", "failed", "cancelled"):
            for waiting in task.waiting:
                await self.peer.send(self._payload(waiting, task))
            task.waiting = []
        if tells:
            method = "notifications/tasks/status" if self.version == CORE else "notifications/tasks"
            await self.peer.send(notification(method, task.wire(CORE) if self.version == CORE else task.detailed()))

    # --- serving ----------------------------------------------------------------------

    async def serve(self, peer: Peer) -> None:
        self.peer = peer
        while True:
            try:
                message = await peer.receive()
            except EOFError:
                return
            if "method" not in message:
                self.answered[message["id"]] = message
            elif "id" not in message:
                if message["method"] == "notifications/cancelled":
                    self.cancelled.append(message["params"])
            else:
                answer = await self.answer(message)
                if answer is not None and message["method"] not in self.silent:
                    await peer.send(answer)

    async def answer(self, request: dict[str, Any]) -> dict[str, Any] | None:
        id, method, params = request["id"], request["method"], request.get("params") or {}
        if method in ("initialize", "server/discover"):
            return self._opened(id)
        self.asked.append((trio.current_time(), method, params))
        if method in self.refuse:
            return error(id, **self.refuse[method])
        if method == "tools/list":
            tool = {"name": "slow", "inputSchema": {"type": "object"}}
            more = {"execution": {"taskSupport": self.support}} if self.version == CORE else {}
            return self._result(
                id, {"tools": [{**tool, **more}, {**tool, "name": "quick"}]}, ttlMs=0, cacheScope="private"
            )
        if method == "tools/call":
            return self._called(id, params)
        if method == "tasks/list":
            return result(id, {"tasks": [task.wire(CORE) for task in self.tasks.values()]})
        if method.startswith("tasks/"):
            task = self.tasks.get(params["taskId"])
            return error(id, -32602, "no such task") if task is None else await self._about(id, method, params, task)
        if method == "subscriptions/listen":
            meta = {"io.modelcontextprotocol/subscriptionId": id}
            note = {"notifications": params["notifications"], "_meta": meta}
            await self.peer.send(notification("notifications/subscriptions/acknowledged", note))
            return None
        return error(id, -32601, f"no {method}")

    def _opened(self, id: Any) -> dict[str, Any]:
        capabilities: dict[str, Any] = {"tools": {}}
        if self.version == MODERN:
            capabilities["extensions"] = {EXTENSION: {}} if self.capability is None else self.capability
            return discovered(id, capabilities=capabilities)
        full = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
        if self.capability != {}:
            capabilities["tasks"] = self.capability or full
        info = {"name": "raw", "version": "1"}
        return result(id, {"protocolVersion": self.version, "capabilities": capabilities, "serverInfo": info})

    def _result(self, id: Any, value: dict[str, Any], **modern: Any) -> dict[str, Any]:
        return result(id, {**value, "resultType": "complete", **modern} if self.version == MODERN else value)

    def _called(self, id: Any, params: dict[str, Any]) -> dict[str, Any]:
        if self.version != MODERN:
            is_task = "task" in params
        else:
            capabilities = params["_meta"]["io.modelcontextprotocol/clientCapabilities"]
            is_task = EXTENSION in capabilities.get("extensions", {})
        if params["name"] == "quick" or not is_task or not self.makes_tasks:
            if self.support == "required" and params["name"] == "slow" and self.version == CORE:
                return error(id, -32601, "slow must be called as a task")
            return self._result(id, DONE)
        task = FakeTask(f"task-{len(self.tasks) + 1}")
        self.tasks[task.id] = task
        if self.version == CORE:
            return result(id, {"task": task.wire(CORE)})
        return result(id, {"resultType": "task", **task.wire(MODERN)})

    async def _about(self, id: Any, method: str, params: dict[str, Any], task: FakeTask) -> dict[str, Any] | None:
        core = self.version == CORE
        if method == "tasks/get":
            return self._result(id, task.wire(CORE) if core else task.detailed())
        if method == "tasks/cancel":
            await self.becomes(task.id, "cancelled")
            return self._result(id, task.wire(CORE) if core else {})
        if method == "tasks/update" and not core:
            task.answers |= params["inputResponses"]
            task.questions = {key: asked for key, asked in task.questions.items() if key not in task.answers}
            if not task.questions:
                task.status = "working"
            return self._result(id, {})
        if method == "tasks/result" and core:
            if task.status in ("completed", "failed", "cancelled"):
                return self._payload(id, task)
            task.waiting.append(id)
            for number, question in task.questions.items():
                meta = {"io.modelcontextprotocol/related-task": {"taskId": task.id}}
                params = {**question["params"], "_meta": meta}
                await self.peer.send({"jsonrpc": "2.0", "id": number, "method": question["method"], "params": params})
            task.questions = {}
            return None
        return error(id, -32601, f"no {method}")

    def _payload(self, id: Any, task: FakeTask) -> dict[str, Any]:
        if "error" in task.outcome:
            return {"jsonrpc": "2.0", "id": id, "error": task.outcome["error"]}
        return result(id, task.outcome["result"])


@asynccontextmanager
async def tasks_served(server: TaskServer, **options: Any) -> AsyncIterator[trimcp.Client]:
    """A client of the server, over memory."""
    ours, theirs = memory_pair(capacity=1 << 20)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, Peer(theirs, server.version))
        async with trimcp.connect(ours, revision=server.version, **options) as client:
            yield client
        nursery.cancel_scope.cancel()
