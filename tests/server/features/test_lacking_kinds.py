"""Content and questions that the client's revision lacks: text that says so, or a refusal in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest

import trimcp
from trimcp.types.content import AudioContent, ResourceLink
from trimcp.types.prompts import PromptMessage
from trimcp.types.revisions import BY_VERSION, REVISIONS

EVERY = pytest.mark.parametrize("version", [revision.version for revision in REVISIONS])

LINK = ResourceLink(uri="file:///bread", name="bread")
SOUND = AudioContent(data="aGk=", mime_type="audio/wav")


@dataclass
class Breads:
    """Which breads."""

    kinds: list[Literal["rye", "spelt"]]


def bakery() -> trimcp.Server:
    server = trimcp.Server("bakery")

    @server.tool
    async def link() -> ResourceLink:
        return LINK

    @server.tool
    async def sound() -> AudioContent:
        return SOUND

    @server.tool
    async def ask(ctx: trimcp.Context) -> str:
        answer = await ctx.elicit("which?", Breads)
        return str(answer.data)

    @server.prompt
    async def hear() -> list[PromptMessage]:
        return [PromptMessage("user", SOUND), PromptMessage("user", LINK)]

    return server


@EVERY
async def test_a_block_that_the_revision_lacks_is_text_that_says_so(version: str) -> None:
    order = BY_VERSION[version].order
    link = "resource_link" if order >= BY_VERSION["2025-06-18"].order else "text"
    sound = "audio" if order >= BY_VERSION["2025-03-26"].order else "text"
    async with trimcp.connect(bakery(), revision=version) as client:
        blocks: list[Any] = []
        for name in ("link", "sound"):
            blocks += (await client.call_tool(name)).content
        blocks += [message.content for message in (await client.get_prompt("hear")).messages]
    assert [block.type for block in blocks] == [link, sound, sound, link]
    for block in blocks:
        if block.type == "text":
            assert f"{version} has no content of this kind" in block.text
            assert "file:///bread" in block.text or "audio/wav" in block.text


@EVERY
async def test_a_form_that_the_revision_lacks_is_refused_in_words(version: str) -> None:
    async def fill(params: Any) -> dict[str, Any]:
        return {"kinds": ["rye"]}

    async with trimcp.connect(bakery(), revision=version, elicitation=fill) as client:
        if version >= "2025-11-25":
            assert "rye" in (await client.call_tool("ask")).text
        else:
            with pytest.raises(trimcp.RequestFailed, match=r"clients of 2025-06-18 lack|capability elicitation"):
                await client.call_tool("ask")
