"""Members are closed in every order, from every task, in every state; none of it raises, nothing is left behind."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.client.group.servers import Always, Mortal, leaving, offering, silent, until
from trimcp import MemberClosed, MemberState, Restarts, open_group
from trimcp.types.sampling import CreateMessageRequestParams

NAMES = ("ready", "other", "hangs", "dies", "failed")
WAYS = ("close", "remove", "restart", "die", "sleep", "wait_ready", "call")


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(WAYS), st.integers(0, 3)), max_size=12))
@settings(deadline=None, max_examples=60)
def test_members_may_be_closed_in_any_order_from_any_task(steps: list[tuple[str, str, int]]) -> None:
    async def main() -> None:
        mortal = Mortal()
        targets: dict[str, Any] = {
            "ready": mortal,
            "other": offering(),
            "hangs": Always(silent),
            "dies": Always(leaving),
            "failed": "no-such-command-anywhere",
        }
        handles: dict[str, trimcp.Member] = {}

        async def step(name: str, way: str) -> None:
            member = handles[name]
            try:
                match way:
                    case "close":
                        member.close()
                    case "remove":
                        await group.remove(name)
                        assert member.state is MemberState.CLOSED
                    case "restart":
                        member.restart()
                    case "die":
                        await mortal.die()
                    case "sleep":
                        await trio.sleep(3)
                    case "wait_ready":
                        await member.wait_ready(1)
                    case "call":
                        await group.call_tool(f"{name}__look")
            except trimcp.TrimcpError:
                pass  # as documented; anything else fails the test

        async def work(mine: list[tuple[str, str]]) -> None:
            for name, way in mine:
                await step(name, way)
                await trio.sleep(0)

        with trio.fail_after(10_000):
            async with trio.open_nursery() as outside:
                async with open_group(restarts=Restarts(most=3), timeouts=trimcp.Timeouts(probe=5, request=5)) as group:
                    for name, target in targets.items():
                        handles[name] = await group.add(name, target)
                    await handles["ready"].wait_ready()
                    for task in range(4):  # some of which go on beyond the end of the group
                        outside.start_soon(work, [(name, way) for name, way, whose in steps if whose == task])
                    await trio.sleep(0 if len(steps) % 2 else 4)
                assert not group.members
                for member in handles.values():
                    await member.wait_closed()
                    assert (member.state, member.client) == (MemberState.CLOSED, None)

    trio.run(main, clock=MockClock(autojump_threshold=0))


@given(st.permutations(range(4)), st.booleans())
@settings(deadline=None, max_examples=30)
def test_each_task_may_close_the_member_of_another(order: list[int], at_once: bool) -> None:
    async def main() -> None:
        handles: list[trimcp.Member] = []
        added = trio.Event()
        async with open_group() as group, trio.open_nursery() as nursery:

            async def add_and_close(n: int) -> None:
                handles.append(await group.add(f"m{n}", offering()))
                if len(handles) == 4:
                    added.set()
                await added.wait()
                if not at_once:
                    with contextlib.suppress(trimcp.TrimcpError):  # another may have closed it by now
                        await group.wait_ready(f"m{n}")
                member = group.members.get(f"m{order[n]}")
                if member is not None:
                    member.close()
                    member.close()
                    await member.wait_closed()

            for n in range(4):
                nursery.start_soon(add_and_close, n)
        assert not group.members

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_a_handler_may_close_the_member_that_asks() -> None:
    server = trimcp.Server("asking")

    @server.tool
    async def ask(ctx: trimcp.Context) -> str:
        return (await ctx.sample("What is it?", max_tokens=10)).text

    async def sampling(name: str, params: CreateMessageRequestParams) -> str:
        await group.remove(name)
        return "never said"

    async with open_group(sampling=sampling, revision="2025-11-25") as group, group.events() as events:
        await group.add("asking", server)
        await group.wait_ready("asking")
        with pytest.raises(trimcp.ConnectionClosed):
            await group.call_tool("asking__ask")
        await until(events, MemberClosed)


async def test_a_name_can_be_used_again_once_nothing_is_left_of_it(autojump_clock: MockClock) -> None:
    class Slow(Mortal):
        async def serve(self, duplex: Any, *, task_status: trio.TaskStatus[Any]) -> None:
            try:
                await super().serve(duplex, task_status=task_status)
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(3)

    async with open_group() as group:
        member = await group.add("one", Slow())
        await group.wait_ready("one")
        member.close()
        assert member.state is MemberState.CLOSED
        with pytest.raises(trimcp.UsageError, match="'one' is closed"):
            await group.add("one", offering())
        with pytest.raises(trimcp.UsageError, match="'one' is closed"):
            await group.call_tool("one__look")
        with pytest.raises(trimcp.ConnectionClosed):
            await group.wait_ready("one")
        await group.remove("one")
        await group.add("one", offering())
        await group.wait_ready("one")


async def test_removing_that_is_cancelled_leaves_the_member_closing(autojump_clock: MockClock) -> None:
    async with open_group() as group:
        member = await group.add("one", offering())
        await group.wait_ready("one")
        with trio.CancelScope() as scope:
            scope.cancel()
            await group.remove("one")
        await member.wait_closed()
        assert "one" not in group.members


async def test_whoever_waits_for_a_member_is_told_that_it_was_closed() -> None:
    async with open_group() as group, trio.open_nursery() as nursery:
        member = await group.add("hangs", Always(silent))

        async def wait() -> None:
            with pytest.raises(trimcp.ConnectionClosed):
                await member.wait_ready()

        nursery.start_soon(wait)
        nursery.start_soon(group.wait_attempted)
        await wait_all_tasks_blocked()
        member.close()


async def test_an_interrupt_of_a_member_is_not_replaced_by_an_error_of_the_program() -> None:
    server = trimcp.Server("interrupts")

    @server.tool
    async def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        async with open_group() as group:
            await group.add("one", server)
            await group.wait_ready("one")
            try:
                await group.call_tool("one__interrupt")
            finally:
                raise ValueError("of the program")


async def test_an_error_of_the_program_leaves_the_group_as_itself_though_closing_is_cancelled() -> None:
    with trio.CancelScope() as scope, pytest.raises(ValueError, match="of the program"):
        async with open_group() as group:
            await group.add("one", offering())
            scope.cancel()
            raise ValueError("of the program")
