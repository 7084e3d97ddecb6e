"""The wire: what it records, the assertions on it, and each fault, with both eras."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from trimcp.testing import FakeServer, Wire, open_client, open_fake_client
from trimcp.testing.fake_peer import FakePeer, discovered, notification, result

ERAS = ("2025-11-25", "2026-07-28")


def make_server() -> trimcp.Server:
    server = trimcp.Server("test")

    @server.tool
    async def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    @server.tool
    async def sleep(seconds: float, ctx: trimcp.Context) -> str:
        """Sleep."""
        await ctx.progress(1)
        await trio.sleep(seconds)
        return "x" * int(seconds)

    @server.tool
    async def fail() -> None:
        """Fail."""
        raise KeyError("a bug")

    return server


@pytest.mark.parametrize("revision", ERAS)
async def test_the_record_has_every_message_in_order(revision: str, autojump_clock: MockClock) -> None:
    wire = Wire(make_server())
    async with open_client(wire, revision=revision) as client:
        assert await client.call_tool("add", {"a": 1, "b": 2}, returns=int) == 3
        wire.record.assert_sent("tools/call", {"name": "add", "arguments": {"a": 1}}, sender="client", times=1)
        with trio.move_on_after(1):
            await client.call_tool("sleep", {"seconds": 9}, on_progress=lambda *_: None)
        await wire.record.wait_for("notifications/cancelled")
    wire.record.assert_order(
        "tools/call", "result tools/call", "tools/call", "notifications/progress", "notifications/cancelled"
    )
    wire.record.assert_answered()
    wire.record.assert_not_sent("ping")
    (answer,) = wire.record.of("tools/call", kind="result")
    assert answer.sender == "server"
    assert str(answer).startswith("← result tools/call")


async def test_assertions_that_fail_show_what_passed(autojump_clock: MockClock) -> None:
    wire = Wire(make_server())
    wire.drop("tools/call", sender="server")
    async with open_client(wire) as client:
        with trio.move_on_after(1):
            await client.call_tool("add", {"a": 1, "b": 2})
        wire.record.clear()
        wire.drop("tools/call")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call_tool, "add", {"a": 1, "b": 3})
            await wait_all_tasks_blocked()
            for fails in (
                lambda: wire.record.assert_answered(),
                lambda: wire.record.assert_not_sent("tools/call"),
                lambda: wire.record.assert_order("tools/call", "result tools/call"),
                lambda: wire.record.assert_sent("tools/call", {"arguments": {"b": 4}}),
                lambda: wire.record.assert_sent("tools/call", times=2),
            ):
                with pytest.raises(AssertionError, match=r"(?s)What passed:\n.*→ request tools/call \(dropped\)"):
                    fails()
            nursery.cancel_scope.cancel()


async def test_two_answers_to_one_request_are_found(autojump_clock: MockClock) -> None:
    async def twice(peer: FakePeer) -> None:
        request = await peer.receive()
        await peer.send(discovered(request["id"]), discovered(request["id"]))
        await peer.rest()

    wire = Wire(FakeServer(twice))
    async with open_client(wire):
        await wait_all_tasks_blocked()
    with pytest.raises(AssertionError, match="answers no open request"):
        wire.record.assert_answered()


@pytest.mark.parametrize("revision", ERAS)
async def test_a_delay_a_reorder_and_a_drop_do_what_they_say(revision: str, autojump_clock: MockClock) -> None:
    wire = Wire(make_server())
    async with open_client(wire, revision=revision) as client:
        wire.delay(30, "tools/call", sender="server", times=1)
        before = trio.current_time()
        await client.call_tool("add", {"a": 1, "b": 2})
        assert trio.current_time() - before == 30
        wire.record.clear()
        wire.reorder("tools/call", sender="client")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call_tool, "add", {"a": 1, "b": 2})
            await wait_all_tasks_blocked()
            nursery.start_soon(client.call_tool, "add", {"a": 3, "b": 4})
        first, _ = wire.record.of("tools/call", kind="result")
        assert first.message["result"]["structuredContent"] == {"result": 7}
        wire.drop("tools/call", sender="client")
        with pytest.raises(trimcp.RequestTimedOut):
            await client.call_tool("add", {"a": 1, "b": 2}, timeout=5)
        assert await client.call_tool("add", {"a": 2, "b": 2}, returns=int) == 4


async def test_a_cut_ends_the_connection_for_both_sides(autojump_clock: MockClock) -> None:
    server = make_server()
    wire = Wire(server)
    async with server.running() as run:
        async with open_client(wire, revision="2025-11-25") as client:
            wire.cut_at("tools/call", sender="server")
            with pytest.raises(trimcp.TrimcpError):  # half a message is a last line without its end
                await client.call_tool("add", {"a": 1, "b": 2})
            await wait_all_tasks_blocked()
            assert not run.sessions
        async with open_client(wire) as client, trio.open_nursery() as nursery:

            @nursery.start_soon
            async def call() -> None:
                with pytest.raises(trimcp.ConnectionEnded):
                    await client.call_tool("sleep", {"seconds": 9})

            await wait_all_tasks_blocked()
            wire.cut()


async def test_a_slow_reader_holds_up_the_server(autojump_clock: MockClock) -> None:
    wire = Wire(make_server(), capacity=4096)
    async with open_client(wire) as client, trio.open_nursery() as nursery:
        wire.pause("client")
        answers: list[Any] = []

        @nursery.start_soon
        async def call() -> None:
            answers.append(await client.call_tool("sleep", {"seconds": 20}))

        await trio.sleep(25)
        assert not answers
        wire.resume("client")
        await trio.sleep(0.1)
        assert answers[0].text == "x" * 20


async def test_the_client_raises_what_a_handler_hides() -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(KeyError, match="a bug")):
        async with open_client(make_server()) as client:
            assert (await client.call_tool("fail")).is_error
    with pytest.raises(AssertionError) as caught:
        async with open_client(make_server()) as client:
            assert not (await client.call_tool("fail")).is_error
    assert any("KeyError" in note for note in caught.value.__notes__)
    async with open_client(make_server(), raise_failures=False) as client:
        assert (await client.call_tool("fail")).is_error


async def test_a_fake_server_answers_by_a_table(autojump_clock: MockClock) -> None:
    fake = FakeServer.answering({"tools/call": {"content": [], "structuredContent": {"result": 5}}})
    async with open_client(fake) as client:
        assert await client.call_tool("any", returns=int) == 5, "after a list of tools that is empty"
        assert await client.list_tools() == []
        with pytest.raises(trimcp.RequestFailed, match="Method not found: prompts/get"):
            await client.get_prompt("any")


async def test_a_script_that_expects_another_message_fails_and_shows_the_message(autojump_clock: MockClock) -> None:
    async def script(peer: FakePeer) -> None:
        opening = await peer.expect("server/discover")
        await peer.send(discovered(opening["id"]))
        await peer.expect("tools/call")

    with pytest.RaisesGroup(
        pytest.RaisesExc(AssertionError, match="expected tools/call, and this came: .*tools/list"),
        flatten_subgroups=True,
    ):
        async with open_client(FakeServer(script)) as client:
            await client.list_tools()


async def test_fake_peers_speak_in_both_roles(autojump_clock: MockClock) -> None:
    async with open_fake_client(make_server(), "2025-11-25") as peer:
        assert (await peer.ask(peer.call(1, "add", {"a": 1, "b": 2})))["result"]["structuredContent"] == {"result": 3}
        await peer.send(b"no json", notification("notifications/unknown"))
        assert [message["error"]["code"] for message in await peer.settled()] == [-32700]
    tools = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", "tools": []}
    fake = FakeServer.answering({"tools/list": tools, "ping": lambda request: result(request["id"], {})})
    async with open_client(fake) as client:
        assert await client.list_tools() == []
    assert fake.connections == 1
