"""`Context`: who asks, in either era; and jobs that outlive their request."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.session.peer import ALL, ERAS, META, MODERN, served
from trimcp import CancelReason, Limits, UsageError
from trimcp.session.job import ServerJob


@pytest.mark.parametrize("version", ALL)
async def test_a_handler_sees_who_asks_in_the_same_way_in_every_revision(
    version: str, autojump_clock: MockClock
) -> None:
    server = trimcp.Server("a")
    seen: list[trimcp.Context] = []

    @server.tool
    async def look(a: int, ctx: trimcp.Context) -> str:
        assert ctx.protocol_version == version
        assert ctx.client_info is not None
        assert (ctx.client_info.name, ctx.client_info.version) == ("raw", "1")
        assert ctx.client_capabilities.sampling is None
        assert (ctx.request_id, ctx.method) == ("an id", "tools/call")
        assert ctx.params["arguments"] == {"a": 5}
        assert ctx.meta["example.com/x"] == [1]
        assert ctx.principal is None
        assert ctx.cancel_reason is None
        seen.append(ctx)
        return "ok"

    async with served(server, version) as peer:
        answer = await peer.ask(peer.call("an id", "look", {"a": 5}, **{"example.com/x": [1]}))
        assert answer["result"]["content"][0]["text"] == "ok"
        assert peer.session is not None
        assert seen[0].session_number == peer.session.number


async def test_capabilities_are_those_of_the_session_or_of_the_request(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.tool
    async def can_sample(ctx: trimcp.Context) -> bool:
        return ctx.client_capabilities.sampling is not None

    async with served(server, "2025-11-25", opened=False) as peer:
        opening = peer.initialize()
        opening["params"]["capabilities"] = {"sampling": {}}
        await peer.ask(opening)
        legacy = peer.call(1, "can_sample")
        assert (await peer.ask(legacy))["result"]["structuredContent"] == {"result": True}
        modern = peer.call(2, "can_sample")
        modern["params"]["_meta"] = META
        assert (await peer.ask(modern))["result"]["structuredContent"] == {"result": False}
        modern["params"]["_meta"] = {**META, "io.modelcontextprotocol/clientCapabilities": {"sampling": {}}}
        assert (await peer.ask(modern))["result"]["structuredContent"] == {"result": True}


async def test_a_context_is_optional_and_is_no_argument(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.tool
    async def both(ctx: trimcp.Context, other: trimcp.Context | None = None) -> bool:
        return ctx is other

    async with trimcp.connect(server) as client:
        [tool] = await client.list_tools()
        assert tool.input_schema.get("properties", {}) == {}
        assert await client.call_tool("both", returns=bool) is True
        assert (await client.call_tool("both", {"ctx": 1})).is_error


# --- jobs -----------------------------------------------------------------------------


class Bench:
    """A server whose tool starts a job of the test's making."""

    def __init__(self, work: Callable[[], Any], **limits: Any) -> None:
        self.server = trimcp.Server("a", limits=Limits(**limits))
        self.jobs: list[ServerJob] = []

        @self.server.tool
        async def start(ctx: trimcp.Context) -> str:
            self.jobs.append(ctx.start_job(work, name="the job"))
            return "started"


@pytest.mark.parametrize("version", ERAS)
async def test_a_job_outlives_its_request_and_its_session(version: str, autojump_clock: MockClock) -> None:
    async def work() -> int:
        await trio.sleep(100)
        return 42

    bench = Bench(work)
    async with bench.server.running() as running:
        async with served(bench.server, version) as peer:
            assert (await peer.ask(peer.call(1, "start")))["id"] == 1
            assert running.snapshot().jobs == 1
        [job] = bench.jobs
        assert not job.is_done
        with trio.fail_after(200):
            assert await job.wait() == 42
            assert await job.wait() == 42
        assert job.is_done
        await wait_all_tasks_blocked()
        assert running.snapshot().jobs == 0


