"""Codes of errors that a handler raises, and the revision forbids."""

from __future__ import annotations

import pytest

import trimcp
from tests.hostile.doors import serving


@pytest.mark.parametrize(
    ("code", "modern"),
    [(-32002, -32602), (-32042, -32603), (-32050, -32603), (-32021, -32021), (-32010, -32010), (7, 7)],
)
async def test_a_code_that_the_revision_forbids_is_not_sent(code: int, modern: int) -> None:
    server = trimcp.Server("codes")

    @server.tool
    async def fail() -> None:
        raise trimcp.RequestFailed(code, "It is so", {"why": 1})

    for revision, expected in (("2025-11-25", code), ("2026-07-28", modern)):
        async with trimcp.connect(server, revision=revision) as client:
            with pytest.raises(trimcp.RequestFailed, match="It is so") as caught:
                await client.call_tool("fail")
            assert (caught.value.code, caught.value.data) == (expected, {"why": 1})


@pytest.mark.parametrize("door", ["memory", "http", "websocket"])
@pytest.mark.parametrize(("code", "sent"), [(-32002, -32602), (-32050, -32603), (7, 7)])
async def test_nor_is_it_sent_where_a_listen_is_refused(door: str, code: int, sent: int) -> None:
    server = trimcp.Server("codes")
    server.add_resource("x:1", "")

    @server.may_subscribe
    def refuse(uri: str, ctx: trimcp.Context) -> bool:
        raise trimcp.RequestFailed(code, "It is so", {"why": 1})

    async with serving(door, server) as service, service.connect() as client:
        with pytest.raises(trimcp.RequestFailed, match="It is so") as caught:
            await client.subscribe("x:1")
        assert (caught.value.code, caught.value.data) == (sent, {"why": 1})
