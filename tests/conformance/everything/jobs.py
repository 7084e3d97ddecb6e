"""Tools that take long, and run as tasks: in 2025-11-25 if the client asks, in 2026-07-28 if the server wants to."""

from __future__ import annotations

from dataclasses import dataclass

import trio
from everything.app import server

import trimcp


@dataclass
class Confirmed:
    confirm: bool


@dataclass
class Named:
    name: str
    confirm: bool


@dataclass
class User:
    name: str


@server.tool
async def greet(name: str) -> str:
    """Greet, at once."""
    return f"Hello, {name}!"


@server.tool(task="optional")
async def slow_compute(seconds: float, label: str = "work") -> str:
    """Take as long as asked."""
    await trio.sleep(seconds)
    return f"{label}: done after {seconds:g} s"


@server.tool(task="required")
async def failing_job() -> str:
    """Fail after a while, as a tool."""
    await trio.sleep(1)
    raise trimcp.ToolError("The job failed")


@server.tool(task="required")
async def protocol_error_job(ctx: trimcp.Context) -> str:
    """Fail by an error of the protocol."""
    await ctx.become_task()
    raise trimcp.RequestFailed(-32603, "The job met an error of the protocol")


@server.tool(task="required")
async def confirm_delete(filename: str, ctx: trimcp.Context) -> str:
    """Delete, once the user has confirmed."""
    await ctx.become_task()
    answer = await ctx.elicit(f"Delete {filename}?", Confirmed, key="confirm")
    return f"Deleted {filename}" if answer.data is not None and answer.data.confirm else f"Kept {filename}"


@server.tool(task="required")
async def multi_input(ctx: trimcp.Context) -> str:
    """Ask two things at once."""
    await ctx.become_task()
    answers = await ctx.ask(first=trimcp.Elicit("Who is first?", Named), second=trimcp.Elicit("Who is second?", Named))
    return ", ".join(answer.data.name for answer in answers.values() if answer.data is not None)


@server.tool(task="required")
async def test_tool_with_task(ctx: trimcp.Context) -> str:
    """Ask before the task begins."""
    answer = await ctx.elicit("What is your name?", User, key="user_name")
    await ctx.become_task()
    return f"Hello, {answer.data.name if answer.data is not None else 'stranger'}!"
