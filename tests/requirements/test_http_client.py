"""What a client sends over HTTP, request by request (basic/transports; basic/transports/streamable-http)."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.http.clients import NAMED, PREFIX, STREAMABLE
from tests.requirements.sites import Asked, Site, at_site
from tests.requirements.traffic import everything, use
from tests.requirements.wires import Exchange, over_http
from tests.server.context.people import Household
from tests.session.peer import MODERN, notification, result
from trimcp.framing.headers import decode_value

EVERY = (*STREAMABLE, MODERN)
every_revision = pytest.mark.parametrize("version", EVERY)
legacy_revisions = pytest.mark.parametrize("version", STREAMABLE)

NAMES = ("plain", "mit Ümlaut", "=?base64?cGxhaW4=?=", " padded ", "日本語")


def named() -> trimcp.Server:
    """A server whose prompts and resources have names that no header can carry as they are."""
    server = everything()
    for name in NAMES:

        @server.prompt(name=name)
        async def prompt() -> str:
            return "got"

    server.add_resource("mem://grüße", "read", name="greetings")
    return server


async def everything_sent(version: str) -> list[Exchange]:
    """All that a client sends which uses everything of a server, listens meanwhile, and leaves."""
    async with over_http(named(), version, log_level="debug", **Household().options()) as line:
        client = line.client
        async with client.listen(tools=True, prompts=True, resources=True, uris=["mem://0"]):
            await use(client, version)
            line.http.server.notify_tools_changed()
            await wait_all_tasks_blocked()
        for name in NAMES:
            with pytest.raises(trimcp.RequestFailed):
                await client.call_tool(name)
            await client.get_prompt(name)
        await client.read_resource("mem://grüße")
        await trio.sleep(5)
    sent = line.exchanges
    assert len(sent) > 40
    return sent


def posts(sent: list[Exchange]) -> list[Exchange]:
    """Those that carry a message."""
    return [exchange for exchange in sent if exchange.verb == "POST"]


@every_revision
async def test_every_message_of_a_client_is_a_post_of_its_own_to_the_one_endpoint(
    version: str, autojump_clock: MockClock
) -> None:
    sent = await everything_sent(version)
    assert {exchange.path for exchange in sent} == {"/mcp"}
    for exchange in sent:
        assert (exchange.verb == "POST") is bool(exchange.body)
    messages = [exchange.message for exchange in posts(sent)]
    assert all(type(message) is dict and message["jsonrpc"] == "2.0" for message in messages)
    methods = {message.get("method", "answer") for message in messages}
    assert {"tools/call", "prompts/get", "resources/read", "completion/complete"} <= methods
    if version == MODERN:
        assert {exchange.verb for exchange in sent} == {"POST"}
        assert "subscriptions/listen" in methods
    else:
        assert {exchange.verb for exchange in sent} == {"POST", "GET", "DELETE"}
        assert {"initialize", "notifications/initialized", "notifications/cancelled", "answer"} <= methods


@every_revision
async def test_whoever_posts_accepts_json_and_event_streams(version: str, autojump_clock: MockClock) -> None:
    for exchange in posts(await everything_sent(version)):
        accepted = {part.strip() for part in exchange.fields["accept"].split(",")}
        assert accepted >= {"application/json", "text/event-stream"}
        assert exchange.fields["content-type"] == "application/json"


@legacy_revisions
async def test_whoever_listens_by_get_accepts_event_streams(version: str, autojump_clock: MockClock) -> None:
    gets = [exchange for exchange in await everything_sent(version) if exchange.verb == "GET"]
    assert gets
    assert all("text/event-stream" in exchange.fields["accept"] for exchange in gets)


async def test_each_modern_post_says_in_its_head_what_its_body_says(autojump_clock: MockClock) -> None:
    names = set()
    for exchange in await everything_sent(MODERN):
        message, fields = exchange.message, exchange.fields
        assert "id" in message and "method" in message
        assert fields["mcp-protocol-version"] == message["params"]["_meta"][PREFIX + "protocolVersion"] == MODERN
        assert fields["mcp-method"] == message["method"]
        member = NAMED.get(message["method"])
        assert ("mcp-name" in fields) is (member is not None)
        if member is not None:
            name = message["params"][member]
            written = fields["mcp-name"]
            assert decode_value(written) == name
            # As it stands only where that is safe, and cannot be taken for the other form.
            assert (written == name) is (name.isascii() and name == name.strip() and not name.startswith("=?"))
            names.add(name)
        assert "mcp-session-id" not in fields
        assert "last-event-id" not in fields
    assert {*NAMES, "mem://grüße", "mem://0"} <= names


async def test_a_modern_client_posts_no_answers_and_no_notifications(autojump_clock: MockClock) -> None:
    for exchange in await everything_sent(MODERN):
        assert {"id", "method"} <= exchange.message.keys()


async def test_a_request_that_a_modern_server_makes_is_not_answered() -> None:
    async def call(asked: Asked) -> None:
        await asked.begin()
        await asked.event({"jsonrpc": "2.0", "id": 7, "method": "roots/list"})
        await asked.event({"jsonrpc": "2.0", "id": 8, "method": "ping"})
        await asked.event(result(asked.id, {"resultType": "complete", "content": []}))
        await asked.end()

    site = Site(MODERN, {"tools/call": call})
    async with at_site(site, roots=["/home/ada"]) as client:
        await client.call_tool("any")
        await wait_all_tasks_blocked()
    assert [asked.method for asked in site.asked] == ["server/discover", "tools/call"]


async def test_a_modern_client_cancels_by_closing_the_stream_and_says_nothing(autojump_clock: MockClock) -> None:
    left = trio.Event()

    async def call(asked: Asked) -> None:
        await asked.begin()
        await asked.event(notification("notifications/message", {"level": "info", "data": "x"}))
        await asked.left()
        left.set()

    site = Site(MODERN, {"tools/call": call})
    async with at_site(site) as client:
        with trio.move_on_after(5):
            await client.call_tool("any")
        await left.wait()
        await wait_all_tasks_blocked()
    assert [asked.method for asked in site.asked] == ["server/discover", "tools/call"]


# --- sessions -------------------------------------------------------------------------


@legacy_revisions
async def test_the_id_of_a_session_is_shown_with_each_further_request(version: str, autojump_clock: MockClock) -> None:
    opening, *rest = await everything_sent(version)
    assert opening.method == "initialize"
    assert "mcp-session-id" not in opening.fields
    id = opening.answered["mcp-session-id"]
    assert {exchange.fields.get("mcp-session-id") for exchange in rest} == {id}
    assert {"GET", "DELETE", "answer", "tools/call", "notifications/initialized"} <= {each.method for each in rest}


@legacy_revisions
async def test_the_agreed_revision_is_named_with_each_further_request(version: str, autojump_clock: MockClock) -> None:
    opening, *rest = await everything_sent(version)
    assert opening.message["params"]["protocolVersion"] == version
    assert {exchange.fields.get("mcp-protocol-version") for exchange in rest} == {version}
    assert {"GET", "DELETE", "answer", "tools/call", "notifications/initialized"} <= {each.method for each in rest}


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25"])
async def test_the_revision_in_the_head_is_the_one_that_the_server_chose(version: str) -> None:
    site = Site(version)
    async with at_site(site, revision=None) as client:
        assert client.protocol_version == version
    probe, opening, *rest = site.asked
    assert probe.method == "server/discover"
    assert opening.message["params"]["protocolVersion"] == "2025-11-25"
    assert "mcp-protocol-version" not in opening.fields
    assert [asked.fields["mcp-protocol-version"] for asked in rest] == [version] * len(rest)
    assert rest


@legacy_revisions
async def test_a_server_that_names_no_session_is_shown_no_id(version: str) -> None:
    async def initialize(asked: Asked) -> None:
        about = {"name": "site", "version": "1"}
        await asked.result({"protocolVersion": version, "capabilities": {}, "serverInfo": about})

    async def ping(asked: Asked) -> None:
        await asked.result()

    site = Site(version, {"initialize": initialize, "ping": ping})
    async with at_site(site) as client:
        await client.ping()
    assert [asked.method for asked in site.asked] == ["initialize", "notifications/initialized", "GET", "ping"]
    assert all("mcp-session-id" not in asked.fields for asked in site.asked)


# --- either form of an answer ---------------------------------------------------------


async def by_json(asked: Asked, value: dict[str, Any], **fields: str) -> None:
    """Answer in a body."""
    await asked.respond(200, result(asked.id, value), **fields)


async def by_events(asked: Asked, value: dict[str, Any], **fields: str) -> None:
    """Answer on a stream."""
    await asked.begin(**{"content-type": "text/event-stream; charset=utf-8", **fields})
    await asked.event(raw=": hello\n\n")
    if asked.method == "tools/call":
        params = {"progressToken": asked.message["params"]["_meta"]["progressToken"], "progress": 1}
        await asked.event(notification("notifications/progress", params))
    await asked.event(result(asked.id, value))
    await asked.end()


@every_revision
@pytest.mark.parametrize("answer", [by_json, by_events])
async def test_a_client_understands_answers_of_either_form(version: str, answer: Any) -> None:
    complete = {"resultType": "complete"} if version == MODERN else {}
    kept = {"ttlMs": 0, "cacheScope": "private"} if version == MODERN else {}
    about = {"name": "site", "version": "1"}

    async def initialize(asked: Asked) -> None:
        value = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about}
        await answer(asked, value, **{"MCP-SESSION-ID": "s"})

    async def discover(asked: Asked) -> None:
        await answer(asked, {**complete, **kept, "supportedVersions": [MODERN], "capabilities": {"tools": {}}})

    async def tools(asked: Asked) -> None:
        await answer(asked, {**complete, **kept, "tools": [{"name": "t", "inputSchema": {"type": "object"}}]})

    async def call(asked: Asked) -> None:
        await answer(asked, {**complete, "content": [{"type": "text", "text": "said"}]})

    does = {"initialize": initialize, "server/discover": discover, "tools/list": tools, "tools/call": call}
    told: list[Any] = []
    async with at_site(Site(version, does)) as client:
        assert client.protocol_version == version
        assert [tool.name for tool in await client.list_tools()] == ["t"]
        called = await client.call_tool("t", on_progress=lambda *said: told.append(said))
        assert called.text == "said"
    assert len(told) == (answer is by_events)


async def test_names_of_header_fields_are_read_in_any_case() -> None:
    async def initialize(asked: Asked) -> None:
        about = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "site", "version": "1"}}
        fields = {"mCp-SeSsIoN-iD": "one", "CONTENT-Type": "application/json"}
        await asked.respond(200, json.dumps(result(asked.id, about)).encode(), **fields)

    site = Site("2025-11-25", {"initialize": initialize, "ping": lambda asked: asked.result()})
    async with at_site(site) as client:
        await client.ping()
    assert {asked.fields.get("mcp-session-id") for asked in site.asked[1:]} == {"one"}
