"""Codes of errors that a handler raises, and the revision forbids."""

from __future__ import annotations

import pytest

import trimcp


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
