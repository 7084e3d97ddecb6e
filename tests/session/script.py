"""Scripts of the state machine: what two clients and their server go through, step by step.

Owns the steps, how Hypothesis makes scripts of them, and the server they are played on. What must
hold is in `test_state_machine`; how it is played, in `player`.
"""

from __future__ import annotations

import json
from typing import Any, Final

import attrs
import trio
from hypothesis import strategies as st

import trimcp
from trimcp.types.revisions import REVISIONS

CLIENTS: Final = 2
LIMITS: Final = trimcp.Limits(
    session_requests=3,
    session_waiting=4,
    server_requests=4,
    out_bytes=4000,
    write_timeout=5,
    progress_rate=10,
    progress_burst=3,
    cleanup=1,
    grace=4,
)
"""Small ones, so that a short script gets to all of them."""


# --- steps ----------------------------------------------------------------------------


@attrs.frozen
class Call:
    """Call a tool, in a task of its own."""

    client: int
    tool: str
    size: int
    timeout: float | None
    watched: bool
    """Whether progress is asked for."""


@attrs.frozen
class Cancel:
    """Cancel the scope of an earlier call, if it is still under way."""

    back: int
    """0: the call before, 1: the one before that."""


@attrs.frozen
class Ping:
    """Ping the server."""

    client: int


@attrs.frozen
class Advance:
    """Let time pass; 0: until nobody has anything left to do at once."""

    seconds: float


@attrs.frozen
class Fault:
    """Something that goes wrong on the wire, or is taken away."""

    client: int
    kind: str


@attrs.frozen
class Garbage:
    """A line that one end reads and the other never wrote."""

    client: int
    to_server: bool
    line: bytes


@attrs.frozen
class Change:
    """Add a tool to the server, or take it back: every client is told."""


@attrs.frozen
class Drain:
    """Drain a client's session, or the whole server."""

    client: int | None
    deadline: float


Step = Call | Cancel | Ping | Advance | Fault | Garbage | Change | Drain

META: Final = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "nobody", "version": "0"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
SLOW: Final = {"name": "slow", "arguments": {"nonce": 0, "size": 1}}


def _request(id: str, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, **({} if params is None else {"params": params})}


def _cancel(id: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}


def _line(message: Any) -> bytes:
    return json.dumps(message).encode()


FAULTS: Final = (
    *("client closes", "client leaves", "client vanishes", "server vanishes", "server is cancelled"),
    *("server input is cut", "client input is cut", "client stops reading", "client reads again"),
)
GARBAGE: Final = (
    b"",
    b"{",
    b"\xff\xfe",
    b"null",
    b"[]",
    b"[1]",
    b"{}",
    b'"text"',
    b"[" * 200 + b"]" * 200,
    b'{"jsonrpc":"1.0","id":"g1","method":"ping"}',
    b'{"jsonrpc":"2.0","id":null,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":true,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":"g2","method":"nothing/of/the/kind"}',
    b'{"jsonrpc":"2.0","id":"g3","method":"tools/call","params":{}}',
    b'{"jsonrpc":"2.0","method":"notifications/nothing"}',
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"nobody"}}',
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}',
    b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"nobody","progress":1}}',
    b'{"jsonrpc":"2.0","id":"nobody","result":{}}',
    b'{"jsonrpc":"2.0","error":{"code":1,"message":"to nobody"}}',
    b'{"jsonrpc":"2.0","id":1,"result":7}',
    # Requests that no client of ours made: with an id of their own, the same each time; in batches;
    # and of the modern era, which a legacy session may carry as well.
    _line(_request("d1", "tools/call", SLOW)),
    _line(_request("m1", "tools/call", {**SLOW, "_meta": META})),
    _line(_request("m2", "subscriptions/listen", {"notifications": {"toolsListChanged": True}, "_meta": META})),
    _line([_request("b1", "ping"), _request("b2", "tools/call", SLOW), 7]),
    _line(_cancel("d1")),
    _line(_cancel("m2")),
    _line([_cancel("b2"), _request("b3", "no/such/method")]),
)
TOOLS: Final = (
    *("instant", "slow", "expected", "unexpected", "refused", "reporting", "shielding", "large"),
    *("hasty", "asking", "afterwards", "stubborn"),
)


