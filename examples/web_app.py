"""A web application of Quart on Trio with a server in it: pages for people, tools for models, one list of tasks.

    hypercorn --worker-class trio web_app:app

Then the pages are at http://127.0.0.1:8000/ and the tools at http://127.0.0.1:8000/tools/mcp.
"""

from functools import partial
from typing import Any

import httpx2
import trio
from hypercorn.config import Config
from hypercorn.middleware.dispatcher import TrioDispatcherMiddleware
from hypercorn.trio import serve
from quart import request
from quart_trio import QuartTrio

import trimcp

todo: list[str] = []
quart = QuartTrio("todo")
server = trimcp.Server("todo")


@quart.get("/")
async def page() -> str:
    """Show the list."""
    return f"{len(todo)} to do: {', '.join(todo)}"


@quart.post("/add")
async def form() -> str:
    """Add what a person has typed, and tell the clients of the server."""
    todo.append((await request.form)["text"])
    server.notify_resource_updated("todo://list")
    return await page()


@server.tool
async def add(text: str) -> int:
    """Add something to the list, and return how long it is."""
    todo.append(text)
    server.notify_resource_updated("todo://list")
    return len(todo)


@server.resource("todo://list")
async def everything() -> str:
    """The list."""
    return "\n".join(todo)


# The dispatcher gives requests, and the lifespan, to both: sessions of the server live longer than requests.
mounted: dict[str, Any] = {"/tools": server.asgi(), "": quart}
app = TrioDispatcherMiddleware(mounted)


async def main() -> None:
    """Serve, and be a person and a model at once."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.loglevel = "WARNING"
    stopped = trio.Event()
    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(partial(serve, app, config, shutdown_trigger=stopped.wait))
        async with httpx2.AsyncClient() as browser, trimcp.connect(f"{url}/tools/mcp") as client:
            async with client.listen(uris=["todo://list"]) as notices:
                await browser.post(f"{url}/add", data={"text": "bread"})
                async for notice in notices:
                    print(type(notice).__name__, "-", (await client.read_resource("todo://list")).text)
                    break
            print("the model adds number", await client.call_tool("add", {"text": "milk"}, returns=int))
            print("the page:", (await browser.get(url)).text)
        await server.drain(deadline=1)
        stopped.set()
    print("stopped")


if __name__ == "__main__":
    trio.run(main)
