"""What servers ask of clients: elicitation, sampling, roots (client/* of every revision that has them)."""

from __future__ import annotations

import contextlib
import pathlib
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.requirements.traffic import Traffic, everything, watched
from tests.server.context.people import Household, Person, modern_client
from tests.session.peer import ALL, MODERN, Peer, RawServer, discovered, notification, result
from trimcp.client.features.client_features import ClientFeatures
from trimcp.server.context.questions import Sample
from trimcp.types.content import TextContent
from trimcp.types.elicitation import ElicitResult
from trimcp.types.roots import Root
from trimcp.types.sampling import SamplingMessage, ToolChoice, ToolResultContent, ToolUseContent
from trimcp.types.tools import Tool

WITH_FORMS = ("2025-06-18", "2025-11-25", MODERN)
WITH_URLS = ("2025-11-25", MODERN)


def asker() -> trimcp.Server:
    """A server that asks."""
    server = trimcp.Server("asker", show_errors=True)

    @server.tool
    async def form(ctx: trimcp.Context) -> str:
        answer = await ctx.elicit("Who?", Person)
        return f"{answer.action} {answer.data}"

    @server.tool
    async def visit(ctx: trimcp.Context, url: str = "https://bank.example/a?b=c#d") -> str:
        return (await ctx.elicit_url("Pay, please", url, id="visit-1")).action

    @server.tool
    async def sample(ctx: trimcp.Context, tools: bool = False, choice: bool = False) -> str:
        options: dict[str, Any] = {"tools": [Tool("t", {"type": "object"})]} if tools else {}
        if choice:
            options["tool_choice"] = ToolChoice("none")
        return (await ctx.sample("hi", **options)).text

    @server.tool
    async def roots(ctx: trimcp.Context) -> list[str]:
        return [root.uri for root in await ctx.roots()]

    return server


async def questions_of(version: str, tool: str) -> list[dict[str, Any]]:
    """The params of what a client is asked while it calls that tool."""
    async with watched(asker(), version, **Household().options()) as (client, end):
        await client.call_tool(tool)
        said = Traffic([(line.direction, line.message) for line in end.lines])
    if version != MODERN:
        return [request["params"] for request in said.requests("in")]
    answers = [answer["result"] for answer in said.responses("in") if "inputRequests" in answer.get("result", {})]
    return [question["params"] for answer in answers for question in answer["inputRequests"].values()]


# --- elicitation ----------------------------------------------------------------------


@pytest.mark.parametrize("version", WITH_FORMS)
async def test_a_form_says_what_it_is_for_and_what_to_fill_in(version: str, autojump_clock: MockClock) -> None:
    [params] = await questions_of(version, "form")
    assert params["message"] == "Who?"
    assert params["requestedSchema"]["type"] == "object"
    assert set(params["requestedSchema"]["properties"]) == {"name", "manner", "age"}
    assert params.get("mode", "form") == "form"


@pytest.mark.parametrize("version", WITH_URLS)
async def test_a_page_says_that_it_is_one_what_for_and_where(version: str, autojump_clock: MockClock) -> None:
    [params] = await questions_of(version, "visit")
    named = {"elicitationId": "visit-1"} if version == "2025-11-25" else {}
    assert params == {"mode": "url", "message": "Pay, please", "url": "https://bank.example/a?b=c#d", **named}


@pytest.mark.parametrize("version", WITH_URLS)
@pytest.mark.parametrize("url", ["", "bank.example", "/pay", "https://bank .example", "https://a/\n", "https://a/%zz"])
async def test_what_is_no_url_is_nowhere_to_be_sent(version: str, url: str, autojump_clock: MockClock) -> None:
    home = Household()
    async with trimcp.connect(asker(), revision=version, **home.options()) as client:
        refused = await client.call_tool("visit", {"url": url})
        assert refused.is_error
        assert "Invalid URL" in refused.text
    assert home.asked == []


