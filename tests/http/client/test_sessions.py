"""A legacy session over HTTP: its id and header fields, its end, and another one where the server has forgotten it."""

from __future__ import annotations

import pytest
import trio
import trio.testing

import trimcp
from tests.http.client.eras import CAPABILITIES, Legacy, quiet_stream, until_gone
from tests.http.client.scripted import Answer, Ask, scripted
from trimcp.errors import ConnectionClosed, ConnectionLost, ExchangeFailed, RequestFailed

VERSION = "2025-11-25"


async def settled() -> None:
    await trio.testing.wait_all_tasks_blocked(0.001)


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25"])
async def test_every_request_says_which_session_and_which_revision(version: str, carrier: str) -> None:
    async with scripted(Legacy(version=version), carrier) as server:
        async with trimcp.connect(server.url, revision=version) as client:
            await client.list_tools()
            client.notify("notifications/roots/list_changed")
            await server.was_asked("notifications/roots/list_changed")
        await server.was_asked("DELETE")
    first, *others = server.asks
    assert first.method == "initialize"
    assert "mcp-session-id" not in first.fields
    assert "mcp-protocol-version" not in first.fields
    for ask in others:
        assert (ask.fields["mcp-session-id"], ask.fields["mcp-protocol-version"]) == ("s-1", version)
        if ask.verb == "POST":
            assert ask.fields["accept"] == "application/json, text/event-stream"
            assert ask.fields["content-type"] == "application/json"
        if ask.verb == "GET":
            assert ask.fields["accept"] == "text/event-stream"
        assert "mcp-method" not in ask.fields


async def test_a_server_without_session_ids_is_sent_none_and_no_goodbye(carrier: str) -> None:
    async with (
        scripted(Legacy(with_ids=False), carrier) as server,
        trimcp.connect(server.url, revision=VERSION) as client,
    ):
        await client.list_tools()
    assert all("mcp-session-id" not in ask.fields for ask in server.asks)
    assert "DELETE" not in server.methods


async def test_headers_of_the_user_go_with_every_request(carrier: str) -> None:
    async with (
        scripted(Legacy(), carrier) as server,
        trimcp.connect(server.url, revision=VERSION, headers={"Authorization": "Bearer 7"}) as client,
    ):
        await client.list_tools()
    assert "DELETE" in server.methods
    assert all(ask.fields["authorization"] == "Bearer 7" for ask in server.asks)


async def test_the_standing_stream_is_open_before_the_client_is_handed_out(carrier: str) -> None:
    async with scripted(Legacy(), carrier) as server, trimcp.connect(server.url, revision=VERSION):
        assert server.methods == ["initialize", "notifications/initialized", "GET"]


@pytest.mark.parametrize("status", [400, 404, 405, 501])
async def test_a_server_without_a_standing_stream_is_asked_for_it_once(
    status: int, autojump_clock: trio.testing.MockClock
) -> None:
    async with scripted(Legacy(standing=status)) as server, trimcp.connect(server.url, revision=VERSION) as client:
        await trio.sleep(1000)
        await client.list_tools()
    assert server.methods.count("GET") == 1


