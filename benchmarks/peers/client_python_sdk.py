"""The Python SDK's client at a URL, calling `add`: `client_python_sdk.py URL REVISION SECONDS`; prints its rates."""

import asyncio
import json
import sys
import time

from mcp import Client

CALLERS = 16


async def main(url: str, revision: str, seconds: float) -> None:
    figures: dict[str, float] = {}
    async with Client(url, mode="legacy" if revision < "2026" else "auto") as client:
        for name, callers in (("serial", 1), ("concurrent", CALLERS)):
            calls, end = 0, time.perf_counter() + seconds

            async def call(end: float = end) -> None:
                nonlocal calls
                while time.perf_counter() < end:
                    assert not (await client.call_tool("add", {"a": 1, "b": 2})).is_error
                    calls += 1

            began = time.perf_counter()
            await asyncio.gather(*(call() for _ in range(callers)))
            figures[name] = calls / (time.perf_counter() - began)
    print(json.dumps(figures))


asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
