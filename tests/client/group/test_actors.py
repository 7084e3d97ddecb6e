"""The actors of a group by themselves: their messages, in which order they count, their bounds, and their end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.client.group.servers import Mortal, offering
from trimcp import (
    FailReason,
    MemberChanged,
    MemberClosed,
    MemberFailed,
    MemberLost,
    MemberReady,
    MemberRestarting,
    MemberState,
    PromptsChanged,
    Restarts,
    ToolsChanged,
    open_group,
)
from trimcp.actors.supervisor import Supervisor, open_supervisor
from trimcp.client.group.events import GroupEvent, GroupEvents, MemberStatus
from trimcp.client.group.member import MemberRecord
from trimcp.client.group.member_actor import LEAVING, MemberActor, _Changed
from trimcp.client.group.membership import OTHERS, Membership
from trimcp.types.capabilities import ServerCapabilities

STEADY = Restarts(most=2, first=1, jitter=0)
READY, CLOSED, FAILED = MemberState.READY, MemberState.CLOSED, MemberState.FAILED
CONNECTING, WAITING = MemberState.CONNECTING, MemberState.WAITING


class Connections:
    """What a member opens: clients that are nothing but a session that can be lost."""

    def __init__(self, *, closing: float = 0) -> None:
        self.closing = closing
        self.opened = 0
        self.open = 0
        self.refuses: Exception | None = None
        self._over = trio.Event()
        self._session: Any = None

    def lose(self, error: Exception) -> None:
        """End the session that there is."""
        self._session.end = error
        self._over.set()

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Any]:
        await trio.lowlevel.checkpoint()
        if self.refuses is not None:
            raise self.refuses
        self.opened += 1
        self.open += 1
        self._over = trio.Event()
        self._session = SimpleNamespace(wait_over=self._over.wait, end=None)
        try:
            yield SimpleNamespace(session=self._session, server_capabilities=ServerCapabilities())
            await trio.sleep(self.closing)
        finally:
            self.open -= 1


class Recorder:
    """A group's actor that takes down what it is told."""

    def __init__(self) -> None:
        self.states: list[MemberState] = []
        self.happened: list[GroupEvent] = []
        self.status: MemberStatus | None = None
        self.has_left = False

    def stands(self, server: str, status: MemberStatus, *happened: GroupEvent) -> None:
        assert not self.has_left
        self.states.append(status.state)
        self.happened.extend(happened)
        self.status = status

    def left(self, server: str) -> None:
        self.has_left = True


def member_of(supervisor: Supervisor, opener: Any, *, once: bool = False) -> tuple[MemberActor, Recorder]:
    """An actor of a member, which has not begun."""
    group = Recorder()
    return supervisor.add(MemberActor(supervisor, group, "one", opener, STEADY, once=once)), group


# --- a member -------------------------------------------------------------------------


async def test_a_member_says_what_becomes_of_it_in_order(autojump_clock: MockClock) -> None:
    opener, error = Connections(), trimcp.ConnectionLost("gone")
    async with open_supervisor("group") as supervisor:
        member, group = member_of(supervisor, opener)
        assert member.snapshot().state == "idle"
        member.restart(0)
        await wait_all_tasks_blocked()
        opener.lose(error)
        await wait_all_tasks_blocked()
        assert group.states == [CONNECTING, CONNECTING, READY, WAITING, WAITING]
        await trio.sleep(1)
        await wait_all_tasks_blocked()
        member.close()
        await wait_all_tasks_blocked()
        assert group.states[5:] == [CONNECTING, READY, CLOSED, CLOSED]
        assert group.happened == [
            MemberReady("one"),
            MemberLost("one", error),
            MemberRestarting("one", 1, error),
            MemberReady("one"),
        ]
        assert group.has_left
        assert (opener.opened, opener.open) == (2, 0)
        assert supervisor.snapshot().actors == ()
        assert supervisor.snapshot().tasks == ()


async def test_restarts_in_one_turn_are_one_message_and_one_connection(autojump_clock: MockClock) -> None:
    opener = Connections()
    async with open_supervisor("group") as supervisor:
        member, group = member_of(supervisor, opener)
        member.restart(0)
        await wait_all_tasks_blocked()
        for number in range(1, 1001):
            member.restart(number)
        await wait_all_tasks_blocked()
        assert group.status is not None
        assert (group.status.state, group.status.restarts, group.status.connections) == (READY, 1000, 2)
        assert member.mailbox.replaced >= 998
        assert opener.open == 1
        assert group.happened == [MemberReady("one")] * 2, "what was asked for is no loss"