async def test_a_server_that_does_not_say_whether_it_has_one_is_not_waited_for_long(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with scripted(Legacy(standing=until_gone)) as server:
        began = trio.current_time()
        async with trimcp.connect(server.url, revision=VERSION) as client:
            assert trio.current_time() - began <= 5
            await client.list_tools()


# --- the end --------------------------------------------------------------------------


async def test_leaving_ends_the_session_at_the_server(carrier: str) -> None:
    legacy = Legacy()
    async with scripted(legacy, carrier) as server:
        async with trimcp.connect(server.url, revision=VERSION):
            assert legacy.known == {"s-1"}
        assert legacy.known == set()
        assert server.methods[-1] == "DELETE"


@pytest.mark.parametrize("status", [404, 405, 500])
async def test_a_server_that_does_not_let_clients_end_sessions_is_left_in_peace(status: int) -> None:
    legacy = Legacy()

    async def serve(ask: Ask, answer: Answer) -> None:
        await (answer.whole(status) if ask.verb == "DELETE" else legacy(ask, answer))

    async with scripted(serve) as server, trimcp.connect(server.url, revision=VERSION) as client:
        await client.list_tools()


async def test_a_server_that_does_not_answer_the_goodbye_holds_nobody_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    legacy = Legacy()

    async def serve(ask: Ask, answer: Answer) -> None:
        await (until_gone(ask, answer) if ask.verb == "DELETE" else legacy(ask, answer))

    async with scripted(serve) as server:
        async with trimcp.connect(server.url, revision=VERSION):
            left = trio.current_time()
        assert trio.current_time() - left <= 2
        assert "DELETE" in server.methods


async def test_a_client_whose_scope_is_cancelled_says_goodbye_all_the_same() -> None:
    legacy = Legacy()
    async with scripted(legacy) as server:
        with trio.CancelScope() as scope:
            async with trimcp.connect(server.url, revision=VERSION):
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert legacy.known == set()
        assert server.methods[-1] == "DELETE"


async def test_closing_from_another_task_fails_what_waits_and_ends_the_session() -> None:
    legacy = Legacy({"tools/call": until_gone})
    async with scripted(legacy) as server:
        async with trimcp.connect(server.url, revision=VERSION) as client, trio.open_nursery() as nursery:

            async def call() -> None:
                with pytest.raises(ConnectionClosed):
                    await client.call_tool("slow")

            nursery.start_soon(call)
            await server.was_asked("tools/call")
            client.close()
        assert legacy.known == set()


async def test_clients_may_be_closed_in_any_order_and_from_any_task(carrier: str) -> None:
    legacy = Legacy()
    async with scripted(legacy, carrier) as server, trio.open_nursery() as nursery:
        leave = [trio.Event() for _ in range(3)]
        clients: dict[int, trimcp.Client] = {}

        async def live(number: int) -> None:
            async with trimcp.connect(server.url, revision=VERSION) as client:
                clients[number] = client
                await leave[number].wait()

        for number in range(3):
            nursery.start_soon(live, number)
        while len(clients) < 3:
            await trio.testing.wait_all_tasks_blocked()
        for number in (1, 0, 2):
            leave[number].set()
            await clients[number].session.wait_over()
            for other in range(3):
                if not leave[other].is_set():
                    await clients[other].list_tools()
    assert legacy.known == set()


# --- forgotten ------------------------------------------------------------------------


async def test_a_session_that_the_server_has_forgotten_is_replaced_and_the_call_made_again(carrier: str) -> None:
    legacy = Legacy(standing=405)
    async with scripted(legacy, carrier) as server, trimcp.connect(server.url, revision=VERSION) as client:
        legacy.forget()
        assert (await client.call_tool("x")).text == "done"
        assert legacy.known == {"s-2"}
        again = server.asked("initialize")[1]
        assert "mcp-session-id" not in again.fields
        assert "mcp-protocol-version" not in again.fields
        assert again.params["protocolVersion"] == VERSION
        methods = server.methods[server.asks.index(again) :]
        assert methods == ["initialize", "notifications/initialized", "GET", "tools/call"]
        assert [ask.fields.get("mcp-session-id") for ask in server.asked("tools/call")] == ["s-1", "s-2"]


async def test_many_calls_that_find_the_session_forgotten_open_one_other(carrier: str) -> None:
    legacy = Legacy()
    async with scripted(legacy, carrier) as server, trimcp.connect(server.url, revision=VERSION) as client:
        legacy.forget()
        results: list[str] = []

        async def call() -> None:
            results.append((await client.call_tool("x")).text)

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(call)
        assert results == ["done"] * 20
        assert server.methods.count("initialize") == 2


async def test_a_call_made_while_another_session_is_opened_waits_for_it() -> None:
    legacy = Legacy(standing=405)
    gate = trio.Event()
    arrived = trio.Event()

    async def serve(ask: Ask, answer: Answer) -> None:
        if ask.method == "initialize" and server.methods.count("initialize") == 2:
            arrived.set()
            await gate.wait()
        await legacy(ask, answer)

    async with scripted(serve) as server, trimcp.connect(server.url, revision=VERSION) as client:
        legacy.forget()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call_tool, "first")
            await arrived.wait()
            nursery.start_soon(client.call_tool, "second")
            await settled()
            assert len(server.asked("tools/call")) == 1
            gate.set()
        assert [ask.fields.get("mcp-session-id") for ask in server.asked("tools/call")] == ["s-1", "s-2", "s-2"]


async def test_a_call_that_is_cancelled_while_another_session_is_opened_does_not_stop_that() -> None:
    legacy = Legacy(standing=405)
    gate = trio.Event()
    arrived = trio.Event()

    async def serve(ask: Ask, answer: Answer) -> None:
        if ask.method == "initialize" and server.methods.count("initialize") == 2:
            arrived.set()
            await gate.wait()
        await legacy(ask, answer)

    async with scripted(serve) as server, trimcp.connect(server.url, revision=VERSION) as client:
        legacy.forget()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call_tool, "first")
            await arrived.wait()
            nursery.cancel_scope.cancel()
        gate.set()
        assert (await client.call_tool("second")).text == "done"
        assert server.methods.count("initialize") == 2
    assert legacy.known == set()


async def test_where_no_other_session_can_be_had_the_calls_fail_and_the_next_one_tries_again() -> None:
    legacy = Legacy(standing=405)
    async with scripted(legacy) as server, trimcp.connect(server.url, revision=VERSION) as client:
        legacy.forget()
        legacy.refuses_to_open = True
        for _ in range(2):
            with pytest.raises(ExchangeFailed, match=r"forgotten the session, and opens no other.*no more sessions"):
                await client.call_tool("x")
        legacy.refuses_to_open = False
        assert (await client.call_tool("x")).text == "done"
        assert server.methods.count("initialize") == 4


