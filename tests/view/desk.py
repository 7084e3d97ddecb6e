"""A server with something of each kind, for the client of the page."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Annotated, Literal

import trio
from annotated_types import Ge, Le

import trimcp
from trimcp.types import ImageContent, TextContent

DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


@dataclass
class Address:
    """Where a parcel goes."""

    street: str
    number: int


@dataclass
class Parcel:
    """What is sent."""

    weight: Annotated[float, Ge(0.1), Le(30)]
    to: Address
    labels: list[str] = field(default_factory=list)
    speed: Literal["slow", "fast"] = "slow"
    insured: bool = False
    note: str | None = None


@dataclass
class Name:
    """Who is asked."""

    name: str
    age: int


server = trimcp.Server("desk", version="1.2")


@server.tool
async def send(parcel: Parcel, password: str = "") -> Parcel:
    """Send a parcel."""
    return parcel


@server.tool
async def greet(ctx: trimcp.Context) -> str:
    """Ask for a name, and greet."""
    asked = await ctx.elicit("Who are you?", Name)
    return f"Good day, {asked.data.name}" if asked.action == "accept" and asked.data else f"It is {asked.action}"


@server.tool
async def think(ctx: trimcp.Context) -> str:
    """Let the model of the client think."""
    return (await ctx.sample("What is the answer?", max_tokens=10)).text


@server.tool
async def work(ctx: trimcp.Context) -> str:
    """Work without end."""
    await ctx.progress(3, 9, "kneading")
    await trio.sleep_forever()
    return "done"


@server.tool
async def pay(ctx: trimcp.Context, url: str) -> str:
    """Send the person to a page."""
    return (await ctx.elicit_url("Pay there", url, id="1")).action


@server.tool
async def unroll(length: int) -> str:
    """Unroll a long sheet of paper."""
    return "x" * length


@server.tool
async def note(ctx: trimcp.Context) -> None:
    """Write a line into the log of the client."""
    ctx.log("info", "noted")


@server.tool
async def draw() -> list[TextContent | ImageContent]:
    """Draw a dot."""
    return [TextContent("a dot"), ImageContent(base64.b64encode(DOT).decode(), "image/png")]


@server.tool
async def fold(ctx: trimcp.Context) -> list[str]:
    """Name the folders of the client."""
    return [root.uri for root in await ctx.roots()]


@server.resource("desk://motto")
async def motto() -> str:
    """What hangs on the wall."""
    return "Little by little"


@server.resource("desk://drawer/{number}")
async def drawer(number: int) -> str:
    """What lies in a drawer."""
    return f"drawer {number}"


@server.prompt
async def letter(recipient: str, tone: Literal["warm", "cold"] = "warm") -> str:
    """Write a letter."""
    return f"Write a {tone} letter to {recipient}"