@pytest.mark.parametrize("version", WITH_FORMS)
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_no_and_no_answer_arrive_as_what_they_are(version: str, action: Any, autojump_clock: MockClock) -> None:
    async def fill(params: object) -> ElicitResult:
        return ElicitResult(action)

    async with trimcp.connect(asker(), revision=version, elicitation=fill) as client:
        assert (await client.call_tool("form")).text == f"{action} None"


async def test_a_client_that_fails_to_answer_is_an_error_in_the_handler(autojump_clock: MockClock) -> None:
    server = trimcp.Server("asker")

    @server.tool
    async def careful(ctx: trimcp.Context) -> str:
        try:
            await ctx.elicit("Who?", Person)
        except trimcp.RequestFailed as exc:
            return f"failed {exc.code}"
        return "answered"

    async def broken(params: object) -> None:
        raise ValueError

    async with trimcp.connect(server, revision="2025-11-25", elicitation=broken) as client:
        assert (await client.call_tool("careful")).text == "failed -32603"


@pytest.mark.parametrize("mode", [{}, {"mode": "form"}])
async def test_what_says_no_mode_is_a_form(mode: dict[str, str], autojump_clock: MockClock) -> None:
    home = Household()
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    params = {"message": "Who?", "requestedSchema": schema, **mode}
    question = {"method": "elicitation/create", "params": params}

    async def legacy(peer: Peer) -> None:
        opening = await peer.receive()
        about = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "raw", "version": "1"}}
        await peer.send(result(opening["id"], about))
        await peer.receive()
        answer = await peer.ask({"jsonrpc": "2.0", "id": 1, **question})
        assert answer["result"] == {"action": "accept", "content": {"name": "Ada"}}
        await peer.duplex.aclose()

    with trio.fail_after(100):
        async with trimcp.connect(RawServer(legacy), revision="2025-11-25", **home.options()) as client:
            await client.session.wait_over()
    assert home.asked == ["Who?"]

    async def modern(peer: Peer) -> None:
        await peer.send(discovered((await peer.receive())["id"]))
        asked = await peer.receive()
        await peer.send(result(asked["id"], {"resultType": "input_required", "inputRequests": {"q": question}}))
        asked = await peer.receive()
        assert asked["params"]["inputResponses"]["q"]["content"] == {"name": "Ada"}
        await peer.send(result(asked["id"], {"resultType": "complete", "content": []}))
        await peer.rest()

    async with trimcp.connect(RawServer(modern), **home.options()) as client:
        await client.call_tool("x")
    assert home.asked == ["Who?", "Who?"]


@pytest.mark.parametrize(("tool", "options"), [("form", {"visit"}), ("visit", {"elicitation"})])
@pytest.mark.parametrize("version", WITH_URLS)
async def test_nobody_is_asked_in_a_way_that_was_not_declared(
    version: str, tool: str, options: set[str], autojump_clock: MockClock
) -> None:
    home = Household()
    some = {name: function for name, function in home.options().items() if name in options}
    async with trimcp.connect(asker(), revision=version, **some) as client:
        with pytest.raises(trimcp.RequestFailed) as caught:
            await client.call_tool(tool)
    assert caught.value.data is not None
    assert home.asked == []


async def test_the_end_of_a_visit_is_told_with_its_id_and_to_nobody_else(autojump_clock: MockClock) -> None:
    server = asker()
    async with (
        server.running(),
        watched(server, "2025-11-25", **Household().options()) as (client, end),
        watched(server, "2025-11-25", **Household().options()) as (_, other),
    ):
        await client.call_tool("visit")
        assert server.notify_elicitation_complete("visit-1")
        assert not server.notify_elicitation_complete("visit-2")
        await wait_all_tasks_blocked()
        told = [line.message for line in end.lines if "elicitation/complete" in str(line.message.get("method"))]
        assert told == [notification("notifications/elicitation/complete", {"elicitationId": "visit-1"})]
        assert "elicitation/complete" not in str(other.lines)