async def test_a_server_that_forgets_at_once_whatever_it_opens_is_not_asked_for_ever() -> None:
    legacy = Legacy(standing=405)

    async def serve(ask: Ask, answer: Answer) -> None:
        if ask.method == "tools/call":
            legacy.forget()
        await legacy(ask, answer)

    async with scripted(serve) as server, trimcp.connect(server.url, revision=VERSION) as client:
        with pytest.raises(ExchangeFailed, match=r"forgotten the session \(status 404\)"):
            await client.call_tool("x")
        assert server.methods.count("initialize") == 2
        assert await client.list_tools() == []


async def test_a_404_about_the_method_is_not_about_the_session() -> None:
    async def call(ask: Ask, answer: Answer) -> None:
        await answer.error(-32601, "there is no such method", 404)

    async with (
        scripted(Legacy({"tools/call": call})) as server,
        trimcp.connect(server.url, revision=VERSION) as client,
    ):
        with pytest.raises(RequestFailed, match="no such method"):
            await client.call_tool("x")
        assert server.methods.count("initialize") == 1


async def test_a_404_with_a_page_is_about_the_session_all_the_same() -> None:
    legacy = Legacy()

    async def serve(ask: Ask, answer: Answer) -> None:
        if ask.method == "tools/call" and ask.fields.get("mcp-session-id") == "s-1":
            await answer.whole(404, "text/html", b"<html>gone</html>")
        else:
            await legacy(ask, answer)

    async with scripted(serve) as server, trimcp.connect(server.url, revision=VERSION) as client:
        assert (await client.call_tool("x")).text == "done"


async def test_without_reopen_the_call_says_that_the_session_is_gone(carrier: str) -> None:
    legacy = Legacy()
    async with scripted(legacy, carrier) as server:
        async with trimcp.connect(server.url, revision=VERSION, reopen=False) as client:
            legacy.forget()
            with pytest.raises(ExchangeFailed, match=r"forgotten the session \(status 404\)") as caught:
                await client.call_tool("x")
            assert caught.value.status == 404
        assert server.methods.count("initialize") == 1


async def test_without_reopen_readers_of_notices_are_told() -> None:
    legacy = Legacy()
    async with (
        scripted(legacy) as server,
        trimcp.connect(server.url, revision=VERSION, reopen=False) as client,
        client.notices() as notices,
    ):
        legacy.forget()
        with pytest.raises(ConnectionLost, match="404"):
            async for _ in notices:
                raise AssertionError


async def test_subscriptions_survive_in_the_session_that_replaces_the_forgotten_one(
    autojump_clock: trio.testing.MockClock,
) -> None:
    streams: list[Answer] = []

    async def standing(ask: Ask, answer: Answer) -> None:
        streams.append(answer)
        await quiet_stream(ask, answer)

    legacy = Legacy(standing=standing)
    async with (
        scripted(legacy) as server,
        trimcp.connect(server.url, revision=VERSION) as client,
        client.notices() as notices,
        client.listen(uris=["mem://b"]) as listened,
    ):
        await client.subscribe("mem://a")
        legacy.forget()  # nobody calls: the standing stream shows it
        assert await anext(notices) == trimcp.Interrupted()
        assert await anext(listened) == trimcp.Interrupted()
        renewed = [ask for ask in server.asked("resources/subscribe") if ask.fields["mcp-session-id"] == "s-2"]
        assert {ask.params["uri"] for ask in renewed} == {"mem://a", "mem://b"}
        for uri in ("mem://a", "mem://b"):
            await streams[-1].notice("notifications/resources/updated", {"uri": uri})
        assert await anext(notices) == trimcp.ResourceUpdated("mem://a")
        assert await anext(listened) == trimcp.ResourceUpdated("mem://b")


async def test_a_notification_for_a_forgotten_session_is_not_told_to_the_next_one() -> None:
    legacy = Legacy(standing=405)
    async with scripted(legacy) as server, trimcp.connect(server.url, revision=VERSION) as client:
        legacy.forget()
        client.notify("notifications/roots/list_changed")
        await server.was_asked("initialize", 2)
        assert await client.list_tools() == []
        assert len(server.asked("notifications/roots/list_changed")) == 1


async def test_a_wanted_log_level_is_said_to_the_session_that_replaces_the_forgotten_one() -> None:
    legacy = Legacy({"logging/setLevel": {}}, standing=405)
    initialize = legacy._initialize

    async def with_logging(ask: Ask, answer: Answer) -> None:
        CAPABILITIES["logging"] = {}
        try:
            await initialize(ask, answer)
        finally:
            del CAPABILITIES["logging"]

    legacy._initialize = with_logging  # type: ignore[method-assign]
    async with scripted(legacy) as server, trimcp.connect(server.url, revision=VERSION, log_level="info") as client:
        legacy.forget()
        assert (await client.call_tool("x")).text == "done"
    assert [ask.fields["mcp-session-id"] for ask in server.asked("logging/setLevel")] == ["s-1", "s-2"]


async def test_what_is_taken_back_when_the_session_is_over_is_no_error() -> None:
    legacy = Legacy()
    async with scripted(legacy) as server, trimcp.connect(server.url) as client:
        await client.subscribe("mem://a")
        async with client.listen(uris=["mem://b"]):
            client.close()
            await client.session.wait_over()
        await client.unsubscribe("mem://a")
    assert not server.asked("resources/unsubscribe")
