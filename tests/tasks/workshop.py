"""A server whose tools run as tasks, and raw peers that ask for them in either dialect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import trio

import trimcp
from tests.session.peer import MODERN, PATIENCE, Peer, notification, result
from trimcp.types.task_extension import IDENTIFIER

CORE = "2025-11-25"
RELATED = "io.modelcontextprotocol/related-task"
DECLARED: dict[str, Any] = {
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}, "extensions": {IDENTIFIER: {}}}
}
FINAL = ("completed", "failed", "cancelled")


@dataclass
class Named:
    name: str


def accepted(name: str) -> dict[str, Any]:
    """The answer of a user who gives a name."""
    return {"action": "accept", "content": {"name": name}}


class Workshop:
    """What the tools of a server wait for, and what became of them."""

    def __init__(self, **options: Any) -> None:
        self.release = trio.Event()
        self.runs: list[str] = []
        self.reasons: list[Any] = []
        self.server = trimcp.Server("workshop", **options)
        self._declare()

    def _declare(self) -> None:
        server = self.server

        @server.tool(task="optional", on_lost="rerun")
        async def work(label: str = "work", *, ctx: trimcp.Context) -> str:
            """Work until released."""
            self.runs.append(label)
            try:
                await ctx.become_task()
                await self.release.wait()
            except trio.Cancelled:
                self.reasons.append(ctx.cancel_reason)
                raise
            return f"{label} done"

        @server.tool(task="optional")
        async def once(*, ctx: trimcp.Context) -> str:
            """Work until released, and never twice."""
            await ctx.become_task()
            await self.release.wait()
            return "done"

        @server.tool(task="optional")
        async def sleep(seconds: float) -> str:
            """Sleep."""
            await trio.sleep(seconds)
            return "slept"

        @server.tool(task="required")
        async def must() -> str:
            """Be a task in any case."""
            return "must"

        @server.tool
        async def never(*, ctx: trimcp.Context) -> str:
            """Be no task."""
            return str(await ctx.become_task())

        @server.tool(task="optional")
        async def fail(how: str, *, ctx: trimcp.Context) -> str:
            """Fail."""
            await ctx.become_task()
            if how == "tool":
                raise trimcp.ToolError("broken")
            if how == "protocol":
                raise trimcp.RequestFailed(-32603, "no", {"why": "so"})
            if how == "big":
                return "x" * 2**21
            raise ValueError("a bug")

        @server.tool(task="optional", on_lost="rerun")
        async def ask(*, ctx: trimcp.Context) -> str:
            """Ask twice, one after the other."""
            await ctx.become_task()
            self.runs.append("ask")
            first = await ctx.elicit("Who is first?", Named, key="first")
            second = await ctx.elicit("Who is second?", Named)
            return f"{first.data and first.data.name}, {second.data and second.data.name}"

        @server.tool(task="optional", on_lost="rerun")
        async def book(*, ctx: trimcp.Context) -> str:
            """Take two steps that must not be taken twice, and wait."""

            def step(name: str) -> str:
                self.runs.append(name)
                return f"{name} of {len(self.runs)}"

            first = await ctx.once("first", lambda: step("first"))
            await ctx.become_task()
            second = await ctx.once("second", lambda: step("second"))
            await self.release.wait()
            return f"{first}, {second} for {sorted(ctx.principal.scopes) if ctx.principal else None}"

        @server.tool(task="optional", on_lost="rerun")
        async def hoard(*, ctx: trimcp.Context) -> str:
            """Keep more than a task may."""
            await ctx.become_task()
            return await ctx.once("much", lambda: "x" * 2**21)

        @server.tool(task="optional")
        async def ask_both(*, ctx: trimcp.Context) -> str:
            """Ask two things at once."""
            await ctx.become_task()
            answers = await ctx.ask(a=trimcp.Elicit("A?", Named), b=trimcp.Elicit("B?", Named))
            return f"{answers['a'].data.name}, {answers['b'].data.name}"

        @server.tool(task="optional")
        async def report(*, ctx: trimcp.Context) -> str:
            """Report progress, and a log message."""
            await ctx.become_task()
            await ctx.progress(1, 2, "half way")
            ctx.log("info", "at work")
            await self.release.wait()
            return "reported"

        @server.tool(task="optional")
        async def impatient(*, ctx: trimcp.Context) -> str:
            """Ask, but not for long."""
            await ctx.become_task()
            with trio.move_on_after(1):
                await ctx.elicit("Quick?", Named, key="quick")
            await self.release.wait()
            return "gave up asking"

        @server.tool(task="optional", timeout=5)
        async def too_slow(*, ctx: trimcp.Context) -> str:
            """Take longer than allowed."""
            await ctx.become_task()
            await trio.sleep_forever()


class Client:
    """Asks for tasks, in the dialect of its peer."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.is_core = peer.version != MODERN
        self._ids = 0
        self.told: list[Any] = []
        """What came beside the answers."""

    async def ask(self, method: str, params: dict[str, Any], **meta: Any) -> Any:
        """A request, and its answer."""
        id = self._ids = self._ids + 1
        if not self.is_core:
            meta = {**DECLARED, **meta}
        await self.peer.send(self.peer.request(id, method, params, **meta))
        return await self.answer(id)

    async def answer(self, id: Any) -> Any:
        """The answer with an id; other messages are kept."""
        seen = 0
        while True:
            for message in self.told[seen:]:
                if message.get("id") == id and "method" not in message:
                    self.told.remove(message)
                    return message
            seen = len(self.told)
            self.told.append(await self.peer.receive())

    async def call(self, name: str, arguments: dict[str, Any] | None = None, ttl: float | None = None) -> Any:
        """A call that asks for a task, where a client can ask."""
        params: dict[str, Any] = {"name": name, "arguments": arguments or {}}
        if self.is_core:
            params["task"] = {} if ttl is None else {"ttl": ttl}
        return await self.ask("tools/call", params)

    async def begin(self, name: str, arguments: dict[str, Any] | None = None, ttl: float | None = None) -> str:
        """A call that becomes a task; its id."""
        answer = await self.call(name, arguments, ttl)
        state = answer["result"]["task"] if self.is_core else answer["result"]
        assert state["status"] == "working"
        id: str = state["taskId"]
        return id

    async def get(self, id: str) -> dict[str, Any]:
        """The state of a task."""
        answer: dict[str, Any] = (await self.ask("tasks/get", {"taskId": id}))["result"]
        return answer

    async def cancel(self, id: str) -> Any:
        """Cancel a task."""
        return await self.ask("tasks/cancel", {"taskId": id})

    async def wait(self, id: str, *statuses: str) -> dict[str, Any]:
        """The state of a task, once it has one of the statuses, or has ended."""
        with trio.fail_after(PATIENCE):
            while (state := await self.get(id))["status"] not in (statuses or FINAL):
                await trio.sleep(1)
        return state

    async def outcome(self, id: str) -> Any:
        """The result or the error of a task that has ended or will end."""
        if self.is_core:
            answer = await self.ask("tasks/result", {"taskId": id})
            return answer.get("result") or answer["error"]
        state = await self.wait(id)
        return state.get("result") or state.get("error")

    async def result_with_answers(self, id: str, *names: str) -> Any:
        """Ask for the result of a core task, and answer what is asked meanwhile."""
        await self.peer.send(self.peer.request("result", "tasks/result", {"taskId": id}))
        answers = iter(names)
        while True:
            message = await self.peer.receive()
            if message.get("method") == "elicitation/create":
                assert message["params"]["_meta"][RELATED] == {"taskId": id}
                await self.peer.send(result(message["id"], accepted(next(answers))))
            elif message.get("id") == "result":
                return message.get("result") or message["error"]
            else:
                self.told.append(message)


async def opened(peer: Peer) -> Client:
    """A client in a session that can elicit, or one of 2026-07-28."""
    if peer.version != MODERN:
        initialize = peer.initialize()
        initialize["params"]["capabilities"] = {"elicitation": {}}
        await peer.ask(initialize)
        await peer.send(notification("notifications/initialized"))
    return Client(peer)
