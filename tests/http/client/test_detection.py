"""What a server at a URL speaks is found out, in every row of the specification's matrix; and kept for a while."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import trimcp
from tests.http.client.eras import HINTS, MODERN, Legacy, Older, modern, quiet_stream
from tests.http.client.scripted import Answer, Ask, Script, scripted
from trimcp.errors import ExchangeFailed, SessionFailed
from trimcp.http.client.known_servers import KNOWN_SERVERS, KnownServers

HTML = b"<html><body>Nothing here.</body></html>"


def refusing(status: int, body: bytes = b"", media_type: str = "text/plain", *, of: str | None = None) -> Script:
    """A script that refuses everything."""

    async def serve(ask: Ask, answer: Answer) -> None:
        await answer.whole(status, media_type, body)

    return serve


async def test_a_modern_server_is_asked_once_and_stays_modern(carrier: str) -> None:
    async with scripted(modern(), carrier) as server, trimcp.connect(server.url) as client:
        assert client.protocol_version == MODERN
        await client.list_tools()
    assert server.methods == ["server/discover", "tools/list"]
    assert all("mcp-session-id" not in ask.fields for ask in server.asks)


async def test_a_modern_server_that_refuses_the_version_is_asked_for_one_that_both_know(carrier: str) -> None:
    discovered = {**HINTS, "supportedVersions": [MODERN], "capabilities": {}}

    async def discover(ask: Ask, answer: Answer) -> None:
        if len(server.asked("server/discover")) == 1:
            await answer.error(-32022, "not that", 400, {"supported": ["2099-01-01", MODERN], "requested": MODERN})
        else:
            await answer.result(discovered)

    async with scripted(modern({"server/discover": discover}), carrier) as server, trimcp.connect(server.url) as client:
        assert client.protocol_version == MODERN
    assert server.methods == ["server/discover"] * 2


async def test_a_modern_server_without_a_version_in_common_is_named_with_what_it_speaks() -> None:
    async def discover(ask: Ask, answer: Answer) -> None:
        await answer.error(-32022, "not that", 400, {"supported": ["2099-01-01"], "requested": MODERN})

    async with scripted(modern({"server/discover": discover})) as server:
        with pytest.raises(SessionFailed, match="2099-01-01"):
            async with trimcp.connect(server.url):
                raise AssertionError
    assert server.methods == ["server/discover"]  # a modern error: no falling back


@pytest.mark.parametrize("is_refused", [True, False])
async def test_a_server_that_names_legacy_revisions_alone_is_asked_to_initialize(is_refused: bool) -> None:
    legacy = Legacy()

    async def serve(ask: Ask, answer: Answer) -> None:
        if ask.method != "server/discover":
            await legacy(ask, answer)
        elif is_refused:
            await answer.error(-32022, "not that", 400, {"supported": ["2025-11-25"], "requested": MODERN})
        else:
            await answer.result({**HINTS, "supportedVersions": ["2025-11-25"], "capabilities": {}})

    async with scripted(serve) as server, trimcp.connect(server.url) as client:
        assert client.protocol_version == "2025-11-25"
    assert server.methods[:2] == ["server/discover", "initialize"]


@pytest.mark.parametrize("code", [-32020, -32021])
async def test_a_modern_error_of_another_kind_is_no_reason_to_fall_back(code: int) -> None:
    async def discover(ask: Ask, answer: Answer) -> None:
        await answer.error(code, "no", 400)

    async with scripted(modern({"server/discover": discover})) as server:
        with pytest.raises(SessionFailed):
            async with trimcp.connect(server.url):
                raise AssertionError
    assert set(server.methods) == {"server/discover"}


@pytest.mark.parametrize("status", [400, 404, 405, 406, 415, 422])
async def test_a_status_without_a_modern_error_leads_to_initialize(status: int, carrier: str) -> None:
    legacy = Legacy()

    async def serve(ask: Ask, answer: Answer) -> None:
        if ask.method == "server/discover":
            await answer.whole(status, "text/html", HTML)
        else:
            await legacy(ask, answer)

    async with scripted(serve, carrier) as server, trimcp.connect(server.url) as client:
        assert client.protocol_version == "2025-11-25"
    assert server.methods[:3] == ["server/discover", "initialize", "notifications/initialized"]


@pytest.mark.parametrize(
    ("status", "media_type", "body"),
    [
        (200, "text/html", HTML),
        (200, "application/json", b"null"),
        (200, "application/json", b'{"error":"no such method"}'),
        (200, "text/event-stream", b""),
        (202, "", b""),
        (204, "", b""),
        (501, "text/plain", b"not implemented"),
    ],
)
async def test_a_response_that_is_no_answer_leads_to_initialize(
    status: int, media_type: str, body: bytes, carrier: str
) -> None:
    legacy = Legacy()

    async def serve(ask: Ask, answer: Answer) -> None:
        if ask.method == "server/discover":
            await answer.whole(status, media_type, body)
        else:
            await legacy(ask, answer)

    async with scripted(serve, carrier) as server, trimcp.connect(server.url) as client:
        assert client.protocol_version == "2025-11-25"


@pytest.mark.parametrize("status", [301, 302, 401, 403, 407, 429, 500, 502, 503, 504])
async def test_an_error_with_a_status_that_says_nothing_about_the_era_is_raised(status: int) -> None:
    async def serve(ask: Ask, answer: Answer) -> None:
        await answer.error(-32000, "not now", status)

    async with scripted(serve) as server:
        with pytest.raises(ExchangeFailed, match="not now") as caught:
            async with trimcp.connect(server.url):
                raise AssertionError
    assert caught.value.status == status
    assert server.methods == ["server/discover"]


@pytest.mark.parametrize("code", [-32601, -32600, -32602, -32000, -32603])
async def test_a_json_rpc_error_that_is_not_modern_leads_to_initialize(code: int) -> None:
    legacy = Legacy()

    async def serve(ask: Ask, answer: Answer) -> None:
        await (answer.error(code) if ask.method == "server/discover" else legacy(ask, answer))

    async with scripted(serve) as server, trimcp.connect(server.url) as client:
        assert client.protocol_version == "2025-11-25"


async def test_a_server_that_answers_whatever_it_is_asked_is_no_modern_one() -> None:
    legacy = Legacy()

    async def serve(ask: Ask, answer: Answer) -> None:
        await (answer.result({}) if ask.method == "server/discover" else legacy(ask, answer))

    async with scripted(serve) as server:
        async with trimcp.connect(server.url) as client:
            assert client.protocol_version == "2025-11-25"
        with pytest.raises(SessionFailed, match="breaks its schema"):
            async with trimcp.connect(server.url, revision=MODERN):
                raise AssertionError


async def test_a_server_that_is_silent_when_probed_is_asked_to_initialize(
    autojump_clock: trio.testing.MockClock,
) -> None:
    legacy = Legacy()

    async def serve(ask: Ask, answer: Answer) -> None:
        await (quiet_stream(ask, answer) if ask.method == "server/discover" else legacy(ask, answer))

    async with scripted(serve) as server, trimcp.connect(server.url) as client:
        assert client.protocol_version == "2025-11-25"


@pytest.mark.parametrize("status", [400, 404, 405])
async def test_a_server_that_takes_neither_may_have_a_stream_at_the_same_url(status: int, carrier: str) -> None:
    async with scripted(Older(status=status), carrier) as server, trimcp.connect(server.url) as client:
        assert client.protocol_version == "2024-11-05"
        assert await client.list_tools() == []
    assert server.methods[:4] == ["server/discover", "initialize", "GET", "initialize"]


async def test_an_older_server_may_refuse_with_an_error_of_json_rpc() -> None:
    body = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Method not allowed."}}'
    async with scripted(Older(status=405, body=body)) as server, trimcp.connect(server.url) as client:
        assert client.protocol_version == "2024-11-05"


async def test_a_modern_error_to_initialize_does_not_lead_to_the_older_transport() -> None:
    async def serve(ask: Ask, answer: Answer) -> None:
        await answer.error(-32022, "only the newest", 400, {"supported": [MODERN], "requested": "2025-11-25"})

    async with scripted(serve) as server:
        with pytest.raises(SessionFailed, match="only the newest"):
            async with trimcp.connect(server.url, revision="2025-11-25"):
                raise AssertionError
    assert server.methods == ["initialize"]


async def test_a_server_that_refuses_to_initialize_is_quoted_where_it_has_no_older_stream_either() -> None:
    async def serve(ask: Ask, answer: Answer) -> None:
        if ask.verb == "GET":
            await answer.whole(404)
        else:
            await answer.error(-32000, "come back tomorrow", 400)

    async with scripted(serve) as server:
        with pytest.raises(SessionFailed, match=r"come back tomorrow.*no HTTP\+SSE here \(status 404\)"):
            async with trimcp.connect(server.url):
                raise AssertionError


async def test_what_is_no_mcp_server_at_all_is_said_to_be_none(carrier: str) -> None:
    async with scripted(refusing(404, HTML, "text/html"), carrier) as server:
        with pytest.raises(SessionFailed, match=r"no MCP server was found at .*/mcp: there is no MCP endpoint .*404"):
            async with trimcp.connect(server.url):
                raise AssertionError
    assert server.methods == ["server/discover", "initialize", "GET"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "wants authentication"),
        (403, "refuses this client"),
        (429, "fewer requests"),
        (500, "the server failed"),
        (502, "gateway cannot reach"),
        (503, "overloaded"),
    ],
)
async def test_a_status_that_says_nothing_about_the_era_ends_the_search(status: int, words: str) -> None:
    async with scripted(refusing(status, HTML, "text/html")) as server:
        with pytest.raises(ExchangeFailed, match=words) as caught:
            async with trimcp.connect(server.url):
                raise AssertionError
    assert caught.value.status == status
    assert server.methods == ["server/discover"]


async def test_what_cannot_be_reached_is_no_server_of_any_era() -> None:
    async with scripted(modern()) as server:
        server.is_up = False
        with pytest.raises(ExchangeFailed, match="cannot connect"):
            async with trimcp.connect(server.url):
                raise AssertionError


# --- pinned ---------------------------------------------------------------------------


async def test_a_client_that_insists_on_the_newest_tells_what_a_legacy_server_said(carrier: str) -> None:
    async with scripted(Legacy(), carrier) as server:
        with pytest.raises(SessionFailed, match=r"none of 2026-07-28.*Bad Request: no session"):
            async with trimcp.connect(server.url, revision=MODERN):
                raise AssertionError
    assert server.methods == ["server/discover"]


async def test_a_client_that_insists_on_the_newest_names_the_status_of_a_server_without_it() -> None:
    async with scripted(Older()) as server:
        with pytest.raises(SessionFailed, match=r"none of 2026-07-28.*takes no POST.*405"):
            async with trimcp.connect(server.url, revision=MODERN):
                raise AssertionError


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25"])
async def test_a_client_that_insists_on_a_legacy_revision_does_not_probe(version: str, carrier: str) -> None:
    async with (
        scripted(Legacy(version=version), carrier) as server,
        trimcp.connect(server.url, revision=version) as client,
    ):
        assert client.protocol_version == version
    assert server.methods[0] == "initialize"
    assert server.asks[0].params["protocolVersion"] == version


async def test_a_legacy_server_that_chooses_another_revision_than_the_one_insisted_on_is_refused() -> None:
    async with scripted(Legacy(version="2025-03-26")) as server:
        with pytest.raises(SessionFailed, match=r"chose revision '2025-03-26'"):
            async with trimcp.connect(server.url, revision="2025-11-25"):
                raise AssertionError


async def test_what_is_known_to_be_streamable_is_not_tried_otherwise() -> None:
    async with scripted(Older()) as server:
        with pytest.raises(ExchangeFailed, match="405"):
            async with trimcp.connect(server.url, transport="http"):
                raise AssertionError
    assert "GET" not in server.methods


async def test_what_is_known_to_be_http_sse_is_not_probed() -> None:
    async with scripted(Older()) as server, trimcp.connect(server.url, transport="sse") as client:
        assert client.protocol_version == "2024-11-05"
    assert server.methods[0] == "GET"


async def test_what_is_said_to_be_http_sse_and_is_not_is_named() -> None:
    async with scripted(modern()) as server:
        with pytest.raises(SessionFailed, match=r"speaks no HTTP\+SSE here \(status 405\)"):
            async with trimcp.connect(server.url, transport="sse"):
                raise AssertionError


# --- what is kept ---------------------------------------------------------------------


async def test_the_second_client_of_a_legacy_server_does_not_probe(carrier: str) -> None:
    async with scripted(Legacy(), carrier) as server:
        for _ in range(2):
            async with trimcp.connect(server.url):
                pass
    assert server.methods.count("server/discover") == 1
    assert server.methods.count("initialize") == 2


async def test_the_second_client_of_an_older_server_goes_to_its_stream_at_once(carrier: str) -> None:
    async with scripted(Older(), carrier) as server:
        for _ in range(2):
            async with trimcp.connect(server.url) as client:
                await client.list_tools()
    assert [ask.method for ask in server.asks if ask.path == "/mcp"] == ["server/discover", "initialize", "GET", "GET"]


@pytest.mark.parametrize("before", ["legacy", "sse"])
async def test_a_finding_that_is_wrong_by_now_is_found_out_again(before: str) -> None:
    scripts: list[Script] = [Legacy() if before == "legacy" else Older(), modern()]

    async def serve(ask: Ask, answer: Answer) -> None:
        await scripts[0](ask, answer)

    async with scripted(serve) as server:
        async with trimcp.connect(server.url) as client:
            assert client.protocol_version != MODERN
        del scripts[0]
        for _ in range(2):
            async with trimcp.connect(server.url) as client:
                assert client.protocol_version == MODERN
    assert KNOWN_SERVERS.of(server.url) == "modern"


async def test_a_server_that_is_down_is_not_looked_for_twice() -> None:
    async with scripted(Legacy()) as server:
        async with trimcp.connect(server.url):
            pass
        server.is_up = False
        with pytest.raises(ExchangeFailed, match="cannot connect"):
            async with trimcp.connect(server.url):
                raise AssertionError


async def test_a_client_that_insists_neither_uses_nor_makes_a_finding() -> None:
    async with scripted(Legacy()) as server:
        async with trimcp.connect(server.url, revision="2025-11-25"):
            pass
        assert KNOWN_SERVERS.of(server.url) is None
        async with trimcp.connect(server.url):
            pass
        assert KNOWN_SERVERS.of(server.url) == "legacy"
        with pytest.raises(SessionFailed):
            async with trimcp.connect(server.url, revision=MODERN):
                raise AssertionError


async def test_a_client_with_http_of_its_own_neither_uses_nor_makes_a_finding() -> None:
    own: Any = object()
    async with scripted(Legacy()) as server:
        for _ in range(2):
            async with trimcp.connect(server.url, http_client=own):
                pass
        assert server.methods.count("server/discover") == 2
        assert len(KNOWN_SERVERS) == 0


async def test_what_goes_wrong_in_the_program_is_no_reason_to_look_again() -> None:
    async with scripted(Legacy()) as server:
        for _ in range(2):
            with pytest.raises(SessionFailed, match="of my own"):
                async with trimcp.connect(server.url):
                    raise SessionFailed("of my own")
    assert server.methods.count("server/discover") == 1
    assert server.methods.count("initialize") == 2


def test_findings_are_bounded_and_pass() -> None:
    now = [0.0]
    known = KnownServers(most=2, good_for=10, clock=lambda: now[0])
    for name in ("a", "b", "c"):
        known.learn(f"https://{name}/mcp", "legacy")
    assert [known.of(f"https://{name}/mcp") for name in ("a", "b", "c")] == [None, "legacy", "legacy"]
    assert len(known) == 2
    now[0] = 10
    assert known.of("https://c/mcp") is None


def test_findings_are_of_an_origin_and_a_path() -> None:
    known = KnownServers()
    known.learn("https://me:secret@Host/mcp?key=1", "sse")
    assert known.of("https://host:443/mcp") == "sse"
    assert known.of("https://host/other") is None
    assert known.of("http://host:443/mcp") is None
    known.forget("https://host/mcp")
    assert len(known) == 0
