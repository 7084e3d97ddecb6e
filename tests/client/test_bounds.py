"""What bounds a client keeps, and that its own requests do not run into those meant for servers."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.server.context.people import Person
from tests.session.peer import ERAS, PATIENCE
from trimcp.transports.memory import memory_pair
from trimcp.types.elicitation import ElicitRequestFormParams


@pytest.mark.parametrize("revision", ERAS)
async def test_large_uploads_do_not_count_as_owed_to_the_server(revision: str, autojump_clock: MockClock) -> None:
    server = trimcp.Server("store", limits=trimcp.Limits(message_bytes=2**20))

    @server.tool
    async def store(text: str, ctx: trimcp.Context) -> int:
        ctx.log("info", "stored")
        return len(text)

    limits = trimcp.Limits(out_bytes=10_000)
    results: list[Any] = []
    with trio.fail_after(PATIENCE):
        async with trimcp.connect(server, revision=revision, limits=limits, log_level="info") as client:

            async def upload() -> None:
                results.append((await client.call_tool("store", {"text": "x" * 500_000})).structured)

            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(upload)
    assert results == [{"result": 500_000}] * 5


async def test_the_timeout_of_a_call_holds_while_it_waits_to_be_sent(autojump_clock: MockClock) -> None:
    server = trimcp.Server("slow")

    @server.tool
    async def wait() -> None:
        await trio.sleep_forever()

    async with trimcp.connect(server, limits=trimcp.Limits(calls=1)) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.call_tool, "wait")
        await trio.sleep(1)
        began = trio.current_time()
        with pytest.raises(trimcp.RequestTimedOut, match="could not be sent"):
            await client.call_tool("wait", timeout=5)
        assert trio.current_time() - began == pytest.approx(5)
        nursery.cancel_scope.cancel()


async def test_a_question_in_a_way_that_was_not_declared_is_an_invalid_one(autojump_clock: MockClock) -> None:
    server = trimcp.Server("rude")

    @server.tool
    async def ask(ctx: trimcp.Context, method: str, params: dict[str, Any]) -> int:
        try:
            await ctx.request.session.calls.call(method, params, timeout=10)
        except trimcp.RequestFailed as exc:
            return exc.code
        return 0

    async def fill(params: ElicitRequestFormParams) -> None:
        return None

    async def say(params: Any) -> str:
        return "said"

    tool = {"name": "t", "inputSchema": {"type": "object"}}
    message = {"role": "user", "content": {"type": "text", "text": "hi"}}
    questions = [
        (
            "elicitation/create",
            {"mode": "url", "message": "m", "url": "https://a.b", "elicitationId": "1"},
            -32602,
        ),
        ("sampling/createMessage", {"messages": [message], "maxTokens": 1, "tools": [tool]}, -32602),
        ("sampling/createMessage", {"messages": [message], "maxTokens": 1}, 0),
        ("roots/list", {}, -32601),
    ]
    async with trimcp.connect(server, revision="2025-11-25", elicitation=fill, sampling=say) as client:
        for method, params, code in questions:
            assert await client.call_tool("ask", {"method": method, "params": params}, returns=int) == code


async def test_what_a_users_function_raises_leaves_the_call_as_itself(autojump_clock: MockClock) -> None:
    server = trimcp.Server("asker")

    @server.tool
    async def who(ctx: trimcp.Context) -> str:
        return (await ctx.elicit("Who?", Person)).action

    async def broken(params: ElicitRequestFormParams) -> None:
        raise ValueError("mine")

    async with trimcp.connect(server, revision="2026-07-28", elicitation=broken) as client:
        with pytest.raises(ValueError, match="mine"):
            await client.call_tool("who")


async def test_a_group_of_refusals_is_answered_as_a_refusal(autojump_clock: MockClock) -> None:
    server = trimcp.Server("asker")

    @server.tool
    async def where(ctx: trimcp.Context) -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ctx.roots)
        return "nowhere"

    async with trimcp.connect(server) as client:
        with pytest.raises(trimcp.RequestFailed) as caught:
            await client.call_tool("where")
        assert caught.value.code == -32021


async def test_a_step_that_runs_once_gives_the_same_in_every_era(autojump_clock: MockClock) -> None:
    server = trimcp.Server("steps", show_errors=True)

    @server.tool
    async def steps(ctx: trimcp.Context) -> str:
        return repr(await ctx.once("a", lambda: (1, "two")))

    @server.tool
    async def wrong(ctx: trimcp.Context) -> str:
        return repr(await ctx.once("a", lambda: Person("Ada")))

    for revision in ERAS:
        async with trimcp.connect(server, revision=revision) as client:
            assert (await client.call_tool("steps")).text == "[1, 'two']"
            assert "must return a JSON value" in (await client.call_tool("wrong")).text


async def test_a_session_that_was_closed_before_it_ran_is_over(autojump_clock: MockClock) -> None:
    server = trimcp.Server("closed")
    ours, theirs = memory_pair()
    async with server.running() as running:
        from trimcp.session.duplex_session import DuplexSession

        session = DuplexSession(theirs, running.service)
        session.close()
        with trio.fail_after(PATIENCE):
            await session.run()
            assert await ours.receive() == []


async def test_the_connection_is_closed_before_a_handler_has_cleaned_up(autojump_clock: MockClock) -> None:
    server = trimcp.Server("slow")

    @server.tool
    async def shields() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(100)

    ours, theirs = memory_pair()
    async with server.running() as running, trio.open_nursery() as nursery:
        session = await nursery.start(server.serve, theirs)
        async with trimcp.connect(ours) as client, trio.open_nursery() as calls:

            async def call() -> None:
                with pytest.raises(trimcp.ConnectionLost):
                    await client.call_tool("shields")

            calls.start_soon(call)
            await trio.sleep(1)
            began = trio.current_time()
            session.close()
        assert trio.current_time() - began < 50
        assert running.sessions
