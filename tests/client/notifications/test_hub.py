"""The NotificationHub and the notification actor: what goes where, in which order, and how it ends."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trimcp
from tests.session.peer import Logged, Peer, RawServer, notification, result
from trimcp.actors.supervisor import Supervisor, open_supervisor
from trimcp.client.features.listen import ListenRequest
from trimcp.client.notifications.handlers import NotificationHandlers
from trimcp.client.notifications.hub import NotificationHub
from trimcp.client.notifications.notices import (
    Interrupted,
    ListenEnd,
    Notice,
    Notices,
    PromptsChanged,
    ResourceUpdated,
    SubscriptionsEnded,
    ToolsChanged,
    Topics,
)
from trimcp.errors import ConnectionClosed, ConnectionEnded, ConnectionLost, RequestFailed, TrimcpError
from trimcp.session.call import CallWatcher, OpenCall
from trimcp.session.negotiation import Agreement
from trimcp.types import BY_VERSION
from trimcp.types.capabilities import ServerCapabilities
from trimcp.types.jsonrpc import CANCELLED_BY_SERVER, RequestId

TOOLS = "notifications/tools/list_changed"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
AGREEMENT = Agreement(BY_VERSION["2026-07-28"], ServerCapabilities(), None, None, None)
LOST, CLOSED = ConnectionLost("gone"), ConnectionClosed("closed here")


class Asked:
    """Calls that stay open until a test settles them."""

    def __init__(self, settles: TrimcpError | None = None) -> None:
        self._settles = settles
        self._count = 0
        self.abandoned: list[str] = []

    def begin(self, method: str, params: dict[str, Any] | None, watcher: CallWatcher) -> OpenCall:
        assert method == "subscriptions/listen"
        self._count += 1
        call = OpenCall(self._count, method, watcher)
        if self._settles is not None:
            call.settle(None, self._settles)
        return call

    def abandon(self, call: OpenCall, why: str) -> None:
        self.abandoned.append(why)


@asynccontextmanager
async def hubs(most: int = 10) -> AsyncIterator[NotificationHub]:
    async with open_supervisor("client") as supervisor:
        yield supervisor.add(NotificationHub(supervisor, most))


def listening(hub: NotificationHub, calls: Any, notices: Notices | None) -> ListenRequest:
    """A listen that the hub knows."""
    listen = ListenRequest(calls, AGREEMENT, Topics(tools=True), notices, hub)
    hub.listen(listen)
    return listen


def tagged(id: RequestId | Any, **more: Any) -> dict[str, Any]:
    """Params that carry the id of a listen."""
    return {"_meta": {"io.modelcontextprotocol/subscriptionId": id}, **more}


async def rest(notices: Notices) -> list[Notice]:
    """All that waits in a queue that has ended."""
    return [notice async for notice in notices]


# --- what goes where ------------------------------------------------------------------


@pytest.mark.parametrize("tag", [None, 2, "1", True, 1.0, [], {}])
async def test_a_tag_that_is_nobodys_leads_to_nobody(tag: Any) -> None:
    async with hubs() as hub:
        mine, everything = hub.open(Topics()), hub.open(None)
        listen = listening(hub, Asked(), mine)
        assert listen.id == 1
        hub.arrived(TOOLS, tagged(tag))
        hub.arrived(ACKNOWLEDGED, tagged(tag, notifications={}))
        hub.leave(everything)
        hub.leave(mine)
        assert not listen.granted.is_set
        assert await rest(mine) == []
        assert await rest(everything) == [ToolsChanged()]


async def test_a_queue_is_told_by_id_or_by_topic() -> None:
    async with hubs() as hub:
        by_id, by_topic = hub.open(Topics(tools=True)), hub.open(Topics(tools=True))
        listening(hub, Asked(), by_id)
        hub.follow(by_id, by_id=True)
        hub.arrived(TOOLS, None)
        hub.arrived("notifications/resources/updated", tagged(1, uri="a:1"))
        for notices in (by_id, by_topic):
            hub.leave(notices)
            hub.follow(notices, by_id=False)  # which has ended: nothing comes of it
        hub.arrived(TOOLS, None)
        assert await rest(by_id) == [ResourceUpdated("a:1")]
        assert await rest(by_topic) == [ToolsChanged()]
        assert (by_id.end, by_topic.end) == (ListenEnd.CLOSED, ListenEnd.CLOSED)


async def test_a_message_is_handled_in_the_turn_of_its_sender_and_costs_no_task() -> None:
    async with open_supervisor("client") as supervisor:
        hub = supervisor.add(NotificationHub(supervisor, 10))
        notices = hub.open(None)
        hub.arrived(TOOLS, None)
        assert notices._mailbox.receive_nowait().notice == ToolsChanged()
        assert supervisor.snapshot().tasks == ()
        assert [(actor.name, actor.state) for actor in supervisor.snapshot().actors] == [
            ("notification hub", "in turn")
        ]


async def test_no_answer_overtakes_a_notice_that_was_read_before_it() -> None:
    async def script(peer: Peer) -> None:
        opening = await peer.receive()
        about = {"name": "raw", "version": "1"}
        await peer.send(
            result(opening["id"], {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": about})
        )
        await peer.receive()
        for _ in range(100):
            request = await peer.receive()
            await peer.send(notification(TOOLS), result(request["id"]))
        await peer.rest()

    async with trimcp.connect(RawServer(script), revision="2025-11-25") as client, client.notices() as notices:
        for _ in range(100):  # tasks are shuffled
            await client.ping()
            assert notices._mailbox.waiting == 1
            await anext(notices)


# --- listens --------------------------------------------------------------------------


async def test_what_settles_a_listen_comes_behind_its_notices() -> None:
    async with hubs() as hub:
        notices = hub.open(Topics(tools=True))
        listen = listening(hub, Asked(), notices)
        hub.arrived(ACKNOWLEDGED, tagged(1, notifications={"toolsListChanged": True}))
        hub.arrived(TOOLS, tagged(1))
        listen.call.settle({}, None)
        hub.arrived("notifications/prompts/list_changed", tagged(1))
        assert await listen.granted.wait() == Topics(tools=True)
        assert await rest(notices) == [ToolsChanged()]
        assert (notices.end, listen.has_ended) == (ListenEnd.FINISHED, True)


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (RequestFailed(CANCELLED_BY_SERVER, "tired"), ListenEnd.CANCELLED),
        (RequestFailed(-32603, "broken"), ListenEnd.FAILED),
        (LOST, ListenEnd.FAILED),
        (None, ListenEnd.FINISHED),
    ],
)
async def test_a_listen_says_how_it_ended(error: TrimcpError | None, end: ListenEnd) -> None:
    async with hubs() as hub:
        notices = hub.open(Topics(tools=True))
        listen = listening(hub, Asked(), notices)
        listen.call.settle(None if error else {}, error)
        assert notices.end is end
        if end is ListenEnd.FAILED:
            assert error is not None
            with pytest.raises(type(error), match=re.escape(str(error))):
                await listen.granted.wait()
            with pytest.raises(type(error), match=re.escape(str(error))):
                await anext(notices)
        else:
            assert await listen.granted.wait() == Topics()


async def test_a_listen_that_was_settled_before_it_was_known_is_settled_when_it_is() -> None:
    async with hubs() as hub:
        notices = hub.open(Topics(tools=True))
        listening(hub, Asked(LOST), notices)
        assert notices.end is ListenEnd.FAILED
        assert not hub._listens


async def test_the_first_acknowledgement_counts() -> None:
    async with hubs() as hub:
        listen = listening(hub, Asked(), None)
        hub.arrived(ACKNOWLEDGED, tagged(1, notifications={"toolsListChanged": True}))
        hub.arrived(ACKNOWLEDGED, tagged(1, notifications={"toolsListChanged": "yes"}))
        hub.arrived(ACKNOWLEDGED, tagged(1, notifications={}))
        assert await listen.granted.wait() == Topics(tools=True)


async def test_a_listen_that_was_abandoned_is_told_nothing_and_ends_nothing() -> None:
    calls = Asked()
    async with hubs() as hub:
        notices = hub.open(Topics(tools=True))
        hub.follow(notices, by_id=True)
        listen = listening(hub, calls, notices)
        hub.abandon(listen)
        listen.abandon("no more")
        hub.arrived(TOOLS, tagged(1))
        listen.call.settle({}, None)
        assert (notices.end, calls.abandoned) == (None, ["no more"])
        assert not any(notices._waiting)


async def test_the_listen_that_stands_for_subscriptions_takes_them_along() -> None:
    async with hubs() as hub:
        everything, calls = hub.open(None), Asked()
        first, second = listening(hub, calls, None), listening(hub, calls, None)
        hub.subscribe(("a:1", "a:2"), first)
        hub.subscribe(("a:1",), second, lost=("a:2",))
        first.call.settle({}, None)  # it stands for nothing any more
        assert hub.subscribed == ("a:1",)
        second.call.settle({}, None)
        assert (hub.subscribed, hub.shared_listen) == ((), None)
        hub.leave(everything)
        assert await rest(everything) == [SubscriptionsEnded(("a:2",)), SubscriptionsEnded(("a:1",))]


# --- over another stream --------------------------------------------------------------


async def test_where_another_stream_follows_readers_wait_for_it() -> None:
    async with hubs() as hub:
        hub.stay()
        everything, by_id, by_topic = hub.open(None), hub.open(Topics(tools=True)), hub.open(Topics(tools=True))
        hub.follow(by_id, by_id=True)
        calls = Asked()
        listen, standing = listening(hub, calls, by_id), listening(hub, calls, None)
        hub.subscribe(("a:1",), standing)
        listen.call.settle(None, LOST)
        standing.call.settle(None, LOST)
        assert [one.is_interrupted for one in (everything, by_id, by_topic)] == [False, True, False]
        assert hub.subscribed == ("a:1",)
        hub.resume(by_id)
        hub.resume()
        assert not any(one.is_interrupted for one in (everything, by_id, by_topic))
        hub.resume(by_topic)
        for notices in (everything, by_id, by_topic):
            hub.leave(notices)
            assert await rest(notices) == [Interrupted()]


@pytest.mark.parametrize("for_good", [True, False])
async def test_the_end_is_told_to_every_reader_also_to_one_that_waited_for_another_stream(for_good: bool) -> None:
    async with hubs() as hub:
        hub.stay()
        everything, by_id = hub.open(None), hub.open(Topics(tools=True))
        hub.follow(by_id, by_id=True)
        listening(hub, Asked(LOST), by_id)
        assert by_id.is_interrupted
        hub.finish(CLOSED, for_good=for_good)
        for notices in (everything, by_id):
            with pytest.raises(ConnectionClosed):
                await anext(notices)
        assert (hub.over, hub.stays) == ((CLOSED, False) if for_good else (None, True))
        again = hub.open(None)
        hub.arrived(TOOLS, None)
        hub.leave(again)
        assert await rest(again) == [ToolsChanged()]


async def test_closing_ends_a_listen_that_was_lost_before() -> None:
    # As over HTTP, where a stream may be lost while the session goes on.
    server = trimcp.Server("s")

    @server.tool
    async def look() -> None: ...

    async with trimcp.connect(server) as client:
        client._run.stay()
        async with client.listen(tools=True) as notices:
            (listen,) = client._run._hub._listens.values()  # type: ignore[union-attr]
            listen.call.settle(None, LOST)
            assert notices.is_interrupted
            client.close()
            with trio.fail_after(60), pytest.raises(ConnectionEnded):
                await anext(notices)


# --- functions of programs ------------------------------------------------------------


def handlers(supervisor: Supervisor, most: int = 3) -> NotificationHandlers:
    return supervisor.add(NotificationHandlers(supervisor, None, most))  # type: ignore[arg-type]


async def test_functions_are_called_in_order_and_not_in_the_turn_of_the_sender() -> None:
    heard: list[Any] = []
    async with open_supervisor("client") as supervisor:
        actor = handlers(supervisor)
        assert actor.snapshot().state == "idle"
        for n in range(3):
            actor.call("m", n, [lambda client, n: heard.append(n), lambda client, n: heard.append(-n)])
        assert heard == []
        await wait_all_tasks_blocked()
        assert heard == [0, 0, 1, -1, 2, -2]
        assert supervisor.snapshot().tasks == ("client: notification handlers",)
        actor.call("m", 3, [lambda client, n: heard.append(n)])
    assert heard[-1] == 3, "what was read before the end is heard"


async def test_of_too_many_the_oldest_are_dropped_and_the_log_says_so(logged: Logged) -> None:
    heard: list[Any] = []
    async with open_supervisor("client") as supervisor:
        actor = handlers(supervisor)
        for n in range(10):
            actor.call("m", n, [lambda client, n: heard.append(n)])
    assert heard == [7, 8, 9]
    assert actor.mailbox.dropped == 7
    assert logged.of("message.ignored")[-1] == {"method": "m", "why": "too many wait", "count": 7}


@pytest.mark.parametrize("error", [ValueError(), SystemExit(3), GeneratorExit(), RecursionError(), "cancelled"])
async def test_what_a_function_raises_harms_no_other(error: Any, logged: Logged) -> None:
    if error == "cancelled":
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.sleep(0)
            except trio.Cancelled as exc:
                error = exc
    heard: list[Any] = []

    def fail(client: Any, params: Any) -> None:
        raise error

    async with open_supervisor("client") as supervisor:
        actor = handlers(supervisor)
        for n in range(3):
            actor.call("m", n, [fail, lambda client, n: heard.append(n)])
            await wait_all_tasks_blocked()
    assert heard == [0, 1, 2]
    assert len(logged.of("handler.failed")) == 3


async def test_an_interrupt_of_the_program_is_not_kept_from_it() -> None:
    def interrupt(client: Any, params: Any) -> None:
        raise KeyboardInterrupt

    with pytest.RaisesGroup(KeyboardInterrupt):
        async with open_supervisor("client") as supervisor:
            handlers(supervisor).call("m", 1, [interrupt])
            await trio.sleep_forever()


async def test_a_function_never_runs_in_the_turn_of_the_reader() -> None:
    seen: list[str] = []
    extension = trimcp.ClientExtension("com.example/news")
    news = trimcp.ExtensionNotification("notifications/com.example/news", dict, sender="server")

    @extension.hears(news)
    def hear(client: trimcp.Client, params: Any) -> None:
        seen.append(trio.lowlevel.current_task().name)

    async def script(peer: Peer) -> None:
        opening = await peer.receive()
        about = {"name": "raw", "version": "1"}
        await peer.send(
            result(opening["id"], {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": about})
        )
        await peer.receive()
        await peer.send(notification(news.name, {"n": 1}))
        await peer.rest()

    async with trimcp.connect(RawServer(script), revision="2025-11-25", extensions=[extension]):
        await wait_all_tasks_blocked()
        assert seen == ["client: notification handlers"]


async def test_prompts_and_tools_are_told_apart_by_topic() -> None:
    async with hubs() as hub:
        tools, prompts = hub.open(Topics(tools=True)), hub.open(Topics(prompts=True))
        hub.arrived(TOOLS, None)
        hub.arrived("notifications/prompts/list_changed", None)
        hub.leave(tools)
        hub.leave(prompts)
        assert (await rest(tools), await rest(prompts)) == ([ToolsChanged()], [PromptsChanged()])
