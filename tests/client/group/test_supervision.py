"""A member of a group: its states, its restarts, and that what happens to it concerns no other."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.client.group.servers import Always, Mortal, crashing, following, leaving, offering, silent, until
from tests.session.peer import ERAS, RawServer
from trimcp import (
    FailReason,
    MemberClosed,
    MemberFailed,
    MemberLost,
    MemberReady,
    MemberRestarting,
    MemberState,
    Restarts,
    open_group,
)
from trimcp.auth import AuthorizationFailed, AuthorizationServerUnavailable
from trimcp.transports.memory import memory_pair

STEADY = Restarts(most=3, window=100, first=1, longest=4, jitter=0)


@pytest.mark.parametrize("version", ERAS)
async def test_a_member_that_is_added_becomes_ready_and_is_called(version: str) -> None:
    async with open_group(revision=version) as group, group.events() as events:
        member = await group.add("one", offering())
        assert member.state in (MemberState.CONNECTING, MemberState.READY)
        client = await group.wait_ready("one", 5)
        assert (member.state, member.client, group.client("one")) == (MemberState.READY, client, client)
        assert await following(events) == MemberReady("one")
        assert (await group.call_tool("one__look")).text == "one.look"
    assert member.state is MemberState.CLOSED
    assert member.client is None


async def test_a_member_whose_server_dies_is_connected_again_after_a_pause(autojump_clock: MockClock) -> None:
    server = Mortal()
    async with open_group(restarts=STEADY) as group, group.events() as events:
        member = await group.add("one", server)
        assert await following(events) == MemberReady("one")
        for pause in (1, 2):
            begun = trio.current_time()
            await server.die()
            lost = await following(events)
            assert isinstance(lost, MemberLost)
            assert isinstance(lost.error, trimcp.ConnectionLost)
            restarting = await following(events)
            assert restarting == MemberRestarting("one", pause, lost.error)
            assert member.state is MemberState.WAITING
            assert await following(events) == MemberReady("one")
            assert trio.current_time() - begun == pytest.approx(pause)
        assert (member.connections, server.connections) == (3, 3)
        assert (await group.call_tool("one__look")).text == "one.look"


@pytest.mark.parametrize("version", ERAS)
async def test_a_server_that_dies_over_and_over_fails_when_its_budget_is_used_up(
    version: str, autojump_clock: MockClock
) -> None:
    server = Always(leaving)
    async with open_group(restarts=STEADY, revision=version) as group, group.events() as events:
        member = await group.add("one", server)
        seen = await until(events, MemberFailed)
        assert [event.delay for event in seen[:-1]] == [1, 2, 4]
        assert server.connections == 4
        assert (member.state, member.failure) == (MemberState.FAILED, seen[-1].failure)
        assert seen[-1].failure.reason is FailReason.RESTARTS
        assert isinstance(seen[-1].failure.error, trimcp.ConnectionLost)
        with pytest.raises(trimcp.SessionFailed, match="'one' is failed") as failed:
            await group.wait_ready("one")
        assert failed.value.__cause__ is seen[-1].failure.error
        with pytest.raises(trimcp.UsageError, match="'one' is failed"):
            await group.call_tool("one__look")


async def test_restarts_that_lie_back_far_enough_count_no_more(autojump_clock: MockClock) -> None:
    server = Mortal()
    async with open_group(restarts=STEADY) as group, group.events() as events:
        await group.add("one", server)
        await until(events, MemberReady)
        for _ in range(10):
            await trio.sleep(60)
            await server.die()
            await until(events, MemberReady)
        assert server.connections == 11


async def test_a_server_that_hangs_while_it_is_opened_is_given_up_and_tried_again(autojump_clock: MockClock) -> None:
    server = Always(silent)
    timeouts = trimcp.Timeouts(probe=2, request=3)
    async with open_group(restarts=STEADY, timeouts=timeouts) as group, group.events() as events:
        await group.add("hangs", server)
        await group.add("works", offering())
        assert await following(events) == MemberReady("works")
        with pytest.raises(trimcp.RequestTimedOut, match="'hangs' is connecting"):
            await group.wait_ready("hangs", 1)
        failed = (await until(events, MemberFailed))[-1]
        assert isinstance(failed.failure.error, trimcp.SessionFailed)
        assert trio.current_time() == pytest.approx(4 * 5 + 1 + 2 + 4)
        assert (await group.call_tool("works__look")).text == "one.look"


async def test_a_server_in_this_process_that_crashes_concerns_no_other(autojump_clock: MockClock) -> None:
    async with open_group(restarts=Restarts(most=0)) as group, group.events() as events:
        await group.add("works", offering())
        await until(events, MemberReady)
        member = await group.add("crashes", Always(crashing))
        failed = (await until(events, MemberFailed))[-1]
        assert failed.server == "crashes"
        assert isinstance(member.error, ZeroDivisionError)
        assert (await group.call_tool("works__look")).text == "one.look"


async def test_a_crash_of_a_server_that_was_ready_is_told_as_a_loss(autojump_clock: MockClock) -> None:
    class Crashing(Mortal):
        crash = trio.Event()

        async def serve(self, duplex: Any, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
            async with trio.open_nursery() as nursery:
                await nursery.start(super().serve, duplex)
                task_status.started()
                await self.crash.wait()
                raise ZeroDivisionError

    async with open_group(restarts=Restarts(most=0)) as group, group.events() as events:
        await group.add("one", Crashing())
        await until(events, MemberReady)
        Crashing.crash.set()
        assert isinstance(await following(events), MemberLost)
        assert isinstance(await following(events), MemberFailed)


async def test_a_target_that_is_none_fails_at_once() -> None:
    async with open_group() as group, group.events() as events:
        await group.add("one", "no-such-command-anywhere")
        failed = await following(events)
        assert isinstance(failed, MemberFailed)
        assert failed.failure.reason is FailReason.TARGET
        assert isinstance(failed.failure.error, trimcp.UsageError)


async def test_a_duplex_is_good_for_one_connection() -> None:
    server = offering()
    ours, theirs = memory_pair()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, theirs)
        async with open_group() as group, group.events() as events:
            await group.add("one", ours)
            assert await following(events) == MemberReady("one")
            await theirs.aclose()
            assert isinstance(await following(events), MemberLost)
            failed = await following(events)
            assert isinstance(failed, MemberFailed)
            assert failed.failure.reason is FailReason.ONCE


async def test_a_member_that_has_failed_can_be_restarted(autojump_clock: MockClock) -> None:
    server = RawServer(leaving, leaving)
    working = Mortal()

    class Mending:
        async def serve(self, duplex: Any, *, task_status: trio.TaskStatus[Any]) -> None:
            chosen = server if server.connections < 2 else working
            await chosen.serve(duplex, task_status=task_status)

    async with open_group(restarts=Restarts(most=0), revision="2025-11-25") as group, group.events() as events:
        member = await group.add("one", Mending())
        await until(events, MemberFailed)
        member.restart()
        assert (member.state, member.failure) == (MemberState.CONNECTING, None)
        await until(events, MemberFailed)
        member.restart()
        await group.wait_ready("one", 5)
        before = member.client
        member.restart()
        assert member.client is None
        assert await group.wait_ready("one", 5) is not before
        await until(events, MemberReady)
        assert await until(events, MemberReady) == [MemberReady("one")], "what was asked for is no loss"


async def test_a_restart_cuts_a_pause_short(autojump_clock: MockClock) -> None:
    server = Mortal()
    async with open_group(restarts=Restarts(first=30, jitter=0)) as group, group.events() as events:
        member = await group.add("one", server)
        await until(events, MemberReady)
        await server.die()
        await until(events, MemberRestarting)
        begun = trio.current_time()
        member.restart()
        await group.wait_ready("one")
        assert trio.current_time() == begun
        member.close()
        with pytest.raises(trimcp.UsageError, match="closed"):
            member.restart()


async def test_waiting_for_attempts_ends_when_each_has_come_to_something(autojump_clock: MockClock) -> None:
    timeouts = trimcp.Timeouts(probe=2, request=3)
    async with open_group(timeouts=timeouts) as group:
        await group.add("works", offering())
        await group.add("leaves", Always(leaving))
        await group.add("hangs", Always(silent))
        await group.add("is-none", "no-such-command-anywhere")
        await group.wait_attempted()
        assert trio.current_time() == pytest.approx(5)
        assert [tool.name for tool in await group.list_tools()] == ["works__look"]


async def test_a_call_in_flight_fails_when_the_server_dies_and_is_not_made_again(autojump_clock: MockClock) -> None:
    calls = 0
    server = trimcp.Server("slow")

    @server.tool
    async def wait() -> None:
        nonlocal calls
        calls += 1
        await trio.sleep_forever()

    mortal = Mortal(server)
    async with open_group(restarts=STEADY) as group, trio.open_nursery() as nursery:
        await group.add("slow", mortal)
        await group.wait_ready("slow")

        async def call() -> None:
            with pytest.raises(trimcp.ConnectionLost):
                await group.call_tool("slow__wait")

        nursery.start_soon(call)
        await wait_all_tasks_blocked()
        await mortal.die()
        await group.members["slow"].wait_ready()
        await wait_all_tasks_blocked()
        assert calls == 1


async def test_an_exception_of_the_program_leaves_the_group_as_itself() -> None:
    with pytest.raises(KeyError):
        async with open_group() as group:
            member = await group.add("one", offering())
            raise KeyError
    assert member.state is MemberState.CLOSED


async def test_a_group_that_is_cancelled_leaves_nothing_behind() -> None:
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with open_group() as group:
                await group.add("one", offering())
                await group.add("hangs", Always(silent))
                await group.wait_ready("one")
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert not group.members
        assert not nursery.child_tasks
        with pytest.raises(trimcp.UsageError, match="the group is closed"):
            await group.add("two", offering())


async def test_leaving_the_group_takes_no_longer_than_it_may(autojump_clock: MockClock) -> None:
    class Stubborn(Mortal):
        async def serve(self, duplex: Any, *, task_status: trio.TaskStatus[Any]) -> None:
            try:
                await super().serve(duplex, task_status=task_status)
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(15)

    async with open_group() as group:
        for n in range(5):
            await group.add(f"s{n}", Stubborn())
            await group.wait_ready(f"s{n}")
        begun = trio.current_time()
    assert trio.current_time() - begun == pytest.approx(15)


async def test_events_end_with_the_group() -> None:
    seen: list[object] = []

    async def read(group: trimcp.Group, *, task_status: trio.TaskStatus[None]) -> None:
        async with group.events() as events:
            task_status.started()
            seen.extend([event async for event in events])

    async with trio.open_nursery() as nursery, open_group() as group:
        await nursery.start(read, group)
        await group.add("one", offering())
        await group.wait_ready("one")
        await group.remove("one")
        await group.add("one", offering())
        await group.wait_ready("one")
    assert seen == [MemberReady("one"), MemberClosed("one")] * 2


async def test_a_reader_that_is_too_slow_loses_the_oldest_events() -> None:
    async with open_group(events=3) as group, group.events() as events:
        for n in range(5):
            await group.add(f"m{n}", offering())
            await group.wait_ready(f"m{n}")
        assert events.dropped == 2
        assert await following(events) == MemberReady("m2")


async def test_events_are_read_by_one_task_at_a_time() -> None:
    async with open_group() as group, group.events() as events, trio.open_nursery() as nursery:
        nursery.start_soon(anext, events)
        await wait_all_tasks_blocked()
        with pytest.raises(trimcp.UsageError, match="another task reads these events"):
            await anext(events)
        await group.add("one", offering())


async def test_what_cannot_be_added_is_refused() -> None:
    async with open_group(members=2) as group:
        await group.add("one", offering())
        for name in ("", "a__b", "a_", "_a", "a b", "ä", "x" * 33, "a\n"):
            with pytest.raises(trimcp.UsageError, match="invalid member name"):
                await group.add(name, offering())
        with pytest.raises(trimcp.UsageError, match="names are used once"):
            await group.add("one", offering())
        with pytest.raises(trimcp.UsageError, match="no option colour"):
            await group.add("two", offering(), colour="red")  # type: ignore[call-arg]
        await group.add("two", offering())
        with pytest.raises(trimcp.UsageError, match="has 2 members"):
            await group.add("three", offering())
        with pytest.raises(trimcp.UsageError, match="no member of the group is called 'three'; there are: one, two"):
            await group.remove("three")


@pytest.mark.parametrize(
    "wrong", [{"most": -1}, {"window": 0}, {"first": 3, "longest": 2}, {"first": -1}, {"jitter": 1.5}], ids=str
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(trimcp.UsageError):
        Restarts(**wrong)  # type: ignore[arg-type]


async def test_pauses_are_shortened_by_chance_within_bounds(autojump_clock: MockClock) -> None:
    async with (
        open_group(restarts=Restarts(most=20, first=1, longest=8, jitter=0.5)) as group,
        group.events() as events,
    ):
        await group.add("one", Always(leaving), revision="2025-11-25")
        pauses = [event.delay for event in (await until(events, MemberFailed))[:-1]]
    for n, pause in enumerate(pauses):
        most = min(8, 2**n)
        assert most / 2 <= pause <= most
    assert len(set(pauses)) == 20


@pytest.mark.parametrize("is_down", [True, False])
async def test_a_member_that_got_no_token_is_restarted_only_where_that_may_help(
    autojump_clock: MockClock, is_down: bool
) -> None:
    why = AuthorizationServerUnavailable("it is down") if is_down else AuthorizationFailed("the person refused")

    class Refused(trimcp.ClientAuth):
        async def headers(self, request: trimcp.AuthRequest) -> dict[str, str]:
            raise why

    async with open_group(restarts=STEADY) as group, group.events() as events:
        member = await group.add("one", "http://127.0.0.1:9/mcp", auth=Refused())
        seen = await until(events, MemberFailed)
        assert len(seen) == (4 if is_down else 1)
        assert member.failure is not None
        assert member.failure.reason is (FailReason.RESTARTS if is_down else FailReason.AUTHORIZATION)
