"""The server of the project: it lends books."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import attrs
import trio

import trimcp
from trimcp.types.tools import ToolAnnotations

BOOKS = {"walden": "Thoreau", "emma": "Austen", "persuasion": "Austen"}


@attrs.define
class Shelf:
    """Who has which book."""

    lent: dict[str, str] = attrs.field(factory=dict)
    returned: trio.Event = attrs.field(factory=trio.Event)


@asynccontextmanager
async def lifespan(server: trimcp.Server) -> AsyncIterator[Shelf]:
    """Open the shelf for one run."""
    yield Shelf()


server = trimcp.Server("library", lifespan=lifespan)


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
async def find(author: Annotated[str, "a part of the name"]) -> list[str]:
    """Find the books of an author."""
    return [title for title, name in BOOKS.items() if author in name]


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
async def wait_for(title: str, ctx: trimcp.Context) -> str:
    """Wait until a book is back."""
    if title not in BOOKS:
        raise trimcp.ToolError(f"there is no book {title!r}: use `find`")
    shelf: Shelf = ctx.state
    while title in shelf.lent:
        await ctx.progress(1, message=f"{shelf.lent[title]} has it")
        await shelf.returned.wait()
    return title


@server.tool
async def lend(title: str, reader: str, ctx: trimcp.Context) -> str:
    """Lend a book for four weeks."""
    shelf: Shelf = ctx.state
    if title not in BOOKS or title in shelf.lent:
        raise trimcp.ToolError(f"{title!r} cannot be lent: it is not here")
    shelf.lent[title] = reader
    return title


@server.tool
async def take_back(title: str, ctx: trimcp.Context) -> None:
    """Take a book back."""
    shelf: Shelf = ctx.state
    shelf.lent.pop(title, None)
    shelf.returned.set()
    shelf.returned = trio.Event()