async def test_there_is_never_more_than_one_connection(autojump_clock: MockClock) -> None:
    opener = Connections(closing=LEAVING / 2)
    async with open_supervisor("group") as supervisor:
        member, _ = member_of(supervisor, opener)
        for number in range(5):
            member.restart(number)
            await trio.sleep(1)
            assert opener.open <= 1
        await trio.sleep(LEAVING)
        assert (opener.opened, opener.open) == (2, 1)


async def test_a_connection_that_is_not_closed_in_time_is_cancelled(autojump_clock: MockClock) -> None:
    opener = Connections(closing=1000)
    async with open_supervisor("group") as supervisor:
        member, group = member_of(supervisor, opener)
        member.restart(0)
        await wait_all_tasks_blocked()
        began = trio.current_time()
        member.close()
        while not group.has_left:
            await trio.sleep(1)
        assert trio.current_time() - began == pytest.approx(LEAVING, abs=1)


async def test_a_message_of_a_connection_that_is_to_end_changes_nothing() -> None:
    opener = Connections()
    async with open_supervisor("group") as supervisor:
        member, group = member_of(supervisor, opener)
        member.restart(0)
        await wait_all_tasks_blocked()
        first = member._connection
        assert first is not None
        member.tell(_Changed(first, ToolsChanged()))
        member.tell(_Changed(first, ToolsChanged()))
        member.tell(_Changed(first, PromptsChanged()))
        await wait_all_tasks_blocked()
        assert group.happened[1:] == [MemberChanged("one", ToolsChanged()), MemberChanged("one", PromptsChanged())]
        member.restart(1)
        member.tell(_Changed(first, ToolsChanged()))
        opener.lose(trimcp.ConnectionLost("gone"))
        await wait_all_tasks_blocked()
        assert group.happened[3:] == [MemberReady("one")]


async def test_a_message_cuts_a_pause_short_and_another_one_does_not(autojump_clock: MockClock) -> None:
    opener = Connections()
    opener.refuses = trimcp.ConnectionLost("not now")
    async with open_supervisor("group") as supervisor:
        member, group = member_of(supervisor, opener)
        member.restart(0)
        await wait_all_tasks_blocked()
        opener.refuses = None
        await trio.sleep(0.5)
        member.tell(_Changed(member._connection, ToolsChanged()))  # type: ignore[arg-type]
        await trio.sleep(0.25)
        assert (group.states[-1], opener.opened) == (WAITING, 0)
        await trio.sleep(0.5)
        assert (group.states[-1], opener.opened) == (READY, 1)


async def test_a_duplex_of_the_programs_is_opened_once() -> None:
    opener = Connections()
    async with open_supervisor("group") as supervisor:
        member, group = member_of(supervisor, opener, once=True)
        member.restart(0)
        await wait_all_tasks_blocked()
        opener.lose(trimcp.ConnectionLost("gone"))
        await wait_all_tasks_blocked()
        failed = group.happened[-1]
        assert isinstance(failed, MemberFailed)
        assert (group.states[-1], failed.failure.reason) == (FAILED, FailReason.ONCE)


async def test_a_supervisor_that_ends_leaves_no_connection_and_each_message_is_taken() -> None:
    opener = Connections(closing=1)
    async with open_supervisor("group") as supervisor:
        member, group = member_of(supervisor, opener)
        member.restart(0)
        await wait_all_tasks_blocked()
        member.restart(1)
        member.close()
    assert (group.states[-1], group.has_left, opener.open) == (CLOSED, True, 0)
    member.restart(2)
    member.close()
    assert member.mailbox.waiting == 0


async def test_a_member_that_had_not_begun_when_its_supervisor_ended_leaves() -> None:
    opener = Connections()
    async with open_supervisor("group") as supervisor:
        member, group = member_of(supervisor, opener)
        member.restart(0)
    assert (group.states[-1], group.has_left, opener.opened) == (CLOSED, True, 0)


# --- the membership -------------------------------------------------------------------


async def test_the_events_of_a_member_that_is_ready_are_with_their_readers() -> None:
    for _ in range(20):  # tasks are shuffled
        async with open_group() as group, group.events() as events:
            await group.add("one", offering())
            await group.wait_ready("one")
            assert events._mailbox.receive_nowait() == MemberReady("one")


async def test_members_that_come_and_go_leave_nothing() -> None:
    async with open_group() as group:
        for _ in range(20):
            await group.add("one", offering())
            await group.remove("one")
        snapshot = group._supervisor.snapshot()
        assert [actor.name for actor in snapshot.actors] == ["membership", "elicitation"]
        assert snapshot.tasks == ("group: membership",)


