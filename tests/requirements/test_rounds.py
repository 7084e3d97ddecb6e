"""Requests of several rounds, by the rules for each side (basic/patterns/mrtr of 2026-07-28)."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.requirements.traffic import everything, watched
from tests.server.context.people import ANSWERS, EVERYTHING, Household, modern_client, responses
from tests.session.peer import MODERN, Peer, RawServer, discovered, result
from trimcp.client.features.client_features import ROUND_QUESTIONS as QUESTIONS
from trimcp.client.requests import ROUNDS

SAMPLE = {
    "method": "sampling/createMessage",
    "params": {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}], "maxTokens": 5},
}
ROOTS = {"method": "roots/list"}
DONE = {"resultType": "complete", "content": [{"type": "text", "text": "done"}]}


def asks(questions: dict[str, Any] | None = None, state: str | None = None) -> dict[str, Any]:
    """A result that requires input."""
    made: dict[str, Any] = {"resultType": "input_required"}
    if questions is not None:
        made["inputRequests"] = questions
    if state is not None:
        made["requestState"] = state
    return made


async def rounds_with(*answers: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    """The requests that one call makes of a server that answers so, one after the other."""
    asked: list[dict[str, Any]] = []

    async def serve(peer: Peer) -> None:
        await peer.send(discovered((await peer.receive())["id"]))
        for answer in answers:
            asked.append(await peer.receive())
            await peer.send(result(asked[-1]["id"], answer))
        assert await peer.rest() == []

    async with trimcp.connect(RawServer(serve), **{**Household().options(), **options}) as client:
        with trio.fail_after(1000):
            assert (await client.call_tool("x", {"a": 1})).text == "done"
    return asked


# --- the client -----------------------------------------------------------------------


@pytest.mark.parametrize("state", ["s", "", " ", "null", '{"a": 1}', "ü\n\u2028\\\x00", "x" * 20_000])
async def test_the_state_comes_back_to_the_letter(state: str, autojump_clock: MockClock) -> None:
    first, second = await rounds_with(asks({"q": ROOTS}, state), DONE)
    assert "requestState" not in first["params"]
    assert second["params"]["requestState"] == state


async def test_a_state_is_brought_only_to_the_round_that_follows_it(autojump_clock: MockClock) -> None:
    _, second, third, fourth = await rounds_with(asks({"q": ROOTS}, "one"), asks({"q": ROOTS}), asks(state="two"), DONE)
    assert second["params"]["requestState"] == "one"
    assert "requestState" not in third["params"]
    assert fourth["params"]["requestState"] == "two"
    assert "inputResponses" not in fourth["params"]


async def test_a_retry_is_the_same_request_with_another_id_and_the_answers(autojump_clock: MockClock) -> None:
    first, second = await rounds_with(asks({"model": SAMPLE, "where": ROOTS}, "s"), DONE)
    assert first["id"] != second["id"]
    assert second["method"] == first["method"]
    brought = {"inputResponses", "requestState"}
    assert {k: v for k, v in second["params"].items() if k not in brought} == first["params"]
    answers = second["params"]["inputResponses"]
    assert answers["model"]["content"] == {"type": "text", "text": "heard hi"}
    assert answers["where"] == {"roots": [{"uri": "file:///home/ada"}]}
    assert second["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == MODERN


async def test_all_answers_are_there_before_the_request_is_made_again(autojump_clock: MockClock) -> None:
    finished: list[str] = []

    async def slow(params: Any) -> str:
        await trio.sleep(30)
        finished.append("sampling")
        return "slow"

    _, second = await rounds_with(asks({"a": SAMPLE, "b": ROOTS, "c": SAMPLE}, "s"), DONE, sampling=slow)
    assert set(second["params"]["inputResponses"]) == {"a", "b", "c"}
    assert finished == ["sampling", "sampling"]


async def test_what_one_request_brings_back_is_in_no_other(autojump_clock: MockClock) -> None:
    others: list[dict[str, Any]] = []

    async def serve(peer: Peer) -> None:
        await peer.send(discovered((await peer.receive())["id"]))
        while True:
            try:
                asked = await peer.receive()
            except EOFError:
                return
            if asked["params"].get("name") == "asks" and "requestState" not in asked["params"]:
                await peer.send(result(asked["id"], asks({"q": SAMPLE}, "for this one")))
            else:
                if asked["params"].get("name") != "asks":
                    others.append(asked)
                await peer.send(result(asked["id"], DONE))

    async def slow(params: Any) -> str:
        await trio.sleep(5)
        return "x"

    async with trimcp.connect(RawServer(serve), sampling=slow) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.call_tool, "asks")
        for _ in range(3):
            await client.call_tool("other")
            await trio.sleep(3)
    assert len(others) == 3
    for asked in others:
        assert not {"requestState", "inputResponses"} & asked["params"].keys()


async def test_a_question_that_is_not_offered_is_not_answered_by_half(autojump_clock: MockClock) -> None:
    asked: list[Any] = []

    async def serve(peer: Peer) -> None:
        await peer.send(discovered((await peer.receive())["id"]))
        asked.append(await peer.receive())
        await peer.send(result(asked[0]["id"], asks({"a": ROOTS, "b": SAMPLE}, "s")))
        asked.extend(await peer.rest())

    async with trimcp.connect(RawServer(serve), roots=["/"]) as client:
        with pytest.raises(trimcp.RequestFailed):
            await client.call_tool("x")
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (asks(), "does not say which"),
        (asks({"q": ROOTS}, "s"), f"after {ROUNDS} rounds"),
        (asks({str(n): ROOTS for n in range(QUESTIONS + 1)}), "at once"),
    ],
)
async def test_a_server_that_asks_nothing_or_too_much_is_given_up(
    answer: dict[str, Any], words: str, autojump_clock: MockClock
) -> None:
    async def serve(peer: Peer) -> None:
        await peer.send(discovered((await peer.receive())["id"]))
        while True:
            try:
                await peer.send(result((await peer.receive())["id"], answer))
            except EOFError:
                return

    async with trimcp.connect(RawServer(serve), roots=["/"]) as client:
        with pytest.raises(trimcp.InvalidResult, match=words):
            await client.call_tool("x")


# --- the server -----------------------------------------------------------------------


async def test_a_server_that_asks_says_what_and_brings_a_state(autojump_clock: MockClock) -> None:
    async with modern_client(everything()) as client:
        asked = await client.tool("ask")
        assert asked["resultType"] == "input_required"
        assert asked["requestState"]
        assert [question["method"] for question in asked["inputRequests"].values()] == ["sampling/createMessage"]


async def test_questions_of_one_round_have_keys_of_their_own(autojump_clock: MockClock) -> None:
    server = trimcp.Server("asker")

    @server.tool
    async def many(ctx: trimcp.Context) -> str:
        await ctx.ask(**{f"key {n}": trimcp.Roots() for n in range(5)}, model=trimcp.Sample("the same"))
        return "asked"

    async with modern_client(server) as client:
        asked = (await client.tool("many"))["inputRequests"]
        assert set(asked) == {"model", *(f"key {n}" for n in range(5))}
        assert {question["method"] for question in asked.values()} == {"roots/list", "sampling/createMessage"}


@pytest.mark.parametrize(("lacking", "tool"), [("sampling", "ask"), ("roots", "ask"), ("elicitation", "form")])
async def test_nobody_is_asked_what_was_not_declared(lacking: str, tool: str, autojump_clock: MockClock) -> None:
    declared = {key: value for key, value in EVERYTHING.items() if key != lacking}
    round_: dict[str, Any] = {}
    async with modern_client(everything(), declared) as client:
        for _ in range(3):
            answer = await client.tool(tool, **round_)
            if "code" in answer:
                break
            round_ = responses(answer, ANSWERS)
        assert answer["code"] == -32021
        assert list(answer["data"]["requiredCapabilities"]) == [lacking]


async def test_a_server_waits_for_nobody_who_does_not_come_back(autojump_clock: MockClock) -> None:
    server = everything()
    async with server.running(), modern_client(server) as client:
        for _ in range(100):
            assert (await client.tool("ask"))["resultType"] == "input_required"
        await wait_all_tasks_blocked()  # the last request unwinds behind its answer
        [snapshot] = server.tree()[0].sessions
        assert snapshot.requests == ()
        before = trio.current_time()
        await server.drain(60)
        assert trio.current_time() - before < 1


@pytest.mark.parametrize(
    "method", ["tools/list", "resources/list", "resources/templates/list", "prompts/list", "completion/complete"]
)
async def test_what_may_not_ask_answers_with_an_error_where_it_would(method: str, autojump_clock: MockClock) -> None:
    server = everything()

    @server.middleware
    async def curious(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
        await ctx.roots()
        return await proceed(params)

    params: dict[str, Any] = {}
    if method == "completion/complete":
        params = {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "name", "value": ""}}
    async with modern_client(server) as client:
        answer = await client.ask(client.request(1, method, params, **client.meta))
        assert answer["error"]["code"] == -32603


async def test_a_state_that_was_forged_is_refused_and_spoils_nothing(autojump_clock: MockClock) -> None:
    server = everything()
    async with modern_client(server) as client:
        asked = await client.tool("ask")
        forged = asked["requestState"][:-8] + "AAAAAAA="
        refused = await client.tool("ask", requestState=forged)
        assert refused["code"] == -32602
        assert (await client.tool("ask", **responses(asked, ANSWERS)))["resultType"] == "input_required"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}}),
        ("prompts/get", {"name": "greet", "arguments": {"name": "Ada"}}),
        ("resources/read", {"uri": "mem://0"}),
    ],
)
async def test_a_forged_state_is_refused_by_every_method_that_may_ask(
    method: str, params: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with modern_client(everything()) as client:
        state = (await client.tool("ask"))["requestState"]
        for forged in ("", "x", state, state[:-4], state[::-1]):
            request = client.request(1, method, {**params, "requestState": forged}, **client.meta)
            assert (await client.ask(request))["error"]["code"] == -32602
        assert "result" in await client.ask(client.request(1, method, params, **client.meta))


async def test_a_client_of_ours_and_a_server_of_ours_need_a_new_id_for_each_round(autojump_clock: MockClock) -> None:
    async with watched(everything(), MODERN, **Household().options()) as (client, end):
        assert (await client.call_tool("ask")).text == "heard say something 1"
        ids = [line.message["id"] for line in end.lines if line.message.get("method") == "tools/call"]
    assert len(ids) == len(set(ids)) == 3
