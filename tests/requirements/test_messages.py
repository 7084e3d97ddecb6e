"""What every message must be, whatever it is about (basic/index, basic/messages)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.client.answering import answering
from tests.client.test_calls import Outcome, pair
from tests.requirements.traffic import HARD, Traffic, everything, traffic, watched
from tests.session.peer import ALL, ERAS, LEGACY, META, MODERN, error, result, served
from trimcp.codec.envelope import read_message
from trimcp.protocol.cancel_reason import ANSWERS
from trimcp.types import jsonrpc

every_revision = pytest.mark.parametrize("version", ALL)
SIDES = ("in", "out")
OTHER = {"in": "out", "out": "in"}

RESERVED = range(-32768, -31999)
"""The codes that JSON-RPC keeps for itself and for the protocols upon it."""


@every_revision
async def test_every_message_of_either_side_is_one_of_json_rpc(version: str, autojump_clock: MockClock) -> None:
    said = await traffic(version)
    for _, message in said.lines:
        assert message["jsonrpc"] == "2.0"
        read_message(message)
    assert len(said.requests("out")) > 20
    assert len(said.responses("in")) > 20


@every_revision
async def test_requests_have_ids_that_are_texts_or_integers_and_never_come_again(
    version: str, autojump_clock: MockClock
) -> None:
    said = await traffic(version)
    for side in SIDES:
        ids = [request["id"] for request in said.requests(side)]
        assert all(type(id) in (int, str) for id in ids)
        assert len(set(ids)) == len(ids)


@every_revision
async def test_an_answer_has_the_id_of_its_request_and_either_a_result_or_an_error(
    version: str, autojump_clock: MockClock
) -> None:
    said = await traffic(version)
    for side in SIDES:
        asked = {request["id"] for request in said.requests(OTHER[side])}
        answers = said.responses(side)
        assert {answer["id"] for answer in answers} <= asked
        assert max(Counter(answer["id"] for answer in answers).values(), default=1) == 1
        assert all(("result" in answer) != ("error" in answer) for answer in answers)
        assert all(type(answer["result"]) is dict for answer in answers if "result" in answer)


@every_revision
async def test_an_error_has_an_integer_for_its_code_and_a_text_for_its_message(
    version: str, autojump_clock: MockClock
) -> None:
    errors = [answer["error"] for answer in (await traffic(version)).responses("in") if "error" in answer]
    assert len(errors) >= 4
    for failure in errors:
        assert type(failure["code"]) is int
        assert type(failure["message"]) is str


@every_revision
async def test_what_is_a_notification_by_its_name_has_no_id_and_all_else_has_one(
    version: str, autojump_clock: MockClock
) -> None:
    said = await traffic(version)
    methods = {
        (message["method"].startswith("notifications/"), "id" in message)
        for _, message in said.lines
        if "method" in message
    }
    assert methods == {(True, False), (False, True)}


@pytest.mark.parametrize("code", [1.5, "1", None, True])
async def test_an_error_whose_code_is_no_integer_is_no_answer(code: Any, autojump_clock: MockClock) -> None:
    async with pair() as (client, peer), trio.open_nursery() as nursery:
        call = Outcome(nursery, client.request, "x/y")
        await peer.send(error((await peer.receive())["id"], code))
        assert isinstance((await call.done()).error, trimcp.InvalidPayload)


# --- codes ----------------------------------------------------------------------------


def test_no_code_of_our_own_is_a_reserved_one() -> None:
    ours = {value for name, value in vars(jsonrpc).items() if name.isupper() and type(value) is int}
    reserved = {code for code in ours if code in RESERVED}
    defined = {-32700, -32600, -32601, -32602, -32603, -32002, -32042, -32020, -32021, -32022}
    assert reserved == defined
    assert {answer[0] for answer in ANSWERS.values() if answer is not None} <= ours - reserved


@every_revision
async def test_the_errors_of_a_server_have_codes_that_its_revision_defines(
    version: str, autojump_clock: MockClock
) -> None:
    codes = {answer["error"]["code"] for answer in (await traffic(version)).responses("in") if "error" in answer}
    allowed = {-32700, -32600, -32601, -32602, -32603, *({-32002} if version in LEGACY else {-32020, -32021, -32022})}
    assert {code for code in codes if code in RESERVED} <= allowed
    assert (-32002 in codes) is (version in LEGACY)


@every_revision
@pytest.mark.parametrize("code", range(-32019, -31999))
async def test_a_code_of_old_makes_a_client_believe_nothing(version: str, code: int, autojump_clock: MockClock) -> None:
    async with pair(version) as (client, peer), trio.open_nursery() as nursery:
        call = Outcome(nursery, client.read_resource, "a:1")
        await peer.send(error((await peer.receive())["id"], code, "as it is", data={"uri": "a:1"}))
        failure = (await call.done()).error
        assert isinstance(failure, trimcp.RequestFailed)
        assert failure.code == code
        assert isinstance(failure, trimcp.ResourceNotFound) is (code == -32002)


# --- results of 2026-07-28 ------------------------------------------------------------


async def test_every_modern_result_says_of_what_type_it_is(autojump_clock: MockClock) -> None:
    said = await traffic(MODERN)
    types = Counter(answer["result"]["resultType"] for answer in said.responses("in") if "result" in answer)
    assert set(types) == {"complete", "input_required"}
    methods = {request["id"]: request["method"] for request in said.requests("out")}
    asking = {
        methods[answer["id"]]
        for answer in said.responses("in")
        if answer.get("result", {}).get("resultType") == "input_required"
    }
    assert asking <= {"tools/call", "prompts/get", "resources/read"}


async def test_a_modern_result_without_a_type_is_a_complete_one(autojump_clock: MockClock) -> None:
    contents = [{"uri": "a:1", "text": "hello"}]
    prompt = {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}]}
    answers = {
        "resources/read": {"contents": contents, "ttlMs": 0, "cacheScope": "private"},
        "tools/list": {"tools": [], "ttlMs": 0, "cacheScope": "private"},
        "prompts/get": prompt,
    }
    async with trimcp.connect(answering(answers)) as client:
        assert (await client.read_resource("a:1")).text == "hello"
        assert await client.list_tools() == []
        assert len((await client.get_prompt("p")).messages) == 1


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("tools/call", lambda client: client.call_tool("x")),
        ("tools/list", lambda client: client.list_tools()),
        ("resources/read", lambda client: client.read_resource("a:1")),
        ("prompts/get", lambda client: client.get_prompt("p")),
        ("completion/complete", lambda client: client.complete("a", prompt="p")),
    ],
)
async def test_a_result_of_a_type_that_nobody_defined_is_invalid_whatever_was_asked(
    method: str, call: Any, autojump_clock: MockClock
) -> None:
    made = {"resultType": "surprise", "content": [], "tools": [], "contents": [], "messages": []}
    made |= {"completion": {"values": []}, "ttlMs": 0, "cacheScope": "private"}
    async with trimcp.connect(answering({method: made})) as client:
        with pytest.raises(trimcp.InvalidResult, match="resultType"):
            await call(client)


# --- metadata -------------------------------------------------------------------------


async def test_every_request_of_a_modern_client_carries_what_is_required(autojump_clock: MockClock) -> None:
    said = await traffic(MODERN)
    declared = {"roots": {}, "sampling": {"tools": {}}, "elicitation": {"form": {}, "url": {}}}
    for request in said.requests("out"):
        meta = request["params"]["_meta"]
        assert meta["io.modelcontextprotocol/protocolVersion"] == MODERN
        assert meta["io.modelcontextprotocol/clientCapabilities"] == declared
        assert meta["io.modelcontextprotocol/clientInfo"]["name"] == "trimcp"


@pytest.mark.parametrize("version", ERAS)
async def test_keys_of_metadata_that_are_not_ours_arrive_as_they_were_sent(
    version: str, autojump_clock: MockClock
) -> None:
    server = everything()
    seen: list[Any] = []

    @server.tool
    async def look(ctx: trimcp.Context) -> None:
        seen.append(dict(ctx.meta))

    sent = {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
        "tracestate": "vendor=1",
        "baggage": "a=b",
        "io.modelcontextprotocol/laterThanThis": [HARD, None],
        "com.example/x": {"a": 1.5},
    }
    async with trimcp.connect(server, revision=version) as client:
        await client.call_tool("look", meta=sent)
    assert {key: seen[0][key] for key in sent} == sent
    assert version == MODERN or seen[0] == sent


# --- no state -------------------------------------------------------------------------


async def test_a_modern_request_without_its_metadata_is_refused_whatever_came_before(
    autojump_clock: MockClock,
) -> None:
    async with served(everything()) as peer:
        for n in range(3):
            assert "result" in await peer.ask(peer.call(n, "add", {"a": 1, "b": 2}))
            for missing in ("io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities"):
                bare = peer.call(n, "add", {"a": 1, "b": 2})
                del bare["params"]["_meta"][missing]
                assert (await peer.ask(bare))["error"]["code"] == -32602


async def test_what_a_modern_client_declared_once_is_not_assumed_again(autojump_clock: MockClock) -> None:
    capabilities = "io.modelcontextprotocol/clientCapabilities"
    async with served(everything()) as peer:
        able = {capabilities: {"sampling": {}, "roots": {}}}
        assert (await peer.ask(peer.call(1, "ask", **able)))["result"]["resultType"] == "input_required"
        refused = await peer.ask(peer.call(2, "ask"))
        assert refused["error"]["code"] == -32021
        assert refused["error"]["data"] == {"requiredCapabilities": {"sampling": {}}}
        assert META[capabilities] == {}


# --- who may say what -----------------------------------------------------------------


async def test_in_the_modern_era_servers_make_no_requests_and_clients_give_no_answers(
    autojump_clock: MockClock,
) -> None:
    said = await traffic(MODERN)
    assert said.requests("in") == []
    assert said.responses("out") == []
    assert {notice["method"] for notice in said.notifications("out")} == {"notifications/cancelled"}


@pytest.mark.parametrize("version", LEGACY)
async def test_in_the_legacy_era_both_sides_ask_and_answer(version: str, autojump_clock: MockClock) -> None:
    said = await traffic(version)
    asked = Counter(request["method"] for request in said.requests("in"))
    assert asked["sampling/createMessage"] == 1
    assert asked["roots/list"] == 1
    assert len(said.responses("out")) == sum(asked.values())


async def test_what_is_declared_and_used_agree_in_a_legacy_session(autojump_clock: MockClock) -> None:
    server = trimcp.Server("bare", logging=False)
    async with watched(server, "2025-11-25") as (client, end):
        server.notify_tools_changed()
        server.notify_resource_updated("a:1")
        assert client.server_capabilities.tools is None
        await wait_all_tasks_blocked()
        said = Traffic([(line.direction, line.message) for line in end.lines])
    assert said.notifications("in") == []
    assert said.requests("in") == []


# --- batches of 2025-03-26 ------------------------------------------------------------


async def test_a_client_of_the_revision_with_batches_reads_them(autojump_clock: MockClock) -> None:
    async with pair("2025-03-26") as (client, peer), trio.open_nursery() as nursery:
        calls = [Outcome(nursery, client.request, "x/y", {"n": n}) for n in range(2)]
        asked = sorted([await peer.receive() for _ in calls], key=lambda request: request["params"]["n"])
        ping = {"jsonrpc": "2.0", "id": "p", "method": "ping"}
        news = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
        await peer.send([result(asked[0]["id"], {"n": 0}), news, ping, error(asked[1]["id"], 5), 7])
        assert (await calls[0].done()).value == {"n": 0}
        assert isinstance((await calls[1].done()).error, trimcp.RequestFailed)
        said = await peer.settled()
        assert len(said) == 1
        answers = said[0] if isinstance(said[0], list) else said
        assert {"jsonrpc": "2.0", "id": "p", "result": {}} in answers
