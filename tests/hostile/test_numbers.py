"""Numbers that JSON parsers and writers change: they pass exactly, or fail their own call, behind every door."""

from __future__ import annotations

import math
from typing import Any

import pytest

import trimcp
from tests.hostile.crowd import in_time
from tests.hostile.doors import MEMORY, SOCKETS, serving

DOORS = [*MEMORY, *SOCKETS]
LONG = [10**18, 2**63, -(2**63) - 1, 2**64, 10**30 + 1, -(10**400) + 7]


def numbers() -> trimcp.Server:
    server = trimcp.Server("numbers")

    @server.tool
    async def repeat(value: Any) -> dict[str, Any]:
        return {"value": value, "kind": type(value).__name__}

    @server.tool
    async def times_ten(value: int) -> int:
        return value * 10

    @server.tool
    async def infinite(kind: str) -> Any:
        return {"list": [math.nan], "deep": {"a": [None, {"b": -math.inf}]}, "bare": math.inf}[kind]

    @server.tool
    async def declared() -> dict[str, float | None]:
        return {"a": None, "b": math.nan}

    @server.resource("numbers://long")
    async def long() -> dict[str, int]:
        return {"a": 10**30 + 1}

    @server.resource("numbers://nan")
    async def nan() -> dict[str, float]:
        return {"a": math.nan}

    return server


@pytest.mark.parametrize("door", DOORS)
async def test_integers_of_any_size_pass_exactly(door: str) -> None:
    async with in_time(), serving(door, numbers()) as service, service.connect() as client:
        for number in LONG:
            result = await client.call_tool("repeat", {"value": number})
            assert result.structured == {"value": number, "kind": "int"}
            assert (await client.call_tool("times_ten", {"value": number}, returns=int)) == number * 10
        result = await client.call_tool("repeat", {"value": [LONG, 1e30, {"a": LONG}]})
        assert result.structured["value"] == [LONG, 1e30, {"a": LONG}]
        assert type(result.structured["value"][1]) is float
        assert (await client.read_resource("numbers://long")).text == '{"a":1000000000000000000000000000001}'


@pytest.mark.parametrize("door", DOORS)
async def test_nan_and_infinity_fail_their_own_call(door: str) -> None:
    async with in_time(), serving(door, numbers()) as service, service.connect() as client:
        for value in (math.nan, [None, math.inf], {"a": {"b": -math.inf}}):
            with pytest.raises(trimcp.InvalidPayload, match="NaN and infinity are no numbers of JSON"):
                await client.call_tool("repeat", {"value": value})
        for kind in ("list", "deep", "bare"):
            assert (await client.call_tool("infinite", {"kind": kind})).is_error
        assert (await client.call_tool("declared")).is_error
        with pytest.raises(trimcp.RequestFailed):
            await client.read_resource("numbers://nan")
        assert (await client.call_tool("times_ten", {"value": 1})).text == "10"
