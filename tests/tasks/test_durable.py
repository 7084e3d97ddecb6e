"""Tasks in a file and in Valkey: the server is killed with tasks in each state, and the next one tells the truth."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.process.children import META, Child, child
from tests.stores.valkey import running_valkey
from tests.tasks.workshop import DECLARED, FINAL, accepted

PROGRAM = str(Path(__file__).with_name("durable_server.py"))


class Caller:
    """A client of a server in a process."""

    def __init__(self, server: Child) -> None:
        self.server = server
        self._ids = 0

    async def ask(self, method: str, params: dict[str, Any]) -> Any:
        """A request, and its answer's result or error."""
        self._ids += 1
        params = {**params, "_meta": {**META, **DECLARED}}
        await self.server.send({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params})
        answer = await self.server.receive()
        assert answer["id"] == self._ids
        return answer.get("result") or answer["error"]

    async def begin(self, name: str, **arguments: Any) -> str:
        id: str = (await self.ask("tools/call", {"name": name, "arguments": arguments}))["taskId"]
        return id

    async def get(self, id: str) -> Any:
        return await self.ask("tasks/get", {"taskId": id})

    async def answer(self, id: str, key: str, name: str) -> None:
        await self.ask("tasks/update", {"taskId": id, "inputResponses": {key: accepted(name)}})

    async def wait(self, id: str, *statuses: str) -> Any:
        while (state := await self.get(id))["status"] not in statuses:
            await trio.sleep(0.1)
        return state


@asynccontextmanager
async def process(state: str, *more: str) -> AsyncIterator[Caller]:
    async with child([sys.executable, PROGRAM, state, *more]) as server:
        yield Caller(server)


@pytest.fixture(params=["sqlite", "valkey"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a store that outlives the server."""
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path / 'state.db'}"
    else:
        with running_valkey() as valkey:
            yield valkey.url


async def test_a_server_that_is_killed_leaves_the_truth(state: str) -> None:
    async with process(state) as first:
        fails, again = await first.begin("once"), await first.begin("work", label="again")
        asks, asks_still = await first.begin("ask"), await first.begin("ask")
        cancelled = await first.begin("work", label="cancelled")
        await first.ask("tasks/cancel", {"taskId": cancelled})
        done, broken = await first.begin("must"), await first.begin("fail", how="protocol")
        for id in (done, broken):
            await first.wait(id, *FINAL)
        await first.wait(asks, "input_required")
        await first.answer(asks, "first", "Ada")
        question = None
        while question in (None, "first"):
            (question,) = (await first.wait(asks, "input_required"))["inputRequests"]
        await first.wait(asks_still, "input_required")
        first.server.signal(signal.SIGKILL)
        await first.server.exit_code()
    async with process(state, "released") as second:
        assert (await second.get(done))["result"]["content"][0]["text"] == "must"
        assert (await second.get(broken))["error"] == {"code": -32603, "message": "no", "data": {"why": "so"}}
        assert (await second.get(cancelled))["status"] == "cancelled"
        lost = (await second.wait(fails, *FINAL))["error"]
        assert lost["data"] == {"reason": "node_lost"}
        assert (await second.wait(again, *FINAL))["result"]["content"][0]["text"] == "again done"
        while list((await second.get(asks)).get("inputRequests", ())) != [question]:  # it runs again
            await trio.sleep(0.1)
        await second.answer(asks, question, "Bob")
        assert (await second.wait(asks, *FINAL))["result"]["content"][0]["text"] == "Ada, Bob"
        assert list((await second.wait(asks_still, "input_required"))["inputRequests"]) == ["first"]


async def test_a_server_that_is_told_to_stop_lets_its_tasks_end(state: str) -> None:
    async with process(state) as first:
        slow = await first.begin("sleep", seconds=1.5)
        first.server.signal(signal.SIGTERM)
        assert await first.server.exit_code() == 0
    async with process(state) as second:
        assert (await second.get(slow))["result"]["content"][0]["text"] == "slept"
