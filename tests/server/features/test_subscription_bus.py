"""The SubscriptionBus as an actor: its turn, what it survives, and calls from other threads."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.server.news import acknowledged, changed, listen, newsy, updated
from tests.session.peer import ERAS, MODERN, Logged, Peer, cancelled, served
from trimcp.actors.supervisor import open_supervisor
from trimcp.server.features.subscriptions.register import ListenEnds

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="untouched")


def bus_state(server: trimcp.Server) -> str:
    """The state of the actor in the only run."""
    (snapshot,) = (actor for actor in server.tree()[0].supervisor.actors if actor.name == "subscription bus")
    return snapshot.state


async def test_it_has_no_task_and_works_in_the_turn_of_its_sender() -> None:
    server = newsy()
    async with served(server) as peer:
        await peer.ask(listen(peer, 1, tools=True))
        assert bus_state(server) == "in turn"
        assert server.tree()[0].supervisor.tasks == ()


@pytest.mark.parametrize("thread", [False, True], ids=["async", "sync"])
@pytest.mark.parametrize("version", ERAS)
async def test_the_notices_of_a_handler_leave_before_its_answer(version: str, thread: bool) -> None:
    server = newsy()

    def touch() -> None:
        server.notify_tools_changed()
        server.notify_resource_updated("a:1")

    async def touch_async() -> None:
        touch()

    server.tool(name="touch")(touch if thread else touch_async)
    async with served(server, version) as peer:
        if version == MODERN:
            await peer.ask(listen(peer, 1, tools=True, uris=["a:1"]))
        else:
            await peer.ask(peer.request(1, "resources/subscribe", {"uri": "a:1"}))
        id = 1 if version == MODERN else None
        for number in range(2, 12):
            await peer.send(peer.call(number, "touch"))
            messages = [await peer.receive() for _ in range(3)]
            assert messages[:2] == [changed("tools", id=id), updated("a:1", id=id)]
            assert messages[2]["id"] == number


async def test_equal_changes_that_a_thread_tells_are_one_message_each() -> None:
    server = newsy()

    def elsewhere() -> None:
        for _ in range(100):
            server.notify_resource_updated("a:1")
            server.notify_tools_changed()
            server.notify_resource_updated("a:2")

    async with served(server) as peer:
        await peer.ask(listen(peer, 1, tools=True, uris=["a:1", "a:2"]))
        before = trio.lowlevel.current_statistics().run_sync_soon_queue_size
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()  # this thread, which is that of the run, handles nothing meanwhile
        assert trio.lowlevel.current_statistics().run_sync_soon_queue_size - before == 3
        assert await peer.settled() == [updated("a:1", id=1), changed("tools", id=1), updated("a:2", id=1)]


async def test_a_resource_that_is_not_watched_is_no_message() -> None:
    server = newsy()
    async with server.running() as running, served(server) as peer:
        await peer.ask(listen(peer, 1, uris=["a:1"]))
        told = running.subscriptions.mailbox.statistics().told
        server.notify_resource_updated("a:2")
        assert running.subscriptions.mailbox.statistics().told == told


async def test_listens_that_come_and_go_in_one_turn_leave_nothing() -> None:
    server = newsy(listens=2)
    async with served(server) as peer:
        await peer.ask(listen(peer, "first", tools=True))
        await peer.send(*(message for id in range(200) for message in (listen(peer, id, tools=True), cancelled(id))))
        answers = [message for message in await peer.settled() if "id" in message]
        assert {answer["error"]["code"] for answer in answers} <= {-31001}
        assert server.tree()[0].listens == 1
        server.notify_tools_changed()
        assert await peer.settled() == [changed("tools", id="first")]
        assert await peer.ask(listen(peer, 1, tools=True)) == acknowledged(1, tools=True)


async def test_listens_that_come_and_go_while_the_user_is_to_be_asked_leave_nothing() -> None:
    server = newsy(listens=1, server_listens=1, session_requests=1, server_requests=1)

    @server.may_subscribe
    def allowed(uri: str, ctx: trimcp.Context) -> bool:
        return True

    async with served(server) as peer:
        await peer.send(
            *(message for id in range(200) for message in (listen(peer, id, uris=["a:1"]), cancelled(id))),
        )
        answers = [message for message in await peer.settled() if "id" in message]
        assert {answer["error"]["code"] for answer in answers} <= {-31001}
        assert server.tree()[0].listens == 0
        assert await peer.ask(listen(peer, 1, uris=["a:1"])) == acknowledged(1, uris=["a:1"])


async def test_the_end_of_a_run_drops_the_times_at_which_listens_were_to_end(mock_clock: MockClock) -> None:
    told: list[float] = []

    class Bus:
        def ends_due(self) -> None:
            told.append(trio.current_time())
            ends.wait_until(100)  # it would be told at once, again and again

    async with open_supervisor("run") as supervisor:
        ends = supervisor.add(ListenEnds(supervisor, Bus()))
        ends.wait_until(100)
        await wait_all_tasks_blocked()
        ends.wait_until(100)  # waits in the mailbox
        supervisor.stop()
        ends.wait_until(100)
    assert told == []


async def test_a_listen_whose_session_drains_while_the_user_is_asked_is_refused() -> None:
    server = newsy()
    doors: list[Any] = []

    @server.may_subscribe
    def allowed(uri: str, ctx: trimcp.Context) -> bool:
        doors[0].finish(ctx.request)
        return True

    async with server.running() as running, served(server) as peer:
        doors.append(running.subscriptions)
        assert (await peer.ask(listen(peer, 1, uris=["a:1"])))["error"]["code"] == -31002
        await wait_all_tasks_blocked()
        assert server.tree()[0].listens == 0


async def ask(peer: Peer, id: int, uri: str = "a:1") -> Any:
    """Subscribe in the way of the peer's era; return the answer, or the acknowledgement."""
    if peer.version == MODERN:
        return await peer.ask(listen(peer, id, uris=[uri]))
    return await peer.ask(peer.request(id, "resources/subscribe", {"uri": uri}))


