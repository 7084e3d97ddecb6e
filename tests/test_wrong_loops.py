"""trimcp under asyncio, or started twice, says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import trio

import trimcp
from tests.programs import run_python

server = trimcp.Server("adder")


async def connect() -> None:
    async with trimcp.connect(server):
        pass


async def open_group() -> None:
    async with trimcp.open_group():
        pass


async def running() -> None:
    async with server.running():
        pass


ASYNC: list[Callable[[], Awaitable[object]]] = [
    connect,
    open_group,
    running,
    server.serve_stdio,
    server.serve_tcp,
    server.serve_http,
    server.serve_websocket,
    server.serve_hypercorn,
]


@pytest.mark.parametrize("use", ASYNC)
def test_under_asyncio_the_error_says_how_to_start(use: Callable[[], Awaitable[object]]) -> None:
    async def main() -> None:
        await use()

    with pytest.raises(trimcp.UsageError, match=r"write trio\.run\(main\) in place of asyncio\.run\(main\)"):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("run", "says"),
    [(server.run, r"await server\.serve_stdio\(\)"), (server.run_http, r"await server\.serve_http\(port\)")],
)
def test_run_inside_of_trio_says_what_to_await(run: Callable[[], None], says: str) -> None:
    async def main() -> None:
        run()

    with pytest.raises(trimcp.UsageError, match=says):
        trio.run(main)


def test_run_inside_of_trio_leaves_the_descriptors() -> None:
    program = """\
import trio, trimcp
async def main():
    try:
        trimcp.Server("a").run()
    except trimcp.UsageError:
        print("refused")
trio.run(main)
"""
    assert run_python("-c", program).stdout == "refused\n"
