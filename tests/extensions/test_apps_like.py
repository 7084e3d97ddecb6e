"""What apps need of extensions: a say in what is declared, and in what is listed to whom."""

from __future__ import annotations

import pytest

import trimcp
from tests.extensions.apps_like import IDENTIFIER, MIME_TYPE, client_side, server_side
from tests.session.peer import ALL, LEGACY


def clock(**options: object) -> trimcp.Server:
    """A server with a tool that has a face."""
    server = trimcp.Server("clock", extensions=[server_side()])

    @server.tool(meta={"face": "ui://clock/dial", "color": "red"})
    async def now() -> str:
        return "noon"

    @server.tool
    async def plain() -> str:
        return "plain"

    @server.resource("ui://clock/dial")
    async def dial() -> str:
        return "<html></html>"

    server.add_resource("ui://clock/hands", "<svg/>", mime_type="image/svg+xml")
    return server


@pytest.mark.parametrize("version", ALL)
async def test_a_client_that_shows_faces_is_told_of_them(version: str) -> None:
    async with trimcp.connect(clock(), revision=version, extensions=[client_side()]) as client:
        assert client.extensions == {IDENTIFIER: {}}
        now, plain = await client.list_tools()
        meta = now.meta or now.extra.get("_meta")  # which the oldest revisions do not have
        if version >= "2025-06-18":
            assert meta == {"face": {"resourceUri": "ui://clock/dial"}, "color": "red"}
        assert plain.meta is None
        dial, hands = await client.list_resources()
        assert (dial.mime_type, hands.mime_type) == (MIME_TYPE, "image/svg+xml")
        assert (await client.read_resource("ui://clock/dial")).text == "<html></html>"


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25", "2026-07-28"])
async def test_a_client_that_does_not_is_not(version: str) -> None:
    server = clock()
    for extensions in ([], [trimcp.ClientExtension(IDENTIFIER, settings={"mimeTypes": ["text/plain"]})]):
        async with trimcp.connect(server, revision=version, extensions=extensions) as client:
            assert [tool.meta for tool in await client.list_tools()] == [{"color": "red"}, None]
    async with trimcp.connect(server, revision=version, extensions=[client_side()]) as client:
        assert [tool.meta and "face" in tool.meta for tool in await client.list_tools()] == [True, None]


def test_a_declaration_may_be_refused_and_is_then_not_there() -> None:
    server = clock()
    with pytest.raises(trimcp.UsageError, match="ui:// resource"):

        @server.tool(meta={"face": "https://example.com"})
        async def wrong() -> None: ...

    @server.tool(name="wrong")
    async def right() -> None: ...


async def test_what_was_declared_before_is_shown_as_well() -> None:
    server = trimcp.Server("clock")

    @server.tool(meta={"face": "ui://clock/dial"})
    async def now() -> str:
        return "noon"

    server.add_resource("ui://clock/dial", "<html></html>")
    server.use(server_side())
    async with trimcp.connect(server, extensions=[client_side()]) as client:
        (tool,) = await client.list_tools()
        assert tool.meta == {"face": {"resourceUri": "ui://clock/dial"}}


@pytest.mark.parametrize("version", LEGACY)
async def test_in_legacy_capabilities_extensions_stand_beside_the_others(version: str) -> None:
    async with trimcp.connect(clock(), revision=version) as client:
        assert client.server_capabilities.extensions is None
        assert client.server_capabilities.extra["extensions"] == {IDENTIFIER: {}}
