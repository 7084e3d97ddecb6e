"""A server that is busy by itself: a client in the same process calls its tools as long as it runs."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator

import trio

import trimcp
import trimcp.telemetry

SECRET = "hunter-of-secrets-22"


@contextlib.asynccontextmanager
async def customers(server: trimcp.Server) -> AsyncIterator[None]:
    """Call the tools until the server ends."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(visit)
        yield
        nursery.cancel_scope.cancel()


server = trimcp.Server("shop", version="2.1", lifespan=customers)
server.middleware(trimcp.telemetry.log_context)


@server.tool
async def price(bread: str) -> float:
    """What a loaf costs."""
    return {"rye": 4.2, "spelt": 5.1}[bread]


@server.tool
async def bake(ctx: trimcp.Context, loaves: int) -> str:
    """Bake for long."""
    await ctx.progress(1, loaves, "kneading")
    await trio.sleep_forever()
    return "bread"


@server.tool
async def log_in(user: str, password: str, ctx: trimcp.Context) -> str:
    """Repeat a secret, also in logs."""
    ctx.log("info", {"user": user, "password": password})
    logging.getLogger("shop").warning("%s came with password=%s", user, password)
    return f"{user} came with {password}"


@server.resource("stock://rye")
async def rye() -> str:
    """Return how many loaves there are."""
    return "12"


async def visit() -> None:
    """Buy bread, and wait for one that is never done."""
    while not server.tree():
        await trio.sleep(0.01)
    async with (
        trimcp.connect(server, name="customer", version="1.0", log_level="info") as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(order, client)
        nursery.start_soon(watch, client)
        with contextlib.suppress(trimcp.TrimcpError):
            while True:
                await client.call_tool("log_in", {"user": "ada", "password": SECRET})
                for _ in range(200):
                    await client.call_tool("price", {"bread": "rye"})
                    await trio.sleep(0.005)


async def watch(client: trimcp.Client) -> None:
    """Listen to the stock."""
    async with client.listen(uris=["stock://rye"]):
        await trio.sleep_forever()


async def order(client: trimcp.Client) -> None:
    """Wait for bread, with progress, until it is cancelled."""
    with contextlib.suppress(trimcp.TrimcpError):
        await client.call_tool("bake", {"loaves": 12}, on_progress=lambda *report: None, timeout=3600)
