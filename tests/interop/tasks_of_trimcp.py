"""A server of trimcp with tasks, for clients of others: on stdio, or on HTTP with `--port 0`."""

from __future__ import annotations

import argparse
import functools
from dataclasses import dataclass

import trio

import trimcp

server = trimcp.Server("tasks-of-trimcp", limits=trimcp.Limits(task_poll=0.05, task_polls=1000))


@dataclass
class Named:
    name: str


@server.tool(task="optional")
async def count(ctx: trimcp.Context) -> str:
    """Take a while."""
    await ctx.become_task()
    await trio.sleep(0.3)
    return "three"


@server.tool(task="required")
async def fail(ctx: trimcp.Context) -> str:
    """Fail."""
    await ctx.become_task()
    raise trimcp.ToolError("out of ink")


@server.tool(task="required")
async def wait(ctx: trimcp.Context) -> None:
    """Wait to be cancelled."""
    await ctx.become_task()
    await trio.sleep_forever()


@server.tool(task="required")
async def ask(ctx: trimcp.Context) -> str:
    """Ask inside of a task."""
    await ctx.become_task()
    answer = await ctx.elicit("Who?", Named, key="who")
    return f"hello {answer.data.name if answer.data else answer.action}"


@server.tool
async def delegate(ctx: trimcp.Context) -> str:
    """Have the client ask as a task of its own."""
    task = await ctx.elicit("Who?", Named, task=True, ttl=60)
    answer = await task.result()
    return f"{'task' if task.id else 'no task'}: {answer.data.name if answer.data else answer.action}"


async def serve_http(port: int) -> None:
    """Serve HTTP, and print the URL."""
    async with trio.open_nursery() as nursery:
        host, bound = await nursery.start(functools.partial(server.serve_http, port=port))
        print(f"http://{host}:{bound}/mcp", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    options = parser.parse_args()
    if options.port is None:
        server.run()
    else:
        trio.run(serve_http, options.port)
