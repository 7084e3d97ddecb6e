"""A client of 2026-07-28: calls and questions without a session, and a listen."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any, Final

import trio

from benchmarks.cluster.exchange import Address, ExchangeLost, Reply, exchange
from benchmarks.cluster.ledger import Answer, Call, Ledger, Outcome
from benchmarks.cluster.sessions import AGAIN, PATIENCE, PAUSE

VERSION: Final = "2026-07-28"
META: Final = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
    "io.modelcontextprotocol/clientInfo": {"name": "simulation", "version": "1"},
}
TASK_META: Final = {
    **META,
    "io.modelcontextprotocol/clientCapabilities": {
        "elicitation": {"form": {}},
        "extensions": {"io.modelcontextprotocol/tasks": {}},
    },
}
"""Of requests that can deal with tasks."""
ANSWER: Final = {"action": "accept", "content": {"word": "owl"}}


class ModernClient:
    """Calls now and then, and listens for changes of a square."""

    def __init__(self, number: int, address: Address, ledger: Ledger, square: int) -> None:
        self.name = f"modern{number}"
        self.square = square
        self._address = address
        self._ledger = ledger
        self._ids = 0
        self.told = 0
        """Notices that the square has changed."""
        self.listens = trio.Event()
        """Set while the listen is acknowledged."""

    async def call_until(self, quiet: trio.Event, *, every: float) -> None:
        """Call now and then, until it shall be quiet and the last call has ended."""
        while not quiet.is_set():
            with trio.move_on_after(random.expovariate(1 / every)):
                await quiet.wait()
            if not quiet.is_set():
                await self.call(random.choice(("ring", "ring", "ask")))

    async def call(self, tool: str) -> Call:
        """Call a tool with a counted effect."""
        call = self._ledger.begin(f"modern {tool}", self.name)
        params: dict[str, Any] = {"name": tool, "arguments": {"key": call.key}}
        with trio.move_on_after(PATIENCE):
            try:
                while call.is_open:
                    params |= await self._round(call, params)
            except ExchangeLost:
                call.end(Outcome.UNKNOWN)
        return call

    async def announce(self) -> None:
        """Have a node tell all that the square has changed."""
        with trio.fail_after(PATIENCE):
            while True:
                params = {"name": "announce", "arguments": {"number": self.square}}
                try:
                    async with self.post("tools/call", params) as reply:
                        if reply.status == 200 and "result" in await self._answer(reply):
                            return
                except ExchangeLost:
                    pass
                await trio.sleep(PAUSE)

    async def _round(self, call: Call, params: dict[str, Any]) -> dict[str, Any]:
        """Send a call; return what its next round has in addition."""
        async with self.post("tools/call", params) as reply:
            self._ledger.counts[f"status {reply.status}"] += 1
            if reply.status != 200:
                call.end(Outcome.REFUSED if reply.status in AGAIN else Outcome.FAILED, f"status {reply.status}")
                return {}
            message = await self._answer(reply)
        result = message.get("result", {})
        if result.get("resultType") != "input_required":
            call.answer(message)
            return {}
        # The state may be sent to any node.
        return {
            "inputResponses": dict.fromkeys(result["inputRequests"], ANSWER),
            "requestState": result["requestState"],
        }

    async def _answer(self, reply: Reply) -> dict[str, Any]:
        """Read the answer."""
        while (event := await reply.event()) is not None:
            if event.message is not None and "method" not in event.message:
                answer: dict[str, Any] = event.message
                return answer
        raise ExchangeLost("the stream ended without the answer")

    async def listen(self) -> None:
        """Keep a listen open until cancelled."""
        wanted = {"notifications": {"resourceSubscriptions": [f"town://square/{self.square}"]}}
        while True:
            try:
                async with self.post("subscriptions/listen", wanted) as reply:
                    while reply.status == 200 and (event := await reply.event()) is not None:
                        method = None if event.message is None else event.message.get("method")
                        if method == "notifications/subscriptions/acknowledged":
                            self.listens.set()
                        self.told += method == "notifications/resources/updated"
            except ExchangeLost:
                self._ledger.counts["listens lost"] += 1
            if self.listens.is_set():  # else a task may wait for it
                self.listens = trio.Event()
            await trio.sleep(random.uniform(0, 2 * PAUSE))

    # --- tasks ------------------------------------------------------------------------

    async def ask(self, method: str, params: dict[str, Any]) -> Answer:
        """Send a request once that can deal with tasks, and wait for its answer."""
        try:
            async with self.post(method, params, TASK_META) as reply:
                self._ledger.counts[f"status {reply.status}"] += 1
                if reply.status in AGAIN:
                    return Answer(is_refused=True)
                return Answer.of(await self._answer(reply))
        except ExchangeLost:
            return Answer()

    def post(self, method: str, params: dict[str, Any], meta: Mapping[str, Any] = META) -> Any:
        """Send a request: a context manager of its reply."""
        self._ids += 1
        message = {"jsonrpc": "2.0", "id": self._ids, "method": method, "params": {**params, "_meta": meta}}
        fields = {
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "MCP-Protocol-Version": VERSION,
            "Mcp-Method": method,
        }
        if method == "tools/call":
            fields["Mcp-Name"] = params["name"]
        elif method.startswith("tasks/"):
            fields["Mcp-Name"] = params["taskId"]
        return exchange(self._address, "POST", "/mcp", fields, json.dumps(message).encode())