@pytest.mark.parametrize("id", ["", " ", "0", "ü\n\u2028", "{}", "x" * 5000])
async def test_the_id_of_a_visit_passes_through_a_client_as_it_is(id: str, autojump_clock: MockClock) -> None:
    visited: list[Any] = []

    async def visit(params: Any) -> bool:
        visited.append(params.elicitation_id)
        return True

    async def script(peer: Peer) -> None:
        opening = await peer.receive()
        about = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "raw", "version": "1"}}
        await peer.send(result(opening["id"], about))
        await peer.receive()
        params = {"mode": "url", "message": "m", "url": "https://a.example", "elicitationId": id}
        await peer.ask({"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": params})
        await peer.send(notification("notifications/elicitation/complete", {"elicitationId": id}))
        await peer.rest()

    async with (
        trimcp.connect(RawServer(script), revision="2025-11-25", visit=visit) as client,
        client.notices() as notices,
    ):
        with trio.fail_after(100):
            assert (await anext(notices)) == trimcp.ElicitationCompleted(id)
    assert visited == [id]


async def test_the_end_of_a_visit_that_nobody_made_changes_nothing(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        opening = await peer.receive()
        about = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "raw", "version": "1"}}
        await peer.send(result(opening["id"], about))
        await peer.receive()
        for params in ({"elicitationId": "unknown"}, {"elicitationId": "unknown"}, {"elicitationId": 5}, {}, None):
            await peer.send(notification("notifications/elicitation/complete", params))
        asked = await peer.receive()
        assert asked["method"] == "ping"
        await peer.send(result(asked["id"]))
        assert await peer.rest() == []

    async with trimcp.connect(RawServer(script), revision="2025-11-25", **Household().options()) as client:
        await client.ping()


async def test_a_server_answers_with_32042_nowhere(autojump_clock: MockClock) -> None:
    # What needs a visit asks for it; the error that says the same is never made here.
    for options in ({}, {"elicitation": Household().elicitation}, Household().options()):
        async with watched(asker(), "2025-11-25", **options) as (client, end):
            for tool in ("visit", "form", "sample", "roots"):
                with trio.move_on_after(10), contextlib.suppress(trimcp.RequestFailed):
                    await client.call_tool(tool)
            assert "-32042" not in str(end.lines)


# --- sampling -------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL)
async def test_what_a_model_is_asked_has_messages_with_a_role_and_content(
    version: str, autojump_clock: MockClock
) -> None:
    [params] = await questions_of(version, "sample")
    assert params["messages"] == [{"role": "user", "content": {"type": "text", "text": "hi"}}]
    assert params["maxTokens"] == 1024


@pytest.mark.parametrize("version", WITH_URLS)
@pytest.mark.parametrize("how", ["tools", "choice"])
async def test_tools_are_for_a_model_whose_client_declared_that_it_takes_some(
    version: str, how: str, autojump_clock: MockClock
) -> None:
    home = Household()
    async with trimcp.connect(asker(), revision=version, sampling=home.sampling) as client:
        with pytest.raises(trimcp.RequestFailed) as caught:
            await client.call_tool("sample", {how: True})
    assert caught.value.data == {"requiredCapabilities": {"sampling": {"tools": {}}}}
    assert home.asked == []
    async with trimcp.connect(asker(), revision=version, sampling=home.sampling, sampling_tools=True) as client:
        assert (await client.call_tool("sample", {how: True})).text == "heard hi"


async def test_a_question_with_tools_that_were_not_declared_gets_no_answer(autojump_clock: MockClock) -> None:
    home = Household()
    message = {"role": "user", "content": {"type": "text", "text": "hi"}}
    for more in ({"tools": [{"name": "t", "inputSchema": {"type": "object"}}]}, {"toolChoice": {"mode": "none"}}):
        question = {"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": 1, **more}}

        async def script(peer: Peer, question: dict[str, Any] = question) -> None:
            await peer.send(discovered((await peer.receive())["id"]))
            asked = await peer.receive()
            await peer.send(result(asked["id"], {"resultType": "input_required", "inputRequests": {"q": question}}))
            assert await peer.rest() == []

        async with trimcp.connect(RawServer(script), sampling=home.sampling) as client:
            with pytest.raises(trimcp.InvalidParams, match=r"sampling\.tools"):
                await client.call_tool("x")
    assert home.asked == []


