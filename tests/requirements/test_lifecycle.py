"""How sessions are opened, and what each side may use then (basic/lifecycle; basic/versioning and server/discover)."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.requirements.traffic import everything, traffic, watched
from tests.server.context.people import Household
from tests.session.peer import ALL, LEGACY, MODERN, PATIENCE, Peer, RawServer, discovered, result, served

CHANGES = "notifications/{}/list_changed"


@pytest.mark.parametrize("version", LEGACY)
async def test_a_legacy_client_says_first_who_it_is_and_then_that_it_is_ready(
    version: str, autojump_clock: MockClock
) -> None:
    said = await traffic(version)
    first, answer, ready = said.lines[:3]
    assert (first[0], first[1]["method"]) == ("out", "initialize")
    assert first[1]["params"]["protocolVersion"] == version
    assert first[1]["params"]["clientInfo"] == {"name": "trimcp", "version": "0"}
    declared = first[1]["params"]["capabilities"]
    assert set(declared) == {"roots", "sampling", *({"elicitation"} if version >= "2025-06-18" else ())}
    assert answer[0] == "in"
    assert answer[1]["id"] == first[1]["id"]
    assert answer[1]["result"]["protocolVersion"] == version
    assert answer[1]["result"]["serverInfo"] == {"name": "everything", "version": "0"}
    capabilities = {"tools", "resources", "prompts", "logging", *({"completions"} if version > "2025-03" else ())}
    assert set(answer[1]["result"]["capabilities"]) == capabilities
    assert (ready[0], ready[1]["method"]) == ("out", "notifications/initialized")


@pytest.mark.parametrize("version", LEGACY)
@pytest.mark.parametrize("offered", LEGACY)
async def test_a_server_speaks_the_revision_that_is_asked_for_or_another_of_its_own(
    version: str, offered: str, autojump_clock: MockClock
) -> None:
    async with served(trimcp.Server("one", revisions=[offered]), version, opened=False) as peer:
        answer = await peer.ask(peer.initialize())
        assert answer["result"]["protocolVersion"] == offered


@pytest.mark.parametrize("version", ALL)
async def test_capabilities_are_those_of_what_there_is(version: str, autojump_clock: MockClock) -> None:
    features = {"tools", "resources", "prompts"}
    for missing in features:
        server = trimcp.Server("part", logging=False)
        if missing != "tools":
            server.tool(name="a")(lambda: 1)
        if missing != "resources":
            server.add_resource("mem:a", "a")
        if missing != "prompts":
            server.prompt(name="a")(lambda: "a")
        async with served(server, version, opened=False) as peer:
            opening = peer.request(1, "server/discover") if version == MODERN else peer.initialize()
            capabilities = (await peer.ask(opening))["result"]["capabilities"]
            assert set(capabilities) == features - {missing}


@pytest.mark.parametrize("version", ALL)
async def test_what_a_server_did_not_declare_it_does_not_use(version: str, autojump_clock: MockClock) -> None:
    server = trimcp.Server("bare", logging=False)
    async with watched(server, version) as (_, end):
        server.notify_tools_changed()
        server.notify_prompts_changed()
        server.notify_resources_changed()
        server.notify_resource_updated("mem:a")
        await wait_all_tasks_blocked()
        assert [line for line in end.lines if line.direction == "in" and "method" in line.message] == []


@pytest.mark.parametrize(
    ("options", "declared"),
    [
        ({}, {}),
        ({"roots": []}, {"roots": {"listChanged": True}}),
        ({"sampling": Household().sampling}, {"sampling": {}}),
        ({"sampling": Household().sampling, "sampling_tools": True}, {"sampling": {"tools": {}}}),
        ({"elicitation": Household().elicitation}, {"elicitation": {"form": {}}}),
        ({"visit": Household().visit}, {"elicitation": {"url": {}}}),
    ],
)
@pytest.mark.parametrize("version", ALL)
async def test_a_client_declares_what_it_has_functions_for_in_the_words_of_the_revision(
    version: str, options: dict[str, Any], declared: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with watched(trimcp.Server("any"), version, **options) as (_, end):
        params = end.lines[0].message["params"]
    if version == MODERN:
        said = params["_meta"]["io.modelcontextprotocol/clientCapabilities"]
        assert said == ({"roots": {}} if "roots" in declared else declared)
        return
    expected = dict(declared)
    if version < "2025-11-25":
        if "sampling" in expected:
            expected["sampling"] = {}
        # Without modes the capability means forms: who fills in none must not declare it.
        has_forms = "form" in expected.pop("elicitation", {})
        if has_forms and version == "2025-06-18":
            expected["elicitation"] = {}
    assert params["capabilities"] == expected


async def test_an_extension_that_the_other_side_lacks_leaves_the_core_as_it_is(autojump_clock: MockClock) -> None:
    able = {"io.modelcontextprotocol/clientCapabilities": {"extensions": {"com.example/x": {"a": 1}}, "com.example": 5}}
    async with served(everything()) as peer:
        assert (await peer.ask(peer.call(1, "add", {"a": 1, "b": 2}, **able)))["result"]["resultType"] == "complete"
        refused = await peer.ask(peer.request(2, "com.example/x/do", **able))
        assert refused["error"]["code"] == -32601

    async def script(peer: Peer) -> None:
        extended = {"extensions": {"com.example/x": {}}, "tools": {}}
        await peer.send(discovered((await peer.receive())["id"], capabilities=extended))
        asked = await peer.receive()
        assert asked["method"] == "tools/call"
        assert "extensions" not in asked["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
        await peer.send(result(asked["id"], {"resultType": "complete", "content": []}))
        await peer.rest()

    async with trimcp.connect(RawServer(script)) as client:
        assert (await client.call_tool("x")).text == ""


@pytest.mark.parametrize("version", LEGACY)
async def test_a_client_leaves_a_server_that_speaks_nothing_it_knows(version: str, autojump_clock: MockClock) -> None:
    heard: list[Any] = []

    async def script(peer: Peer) -> None:
        opening = await peer.receive()
        about = {"capabilities": {}, "serverInfo": {"name": "raw", "version": "1"}}
        await peer.send(result(opening["id"], {"protocolVersion": "1999-01-01", **about}))
        heard.extend(await peer.rest())
        heard.append("the end")

    with trio.fail_after(PATIENCE):
        with pytest.raises(trimcp.SessionFailed, match="1999-01-01"):
            async with trimcp.connect(RawServer(script), revision=version):
                pytest.fail("connected")
    assert heard == ["the end"]


async def test_discover_and_errors_name_the_modern_revisions_of_a_server(autojump_clock: MockClock) -> None:
    async with served(everything()) as peer:
        found = (await peer.ask(peer.request(1, "server/discover")))["result"]
        assert found["supportedVersions"] == [MODERN]
        stranger = {"io.modelcontextprotocol/protocolVersion": "2099-01-01"}
        for method in ("server/discover", "tools/list", "subscriptions/listen", "no/such/method"):
            refused = await peer.ask(peer.request(2, method, **stranger))
            assert refused["error"]["code"] == -32022
            assert refused["error"]["data"] == {"supported": [MODERN], "requested": "2099-01-01"}


@pytest.mark.parametrize("version", LEGACY)
async def test_pings_are_answered_by_both_sides_with_nothing_in_them(version: str, autojump_clock: MockClock) -> None:
    server = everything()

    @server.tool
    async def are_you_there(ctx: trimcp.Context) -> str:
        await ctx.ping()
        return "yes"

    async with watched(server, version) as (client, end):
        await client.ping()
        assert (await client.call_tool("are_you_there")).text == "yes"
        pings = [line for line in end.lines if line.message.get("method") == "ping"]
        assert [line.direction for line in pings] == ["out", "in"]
        for ping, way in zip(pings, ("in", "out"), strict=True):
            [answer] = [
                line.message
                for line in end.lines
                if line.direction == way and "method" not in line.message and line.message["id"] == ping.message["id"]
            ]
            assert answer == {"jsonrpc": "2.0", "id": ping.message["id"], "result": {}}


async def test_a_request_that_asks_to_be_a_task_is_served_as_any_other(autojump_clock: MockClock) -> None:
    async with served(everything(), "2025-11-25") as peer:
        opening = peer.request(1, "tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}, "task": {"ttl": 60000}})
        answer = await peer.ask(opening)
        assert answer["result"]["content"] == [{"type": "text", "text": "3"}]
        assert "task" not in answer["result"]
