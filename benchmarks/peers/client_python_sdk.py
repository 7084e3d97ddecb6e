"""The Python SDK's client calling `add`: `client_python_sdk.py URL REVISION SECONDS SERVER`; prints what it took."""

import asyncio
import json
import sys
import time
from pathlib import Path

from mcp import Client

CALLERS = 16


def times(server: str) -> list[float]:
    """Seconds: of the clock, of this process, and of waiting for a processor, here and in the server."""
    waited = [int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9 for pid in ("self", server)]
    return [time.perf_counter(), time.process_time(), *waited]


async def main(url: str, revision: str, seconds: float, server: str) -> None:
    figures: dict[str, list[float]] = {}
    async with Client(url, mode="legacy" if revision < "2026" else "auto") as client:
        for name, callers in (("serial", 1), ("concurrent", CALLERS)):
            calls, end = 0, time.perf_counter() + seconds

            async def call(end: float = end) -> None:
                nonlocal calls
                while time.perf_counter() < end:
                    assert not (await client.call_tool("add", {"a": 1, "b": 2})).is_error
                    calls += 1

            began = times(server)
            await asyncio.gather(*(call() for _ in range(callers)))
            figures[name] = [calls, *(now - then for now, then in zip(times(server), began, strict=True))]
    print(json.dumps(figures))


asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]))
