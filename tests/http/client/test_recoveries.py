"""SessionRecovery, ListenRecovery and PostQueue by themselves: messages, order, bounds, and their end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.session.peer import Logged
from trimcp.actors.supervisor import open_supervisor
from trimcp.errors import ConnectionLost, ExchangeFailed, SessionFailed
from trimcp.http.client.listen_recovery import ListenRecovery
from trimcp.http.client.post_queue import PostQueue
from trimcp.http.client.session_recovery import SessionRecovery
from trimcp.limits import Limits

VERSION = "2025-11-25"


# --- another session ------------------------------------------------------------------


class Forgetful:
    """A session as its recovery sees it."""

    description = "http://server"

    def __init__(self, initialize: Callable[[], Awaitable[None]]) -> None:
        self.done: list[str] = []
        self._initialize = initialize

    async def open_another(self, offer: Any) -> Any:
        self.done.append(offer.revisions[0])
        await self._initialize()
        return "agreed"

    async def replaced(self, agreement: Any) -> None:
        await trio.lowlevel.checkpoint()
        self.done.append(agreement)


@asynccontextmanager
async def recoveries(
    initialize: Callable[[], Awaitable[None]],
) -> AsyncIterator[tuple[SessionRecovery, Forgetful]]:
    async with open_supervisor("session 1") as supervisor:
        session = Forgetful(initialize)
        recovery = supervisor.add(SessionRecovery(supervisor, session, allowed=True))
        recovery.allow(SimpleNamespace(revisions=[VERSION]))  # type: ignore[arg-type]
        yield recovery, session


async def test_all_who_find_the_session_forgotten_wait_for_one_other() -> None:
    gate = trio.Event()
    async with recoveries(gate.wait) as (recovery, session), trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(recovery.recover, 0)
        recovery.recover_soon(0)
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 100
        nursery.start_soon(recovery.ready)
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 101
        gate.set()
    assert session.done == [VERSION, "agreed"]
    assert recovery.generation == 1
    await recovery.recover(0)  # it is there
    assert session.done.count(VERSION) == 1


async def test_the_task_that_opens_a_session_does_not_wait_for_it() -> None:
    async def initialize() -> None:
        assert not recovery.is_allowed
        with trio.fail_after(60):
            assert await recovery.ready() == 0

    async with recoveries(initialize) as (recovery, _):
        assert recovery.is_allowed
        await recovery.recover(0)
        assert recovery.is_allowed


async def test_where_none_can_be_had_each_is_told_and_the_next_tries_again(logged: Logged) -> None:
    failures = [SessionFailed("no more"), SessionFailed("no more"), SessionFailed("no more")]

    async def initialize() -> None:
        await trio.lowlevel.checkpoint()
        if failures:
            raise failures.pop()

    async with recoveries(initialize) as (recovery, session):
        for _ in range(2):
            with pytest.raises(ExchangeFailed, match="opens no other: no more") as caught:
                await recovery.recover(0)
            assert isinstance(caught.value.__cause__, SessionFailed)
        assert logged.of("stream.lost") == []
        recovery.recover_soon(0)  # nobody waits
        await wait_all_tasks_blocked()
        assert len(logged.of("stream.lost")) == 1
        assert await recovery.ready() == 1
        assert session.done.count("agreed") == 1


async def test_a_caller_that_leaves_does_not_stop_the_recovery() -> None:
    gate = trio.Event()
    async with recoveries(gate.wait) as (recovery, _):
        with trio.move_on_after(0):
            await recovery.recover(0)
        gate.set()
        await recovery.recover(0)
        assert recovery.generation == 1


async def test_no_other_session_is_had_once_all_is_over() -> None:
    async with recoveries(trio.lowlevel.checkpoint) as (recovery, _):
        pass
    with trio.fail_after(60), pytest.raises(ExchangeFailed, match="forgotten"):
        await recovery.recover(0)
    recovery.recover_soon(0)


# --- listens --------------------------------------------------------------------------


class Listening:
    """A client as the recovery of its listens sees it."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.gave_up_with: list[str] = []
        self.fails = False
        self.gate = trio.Event()
        self.gate.set()

    async def reconnected(self, *, agreement: Any, anew: bool) -> None:
        assert anew == (agreement is not None)
        self.asked.append(agreement)
        await self.gate.wait()
        if self.fails:
            raise ConnectionLost("again")

    def gave_up(self, error: ConnectionLost) -> None:
        self.gave_up_with.append(str(error))


