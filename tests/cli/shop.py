"""A server for the commands of a client: one tool, resource or prompt for each thing that they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import trio

import trimcp

server = trimcp.Server("shop", version="1.2", title="The Shop", instructions="Be kind.\nAlways.")

Bread = Literal["rye", "spelt"]


@dataclass
class Order:
    """What somebody wants."""

    bread: Bread
    loaves: int = 1


@dataclass
class Person:
    """Who somebody is."""

    name: str
    age: int
    bread: Bread = "rye"
    regular: bool = True


@server.tool
async def place(order: Order, tags: list[str], note: str | None = None, ratio: float = 0.5) -> dict[str, str]:
    """Place an order.

    Args:
        order: what is wanted.
        tags: how it is found again.
        note: whatever else there is to say.
    """
    return {"order": f"{order.loaves} {order.bread}", "tags": "+".join(tags), "note": repr(note), "ratio": repr(ratio)}


@server.tool
async def who(*, ctx: trimcp.Context) -> str:
    """Ask who somebody is."""
    answer = await ctx.elicit("Who are you?", Person)
    return f"{answer.action} {answer.data}"


@server.tool
async def pay(*, ctx: trimcp.Context) -> str:
    """Send somebody to a page."""
    return (await ctx.elicit_url("Pay here", "https://pay.example/1", id="1")).action


@server.tool
async def think(*, ctx: trimcp.Context) -> str:
    """Ask for a model."""
    return str(await ctx.sample("What now?", max_tokens=10))


@server.tool
async def where(*, ctx: trimcp.Context) -> list[str]:
    """Ask for the folders to work in."""
    return [root.uri for root in await ctx.roots()]


@server.tool
async def refuse() -> str:
    """Fail."""
    raise trimcp.ToolError("no \x1b[31mbread")


@server.tool
async def bake(loaves: int, *, ctx: trimcp.Context) -> str:
    """Bake one after the other."""
    async for _ in ctx.track(range(loaves), message="loaf {}"):
        ctx.log("info", "a loaf is in", logger="oven")
        await trio.lowlevel.checkpoint()
    return f"{loaves} loaves"


@server.tool
async def rest() -> str:
    """Take far too long."""
    await trio.sleep_forever()
    raise AssertionError


@server.tool
async def open_up() -> str:
    """Say that there are other tools, and another message."""
    server.notify_tools_changed()
    server.notify_resource_updated("shop://motd")
    return "open"


@server.resource("shop://motd", title="Message of the day", mime_type="text/plain")
async def motd() -> str:
    """What is on the board."""
    return "Fresh bread!"


@server.resource("shop://picture", mime_type="image/png")
async def picture() -> bytes:
    """What it looks like."""
    return b"\x89PNG\x00\xff"


@server.resource("shop://shelves/{number}")
async def shelf(number: int) -> str:
    """What is on a shelf."""
    return f"shelf {number}"


@server.tool(task="required")
async def slow_bread(kind: str, *, ctx: trimcp.Context) -> str:
    """Bake."""
    await ctx.become_task()
    await trio.sleep(1000 if kind == "never" else 0.1)
    return f"{kind} bread"


@server.prompt
async def greet(name: str, tone: Literal["warm", "wild", "cold"] = "warm") -> str:
    """Greet somebody.

    Args:
        name: whom.
    """
    return f"Say hello to {name}, {tone}."


if __name__ == "__main__":
    server.run()