async def test_tasks_of_a_group_say_whose_they_are() -> None:
    async with open_group() as group:
        await group.add("mail", offering())
        await group.wait_ready("mail")
        assert group._supervisor.snapshot().tasks == ("group: member mail", "group: membership")
        assert [actor.name for actor in group._supervisor.snapshot().actors] == [
            "membership",
            "elicitation",
            "member mail",
        ]


async def test_more_than_may_come_at_once_is_refused() -> None:
    async with open_group() as group:
        refused: list[str] = []
        server = offering()

        async def add() -> None:
            try:
                await group.add("one", server)
            except trimcp.UsageError as exc:
                refused.append(str(exc))

        async with trio.open_nursery() as nursery:
            for _ in range(3 * OTHERS):
                nursery.start_soon(add)
        assert len(refused) == 3 * OTHERS - 1
        assert any("come at once" in why for why in refused)
        await group.wait_ready("one")


async def test_readers_that_have_left_are_not_kept() -> None:
    async with open_group() as group:
        for _ in range(50):
            async with group.events():
                pass
            await wait_all_tasks_blocked()
        assert len(group._membership._readers) <= 2


async def test_a_reader_that_comes_when_all_is_over_reads_to_the_end() -> None:
    async with open_group() as group:
        await group.add("one", offering())
        group.close()
        await group.members["one"].wait_closed()
        async with group.events() as events:
            assert [event async for event in events] == []
    async with group.events() as events:
        assert [event async for event in events] == []


async def test_a_member_that_comes_in_while_the_group_closes_is_refused_or_closed() -> None:
    async with open_supervisor("group") as supervisor:
        membership = supervisor.add(Membership(supervisor, 4))
        early, late = (MemberRecord(member_of(supervisor, Connections())[0]) for _ in range(2))
        async with trio.open_nursery() as nursery:

            async def join(member: MemberRecord) -> None:
                member.name = f"m{id(member)}"
                member._actor._group, member._actor.server = membership, member.name
                await membership.join(member)

            nursery.start_soon(join, early)
            await wait_all_tasks_blocked()
            membership.close()
            with pytest.raises(trimcp.UsageError, match="the group is closed"):
                await join(late)
        with trio.fail_after(60):
            await membership.wait_empty()
        assert early.member.state is CLOSED


async def test_what_was_asked_for_is_seen_before_the_actor_has_its_turn() -> None:
    async with open_group() as group:
        member = await group.add("one", Mortal())
        client = await member.wait_ready()
        member.restart()
        assert (member.state, member.client) == (CONNECTING, None)
        again = await member.wait_ready()
        assert again is not client
        member.close()
        assert (member.state, member.client) == (CLOSED, None)
        with pytest.raises(trimcp.UsageError, match="'one' is closed"):
            member.restart()


# --- the queue ------------------------------------------------------------------------


async def test_a_change_that_waits_is_not_kept_twice_and_keeps_its_place() -> None:
    events = GroupEvents(3)
    tools, prompts = MemberChanged("one", ToolsChanged()), MemberChanged("one", PromptsChanged())
    for event in (tools, MemberReady("two"), tools, prompts, tools):
        events.put(event)
    events.put(MemberClosed("two"))  # drops the first
    events.put(tools)  # which may come again, and drops the next
    events.finish()
    events.put(MemberReady("two"))
    assert [event async for event in events] == [prompts, MemberClosed("two"), tools]
    assert events.dropped == 2
    assert [event async for event in events] == []


async def test_a_reader_of_events_that_is_cancelled_loses_none(autojump_clock: MockClock) -> None:
    events = GroupEvents(3)
    with trio.move_on_after(1) as scope:
        await anext(events)
    assert scope.cancelled_caught
    events.put(MemberReady("one"))
    with trio.CancelScope() as scope:
        scope.cancel()
        await anext(events)
    assert scope.cancelled_caught
    assert await anext(events) == MemberReady("one")


@pytest.mark.parametrize("is_cancelled", [True, False], ids=["cancelled", "left"])
async def test_a_group_may_be_left_or_cancelled_after_any_number_of_steps(is_cancelled: bool) -> None:
    async def read(events: GroupEvents) -> None:
        async for _ in events:
            pass

    async def live(steps: int) -> trimcp.Member:
        async with trio.open_nursery() as nursery, open_group() as group, group.events() as events:
            member = await group.add("one", offering())
            nursery.start_soon(read, events)
            for step in range(steps):
                if step == 40:
                    member.restart()
                await trio.lowlevel.checkpoint()
            if is_cancelled:
                nursery.cancel_scope.cancel()
        return member

    tasks = trio.lowlevel.current_statistics().tasks_living
    for steps in range(80):
        with trio.fail_after(60):
            member = await live(steps)
        assert (member.state, member.client) == (CLOSED, None)
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == tasks
