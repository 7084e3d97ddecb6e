"""Some servers answer 400 in a session that they have forgotten: another is opened, once, as after 404."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

import trimcp
from tests.http.client.eras import Legacy
from tests.http.client.scripted import Answer, Ask, scripted
from trimcp.errors import TrimcpError

NO_SESSION = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: No valid session ID"}}'
OTHERWISE = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"Bad cursor"}}'


class Forgetful(Legacy):
    """Answers 400 in sessions that it does not know."""

    body: tuple[str, bytes] = ("", b"")
    is_lasting = False

    async def __call__(self, ask: Ask, answer: Answer) -> None:
        id = ask.fields.get("Mcp-Session-Id")
        if ask.method == "tools/list" and (self.is_lasting or id not in self.known):
            await answer.whole(400, *self.body)
        else:
            await super().__call__(ask, answer)


@pytest.mark.parametrize(
    "body", [("", b""), ("text/plain", b"Bad Request"), ("application/json", NO_SESSION), ("application/json", b"{}")]
)
async def test_a_400_that_says_nothing_else_opens_another_session(
    body: tuple[str, bytes], autojump_clock: MockClock
) -> None:
    legacy = Forgetful()
    legacy.body = body
    async with scripted(legacy) as server, trimcp.connect(server.url) as client:
        await client.list_tools()
        legacy.known.clear()
        assert await client.list_tools() == []
    assert server.methods.count("initialize") == 2


async def test_a_400_that_says_otherwise_does_not(autojump_clock: MockClock) -> None:
    legacy = Forgetful()
    legacy.body = ("application/json", OTHERWISE)
    async with scripted(legacy) as server, trimcp.connect(server.url) as client:
        legacy.known.clear()
        with pytest.raises(TrimcpError, match="Bad cursor"):
            await client.list_tools()
    assert server.methods.count("initialize") == 1


async def test_a_400_that_comes_again_opens_no_further_session(autojump_clock: MockClock) -> None:
    legacy = Forgetful()
    legacy.is_lasting = True
    async with scripted(legacy) as server, trimcp.connect(server.url) as client:
        for _ in range(3):
            with pytest.raises(TrimcpError, match="400"):
                await client.list_tools()
    assert server.methods.count("initialize") == 2