async def test_losses_during_a_pause_are_brought_back_at_once(autojump_clock: MockClock) -> None:
    client = Listening()
    async with open_supervisor("session 1") as supervisor:
        recovery = supervisor.add(ListenRecovery(supervisor))
        recovery.lost()  # there is no client yet
        recovery.serve(client)  # type: ignore[arg-type]
        for _ in range(1000):
            recovery.lost()
        await wait_all_tasks_blocked()
        recovery.lost()
        recovery.forgotten("first")  # type: ignore[arg-type]
        recovery.forgotten("second")  # type: ignore[arg-type]
        assert recovery.mailbox.waiting == 2
        await trio.sleep(100)
        assert client.asked == ["second"]
        recovery.lost()
        await trio.sleep(100)
        assert client.asked == ["second", None]


async def test_a_loss_while_it_asks_is_brought_back_afterwards(autojump_clock: MockClock) -> None:
    client = Listening()
    client.gate = trio.Event()
    async with open_supervisor("session 1") as supervisor:
        recovery = supervisor.add(ListenRecovery(supervisor))
        recovery.lost()  # there is no client yet
        recovery.serve(client)  # type: ignore[arg-type]
        recovery.lost()
        await trio.sleep(1)
        assert (recovery.is_asking, len(client.asked)) == (True, 1)
        recovery.lost()
        client.gate.set()
        await trio.sleep(5)
        assert (recovery.is_asking, len(client.asked)) == (False, 2)


async def test_a_budget_that_is_spent_is_told_and_calm_gives_it_back(autojump_clock: MockClock, logged: Logged) -> None:
    client = Listening()
    client.fails = True
    async with open_supervisor("session 1") as supervisor:
        recovery = supervisor.add(ListenRecovery(supervisor))
        recovery.lost()  # there is no client yet
        recovery.serve(client)  # type: ignore[arg-type]
        for _ in range(11):
            recovery.lost()
            await trio.sleep(40)
        assert len(client.asked) == len(logged.of("stream.lost")) == 10
        assert client.gave_up_with == ["the stream of the server's notices was lost 11 times in a row"]
        await trio.sleep(100)
        recovery.lost()
        await trio.sleep(5)
        assert len(client.asked) == 11
    recovery.lost()  # when all is over nothing comes of it
    assert len(client.asked) == 11


# --- posts ----------------------------------------------------------------------------


@asynccontextmanager
async def post_queues(post: Callable[[bytes], Awaitable[None]]) -> AsyncIterator[PostQueue]:
    async with open_supervisor("session 1") as supervisor:
        session = SimpleNamespace(supervisor=supervisor, limits=Limits(), description="http://server", post=post)
        yield supervisor.add(PostQueue(supervisor, session.limits, session))  # type: ignore[arg-type]


async def test_posts_go_out_one_after_the_other_in_order() -> None:
    posted: list[bytes] = []
    at_once = 0

    async def post(frame: bytes) -> None:
        nonlocal at_once
        at_once += 1
        assert at_once == 1
        await trio.lowlevel.checkpoint()
        at_once -= 1
        posted.append(frame)
        if frame == b"bad":
            raise ExchangeFailed("not taken")

    frames = [b"%d" % n for n in range(50)]
    async with post_queues(post) as queue:
        queue.post(b"bad")
        for frame in frames:
            queue.post(frame)
            await trio.lowlevel.checkpoint()
        await queue.flushed()
        assert posted == [b"bad", *frames]
        assert queue.waiting_bytes == 0
        assert queue.mailbox.waiting == 0


async def test_a_message_that_waits_is_replaced_and_one_that_is_under_way_is_not() -> None:
    posted: list[bytes] = []
    gate = trio.Event()

    async def post(frame: bytes) -> None:
        posted.append(frame)
        await gate.wait()

    async with post_queues(post) as queue:
        queue.post_latest("roots", b"1")
        await wait_all_tasks_blocked()
        queue.post_latest("roots", b"2")
        queue.post_latest("roots", b"3")
        assert queue.waiting_bytes == 2
        gate.set()
        await queue.flushed()
        assert posted == [b"1", b"3"]


async def test_what_is_posted_when_all_is_over_goes_nowhere() -> None:
    async def post(frame: bytes) -> None:
        raise AssertionError

    async with post_queues(post) as queue:
        pass
    queue.post(b"late")
    assert queue.snapshot().state == "ended"