def leave_a_scope_open() -> bool:
    trio.CancelScope().__enter__()
    return True


def cancel_a_scope_that_is_left_open() -> bool:
    scope = trio.CancelScope()
    scope.__enter__()
    scope.cancel()
    return True


def raiser(error: BaseException) -> Callable[[], bool]:
    def fail() -> bool:
        raise error

    return fail


async def coroutine() -> bool:
    return True


def recurse() -> bool:
    return recurse()


HOSTILE: dict[str, Callable[[], Any]] = {
    "Exception": raiser(Exception("no")),
    "Cancelled": raiser(trio.Cancelled._create(source="explicit")),
    "GeneratorExit": raiser(GeneratorExit()),
    "SystemExit": raiser(SystemExit(3)),
    "BaseException": raiser(BaseException("no")),
    "a group": raiser(BaseExceptionGroup("no", [SystemExit(3), trio.Cancelled._create(source="explicit")])),
    "StopIteration": raiser(StopIteration()),
    "recursion": recurse,
    "a coroutine": coroutine,
    "None": lambda: None,
    "an object": object,
    "an open scope": leave_a_scope_open,
    "a cancelled scope": cancel_a_scope_that_is_left_open,
}


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("how", HOSTILE)
async def test_a_function_of_the_user_that_misbehaves_fails_its_one_request(
    version: str, how: str, logged: Logged
) -> None:
    server = newsy()

    @server.may_subscribe
    def allowed(uri: str, ctx: trimcp.Context) -> Any:
        return HOSTILE[how]() if uri == "bad:1" else True

    async with server.running(), AsyncExitStack() as stack:
        healthy = [await stack.enter_async_context(served(server, version)) for _ in range(3)]
        bad = await stack.enter_async_context(served(server, version))
        for peer in healthy[:2]:
            await ask(peer, 1)
        answer = await ask(bad, 1, "bad:1")
        assert answer["error"]["code"] == -32603
        assert logged.levels("handler.failed") == ["error"]
        await wait_all_tasks_blocked()
        assert server.tree()[0].subscriptions == 2
        assert "error" not in await ask(bad, 2)
        assert "error" not in await ask(healthy[2], 1)
        server.notify_resource_updated("a:1")
        for peer in (*healthy, bad):
            assert [message["method"] for message in await peer.settled()] == ["notifications/resources/updated"]


@pytest.mark.parametrize("version", ERAS)
async def test_a_function_of_the_user_cannot_change_the_context_of_the_next(version: str) -> None:
    server = newsy()
    seen: list[str] = []

    @server.may_subscribe
    def allowed(uri: str, ctx: trimcp.Context) -> bool:
        seen.append(VARIABLE.get())
        VARIABLE.set(uri)
        return True

    async with served(server, version) as peer:
        for id in range(5):
            await ask(peer, id, f"a:{id}")
    assert seen == ["untouched"] * 5


# --- notifications of extensions ------------------------------------------------------------

NEWS = trimcp.ExtensionNotification("notifications/news", dict, sender="server")


def with_news(server: trimcp.Server) -> trimcp.Server:
    """The server with an extension that has a topic."""
    extension = trimcp.ServerExtension("com.example/news", sends=[NEWS])
    extension.topic("newsIds")(lambda ctx, keys: keys)
    server.use(extension)
    return server


async def listening(peer: Peer, key: str) -> None:
    """Listen to a key of the topic."""
    capabilities: dict[str, Any] = {"extensions": {"com.example/news": {}}}
    wanted = {"notifications": {"newsIds": [key]}}
    meta = {"io.modelcontextprotocol/clientCapabilities": capabilities}
    await peer.ask(peer.request(1, "subscriptions/listen", wanted, **meta))


async def test_any_thread_may_tell_and_the_newest_is_told() -> None:
    server = with_news(newsy())
    async with served(server) as peer:
        await listening(peer, "k")

        def elsewhere() -> None:
            for number in range(100):
                server.tell(NEWS, {"number": number}, topic="newsIds", key="k")

        await trio.to_thread.run_sync(elsewhere)
        told = [message["params"]["number"] for message in await peer.settled()]
        assert told[-1] == 99
        assert told == sorted(set(told))


@pytest.mark.parametrize("version", ERAS)
async def test_params_that_are_no_json_are_the_callers_mistake(version: str) -> None:
    server = with_news(newsy())
    async with served(server, version) as peer:
        if version == MODERN:
            await listening(peer, "k")
        else:
            await peer.settled()
        topic: dict[str, Any] = {"topic": "newsIds", "key": "k"} if version == MODERN else {}
        with pytest.raises(trimcp.InvalidPayload):
            server.tell(NEWS, {"number": object()}, **topic)
        assert bus_state(server) != "ended"
        server.notify_tools_changed()
        assert await peer.ask(peer.call(2, "add", {"a": 1, "b": 2}))
