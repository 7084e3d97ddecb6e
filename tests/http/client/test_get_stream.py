"""The GetStream by itself: its messages and tries, and its end; and what all actors of a session look like."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.http.client.eras import Legacy, modern
from tests.http.client.scripted import scripted
from trimcp.actors.supervisor import Supervisor, open_supervisor
from trimcp.errors import ExchangeFailed
from trimcp.http.client.get_stream import OPEN_TIMEOUT, GetStream, _Ended, _Opened
from trimcp.limits import Limits

VERSION = "2025-11-25"


class Replies:
    """A remote whose responses to GET are written by hand."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.open = 0
        self.refuses: list[int] = []
        self.cannot_connect = False
        self._ends: list[trio.Event] = []
        self._pieces: list[list[bytes]] = []

    @asynccontextmanager
    async def request(self, verb: str, fields: dict[str, str], *, repeatable: bool) -> AsyncIterator[Any]:
        assert (verb, repeatable) == ("GET", True)
        self.asked.append(fields)
        await trio.lowlevel.checkpoint()
        if self.cannot_connect:
            raise ExchangeFailed("cannot connect")
        if self.refuses:
            yield SimpleNamespace(status=self.refuses.pop(0), media_type="text/plain", retry_after=None)
            return
        end, pieces = trio.Event(), list[bytes]()
        self._ends.append(end)
        self._pieces.append(pieces)

        async def next_piece() -> bytes | None:
            if not pieces:
                await end.wait()
            return pieces.pop(0) if pieces else None

        self.open += 1
        try:
            yield SimpleNamespace(status=200, media_type="text/event-stream", next_piece=next_piece)
        finally:
            self.open -= 1

    def end(self, *pieces: bytes) -> None:
        """End the newest stream, behind these bytes."""
        self._pieces[-1].extend(pieces)
        self._ends[-1].set()


class Holder:
    """A session and its parts, as the GET stream sees them."""

    number = 1
    limits = Limits()

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.remote = Replies()
        self.generation = 0
        self.told: list[Any] = []
        self.forgets = False
        self.recover: Callable[[int], Awaitable[None]] = self._begin_again

    def of_get(self, last_event_id: bytes) -> dict[str, str]:
        return {"last": last_event_id.decode()}

    def take_event(self, event: Any) -> bool:
        self.told.append(event.data)
        return True

    def lost(self) -> None:
        self.told.append("lost")

    def give_up(self, why: str) -> None:
        self.told.append(why)

    @property
    def is_allowed(self) -> bool:
        return self.forgets

    async def _begin_again(self, generation: int) -> None:
        self.told.append(generation)
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def get_streams() -> AsyncIterator[tuple[GetStream, Holder]]:
    async with open_supervisor("session 1") as supervisor:
        holder = Holder(supervisor)
        parts: Any = holder
        yield supervisor.add(GetStream(parts, holder.remote, parts, parts, parts, parts)), holder  # type: ignore[arg-type]


# --- the GET stream -------------------------------------------------------------------


async def test_opening_returns_when_the_server_has_decided(autojump_clock: MockClock) -> None:
    async with get_streams() as (stream, holder):
        for refusal in ([], [405], [503]):
            holder.remote.refuses = list(refusal)
            began = trio.current_time()
            await stream.open()
            assert trio.current_time() == began
            assert holder.remote.open == (0 if refusal else 1)


async def test_opening_does_not_wait_for_ever(autojump_clock: MockClock) -> None:
    async with get_streams() as (stream, holder):

        @asynccontextmanager
        async def silent(*args: Any, **options: Any) -> AsyncIterator[Any]:
            await trio.sleep_forever()
            yield None

        holder.remote.request = silent  # type: ignore[method-assign, assignment]
        began = trio.current_time()
        await stream.open()
        assert trio.current_time() - began == OPEN_TIMEOUT


async def test_the_stream_of_another_session_takes_the_place_of_the_one_before() -> None:
    async with get_streams() as (stream, holder):
        await stream.open()
        holder.remote.end(b"id: s-1\ndata: 1\n\n")
        await wait_all_tasks_blocked()
        holder.generation = 1
        await stream.open()
        await wait_all_tasks_blocked()
        assert holder.remote.open == 1
        assert [fields["last"] for fields in holder.remote.asked] == ["", ""]
        assert holder.told == [b"1"], "no gap is told of: what listens is asked for anew"


