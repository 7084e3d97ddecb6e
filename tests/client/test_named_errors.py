"""Errors of calls name the tool, the prompt or the URI, and arguments of any form are taken or refused in words."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import attrs
import msgspec
import pydantic
import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.server.reading import client_of, every_revision
from trimcp.types import PromptMessage, ToolAnnotations


def server() -> trimcp.Server:
    server = trimcp.Server("a", limits=trimcp.Limits(result_bytes=2000))

    @server.tool(timeout=2)
    async def slow(seconds: float) -> None:
        await trio.sleep(seconds)

    @server.tool(requires=["sampling"])
    async def needy() -> None: ...

    @server.tool
    async def large() -> str:
        return "x" * 5000

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    async def same(value: Any) -> Any:
        return value

    @server.prompt
    async def ask(what: str) -> str:
        return what

    return server


@every_revision
async def test_errors_of_a_call_name_the_tool(version: str, autojump_clock: MockClock) -> None:
    async with client_of(server(), version) as client:
        with pytest.raises(trimcp.RequestFailed, match="tools/call of slow took longer than the server allows"):
            await client.call_tool("slow", {"seconds": 9})
        with pytest.raises(trimcp.RequestTimedOut, match="tools/call of slow was not answered within 1"):
            await client.call_tool("slow", {"seconds": 9}, timeout=1)
        with pytest.raises(trimcp.RequestFailed, match="capability sampling, which tools/call of needy needs"):
            await client.call_tool("needy")
        with pytest.raises(trimcp.RequestFailed, match="The result of tools/call of large has"):
            await client.call_tool("large")
        with pytest.raises(trimcp.InvalidPayload, match="the tool same: "):
            await client.call_tool("same", {"value": object()})


@pytest.mark.parametrize("given", [5, [1], "x", True])
async def test_arguments_that_are_no_dict_are_refused_in_words(given: Any) -> None:
    async with client_of(server()) as client:
        with pytest.raises(trimcp.UsageError, match=r"The arguments of the tool same are a \w+: give a dict"):
            await client.call_tool("same", given)
        with pytest.raises(trimcp.UsageError, match=r"The arguments of the prompt ask are a \w+: give a dict"):
            await client.get_prompt("ask", given)


@dataclasses.dataclass
class Data:
    n: int


@attrs.define
class Attrs:
    n: int


class Struct(msgspec.Struct):
    n: int


class Model(pydantic.BaseModel):
    n: int


@pytest.mark.parametrize("cls", [Data, Attrs, Struct, Model])
@every_revision
async def test_objects_of_classes_are_arguments(version: str, cls: Any) -> None:
    async with client_of(server(), version) as client:
        for value, expected in ((cls(n=1), {"n": 1}), ([cls(n=1)], [{"n": 1}]), ({"a": cls(n=1)}, {"a": {"n": 1}})):
            result = await client.call_tool("same", {"value": value})
            assert json.loads(result.text) == expected


async def test_a_result_has_a_short_repr_and_a_union_as_its_type() -> None:
    async with client_of(server()) as client:
        result = await client.call_tool("same", {"value": 1})
        assert repr(result) == "ToolResult(text='1')"
        assert len(repr(await client.call_tool("same", {"value": "x" * 600}))) < 300
        assert (await client.get_prompt("ask", {"what": "x"})).messages[0].content.text == "x"


def test_every_block_has_a_text() -> None:
    from trimcp.types import (
        AudioContent,
        BlobResourceContents,
        EmbeddedResource,
        ImageContent,
        ResourceLink,
        TextContent,
        TextResourceContents,
    )

    blocks = [
        TextContent("a"),
        EmbeddedResource(TextResourceContents("a:b", "b")),
        EmbeddedResource(BlobResourceContents("a:b", "AA==")),
        ImageContent("AA==", "image/png"),
        AudioContent("AA==", "audio/wav"),
        ResourceLink("a:b", "name"),
    ]
    assert [PromptMessage("user", block).content.text for block in blocks] == ["a", "b", "", "", "", ""]