@attrs.frozen
class Script:
    """One run: the medium, the revision, and the steps."""

    capacity: int
    version: str
    steps: list[Step]

    @property
    def is_peaceful(self) -> bool:
        """Whether nothing goes wrong in it."""
        return not any(isinstance(step, Fault | Garbage | Drain) for step in self.steps)


_clients = st.integers(0, CLIENTS - 1)
_calls = st.builds(
    Call,
    _clients,
    st.sampled_from(TOOLS),
    st.integers(0, 6),
    st.sampled_from([None, None, None, 0.5, 2.0, 0.0]),
    st.booleans(),
)
_peaceful = st.one_of(
    _calls,
    _calls,
    _calls,
    _calls,
    st.builds(Cancel, st.integers(0, 4)),
    st.builds(Advance, st.sampled_from([0, 0, 0.05, 0.3, 1.0])),
    st.builds(Ping, _clients),
    st.builds(Change),
)
_disturbing = st.one_of(
    st.builds(Garbage, _clients, st.booleans(), st.sampled_from(GARBAGE)),
    st.builds(Garbage, _clients, st.just(value=True), st.sampled_from(GARBAGE)),
    st.builds(Fault, _clients, st.sampled_from(FAULTS)),
    st.builds(Drain, st.none() | _clients, st.sampled_from([0.0, 1.0, 10.0])),
    st.builds(Drain, _clients, st.sampled_from([0.0, 1.0, 10.0])),
)


@st.composite
def _steps(draw: st.DrawFn) -> list[Step]:
    """Many steps in peace, so that much is under way, and a few that disturb them."""
    steps: list[Step] = draw(st.lists(_peaceful, min_size=8, max_size=25))
    for disturbing in draw(st.lists(_disturbing, max_size=4)):
        steps.insert(draw(st.integers(len(steps) // 3, len(steps))), disturbing)
    return steps


scripts: Final = st.builds(
    Script,
    st.sampled_from([1, 50, 1000, 65536]),
    st.sampled_from([revision.version for revision in REVISIONS]),
    _steps(),
)


# --- the server -----------------------------------------------------------------------


def make_server() -> trimcp.Server:
    """A server with a tool of every temper. Each returns the nonce it is given."""
    server = trimcp.Server("played", limits=LIMITS)

    @server.tool
    async def instant(nonce: int, size: int) -> int:
        return nonce

    @server.tool
    async def slow(nonce: int, size: int) -> int:
        await trio.sleep(size)
        return nonce

    @server.tool
    async def expected(nonce: int, size: int) -> int:
        raise trimcp.ToolError("as announced")

    @server.tool
    async def unexpected(nonce: int, size: int) -> int:
        await trio.sleep(size / 10)
        raise ValueError("secret")

    @server.tool
    async def refused(nonce: int, size: int) -> int:
        raise trimcp.RequestFailed(-31999, "not today", {"size": size})

    @server.tool
    async def reporting(nonce: int, size: int, ctx: trimcp.Context) -> int:
        for done in range(size * 2):
            await ctx.progress(done + 1, size * 2, "done")
            await trio.sleep(0.03 * (done % 3))
        return nonce

    @server.tool
    async def shielding(nonce: int, size: int, ctx: trimcp.Context) -> int:
        try:
            await trio.sleep(size)
        finally:
            with ctx.cleaning_up():
                await trio.sleep(0.3)
        return nonce

    @server.tool
    async def stubborn(nonce: int, size: int, ctx: trimcp.Context) -> int:
        with trio.CancelScope(shield=True):
            await trio.sleep(size)
            await ctx.progress(1)
        return nonce

    @server.tool
    async def large(nonce: int, size: int) -> dict[str, Any]:
        return {"nonce": nonce, "padding": "x" * size * 1000}

    @server.tool(timeout=0.5)
    async def hasty(nonce: int, size: int, ctx: trimcp.Context) -> int:
        await ctx.progress(1)
        await trio.sleep(size / 5)
        return nonce

    @server.tool
    async def asking(nonce: int, size: int, ctx: trimcp.Context) -> int:
        await ctx.ping()
        return nonce

    @server.tool
    async def afterwards(nonce: int, size: int, ctx: trimcp.Context) -> int:
        async def report_late() -> None:
            await trio.sleep(size / 10)
            await ctx.progress(1)

        await ctx.progress(0.5)
        ctx.start_job(report_late)
        return nonce

    return server