@pytest.mark.parametrize("how", ["exception", "exit", "mixed with a cancel"])
async def test_what_a_job_raises_is_its_own_trouble(how: str, autojump_clock: MockClock) -> None:
    async def work() -> int:
        if how == "exception":
            raise ValueError("mine")
        if how == "exit":
            sys.exit(3)

        async def messy() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("mine")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(messy)
            nursery.start_soon(trio.sleep_forever)
        return 1

    bench = Bench(work)
    async with bench.server.running(), served(bench.server) as peer:
        await peer.ask(peer.call(1, "start"))
        await wait_all_tasks_blocked()
        [job] = bench.jobs
        if how == "mixed with a cancel":
            job.cancel(CancelReason.OVERLOAD)
        with trio.fail_after(10):
            if how == "exception":
                with pytest.raises(ValueError, match="mine"):
                    await job.wait()
            elif how == "exit":
                with pytest.raises(SystemExit):
                    await job.wait()
            else:
                with pytest.RaisesGroup(ValueError):
                    await job.wait()
        # And nobody else noticed.
        assert (await peer.ask(peer.call(2, "start")))["id"] == 2


async def test_a_job_that_is_cancelled_has_no_result(autojump_clock: MockClock) -> None:
    bench = Bench(trio.sleep_forever)
    async with bench.server.running(), served(bench.server) as peer:
        await peer.ask(peer.call(1, "start"))
        await wait_all_tasks_blocked()
        await peer.ask(peer.call(2, "start"))  # one that has not begun, and never does
        for job in bench.jobs:
            assert job.cancel(CancelReason.OVERLOAD)
            assert not job.cancel(CancelReason.SHUTDOWN)  # the first reason stays
            with trio.fail_after(10), pytest.raises(UsageError, match="overload"):
                await job.wait()


@pytest.mark.parametrize("end", ["leaving", "drain"])
async def test_jobs_end_with_the_server_and_whoever_waits_learns_so(end: str, autojump_clock: MockClock) -> None:
    bench = Bench(trio.sleep_forever)
    learnt: list[str] = []

    async def wait_for(job: ServerJob) -> None:
        with trio.fail_after(100):
            try:
                await job.wait()
            except UsageError as exc:
                learnt.append(str(exc))

    async with trio.open_nursery() as nursery, bench.server.running():
        async with served(bench.server) as peer:
            await peer.ask(peer.call(1, "start"))
        await wait_all_tasks_blocked()
        nursery.start_soon(wait_for, bench.jobs[0])
        await wait_all_tasks_blocked()
        if end == "drain":
            await bench.server.drain(1)
            await wait_all_tasks_blocked()
            assert learnt
    assert learnt == ["the job the job was cancelled (shutdown) and has no result"]


async def test_there_is_a_bound_on_jobs(autojump_clock: MockClock) -> None:
    bench = Bench(trio.sleep_forever, server_requests=3)
    async with bench.server.running() as running, served(bench.server) as peer:
        answers = [(await peer.ask(peer.call(n, "start")))["result"].get("isError", False) for n in range(5)]
        assert answers == [False, False, False, True, True]
        bench.jobs[0].cancel(CancelReason.SHUTDOWN)
        await wait_all_tasks_blocked()
        assert running.snapshot().jobs == 2
        assert not (await peer.ask(peer.call(9, "start")))["result"].get("isError", False)


async def test_a_job_cannot_report_on_a_request_that_was_answered(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.tool
    async def start(ctx: trimcp.Context) -> str:
        async def work() -> None:
            await trio.sleep(1)
            await ctx.progress(2)

        ctx.start_job(work)
        await ctx.progress(1)
        return "started"

    async with server.running(), served(server, MODERN) as peer:
        await peer.send(peer.call(1, "start", progressToken="t"))
        assert len(await peer.settled()) == 2
        await trio.sleep(10)
        assert await peer.settled() == []
