"""trimcp's client at a URL, calling `add`: `client_trimcp.py URL REVISION SECONDS`; prints its rates as JSON."""

import json
import sys
import time

import trio

import trimcp

CALLERS = 16


async def main(url: str, revision: str, seconds: float) -> None:
    figures: dict[str, float] = {}
    async with trimcp.connect(url, revision=revision) as client:
        for name, callers in (("serial", 1), ("concurrent", CALLERS)):
            calls, end = 0, time.perf_counter() + seconds

            async def call(end: float = end) -> None:
                nonlocal calls
                while time.perf_counter() < end:
                    assert (await client.call_tool("add", {"a": 1, "b": 2})).text == "3"
                    calls += 1

            began = time.perf_counter()
            async with trio.open_nursery() as nursery:
                for _ in range(callers):
                    nursery.start_soon(call)
            figures[name] = calls / (time.perf_counter() - began)
    print(json.dumps(figures))


trio.run(main, sys.argv[1], sys.argv[2], float(sys.argv[3]))
