"""A server for loads in processes of their own: it answers at once, or stops for a moment, or fails."""

from __future__ import annotations

import time

import trio

import trimcp

server = trimcp.Server("slow", version="1.0")
CALLS: list[None] = []


@server.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool
async def echo(text: str) -> int:
    """Count the characters of a text."""
    return len(text)


@server.tool
async def stall() -> int:
    """Stop the whole server for a while, at the fiftieth call."""
    CALLS.append(None)
    if len(CALLS) == 50:
        time.sleep(0.4)  # noqa: ASYNC251 - as a server does that computes, or waits for a lock
    return len(CALLS)


@server.tool
async def hang() -> None:
    """Never answer."""
    await trio.sleep_forever()


@server.tool
async def fail() -> int:
    """Fail."""
    raise trimcp.ToolError("no")


@server.tool
async def steps(ctx: trimcp.Context) -> int:
    """Report progress."""
    for number in range(3):
        await ctx.progress(number)
        await trio.lowlevel.checkpoint()
    return 3


@server.resource("data://clock")
async def clock() -> str:
    """Tell the time."""
    return "12"


@server.prompt
async def greet(name: str) -> str:
    """Greet a person."""
    return f"Hello {name}"
