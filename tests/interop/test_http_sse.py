"""Clients of 2024-11-05's HTTP: one stream of events for all that the server says, and a place to post to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import trio

from tests.conformance.serving import DOORS, serving
from tests.process.children import PATIENCE

mcp = pytest.importorskip("mcp")
sse = pytest.importorskip("mcp.client.sse")
fastmcp = pytest.importorskip("fastmcp")
fastmcp_transports = pytest.importorskip("fastmcp.client.transports")

from tests.interop.test_everything_official import Person  # noqa: E402 - it needs what may not be there

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
    # They leave the generators of their HTTP client to the garbage collector.
    pytest.mark.filterwarnings("ignore:Async generator 'http(x|core)2:ResourceWarning"),
]


@pytest.fixture(scope="module", params=DOORS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with serving(request.param) as found:
        yield found.removesuffix("/mcp") + "/sse"


async def test_the_official_client_calls_is_asked_and_is_told(url: str) -> None:
    person = Person()
    reports: list[float] = []

    async def report(progress: float, total: float | None, message: str | None) -> None:
        reports.append(progress)

    with trio.fail_after(PATIENCE):
        async with mcp.Client(sse.sse_client(url), mode="legacy", **person.options()) as client:
            result = await client.call_tool("test_simple_text")
            assert result.content[0].text == "This is a simple text response for testing."
            await client.call_tool("test_elicitation", {"message": "Who?"})
            await client.call_tool("test_sampling", {"prompt": "Hello"})
            assert person.asked == ["Who?", "sampling"]
            await client.call_tool("test_trigger_tool_change")
            await client.call_tool("test_tool_with_progress", progress_callback=report)
            while not person.heard or len(reports) < 3:  # its callbacks may come after the result
                await trio.sleep(0.005)
    assert reports == [0, 50, 100]


async def test_sessions_of_it_do_not_mix(url: str) -> None:
    async def use(number: int) -> None:
        person = Person()
        async with mcp.Client(sse.sse_client(url), mode="legacy", **person.options()) as client:
            for turn in range(3):
                result = await client.call_tool("test_sampling", {"prompt": f"{number}, {turn}"})
                assert result.content[0].text == f"LLM response: heard {number}, {turn}"

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(use, number)


def test_fastmcp_calls_and_reads(url: str) -> None:
    async def main() -> None:
        transport = fastmcp_transports.SSETransport(url)
        async with asyncio.timeout(PATIENCE), fastmcp.Client(transport, mode="legacy") as client:
            result = await client.call_tool("test_structured_content", {"city": "Ulm"})
            assert result.data == {"city": "Ulm", "unit": "celsius"}
            (contents,) = await client.read_resource("test://static-text")
            assert contents.text

    asyncio.run(main())
