"""trimcp's client over HTTP at the reference server that has everything; what it does over stdio it does here.

By streamable HTTP, and by the HTTP+SSE of 2024-11-05.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import trimcp
from tests.interop import test_node_everything as over_stdio
from tests.interop.listening import running
from tests.interop.node_peers import EVERYTHING, package
from tests.interop.test_node_everything import (  # noqa: F401 - tests that are run here, too
    test_every_prompt_is_got,
    test_every_resource_and_template_is_read,
    test_it_has_a_form_of_every_kind_of_field_filled_in,
    test_it_samples_and_lists_roots,
)
from tests.ports import free_port
from tests.process.children import PATIENCE

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module", params=["streamableHttp", "sse"])
def everything_url(request: pytest.FixtureRequest) -> Iterator[str]:
    program, folder = package(*EVERYTHING)
    port = free_port()
    with running([program, str(folder / "dist" / "index.js"), request.param], port):
        yield f"http://127.0.0.1:{port}/{'sse' if request.param == 'sse' else 'mcp'}"


@pytest.fixture(autouse=True)
def over_http(everything_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests that were written for stdio connect to a URL."""

    @asynccontextmanager
    async def everything(version: str | None = None, **options: Any) -> AsyncIterator[trimcp.Client]:
        with trio.fail_after(PATIENCE):
            async with trimcp.connect(everything_url, revision=version, **options) as client:
                yield client

    monkeypatch.setattr(over_stdio, "everything", everything)


async def test_an_older_transport_is_found(everything_url: str) -> None:
    with trio.fail_after(PATIENCE):
        async with trimcp.connect(everything_url) as client:
            assert (await client.call_tool("get-sum", {"a": 2, "b": 3})).text.endswith("is 5.")
