"""A server for the official conformance suite, and for released clients: it has everything that the protocol has.

    python tests/conformance/everything_server.py                           # stdio
    python tests/conformance/everything_server.py --port 3000               # HTTP, at /mcp; and at /sse
    python tests/conformance/everything_server.py --port 3000 --hypercorn   # the same, through hypercorn

With `--port 0` the system chooses the port; the URL is the first line that is written.
It is written as a user would write it, on what trimcp makes public.
"""

from __future__ import annotations

import argparse
import functools

import trio
from everything import basics, dialogue, jobs, reading
from everything.app import server

PARTS = (basics, dialogue, reading, jobs)
"""Importing them declares what they have, in this order: one scenario calls the first tool there is."""


def main() -> None:
    """Serve as the arguments say."""
    parser = argparse.ArgumentParser(description="A server that has everything.")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--port", type=int, help="serve HTTP on this port of the loopback interface")
    how.add_argument("--stdio", action="store_true", help="serve stdio, which is the default")
    parser.add_argument("--hypercorn", action="store_true", help="serve HTTP through hypercorn")
    options = parser.parse_args()
    if options.port is None:
        server.run()
    trio.run(serve_http, options.port, options.hypercorn)


async def serve_http(port: int, through_hypercorn: bool) -> None:
    """Serve HTTP by either door, and say where."""
    door = server.serve_hypercorn if through_hypercorn else server.serve_http
    async with trio.open_nursery() as nursery:
        host, bound = await nursery.start(functools.partial(door, port=port, sse=True))
        print(f"http://{host}:{bound}/mcp", flush=True)


if __name__ == "__main__":
    main()
