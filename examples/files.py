"""The files of a folder as resources, with subscriptions: a client is told when a file changes.

FOLDER=docs trimcp run examples/files.py
"""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

import trimcp

PAUSE = 0.05
"""Seconds between two looks at the folder."""


def folder() -> Path:
    """Return the folder that is served."""
    return Path(os.environ.get("FOLDER", ".")).resolve()


def times() -> dict[str, int]:
    """Return when each file of the folder changed last."""
    return {path.name: path.stat().st_mtime_ns for path in folder().iterdir() if path.is_file()}


@asynccontextmanager
async def lifespan(server: trimcp.Server) -> AsyncIterator[None]:
    """Watch the folder while the server runs."""
    async with trio.open_nursery() as nursery:
        await nursery.start(watch, server)
        yield
        nursery.cancel_scope.cancel()


async def watch(server: trimcp.Server, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Tell the clients which files have changed, and that files have come or gone."""
    known = await trio.to_thread.run_sync(times)
    task_status.started()
    while True:
        await trio.sleep(PAUSE)
        now = await trio.to_thread.run_sync(times)
        for name in now.keys() & known.keys():
            if now[name] != known[name]:
                server.notify_resource_updated(f"files:///{name}")
        if now.keys() != known.keys():
            server.notify_resources_changed()
        known = now


server = trimcp.Server("files", lifespan=lifespan)


@server.tool
def names() -> list[str]:
    """List the files."""
    return sorted(times())


@server.resource("files:///{name}")
def read(name: str) -> str | None:
    """A file of the folder, and of no other one."""
    path = (folder() / name).resolve()
    return path.read_text() if path.parent == folder() and path.is_file() else None


async def main() -> None:
    """Change a file beside the server, and be told so."""
    place = Path(tempfile.mkdtemp())
    os.environ["FOLDER"] = str(place)
    (place / "todo.txt").write_text("bread")
    async with trimcp.connect(server) as client:
        print("files", await client.call_tool("names", returns=list[str]))
        async with client.listen(uris=["files:///todo.txt"]) as notices:
            await trio.Path(place / "todo.txt").write_text("bread, milk")
            async for notice in notices:
                if isinstance(notice, trimcp.ResourceUpdated):
                    print(notice.uri, "is now:", (await client.read_resource(notice.uri)).text)
                    break
        try:
            await client.read_resource("files:///..%2Fsecret")
        except trimcp.ResourceNotFound:
            print("other folders are not served")


if __name__ == "__main__":
    trio.run(main)
