"""What a client makes of servers of other times ("Backward Compatibility" of basic/transports)."""

from __future__ import annotations

import json
from typing import Any

import pytest

import trimcp
from tests.http.clients import STREAMABLE
from tests.requirements.sites import Asked, Site, at_site, open_site
from tests.requirements.traffic import everything
from tests.requirements.wires import over_http
from tests.session.peer import MODERN, error, logged, result

__all__ = ["logged"]

legacy_revisions = pytest.mark.parametrize("version", STREAMABLE)
CHANGED = "notifications/tools/list_changed"
ROUNDING = 1e-6


async def nothing_here(asked: Asked) -> None:
    await asked.respond(404, b"Not Found", **{"content-type": "text/plain"})


class OldSite(Site):
    """A server of 2024-11-05: a stream at its URL, and another path to post to."""

    def __init__(self, status: int = 405, endpoint: str = "/messages?session_id=1") -> None:
        self.status = status
        self.endpoint = endpoint
        self.stream: Asked | None = None
        super().__init__("2024-11-05", {"GET": self.open, **dict.fromkeys(METHODS, self.take)})

    async def open(self, asked: Asked) -> None:
        await asked.begin()
        await asked.event(raw=f"event: endpoint\ndata: {self.endpoint}\n\n")
        self.stream = asked
        await asked.left()

    async def take(self, asked: Asked) -> None:
        """What is posted elsewhere than it should be is refused."""
        if asked.path != self.endpoint or self.stream is None:
            await asked.respond(self.status)
            return
        await asked.respond(202)
        if "id" not in asked.message:
            return
        about = {"protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": {"name": "old", "version": "1"}}
        value = about if asked.method == "initialize" else {}
        await self.stream.event(raw=f"event: message\ndata: {json.dumps(result(asked.id, value))}\n\n")


METHODS = ("initialize", "notifications/initialized", "ping", "server/discover", "answer")


@pytest.mark.parametrize("status", [400, 404, 405])
async def test_a_client_finds_a_server_of_http_sse_and_posts_where_it_says(status: int) -> None:
    site = OldSite(status)
    async with at_site(site, revision=None) as client:
        assert client.protocol_version == "2024-11-05"
        await client.ping()
    tried = [(asked.verb, asked.method, asked.path) for asked in site.asked]
    opened = tried.index(("GET", "GET", "/mcp"))
    assert {verb for verb, _, _ in tried[:opened]} == {"POST"}
    assert tried[opened + 1 :] == [
        ("POST", method, site.endpoint) for method in ("initialize", "notifications/initialized", "ping")
    ]


@pytest.mark.parametrize("endpoint", ["http://elsewhere.example/messages", "//elsewhere.example/messages"])
async def test_a_client_posts_to_no_other_server_than_the_one_of_the_stream(endpoint: str) -> None:
    site = OldSite(405, endpoint)
    async with open_site(site):
        with pytest.raises(trimcp.TrimcpError):
            async with trimcp.connect(site.url, transport="sse"):
                pass
    assert [asked.verb for asked in site.asked] == ["GET"]


async def test_a_client_of_ours_and_a_server_of_ours_speak_http_sse() -> None:
    async with over_http(everything(), "2024-11-05", path="/sse", sse=True, transport="sse") as line:
        assert (await line.client.call_tool("add", {"a": 1, "b": 2})).text == "3"
        stream, *posted = line.exchanges
        first = stream.events[0]
        assert first.event == b"endpoint"
        assert {exchange.path for exchange in posted} == {first.data.decode()}
        assert [exchange.method for exchange in posted] == ["initialize", "notifications/initialized", "tools/call"]
        assert {(exchange.verb, exchange.status) for exchange in posted} == {("POST", 202)}


@pytest.mark.parametrize("status", [400, 404, 405])
@pytest.mark.parametrize("body", [b"", b"<html>", {"error": "no"}, error(None, -32600), error(None, -32000)])
async def test_a_server_that_refuses_the_modern_probe_in_no_modern_words_is_initialized(status: int, body: Any) -> None:
    async def refuse(asked: Asked) -> None:
        await asked.respond(status, body)

    site = Site("2025-06-18", {"server/discover": refuse})
    async with at_site(site, revision=None) as client:
        assert client.protocol_version == "2025-06-18"


@pytest.mark.parametrize(
    ("code", "data"), [(-32020, {}), (-32021, {"requiredCapabilities": {}}), (-32022, {"supported": ["2099-01-01"]})]
)
async def test_a_server_that_refuses_the_modern_probe_in_modern_words_is_not_initialized(code: int, data: Any) -> None:
    async def refuse(asked: Asked) -> None:
        await asked.respond(400, error(asked.id, code, data=data))

    site = Site("2025-11-25", {"server/discover": refuse})
    async with open_site(site):
        with pytest.raises(trimcp.TrimcpError):
            async with trimcp.connect(site.url):
                pass
    assert site.of("initialize") == []


async def test_where_nothing_is_spoken_a_client_says_so() -> None:
    site = Site(MODERN, dict.fromkeys(("server/discover", "initialize", "GET"), nothing_here))
    async with open_site(site):
        with pytest.raises(trimcp.SessionFailed):
            async with trimcp.connect(site.url):
                pass
    assert [asked.method for asked in site.asked] == ["server/discover", "initialize", "GET"]