async def test_a_stream_that_was_taken_away_changes_nothing_more(autojump_clock: MockClock) -> None:
    async with get_streams() as (stream, holder):
        await stream.open()
        stale = stream._try
        assert stale is not None
        await stream.open()
        for status in (None, 404, 405, 503):
            stream.tell(_Opened(stale))
            stream.tell(_Ended(by=stale, status=status))
        await trio.sleep(1000)
        assert (holder.remote.open, len(holder.remote.asked), holder.told) == (1, 2, [])


async def test_a_break_is_told_once_the_stream_is_there_again(autojump_clock: MockClock) -> None:
    async with get_streams() as (stream, holder):
        await stream.open()
        holder.remote.end()
        await wait_all_tasks_blocked()
        assert holder.told == []
        await trio.sleep(1)
        assert (holder.told, holder.remote.open) == (["lost"], 1)
        holder.remote.end(b"id: s-1\ndata: 1\n\n")
        await trio.sleep(1)
        assert [fields["last"] for fields in holder.remote.asked] == ["", "", "s-1"]
        assert holder.told == ["lost", b"1"]


async def test_a_pause_grows_with_each_try_and_the_budget_is_spent_once(autojump_clock: MockClock) -> None:
    async with get_streams() as (stream, holder):
        await stream.open()
        holder.remote.cannot_connect = True
        holder.remote.end()
        await trio.sleep(1000)
        assert len(holder.remote.asked) == 11
        assert holder.told == ["the GET stream ended 11 times in a row: cannot connect"]
        holder.remote.cannot_connect = False
        await stream.open()
        assert holder.remote.open == 1


async def test_a_session_that_is_forgotten_is_replaced_as_often_as_it_takes(autojump_clock: MockClock) -> None:
    asked: list[int] = []

    async def begin_again(generation: int) -> None:
        asked.append(generation)
        if len(asked) < 3:
            raise ExchangeFailed("not now")
        holder.generation = 1
        await stream.open()

    async with get_streams() as (stream, holder):
        holder.forgets, holder.recover = True, begin_again
        await stream.open()
        holder.remote.refuses = [404]
        holder.remote.end()
        await trio.sleep(100)
        assert asked == [0, 0, 0]
        assert (holder.remote.open, len(holder.remote.asked), holder.told) == (1, 3, [])


async def test_a_session_that_ends_leaves_no_stream() -> None:
    async with get_streams() as (stream, holder):
        await stream.open()
    assert holder.remote.open == 0
    with trio.fail_after(60):
        await stream.open()
    assert (stream.snapshot().state, holder.remote.open) == ("ended", 0)


# --- all of them ----------------------------------------------------------------------


async def test_what_a_session_does_is_seen_in_its_supervisor() -> None:
    async with scripted(Legacy()) as server, trimcp.connect(server.url, revision=VERSION) as client:
        snapshot = client.session.supervisor.snapshot()  # type: ignore[attr-defined]
        number = client.session.number
        of_every_session = ("router", "progress tracker", "cancellation manager")
        states = {actor.name: actor.state for actor in snapshot.actors if actor.name not in of_every_session}
        assert states == {
            "session recovery": "idle",
            "GET stream": "running",
            "post queue": "running",
            "listen recovery": "idle",
        }
        assert {f"session {number}: GET stream", f"session {number}: post queue"} <= set(snapshot.tasks)
        session: Any = client.session
    assert session.supervisor.snapshot().tasks == ()


async def test_a_session_of_the_modern_era_has_no_task_of_its_own_before_it_needs_one() -> None:
    async with scripted(modern()) as server, trimcp.connect(server.url) as client:
        await client.list_tools()
        await wait_all_tasks_blocked()
        session: Any = client.session
        assert {actor.state for actor in session.supervisor.snapshot().actors} == {"idle"}
        assert session.supervisor.snapshot().tasks == ()
