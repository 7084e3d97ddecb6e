"""A sync tool runs in a thread: what it may do there, and that nothing of it is left behind."""

from __future__ import annotations

import pytest
import trio
import trio.testing

import trimcp
from tests.server.context.people import Household, Person
from tests.session.peer import ERAS, MODERN
from trimcp.transports.memory import memory_pair


@pytest.mark.parametrize("revision", ERAS)
async def test_a_sync_tool_logs_more_than_the_pipe_holds_and_every_message_arrives(revision: str) -> None:
    server = trimcp.Server("chatty")

    @server.tool
    def talk(ctx: trimcp.Context) -> str:
        for number in range(100):
            ctx.log("info", f"{number} " + "x" * 1000)
        return "done"

    @server.tool
    async def fine() -> str:
        return "fine"

    ours, theirs = memory_pair(capacity=4096)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, theirs)
            async with trimcp.connect(ours, revision=revision, log_level="info") as client, client.notices() as notices:
                assert (await client.call_tool("talk")).text == "done"
                assert (await client.call_tool("fine")).text == "fine"
                said = [await anext(notices) for _ in range(100)]
            nursery.cancel_scope.cancel()
    assert [int(n.data.split()[0]) for n in said if isinstance(n, trimcp.LogMessage)] == list(range(100))


@pytest.mark.parametrize("revision", ERAS)
async def test_a_sync_tool_that_asks_gives_its_thread_back_in_every_round(revision: str) -> None:
    server = trimcp.Server("asker", limits=trimcp.Limits(tool_threads=1))

    @server.tool
    def who(ctx: trimcp.Context) -> str:
        person = trio.from_thread.run(ctx.elicit, "Who?", Person).data
        assert person is not None
        return f"{person.name} {trio.from_thread.run(ctx.sample, 'x').text}"

    with trio.fail_after(30):
        async with trimcp.connect(server, revision=revision, **Household().options()) as client:
            for _ in range(3):
                assert (await client.call_tool("who")).text == "Ada heard x"
            assert server.tree()[0].tool_threads == 0


async def test_a_job_that_asks_after_the_answer_is_told_so(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = trimcp.Server("asker")
    jobs = []

    @server.tool
    async def start(ctx: trimcp.Context) -> str:
        async def later() -> None:
            await trio.sleep(1)
            await ctx.roots()

        jobs.append(ctx.start_job(later))
        return "started"

    for revision in ERAS:
        async with server.running(), trimcp.connect(server, revision=revision, **Household().options()) as client:
            await client.call_tool("start")
            with trio.fail_after(10), pytest.raises(trimcp.UsageError, match="has been answered"):
                await jobs.pop().wait()


async def test_a_finished_job_keeps_its_result_whatever_comes_after(autojump_clock: trio.testing.MockClock) -> None:
    server = trimcp.Server("worker")
    jobs = []

    @server.tool
    async def start(ctx: trimcp.Context) -> str:
        async def work() -> int:
            return 42

        jobs.append(ctx.start_job(work))
        return "started"

    async with server.running(), trimcp.connect(server, revision=MODERN) as client:
        await client.call_tool("start")
        assert await jobs[0].wait() == 42
        jobs[0].cancel(trimcp.CancelReason.SHUTDOWN)
        assert await jobs[0].wait() == 42
