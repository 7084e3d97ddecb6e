"""The floor: a Trio loop that answers every line on stdin with a fixed result. No protocol but the first answer.

What a server on Trio with orjson cannot beat. `benchmarks.stdio` and `benchmarks.startup` run it
as a program of its own; ratios in the documentation are to its figures.
"""

from __future__ import annotations

import os

import orjson
import trio

OPENING = {
    "protocolVersion": "2025-11-25",
    "supportedVersions": ["2026-07-28"],
    "resultType": "complete",
    "ttlMs": 0,
    "cacheScope": "private",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "floor", "version": "1"},
}
"""The first result, to `initialize` or `server/discover`: clients that are no drivers look at it."""
RESULT = {"content": [{"type": "text", "text": "3"}], "structuredContent": {"result": 3}}


async def serve() -> None:
    """Answer until the end of input."""
    stdin = trio.lowlevel.FdStream(os.dup(0))
    stdout = trio.lowlevel.FdStream(os.dup(1))
    unfinished, result = b"", OPENING
    async for data in stdin:
        lines = (unfinished + data).split(b"\n")
        unfinished = lines.pop()
        answers = []
        for line in lines:
            id = orjson.loads(line).get("id")
            if id is not None:
                answers.append(orjson.dumps({"jsonrpc": "2.0", "id": id, "result": result}))
                result = RESULT
        if answers:
            await stdout.send_all(b"\n".join(answers) + b"\n")


if __name__ == "__main__":
    trio.run(serve)
