"""FastMCP's client uses all that the server of tests/conformance has, over HTTP, behind both doors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.conformance.serving import DOORS, serving
from tests.process.children import PATIENCE

fastmcp = pytest.importorskip("fastmcp")
transports = pytest.importorskip("fastmcp.client.transports")

from tests.interop import test_everything_fastmcp as over_stdio  # noqa: E402 - it needs what may not be there
from tests.interop.test_everything_fastmcp import (  # noqa: E402, F401 - tests that are run here, too
    on_asyncio,
    test_a_refusal_reaches_the_tool,
    test_it_calls_every_tool_that_asks_nothing,
    test_it_gets_every_prompt_and_completes_their_arguments,
    test_it_hears_log_messages_and_progress,
    test_it_is_asked_everything_and_each_tool_gets_its_answers,
    test_it_is_not_asked_what_it_did_not_declare,
    test_it_is_told_of_what_changes,
    test_it_reads_every_resource,
)

pytestmark = [
    pytest.mark.interop,
    pytest.mark.parametrize("mode", ["auto", "legacy"]),
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]


@pytest.fixture(scope="module", params=DOORS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with serving(request.param) as found:
        yield found


@pytest.fixture(autouse=True)
def over_http(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests that were written for stdio connect to `url`."""

    @asynccontextmanager
    async def client(mode: str, **options: Any) -> AsyncIterator[Any]:
        transport = transports.StreamableHttpTransport(url)
        async with asyncio.timeout(PATIENCE), fastmcp.Client(transport, mode=mode, **options) as connected:
            assert connected.protocol_version == {"auto": "2026-07-28", "legacy": "2025-11-25"}[mode]
            yield connected

    monkeypatch.setattr(over_stdio, "client", client)


@on_asyncio
async def test_many_calls_run_beside_each_other(mode: str) -> None:
    async with over_stdio.client(mode) as connected:
        calls = [connected.call_tool("test_structured_content", {"city": f"City {n}"}) for n in range(30)]
        found = await asyncio.gather(*calls)
        assert [result.data["city"] for result in found] == [f"City {n}" for n in range(30)]
