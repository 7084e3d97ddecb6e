"""What may be secret in a URL is neither in errors, nor in logs, nor in what a client calls its server."""

from __future__ import annotations

from typing import Any

import pytest

import trimcp
from tests.http.client.eras import Legacy, modern
from tests.http.client.scripted import Answer, Ask, Script, scripted
from trimcp.errors import SessionFailed, TrimcpError, UsageError

SECRET = "hunter2"


@pytest.mark.parametrize("script", [modern(), Legacy()])
async def test_a_server_is_described_without_the_query_of_its_url(script: Script, logged: Any) -> None:
    async with (
        scripted(script, "tcp") as server,
        trimcp.connect(f"{server.url}?key={SECRET}") as client,
    ):
        assert SECRET not in client.session.description
        await client.call_tool("x")
    assert any(SECRET in ask.path for ask in server.asks)
    assert SECRET not in str(logged)


async def test_where_no_server_is_found_the_error_is_without_it() -> None:
    async def serve(ask: Ask, answer: Answer) -> None:
        await answer.whole(404)

    async with scripted(serve, "tcp") as server:
        with pytest.raises(SessionFailed) as raised:
            async with trimcp.connect(f"{server.url}?key={SECRET}"):
                raise AssertionError
    assert server.url in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["http://ann:hunter2@h:99999/", "https://ann:hunter2@[::1/", "ws://ann:hunter2@h:99999/"]
)
async def test_what_is_no_url_is_refused_without_it(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        async with trimcp.connect(url):
            raise AssertionError
    assert SECRET not in str(raised.value)


async def test_the_scheme_of_a_url_may_be_written_in_capitals() -> None:
    async with (
        scripted(modern(), "tcp") as server,
        trimcp.connect(server.url.replace("http://", "HTTP://")) as client,
    ):
        await client.call_tool("x")


async def test_a_redirect_that_is_not_followed_is_told_without_it() -> None:
    inner = modern()

    async def serve(ask: Ask, answer: Answer) -> None:
        if ask.method == "tools/call":
            await answer.whole(302, location=f"/login?key={SECRET}")
        else:
            await inner(ask, answer)

    async with scripted(serve, "tcp") as server, trimcp.connect(server.url) as client:
        with pytest.raises(TrimcpError) as raised:
            await client.call_tool("x")
    assert f"{server.url.removesuffix('/mcp')}/login, which" in str(raised.value)
    assert SECRET not in str(raised.value)
