"""Hostile tools of a server in a process of its own, on stdio: 99 healthy calls beside them, and a good exit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from tests.hostile.crowd import INSTANT, LATER, STRIKES, WAITING, Got
from tests.hostile.functions import HOSTILE, MOMENT, Hostile, Outcome
from tests.process.children import META, Child, call, child

SERVER: Final = [sys.executable, str(Path(__file__).with_name("hostile_server.py"))]
LINGERING: Final = 500
"""Ids of calls that are given up, from here on."""
STRIKE: Final = 900
"""Ids of the hostile calls, from here on."""
OTHER: Final = 1000
"""Ids of all other calls, from here on."""


PLAIN: Final = (
    "raises_stop_iteration",
    "raises_stop_async_iteration",
    "raises_an_exception_group",
    "raises_memory_error",
    "awaits_what_trio_does_not_know",
    "fails_in_a_child_task",
    "turns_cancelled_into_an_error",
    "cancels_a_scope_of_its_own",
)
"""Functions that raise ordinary errors, or nothing: they meet every other transport, and processes take time."""


class Session:
    """Calls by id, on one connection."""

    def __init__(self, server: Child) -> None:
        self._server = server
        self._answers: dict[int, dict[str, Any]] = {}
        self._next = OTHER

    async def send(self, *messages: dict[str, Any]) -> None:
        """Sends messages in one piece."""
        await self._server.send(*messages)

    async def answer(self, id: int) -> dict[str, Any]:
        """Waits for the answer to a call."""
        while id not in self._answers:
            message = await self._server.receive()
            assert message["id"] not in self._answers
            self._answers[message["id"]] = message
        return self._answers[id]

    async def text(self, id: int) -> str:
        """Waits for the text that a healthy tool returned."""
        answer = await self.answer(id)
        result = answer.get("result", {})
        assert "result" in answer, answer
        assert not result.get("isError"), answer
        return str(result["content"][0]["text"])

    async def called(self, tool: str) -> str:
        """Calls a healthy tool, and waits for its text."""
        self._next += 1
        await self.send(call(self._next, tool))
        return await self.text(self._next)

    async def cancel(self, first: int, number: int) -> None:
        """Gives up on calls."""
        params = [{"requestId": id, "_meta": META} for id in range(first, first + number)]
        await self.send(*({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": one} for one in params))

    def were_answered(self, first: int, number: int) -> bool:
        """Whether an answer to one of these calls has come."""
        return any(id in self._answers for id in range(first, first + number))


def adds(first: int, number: int, tool: str) -> list[dict[str, Any]]:
    """Healthy calls, by their ids."""
    return [call(id, tool, a=id, b=1000) for id in range(first, first + number)]


def got(answer: dict[str, Any]) -> Got:
    """What the answer to a hostile call says."""
    if "error" in answer:
        return Got(error=str(answer["error"]))
    result = answer["result"]
    text = result["content"][0]["text"]
    return Got(error=text) if result.get("isError") else Got(value=text)


@pytest.mark.parametrize("hostile", [each for each in HOSTILE.values() if each.name not in PLAIN], ids=str)
async def test_a_hostile_tool_on_stdio(hostile: Hostile) -> None:
    async with child(SERVER, PYTHONWARNINGS="ignore") as server:
        session = Session(server)
        strikes = [call(STRIKE + number, hostile.name) for number in range(STRIKES)]
        instant = adds(WAITING, INSTANT, "add")
        await session.send(*adds(0, WAITING, "add_later"), *instant[:STRIKES], *strikes, *instant[STRIKES:])
        for id in range(WAITING, WAITING + INSTANT):
            assert await session.text(id) == str(id + 1000)
        if hostile.outcome is Outcome.HANGS:
            await session.cancel(STRIKE, STRIKES)
        else:
            for number in range(STRIKES):
                got(await session.answer(STRIKE + number)).check(hostile.outcome, hostile.value)
        await trio.sleep(MOMENT if hostile.lasts else 0)
        assert await session.called("open_gate") == "open"
        for id in range(WAITING):
            assert await session.text(id) == str(id + 1000)
        await _works(session)
        assert not (hostile.outcome is Outcome.HANGS and session.were_answered(STRIKE, STRIKES))
        assert server.process.stdin is not None
        await server.process.stdin.aclose()
        assert await server.exit_code() == 0, server.stderr


async def _works(session: Session) -> None:
    """Checks that healthy calls get right answers, and that giving up cancels them."""
    await session.send(*adds(200, LATER, "add"), *adds(200 + LATER, LATER, "add_later"))
    for id in range(200, 200 + 2 * LATER):
        assert await session.text(id) == str(id + 1000)
    await session.send(*(call(LINGERING + number, "linger") for number in range(LATER)))
    while await session.called("lingered") != str(LATER):
        await trio.lowlevel.checkpoint()
    await session.cancel(LINGERING, LATER)
    while await session.called("lingered") != str(-LATER):
        await trio.lowlevel.checkpoint()
    await session.send(*adds(300, LATER, "add"))
    for id in range(300, 300 + LATER):
        assert await session.text(id) == str(id + 1000)