HI = SamplingMessage("user", TextContent("hi"))
USE = ToolUseContent("1", "add", {"a": 1})
OTHER_USE = ToolUseContent("2", "add", {"a": 2})
RESULT = ToolResultContent("1", [TextContent("1")])
OTHER_RESULT = ToolResultContent("2", [TextContent("2")])


def says(role: Any, *blocks: Any) -> SamplingMessage:
    """A message."""
    return SamplingMessage(role, list(blocks))


@pytest.mark.parametrize(
    "conversation",
    [
        [HI],
        [HI, SamplingMessage("assistant", USE), SamplingMessage("user", RESULT)],
        [HI, says("assistant", TextContent("well"), USE, OTHER_USE), says("user", OTHER_RESULT, RESULT)],
        [HI, says("assistant", USE), says("user", RESULT), says("assistant", USE), says("user", RESULT), HI],
    ],
)
def test_uses_of_tools_with_their_results_right_behind_are_a_conversation(conversation: list[Any]) -> None:
    Sample(conversation)


@pytest.mark.parametrize(
    "conversation",
    [
        [HI, says("assistant", USE)],
        [HI, says("assistant", USE), HI],
        [HI, says("assistant", USE), HI, says("user", RESULT)],
        [HI, says("user", RESULT)],
        [HI, says("assistant", USE), says("user", RESULT, TextContent("and"))],
        [HI, says("assistant", USE), says("user", OTHER_RESULT)],
        [HI, says("assistant", USE, OTHER_USE), says("user", RESULT)],
        [HI, says("assistant", USE, OTHER_USE), says("user", RESULT), says("user", OTHER_RESULT)],
        [HI, says("assistant", USE), says("user", RESULT, RESULT)],
        [HI, says("assistant", USE), says("assistant", RESULT)],
    ],
)
def test_uses_of_tools_without_their_results_are_the_servers_mistake(conversation: list[Any]) -> None:
    with pytest.raises(trimcp.UsageError, match="tool"):
        Sample(conversation)


# --- roots ----------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL)
async def test_roots_are_file_uris(version: str, tmp_path: pathlib.Path, autojump_clock: MockClock) -> None:
    given = [tmp_path, str(tmp_path), "relative", "a/../b", Root("file:///x y", "named"), "file:///z"]
    async with trimcp.connect(asker(), revision=version, roots=given) as client:
        said = await client.call_tool("roots")
    uris = said.text
    assert uris.count(tmp_path.as_uri()) >= 2
    assert uris.count("file:///") == len(given)
    assert ".." not in uris


@pytest.mark.parametrize(
    "root",
    [
        "https://example.com/a",
        Root("https://example.com/a"),
        Root("mem:a"),
        Root("/plain/path"),
        Root(""),
        "file:///a/../../etc",
        Root("file:///a/../b"),
        Root("file:///a/%2e%2e/b"),
        Root("file:///a/%2E./b"),
        Root("file:///a/..%5cb"),
        Root("file:///a/%2e%2e%2fb"),
    ],
)
async def test_a_root_that_is_none_or_climbs_is_given_to_nobody(root: Any) -> None:
    with pytest.raises(trimcp.UsageError, match=r"file:// URI without \.\."):
        await ClientFeatures(roots=[root]).answer("roots/list", None)


async def test_roots_that_changed_can_be_told_and_are_asked_for_again(autojump_clock: MockClock) -> None:
    folders = ["/one"]

    async def current() -> list[str]:
        return folders

    async with watched(everything(), "2025-11-25", roots=current, sampling=Household().sampling) as (client, end):
        assert (await client.call_tool("ask")).text.endswith(" 1")
        folders.append("/two")
        client.notify("notifications/roots/list_changed")
        assert (await client.call_tool("ask")).text.endswith(" 2")
        sent = [line.message for line in end.lines if line.direction == "out"]
        assert notification("notifications/roots/list_changed") in sent


async def test_without_roots_nothing_is_told_of_them(autojump_clock: MockClock) -> None:
    async with modern_client(asker(), {}) as client:
        refused = await client.tool("roots")
        assert refused["code"] == -32021
