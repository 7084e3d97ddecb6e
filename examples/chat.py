"""A chat over WebSocket: each client says lines by a tool, and is told of new lines by its subscription."""

import functools
from collections import deque

import trio

import trimcp

server = trimcp.Server("chat")
rooms: dict[str, deque[str]] = {}
KEPT = 100
"""Lines that a room keeps."""
ROOMS = 100
"""The most rooms."""


@server.tool
async def say(room: str, name: str, line: str) -> int:
    """Say a line in a room, and return its number."""
    if room not in rooms and len(rooms) >= ROOMS:
        raise trimcp.ToolError("there are too many rooms: use one that there is")
    lines = rooms.setdefault(room, deque(maxlen=KEPT))
    lines.append(f"{name}: {line}")
    server.notify_resource_updated(f"chat://{room}")
    return len(lines)


@server.resource("chat://{room}")
async def heard(room: str) -> str:
    """The last lines of a room."""
    return "\n".join(rooms.get(room, ()))


class Guest:
    """A client that listens to the kitchen, and has replies to some lines."""

    def __init__(self, name: str, replies: dict[str, str]) -> None:
        self._name = name
        self._replies = replies
        self.lines: list[str] = []

    async def chat(self, url: str, until: str, *, task_status: trio.TaskStatus[None]) -> None:
        """Listen, and reply, until the last line is heard."""
        async with trimcp.connect(url) as client, client.listen(uris=["chat://kitchen"]) as notices:
            task_status.started()
            async for _ in notices:
                known = len(self.lines)
                self.lines = (await client.read_resource("chat://kitchen")).text.splitlines()
                for line in self.lines[known:]:
                    reply = self._replies.get(line)
                    if reply is not None:
                        await client.call_tool("say", {"room": "kitchen", "name": self._name, "line": reply})
                if until in self.lines:
                    return


async def main() -> None:
    """Serve, and let three guests chat."""
    ada = Guest("Ada", {"Cook: Who is hungry?": "Is there bread?", "Bob: On the table.": "Thank you!"})
    bob = Guest("Bob", {"Ada: Is there bread?": "On the table."})
    eve = Guest("Eve", {})
    async with trio.open_nursery() as nursery:
        host, port = await nursery.start(functools.partial(server.serve_websocket, 0))
        url = f"ws://{host}:{port}/mcp"
        async with trio.open_nursery() as guests:
            for guest in (ada, bob, eve):
                await guests.start(guest.chat, url, "Ada: Thank you!")
            async with trimcp.connect(url) as cook:
                await cook.call_tool("say", {"room": "kitchen", "name": "Cook", "line": "Who is hungry?"})
        print("\n".join(eve.lines))
        print("all heard the same:", ada.lines == bob.lines == eve.lines)
        await server.drain(deadline=1)


if __name__ == "__main__":
    trio.run(main)
