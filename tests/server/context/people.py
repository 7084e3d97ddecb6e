"""A server that asks, and the functions of a client that answer; used by the tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import attrs
import trio

import trimcp
from tests.session.peer import META, MODERN, PATIENCE, Peer
from trimcp.transports.memory import memory_pair
from trimcp.types.elicitation import ElicitRequestFormParams, ElicitRequestURLParams
from trimcp.types.sampling import CreateMessageRequestParams

EVERYTHING = {"sampling": {"tools": {}}, "elicitation": {"form": {}, "url": {}}, "roots": {}}
"""The capabilities of a client that can be asked anything."""


@attrs.define
class Person:
    """Whom to greet."""

    name: str
    manner: Literal["plain", "grand"] = "plain"
    age: int | None = None


class Household:
    """Answers questions, and remembers them."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def sampling(self, params: CreateMessageRequestParams) -> str:
        """The model repeats what it hears."""
        self.asked.append("sampling")
        (message,) = params.messages
        return f"heard {getattr(message.content, 'text', '?')}"

    async def elicitation(self, params: ElicitRequestFormParams) -> dict[str, Any]:
        """Everybody is called Ada."""
        self.asked.append(params.message)
        return {"name": "Ada"}

    async def visit(self, params: ElicitRequestURLParams) -> bool:
        """Goes wherever it is sent."""
        self.asked.append(params.url)
        return True

    def options(self) -> dict[str, Any]:
        """What `trimcp.connect` takes of it."""
        return {
            "sampling": self.sampling,
            "sampling_tools": True,
            "elicitation": self.elicitation,
            "visit": self.visit,
            "roots": ["file:///home/ada"],
        }


class Modern(Peer):
    """A raw client of the modern era, which can be asked anything unless told otherwise."""

    def __init__(self, duplex: Any, capabilities: dict[str, Any] | None = None) -> None:
        super().__init__(duplex, MODERN)
        self.meta = {
            **META,
            "io.modelcontextprotocol/clientCapabilities": EVERYTHING if capabilities is None else capabilities,
        }
        self._number = 0

    async def tool(self, name: str, arguments: dict[str, Any] | None = None, **round_: Any) -> Any:
        """One round of a call: the result, or the error."""
        self._number += 1
        params = {"name": name, "arguments": arguments or {}, **round_, "_meta": self.meta}
        answer = await self.ask({"jsonrpc": "2.0", "id": self._number, "method": "tools/call", "params": params})
        assert answer["id"] == self._number
        return answer.get("result", answer.get("error"))


@asynccontextmanager
async def modern_client(server: trimcp.Server, capabilities: dict[str, Any] | None = None) -> AsyncIterator[Modern]:
    """A raw modern client in front of a server."""
    ours, theirs = memory_pair()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, theirs)
        with trio.fail_after(PATIENCE):
            yield Modern(ours, capabilities)
        await ours.aclose()
        nursery.cancel_scope.cancel()


def responses(result: Any, answers: dict[str, Any]) -> dict[str, Any]:
    """The next round: answers by method to what was asked, and the state."""
    return {
        "inputResponses": {key: answers[asked["method"]] for key, asked in result["inputRequests"].items()},
        "requestState": result["requestState"],
    }


ADA = {"action": "accept", "content": {"name": "Ada"}}
HEARD = {"role": "assistant", "content": {"type": "text", "text": "well"}, "model": "m", "stopReason": "endTurn"}
HOME = {"roots": [{"uri": "file:///home/ada", "name": "home"}]}
ANSWERS = {"elicitation/create": ADA, "sampling/createMessage": HEARD, "roots/list": HOME}
