"""Values that are nested deeper than a client reads fail their own call, on the server."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

import pytest

import trimcp
from trimcp.codec.jsontext import MAX_DEPTH, dumps, loads
from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidResult
from trimcp.server.invocation.tool_results import ToolResultConverter
from trimcp.types.revisions import LATEST
from trimcp.types.tools import CallToolResult


class Tree(TypedDict, total=False):
    """A type without a bound on depth."""

    below: Tree


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"below": value}
    return value


def converter(annotation: Any) -> ToolResultConverter:
    return ToolResultConverter(annotation, owner="forecast()")


@pytest.mark.parametrize("annotation", [dict[str, Any], dict[str, Any] | list[Any], Tree, Tree | int])
def test_a_value_that_clients_refuse_for_its_depth_is_refused(annotation: Any) -> None:
    made = converter(annotation)
    most = MAX_DEPTH - (3 if made.wrapped else 2)
    encode = codec_for(LATEST).result_encoder("tools/call")
    loads(dumps({"jsonrpc": "2.0", "id": 1, "result": encode(made.convert(nested(most)))}))
    with pytest.raises(InvalidResult, match=f"nested deeper than {most} levels"):
        made.convert(nested(most + 1))
    assert made.convert(nested(1)).structured_content == ({"result": {}} if made.wrapped else {})


def test_the_depth_of_a_whole_result_is_checked_too() -> None:
    made = converter(Annotated[CallToolResult, dict[str, Any]])
    whole = CallToolResult([], nested(MAX_DEPTH - 2))
    assert made.convert(whole) is whole
    with pytest.raises(InvalidResult, match="nested deeper"):
        made.convert(CallToolResult([], nested(MAX_DEPTH - 1)))


async def test_a_call_whose_result_is_nested_too_deep_fails_alone() -> None:
    server = trimcp.Server("deep")

    @server.tool
    async def deep(levels: int) -> dict[str, Any]:
        return nested(levels)

    async with trimcp.connect(server) as client:
        assert (await client.call_tool("deep", {"levels": 200})).is_error
        assert (await client.call_tool("deep", {"levels": 100})).structured == nested(100)
