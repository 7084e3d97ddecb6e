"""The server that `trimcp demo` starts: a bakery, with one tool for each feature shown.

It is an ordinary server file: `trimcp run` serves it, and any other client may use it as well. Its
prints go to stderr, since stdout carries the protocol.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import trio

import trimcp

server: trimcp.Server = trimcp.Server(
    "bakery", version=trimcp.__version__, description="The server of trimcp's demonstration."
)

PRICES = {"rye": 4.2, "spelt": 5.1, "wheat": 3.4}


@dataclass
class Offer:
    """The price of an order."""

    bread: str
    loaves: int
    each: float
    total: float


@server.tool
async def price(bread: str, loaves: int = 1) -> Offer:
    """Return the price of some loaves: a result that is an object with a schema."""
    each = PRICES.get(bread)
    if each is None:
        raise trimcp.ToolError(f"there is no {bread}; there is {', '.join(PRICES)}")
    return Offer(bread, loaves, each, round(each * loaves, 2))


@server.tool
async def bake(bread: str, loaves: int, seconds: float, *, ctx: trimcp.Context) -> str:
    """Bake one loaf after the other, `seconds` each, and report progress after each."""
    async for _ in ctx.track(range(1, loaves + 1), message="loaf {}"):
        await trio.sleep(seconds)
    return f"{loaves} loaves of {bread}"


@server.tool
async def ferment(hours: float, *, ctx: trimcp.Context) -> str:
    """Let a dough rest: far longer than the client waits."""
    await _rest("ferment", hours, ctx)
    return "the dough is ready"


@server.tool(timeout=0.5)
async def cool(hours: float, *, ctx: trimcp.Context) -> str:
    """Let the oven cool, for half a second at most: the server ends the call by itself."""
    await _rest("cool", hours, ctx)
    return "the oven is cold"


async def _rest(what: str, hours: float, ctx: trimcp.Context) -> None:
    started = trio.current_time()
    try:
        await trio.sleep(hours * 3600)
    except trio.Cancelled:
        reason = ctx.cancel_reason
        assert reason is not None
        print(f"{what}: stopped after {trio.current_time() - started:.2f} s, reason: {reason.value}")
        raise


@server.tool
async def cut(loaves: int, slices: int) -> int:
    """Cut loaves into slices; return their number."""
    if slices < 1:
        raise trimcp.ToolError(f"a loaf cannot be cut into {slices} slices")
    return loaves * slices


@server.tool
def grind(kilos: int) -> str:
    """Grind grain: a sync function, which keeps only its own thread busy."""
    flour = b"grain"
    for _ in range(kilos):
        flour = hashlib.pbkdf2_hmac("sha256", flour, b"millstone", 20_000)
    return flour.hex()[:12]


@server.tool
async def add(a: int, b: int) -> int:
    """Add two numbers: the smallest possible call."""
    return a + b


@server.tool
async def tree() -> str:
    """Return the state of the server: actors, how full they are, requests with their age."""
    return "\n".join(str(run) for run in server.tree())
