"""A server for the official conformance suite, and for released clients: it has everything that the protocol has.

    python tests/conformance/everything_server.py               # stdio
    python tests/conformance/everything_server.py --port 3000   # HTTP, at /mcp

It is written as a user would write it, on what trimcp makes public.
"""

from __future__ import annotations

import argparse
import functools

import trio
from everything import basics, dialogue, reading
from everything.app import server

PARTS = (basics, dialogue, reading)
"""Importing them declares what they have, in this order: one scenario calls the first tool there is."""


def main() -> None:
    """Serve as the arguments say."""
    parser = argparse.ArgumentParser(description="A server that has everything.")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--port", type=int, help="serve HTTP on this port of the loopback interface")
    how.add_argument("--stdio", action="store_true", help="serve stdio, which is the default")
    port = parser.parse_args().port
    if port is None:
        server.run()
    trio.run(functools.partial(server.serve_http, host="127.0.0.1", port=port, path="/mcp"))


if __name__ == "__main__":
    main()
