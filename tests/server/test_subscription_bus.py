"""The SubscriptionBus as an actor: its task, what it survives, and calls from other threads."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trimcp
from tests.server.news import acknowledged, changed, listen, newsy, updated
from tests.session.peer import ERAS, MODERN, Logged, Peer, cancelled, served

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="untouched")


def bus_state(server: trimcp.Server) -> str:
    """The state of the actor in the only run."""
    (snapshot,) = (actor for actor in server.tree()[0].supervisor.actors if actor.name == "subscription bus")
    return snapshot.state


async def test_its_task_starts_with_the_first_message_and_lives_in_the_supervisor_of_the_run() -> None:
    server = newsy()
    async with served(server) as peer:
        assert bus_state(server) == "idle"
        assert server.tree()[0].supervisor.tasks == ()
        await peer.ask(listen(peer, 1, tools=True))
        assert bus_state(server) == "running"
        assert server.tree()[0].supervisor.tasks == ("server newsy: subscription bus",)


async def test_equal_changes_of_one_turn_are_one_message() -> None:
    server = newsy()
    async with server.running() as running, served(server) as peer:
        await peer.ask(listen(peer, 1, tools=True, uris=["a:1", "a:2"]))
        before = running.subscriptions.mailbox.statistics()
        for _ in range(100):
            server.notify_resource_updated("a:1")
            server.notify_tools_changed()
            server.notify_resource_updated("a:2")
        after = running.subscriptions.mailbox.statistics()
        assert (after.told - before.told, after.replaced - before.replaced) == (3, 297)
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
