"""trimcp's client over HTTP at servers that are written with other libraries of Python, in both eras."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

import trimcp
from tests.interop.listening import running
from tests.interop.test_peer_servers import Person
from tests.ports import free_port
from tests.process.children import PATIENCE

pytestmark = pytest.mark.interop

HERE = Path(__file__).parent
PROGRAM = """
import runpy, sys
sys.path.insert(0, {folder!r})
server = runpy.run_path({path!r})["server"]
server.run({transport!r}, port={port}{more})
"""


@pytest.fixture(scope="module", params=["official_rich_server.py", "fastmcp_server.py"])
def python_url(request: pytest.FixtureRequest) -> Iterator[str]:
    library = "fastmcp" if "fastmcp" in request.param else "mcp"
    pytest.importorskip(library)
    port = free_port()
    more = ", show_banner=False" if library == "fastmcp" else ""
    source = PROGRAM.format(
        folder=str(HERE.parents[1]), path=str(HERE / request.param), transport="streamable-http", port=port, more=more
    )
    with running([sys.executable, "-c", source], port):
        yield f"http://127.0.0.1:{port}/mcp"


@pytest.mark.parametrize("version", ["2025-03-26", "2025-11-25", "2026-07-28"])
async def test_python_servers_are_listed_read_called_and_answered(python_url: str, version: str) -> None:
    person = Person()
    with trio.fail_after(PATIENCE):
        async with trimcp.connect(python_url, revision=version, **person.options()) as client:
            assert client.protocol_version == version
            tools = {tool.name for tool in await client.list_tools()}
            assert await client.list_resources()
            assert await client.list_prompts()
            assert await client.list_resource_templates()
            await client.ping()
            async with trio.open_nursery() as nursery:
                for _ in range(8):
                    nursery.start_soon(client.list_tools)
            with pytest.raises(trimcp.RequestFailed):
                await client.read_resource("nowhere://at/all")
            assert tools


async def test_the_newest_that_they_speak_is_found(python_url: str) -> None:
    with trio.fail_after(PATIENCE):
        async with trimcp.connect(python_url) as client:
            assert client.protocol_version == "2026-07-28"
