"""The lines of handlers in structlog, bound to their request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
import trio

import trimcp
import trimcp.telemetry
from trimcp.transports.memory import memory_pair


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    found: list[dict[str, Any]] = []

    def keep(logger: Any, method: str, event: dict[str, Any]) -> Any:
        found.append(event)
        raise structlog.DropEvent

    structlog.configure(processors=[structlog.contextvars.merge_contextvars, keep])
    yield found
    structlog.reset_defaults()


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_lines_of_a_handler_its_tasks_and_its_threads_are_bound(
    version: str, lines: list[dict[str, Any]]
) -> None:
    server = trimcp.Server("bound")
    server.middleware(trimcp.telemetry.log_context)

    @server.tool
    async def bake(ctx: trimcp.Context) -> list[int]:
        structlog.get_logger().info("async")
        await trio.to_thread.run_sync(structlog.get_logger().info, "thread")
        return [ctx.session_number, ctx.request_number]

    async with trimcp.connect(server, revision=version) as client:
        for _ in range(2):
            result = await client.call_tool("bake")
        structlog.get_logger().info("outside")
    session, request = result.structured["result"]
    bound = {"session": session, "request": request, "method": "tools/call"}
    assert [line["event"] for line in lines] == ["async", "thread", "async", "thread", "outside"]
    for line in lines[2:4]:
        assert {key: line.get(key) for key in bound} == bound
        assert "principal" not in line
    assert lines[0]["request"] != request
    assert "request" not in lines[4]


async def test_the_principal_is_bound(lines: list[dict[str, Any]]) -> None:
    server = trimcp.Server("bound")
    server.middleware(trimcp.telemetry.log_context)

    @server.tool
    async def bake() -> None:
        structlog.get_logger().info("baked")

    ours, theirs = memory_pair()
    async with server.running() as run, trio.open_nursery() as nursery:

        async def serve() -> None:
            await run.serve(ours, principal="ann")

        nursery.start_soon(serve)
        async with trimcp.connect(theirs) as client:
            await client.call_tool("bake")
    assert [line["principal"] for line in lines if line["event"] == "baked"] == ["ann"]
