"""Loads on a server in memory, by a clock that jumps: each takes no time, and gives the same figures each time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import trio

import trimcp
from trimcp.bench.operations import Operation
from trimcp.bench.plan import Closed, Open, Plan
from trimcp.bench.result import Result
from trimcp.bench.run import Spectator, run_load
from trimcp.bench.schedule import Schedule

MILLISECOND = 1_000_000
"""In the nanoseconds of a histogram."""

Stall = tuple[float, float]


def tool(name: str, weight: float = 1.0, **arguments: object) -> Operation:
    return Operation(name, "tools/call", {"name": name, "arguments": arguments}, weight)


def sleepy(seconds: float = 0.01, *, stall: Stall | None = None) -> trimcp.Server:
    """A server whose tools take their time; from one moment to another, all of them stop."""
    server = trimcp.Server("sleepy")
    began: list[float] = []

    @server.tool
    async def work() -> int:
        began.append(trio.current_time())
        if stall is not None and stall[0] <= trio.current_time() - began[0] < stall[1]:
            await trio.sleep_until(began[0] + stall[1])
        await trio.sleep(seconds)
        return 1

    @server.tool
    async def refuse() -> int:
        await trio.sleep(seconds)
        raise trimcp.ToolError("no")

    @server.tool
    async def hang() -> int:
        await trio.sleep_forever()
        raise AssertionError

    @server.tool
    async def report(ctx: trimcp.Context) -> int:
        for number in range(3):
            await ctx.progress(number)
            await trio.sleep(seconds)
        return 1

    return server


def closed(callers: int = 1, **plan: object) -> Plan:
    return Plan(load=Closed(callers=callers), **{"warmup": 1.0, "duration": 5.0, **plan})  # type: ignore[arg-type]


def opened(rate: float, in_flight: int = 100, waiting: int = 10_000, **plan: object) -> Plan:
    load = Open(schedule=Schedule.steady(rate), in_flight=in_flight, waiting=waiting)
    return Plan(load=load, **{"warmup": 1.0, "duration": 5.0, **plan})  # type: ignore[arg-type]


async def measure(
    server: trimcp.Server, plan: Plan, *operations: Operation, spectator: Spectator | None = None, **connecting: object
) -> Result:
    """Make a load on a server in memory."""

    async def prepare(client: trimcp.Client) -> Sequence[Operation]:
        return operations or (tool("work"),)

    def connect() -> AbstractAsyncContextManager[trimcp.Client]:
        return trimcp.connect(server, cache=False, **connecting)  # type: ignore[arg-type]

    result = await run_load(connect, plan, prepare, spectator=spectator)
    assert result is not None
    return result
