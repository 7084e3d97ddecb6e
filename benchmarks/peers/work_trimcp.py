"""The tools of `benchmarks.work` on trimcp: `work_trimcp.py stdio`, or `work_trimcp.py http PORT`."""

import sys
from typing import Any

import trio
import work_data

import trimcp

# No report is replaced by a newer one, so that every server sends as many.
server = trimcp.Server("work", limits=trimcp.Limits(progress_rate=1e6, progress_burst=work_data.REPORTS))


@server.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool
async def wait() -> int:
    """Let other tasks run once, then answer."""
    await trio.sleep(0)  # noqa: ASYNC115  # as users write it
    return 3


@server.tool
async def text() -> Any:
    """Return a mebibyte of text, without structured content."""
    return work_data.TEXT


@server.resource("data://blob")
async def blob() -> bytes:
    """A mebibyte of bytes."""
    return work_data.BLOB


@server.tool
async def progress(ctx: trimcp.Context) -> int:
    """Report progress a hundred times."""
    for number in range(1, work_data.REPORTS + 1):
        await ctx.progress(number, work_data.REPORTS)
    return work_data.REPORTS


@server.tool
async def objects() -> work_data.Listing:
    """Return a hundred objects."""
    return work_data.LISTING


if work_data.pydantic is not None:

    @server.tool
    async def models() -> work_data.ListingModel:
        """Return a hundred models of pydantic."""
        return work_data.LISTING_MODEL


@server.tool
async def nested(
    customer: str,
    street: str,
    city: str,
    number: int,
    floor: int,
    weight: float,
    discount: float,
    express: bool,
    notes: list[str],
    codes: list[int],
    lines: list[work_data.Line],
) -> int:
    """Count the lines of an order."""
    return len(lines)


if __name__ == "__main__":
    if sys.argv[1] == "http":
        server.run_http(port=int(sys.argv[2]))
    else:
        server.run()
