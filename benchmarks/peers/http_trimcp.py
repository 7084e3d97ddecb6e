"""trimcp on HTTP, for `benchmarks.http`: the tool `add`, and tools that show how requests end.

    python benchmarks/peers/http_trimcp.py --port 8000 [--hypercorn]

SIGTERM drains it; it then writes, as JSON, how many calls of `take_time` began, and what became of all requests.
"""

from __future__ import annotations

import argparse
import functools
import json
import signal
import sys
import time

import attrs
import trio

import trimcp

server = trimcp.Server("add", limits=trimcp.Limits(sessions=20_000))
began: list[float] = []
cancelled: list[float] = []


@server.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool
async def much() -> str:
    """A text of a mebibyte."""
    return "x" * 2**20


@server.tool
async def take_time(seconds: float) -> str:
    """Wait, and note the time of the cancel. All processes of a machine share this clock."""
    began.append(time.monotonic())
    try:
        await trio.sleep(seconds)
    except trio.Cancelled:
        cancelled.append(time.monotonic())
        raise
    return "done"


@server.tool
async def times() -> list[float]:
    """The times at which waiting calls were cancelled, since the last call of this tool."""
    found = cancelled.copy()
    cancelled.clear()
    return found


async def main() -> None:
    """Serve as the arguments say, until SIGTERM and the drain."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--hypercorn", action="store_true")
    parser.add_argument("--store", metavar="URL")
    parser.add_argument("--profile", metavar="FILE", help="write a profile of the run to this file")
    options = parser.parse_args()
    if options.store:
        from trimcp.stores import store_at

        server.store = store_at(options.store)
    serve = server.serve_hypercorn if options.hypercorn else server.serve_http
    profile = None
    if options.profile:
        import cProfile

        profile = cProfile.Profile()
        profile.enable()
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(functools.partial(serve, port=options.port))
            async for _ in signals:
                break
            report = await server.drain(10)
    if profile is not None:
        profile.dump_stats(options.profile)
    json.dump({"began": len(began), **attrs.asdict(report)}, sys.stdout)


if __name__ == "__main__":
    trio.run(main)
