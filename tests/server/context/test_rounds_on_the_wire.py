"""Multi round-trip requests as a client of another make sees them (basic/patterns/mrtr of 2026-07-28)."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import trio

import trimcp
from tests.server.context.people import ANSWERS, Person, modern_client, responses
from trimcp.server.context.sealed_state import LIFETIME, PURPOSE, Sealer

KEYS = [b"k" * 32]


def server_of_steps(keys: list[bytes] | None = None, **options: Any) -> trimcp.Server:
    """One that asks three questions that depend on each other."""
    server = trimcp.Server("steps", keys=keys or KEYS, **options)

    @server.tool
    async def steps(ctx: trimcp.Context, start: int = 0) -> str:
        person = await ctx.elicit("Who?", Person)
        assert person.data is not None
        said = await ctx.sample(f"for {person.data.name}")
        roots = await ctx.roots()
        return f"{start} {person.data.name} {said.text} {len(roots)}"

    @server.tool
    async def stubborn(ctx: trimcp.Context) -> str:
        try:
            await ctx.sample("x")
        except Exception:
            return "swallowed"
        return "asked"

    @server.tool
    async def together(ctx: trimcp.Context) -> str:
        found: list[str] = []

        async def one(name: str) -> None:
            found.append(f"{name}:{(await ctx.sample(name)).text}")

        async with trio.open_nursery() as nursery:
            for name in ("a", "b", "c"):
                nursery.start_soon(one, name)
        return " ".join(sorted(found))

    @server.tool
    async def endless(ctx: trimcp.Context) -> str:
        for number in range(1000):
            await ctx.sample(f"question {number}")
        return "never"

    @server.tool
    async def plain() -> str:
        return "plain"

    return server


async def test_each_round_may_be_answered_by_another_process(autojump_clock: Any) -> None:
    round_: dict[str, Any] = {}
    methods = []
    for _ in range(3):
        async with modern_client(server_of_steps()) as client:  # another server each time; the keys are shared
            result = await client.tool("steps", {"start": 1}, **round_)
        assert result["resultType"] == "input_required"
        assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "steps"
        methods += [question["method"] for question in result["inputRequests"].values()]
        round_ = responses(result, ANSWERS)
    async with modern_client(server_of_steps()) as client:
        result = await client.tool("steps", {"start": 1}, **round_)
    assert result["content"][0]["text"] == "1 Ada well 1"
    assert methods == ["elicitation/create", "sampling/createMessage", "roots/list"]


async def test_a_rotated_key_still_opens_what_the_old_one_sealed(autojump_clock: Any) -> None:
    async with modern_client(server_of_steps()) as client:
        round_ = responses(await client.tool("steps"), ANSWERS)
    async with modern_client(server_of_steps([b"n" * 32, *KEYS])) as client:
        assert (await client.tool("steps", **round_))["resultType"] == "input_required"
    async with modern_client(server_of_steps([b"n" * 32])) as client:
        assert (await client.tool("steps", **round_))["code"] == -32602


async def test_a_missing_answer_is_asked_for_again_and_an_unexpected_one_ignored(autojump_clock: Any) -> None:
    async with modern_client(server_of_steps()) as client:
        first = await client.tool("steps")
        again = await client.tool(
            "steps", inputResponses={"other": ANSWERS["roots/list"]}, requestState=first["requestState"]
        )
        assert again["inputRequests"] == first["inputRequests"]


async def test_answers_without_a_state_were_not_asked_for(autojump_clock: Any) -> None:
    async with modern_client(server_of_steps()) as client:
        first = await client.tool("steps")
        round_ = responses(first, ANSWERS)
        del round_["requestState"]
        assert (await client.tool("steps", **round_))["inputRequests"] == first["inputRequests"]


def tampered(state: str) -> str:
    """The state with one of its bits turned."""
    middle = len(state) // 2
    return state[:middle] + ("A" if state[middle] != "A" else "B") + state[middle + 1 :]


@pytest.mark.parametrize("tool", ["steps", "plain"])
@pytest.mark.parametrize("forge", [tampered, lambda state: "rubbish", lambda state: "", lambda state: state[:20]])
async def test_a_forged_state_is_refused_whether_the_tool_asks_or_not(
    tool: str, forge: Any, autojump_clock: Any
) -> None:
    async with modern_client(server_of_steps()) as client:
        state = (await client.tool("steps"))["requestState"]
        error = await client.tool(tool, requestState=forge(state))
        assert error["code"] == -32602
        assert "requestState" in error["message"]


async def test_a_state_is_good_for_its_own_request_alone(autojump_clock: Any) -> None:
    async with modern_client(server_of_steps()) as client:
        round_ = responses(await client.tool("steps", {"start": 1}), ANSWERS)
        assert (await client.tool("steps", {"start": 2}, **round_))["code"] == -32602
        assert (await client.tool("stubborn", **round_))["code"] == -32602


async def test_a_rotation_in_a_server_that_runs_opens_the_states_before(autojump_clock: Any) -> None:
    server = server_of_steps()
    async with modern_client(server) as client:
        before = responses(await client.tool("steps"), ANSWERS)
        await server.keys.rotate()
        second = await client.tool("steps", **before)
        assert second["resultType"] == "input_required"
        await server.keys.rotate()
        assert (await client.tool("steps", **before))["code"] == -32602
        assert (await client.tool("steps", **responses(second, ANSWERS)))["resultType"] == "input_required"


def test_a_state_of_another_principal_or_time_is_refused() -> None:
    from trimcp.server.context.sealed_state import State
    from trimcp.stores.memory import MemorySecretStore

    now = 1000.0
    sealer = Sealer(MemorySecretStore(KEYS).current.derive(PURPOSE), clock=lambda: now)
    sealed = sealer.seal(State(rounds=3), principal="ada", request="r")
    assert sealer.open(sealed, principal="ada", request="r").rounds == 3
    for principal, request in (("eve", "r"), (None, "r"), ("ada", "s")):
        with pytest.raises(trimcp.InvalidParams, match="another request"):
            sealer.open(sealed, principal=principal, request=request)
    now += LIFETIME
    with pytest.raises(trimcp.InvalidParams, match="expired"):
        sealer.open(sealed, principal="ada", request="r")


async def test_an_answer_of_the_wrong_shape_is_the_clients_mistake(autojump_clock: Any) -> None:
    wrong = copy.deepcopy(ANSWERS)
    wrong["elicitation/create"]["content"] = {"name": 5}
    async with modern_client(server_of_steps()) as client:
        first = await client.tool("steps")
        assert (await client.tool("steps", **responses(first, wrong)))["code"] == -32602
        # and it spoils nothing: the same round may be answered rightly
        assert (await client.tool("steps", **responses(first, ANSWERS)))["resultType"] == "input_required"


async def test_code_that_catches_exceptions_does_not_catch_the_question(autojump_clock: Any) -> None:
    async with modern_client(server_of_steps()) as client:
        first = await client.tool("stubborn")
        assert first["resultType"] == "input_required"
        last = await client.tool("stubborn", **responses(first, ANSWERS))
        assert last["content"][0]["text"] == "asked"


async def test_questions_of_concurrent_tasks_find_their_answers_whatever_their_order(autojump_clock: Any) -> None:
    async with modern_client(server_of_steps()) as client:
        round_: dict[str, Any] = {}
        for _ in range(4):
            result = await client.tool("together", **round_)
            if result["resultType"] == "complete":
                break
            texts = {
                key: question["params"]["messages"][0]["content"]["text"]
                for key, question in result["inputRequests"].items()
            }
            said = {
                key: {"role": "assistant", "model": "m", "content": {"type": "text", "text": text.upper()}}
                for key, text in texts.items()
            }
            round_ = {"inputResponses": said, "requestState": result["requestState"]}
        assert result["content"][0]["text"] == "a:A b:B c:C"


async def test_rounds_and_bytes_are_limited(autojump_clock: Any) -> None:
    for limits, words in (
        (trimcp.Limits(rounds=3), "3 rounds of questions"),
        (trimcp.Limits(state_bytes=400), "bytes, over 400"),
    ):
        async with modern_client(server_of_steps(limits=limits)) as client:
            round_: dict[str, Any] = {}
            for _ in range(10):
                result = await client.tool("endless", **round_)
                if "code" in result:
                    break
                round_ = responses(result, ANSWERS)
            assert result["code"] == -32603
            assert words in result["message"]


async def test_an_empty_elicitation_capability_stands_for_forms_alone(autojump_clock: Any) -> None:
    server = trimcp.Server("asker")

    @server.tool
    async def form(ctx: trimcp.Context) -> str:
        return (await ctx.elicit("Who?", Person)).action

    @server.tool
    async def url(ctx: trimcp.Context) -> str:
        return (await ctx.elicit_url("Pay", "https://bank.example", id="visit-1")).action

    async with modern_client(server, {"elicitation": {}}) as client:
        assert (await client.tool("form"))["resultType"] == "input_required"
        assert (await client.tool("url"))["code"] == -32021
    async with modern_client(server, {"elicitation": {"url": {}}}) as client:
        assert (await client.tool("form"))["code"] == -32021
        (question,) = (await client.tool("url"))["inputRequests"].values()
        assert question["params"] == {"mode": "url", "message": "Pay", "url": "https://bank.example"}


async def test_nothing_is_asked_while_a_list_is_served(autojump_clock: Any) -> None:
    server = server_of_steps()

    @server.middleware
    async def curious(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
        if ctx.method == "tools/list":
            await ctx.roots()
        return await proceed(params)

    async with modern_client(server) as client:
        answer = await client.ask(client.request(1, "tools/list", **client.meta))
        assert answer["error"]["code"] == -32603
