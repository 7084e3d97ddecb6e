"""Rounds of 2026-07-28 that a client gets wrong, or tries to get something by (basic/patterns/mrtr)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import trimcp
from tests.server.context.people import ADA, ANSWERS, HEARD, HOME, Modern, Person, modern_client, responses
from tests.session.peer import PATIENCE
from trimcp.server.context import sealed_state
from trimcp.transports.memory import memory_pair

SECRET = "a secret of the user's"


def asking_server() -> trimcp.Server:
    """A tool that asks by name and one that does not, and one that counts what it does once."""
    server = trimcp.Server("asker", keys=[b"k" * 32])

    @server.tool
    async def named(ctx: trimcp.Context) -> str:
        answer = await ctx.elicit("Who?", Person, key="who")
        return answer.action if answer.data is None else answer.data.name

    @server.tool
    async def nameless(ctx: trimcp.Context) -> str:
        return (await ctx.sample("it")).text

    @server.tool
    async def twice(ctx: trimcp.Context) -> str:
        one = await ctx.elicit("One?", Person, key="one")
        other = await ctx.elicit("Other?", Person, key="other")
        return f"{one.data and one.data.name} {other.data and other.data.name}"

    @server.tool
    async def where(ctx: trimcp.Context) -> str:
        return (await ctx.roots(key="roots"))[0].uri

    return server


@asynccontextmanager
async def principals(server: trimcp.Server, *names: str | None) -> AsyncIterator[list[Modern]]:
    """One client each for these principals, of one run of the server."""
    async with server.running() as running, trio.open_nursery() as nursery:
        clients = []
        for name in names:
            ours, theirs = memory_pair()

            async def serve(theirs: Any = theirs, name: str | None = name) -> None:
                await running.serve(theirs, principal=name)

            nursery.start_soon(serve)
            clients.append(Modern(ours))
        with trio.fail_after(PATIENCE):
            yield clients
        nursery.cancel_scope.cancel()


def told(result: Any) -> str:
    """The text of a complete result."""
    assert result.get("resultType") == "complete", result
    found: str = result["content"][0]["text"]
    return found


async def test_a_state_is_good_for_the_principal_that_it_was_given_to(autojump_clock: Any) -> None:
    async with principals(asking_server(), "ada", "eve", None, "ada") as (ada, eve, nobody, ada_elsewhere):
        for tool in ("named", "nameless"):
            round_ = responses(await ada.tool(tool), ANSWERS)
            for other in (eve, nobody):
                refused = await other.tool(tool, **round_)
                assert refused["code"] == -32602
                assert "requestState" in refused["message"]
            assert told(await ada_elsewhere.tool(tool, **round_)) in ("Ada", "well")
            anonymous = responses(await nobody.tool(tool), ANSWERS)
            assert (await eve.tool(tool, **anonymous))["code"] == -32602
            assert told(await nobody.tool(tool, **anonymous)) in ("Ada", "well")


async def test_a_round_may_be_made_again_by_whom_it_belongs_to(autojump_clock: Any) -> None:
    async with modern_client(asking_server()) as client:
        round_ = responses(await client.tool("nameless"), ANSWERS)
        for _ in range(2):  # the answer may have been lost on its way
            assert told(await client.tool("nameless", **round_)) == "well"


async def test_a_state_that_is_too_old_is_refused_with_words_that_help(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: Any
) -> None:
    monkeypatch.setattr(sealed_state, "LIFETIME", -1.0)
    async with modern_client(asking_server()) as client:
        refused = await client.tool("nameless", **responses(await client.tool("nameless"), ANSWERS))
        assert refused["code"] == -32602
        assert "expired" in refused["message"]


async def test_a_state_of_an_earlier_round_leads_back_to_that_round(autojump_clock: Any) -> None:
    async with modern_client(asking_server()) as client:
        first = responses(await client.tool("twice"), ANSWERS)
        second = await client.tool("twice", **first)
        assert list(second["inputRequests"]) == ["other"]
        again = await client.tool("twice", **first)
        assert again["inputRequests"] == second["inputRequests"]
        eve = {"action": "accept", "content": {"name": "Eve"}}
        # An answer that was given stays: it is no longer asked for, so another one is ignored.
        changed = {"one": eve, "other": ADA}
        last = await client.tool("twice", inputResponses=changed, requestState=second["requestState"])
        assert told(last) == "Ada Ada"


WRONG: dict[str, list[Any]] = {
    "named": [
        {},
        5,
        SECRET,
        None,
        [],
        {"action": SECRET},
        {"action": "accept"},
        {"action": "accept", "content": None},
        {"action": "accept", "content": {"name": 5}},
        {"action": "accept", "content": {"name": "Ada", "manner": SECRET}},
        HEARD,
        HOME,
    ],
    "nameless": [{}, {"role": "assistant"}, {**HEARD, "content": {"type": SECRET}}, ADA, HOME, None],
    "where": [{}, {"roots": [SECRET]}, {"roots": [{"uri": 5}]}, ADA, HEARD],
}


@pytest.mark.parametrize("stateless", [False, True])
@pytest.mark.parametrize("tool", WRONG)
async def test_a_response_of_the_wrong_kind_is_refused_and_repeats_nothing_of_it(
    tool: str, stateless: bool, autojump_clock: Any
) -> None:
    async with modern_client(asking_server()) as client:
        first = await client.tool(tool)
        (key,) = first["inputRequests"]
        for wrong in WRONG[tool]:
            round_ = {"inputResponses": {key: wrong}}
            if not stateless:
                round_["requestState"] = first["requestState"]
            refused = await client.tool(tool, **round_)
            if stateless and tool == "nameless" and isinstance(wrong, dict):
                assert refused["resultType"] == "input_required"  # nobody gave it that name, so it is asked again
                continue
            assert refused["code"] == -32602, wrong
            assert SECRET not in str(refused)
        for wrong in ([], SECRET, 5):
            assert (await client.tool(tool, inputResponses=wrong, requestState=first["requestState"]))["code"] == -32602
        assert told(await client.tool(tool, **responses(first, ANSWERS))) in ("Ada", "well", "file:///home/ada")


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_user_who_refuses_is_an_answer(action: str, autojump_clock: Any) -> None:
    async with modern_client(asking_server()) as client:
        refusal = {"elicitation/create": {"action": action}}
        assert told(await client.tool("named", **responses(await client.tool("named"), refusal))) == action


async def test_what_the_program_named_may_be_answered_without_a_state(autojump_clock: Any) -> None:
    async with modern_client(asking_server()) as client:
        assert told(await client.tool("named", inputResponses={"who": ADA})) == "Ada"
        more = {"who": ADA, "unknown": {"action": "accept"}, "another": HOME}
        assert told(await client.tool("named", inputResponses=more)) == "Ada"
        second = await client.tool("twice", inputResponses={"one": ADA})
        assert list(second["inputRequests"]) == ["other"]
        assert told(await client.tool("twice", **responses(second, ANSWERS))) == "Ada Ada"
        asked = await client.tool("named", inputResponses={"wrong": ADA})
        assert list(asked["inputRequests"]) == ["who"]


async def test_a_client_that_no_longer_declares_what_it_answers_is_refused(autojump_clock: Any) -> None:
    async with modern_client(asking_server()) as client:
        round_ = responses(await client.tool("named"), ANSWERS)
        client.meta = {**client.meta, "io.modelcontextprotocol/clientCapabilities": {}}
        assert (await client.tool("named", **round_))["code"] == -32021


async def test_two_rounds_at_once_are_two_requests(autojump_clock: Any) -> None:
    async with modern_client(asking_server()) as client:
        round_ = responses(await client.tool("nameless"), ANSWERS)
        calls = [
            client.request(
                f"call-{number}", "tools/call", {"name": "nameless", "arguments": {}, **round_}, **client.meta
            )
            for number in range(2)
        ]
        await client.send(*calls)
        answers = [await client.receive(), await client.receive()]
        assert {answer["id"] for answer in answers} == {"call-0", "call-1"}
        assert [told(answer["result"]) for answer in answers] == ["well", "well"]
