"""Tools as clients see them: listed, called, changed while the server runs; and the threads of sync ones."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.server.providing import Shelf
from tests.session.peer import ALL, ERAS, LEGACY, cancelled, served
from trimcp import Limits
from trimcp.types import CallToolResult, Icon, TextContent, ToolAnnotations


async def test_a_tool_is_listed_with_what_its_declaration_says(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.tool(
        title="The sum",
        annotations=ToolAnnotations(read_only_hint=True),
        icons=[Icon("https://example.com/a.png")],
        meta={"example.com/x": 1},
    )
    async def add(a: int, b: int = 2) -> int:
        """Add two numbers.

        Args:
            a: the first one.
        """
        return a + b

    async with trimcp.connect(server) as client:
        [tool] = await client.list_tools()
    assert (tool.name, tool.title, tool.meta) == ("add", "The sum", {"example.com/x": 1})
    assert tool.description is not None
    assert tool.description.startswith("Add two numbers.")
    assert tool.input_schema["required"] == ["a"]
    assert tool.input_schema["properties"]["a"]["description"] == "the first one."
    assert tool.output_schema is not None
    assert tool.annotations is not None
    assert tool.annotations.read_only_hint is True
    assert tool.icons is not None


@pytest.mark.parametrize("version", ALL)
async def test_a_revision_is_told_of_a_tool_only_what_it_knows(version: str, autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.tool(title="T", annotations=ToolAnnotations(title="A"), icons=[Icon("https://example.com/a.png")])
    async def add(a: int) -> int:
        return a

    order = ALL.index(version)
    async with served(server, version) as peer:
        [tool] = (await peer.ask(peer.request(1, "tools/list")))["result"]["tools"]
        expected = {"name", "inputSchema"}
        expected |= {"annotations"} if order >= 1 else set()
        expected |= {"title", "outputSchema"} if order >= 2 else set()
        expected |= {"icons"} if order >= 3 else set()
        assert set(tool) - {"description"} == expected
        result = (await peer.ask(peer.call(2, "add", {"a": 5})))["result"]
        assert result["content"] == [{"type": "text", "text": "5"}]
        assert ("structuredContent" in result) == (order >= 2)


@pytest.mark.parametrize("version", ERAS)
async def test_an_unknown_tool_is_a_protocol_error(version: str, autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")
    server.tool(name="known")(lambda: 1)
    async with served(server, version) as peer:
        answer = await peer.ask(peer.call(1, "unknown"))
        assert answer["error"]["code"] == -32602
        assert "unknown" in answer["error"]["message"]


@pytest.mark.parametrize("version", ERAS)
async def test_arguments_that_do_not_fit_are_a_result_that_a_model_can_act_upon(
    version: str, autojump_clock: MockClock
) -> None:
    server = trimcp.Server("a")
    called = 0

    @server.tool
    async def add(a: int, b: int = 1) -> int:
        nonlocal called
        called += 1
        return a + b

    async with served(server, version) as peer:
        bad: list[dict[str, Any]] = [{}, {"a": "1"}, {"a": True}, {"a": 1.5}, {"a": None}, {"a": 1, "c": 2}]
        for arguments in bad:
            result = (await peer.ask(peer.call(1, "add", arguments)))["result"]
            assert result["isError"] is True
            assert result["content"][0]["text"].startswith("Invalid arguments for add:")
        assert called == 0
        assert (await peer.ask(peer.call(1, "add", {"a": 1})))["result"]["content"][0]["text"] == "2"


@pytest.mark.parametrize("version", LEGACY)
async def test_legacy_sessions_that_are_ready_are_told_that_the_list_changed(
    version: str, autojump_clock: MockClock
) -> None:
    server = trimcp.Server("a")
    server.tool(name="one")(lambda: 1)
    async with server.running(), served(server, version) as ready, served(server, version, opened=False) as opening:
        await opening.ask(opening.initialize())
        server.tool(name="two")(lambda: 2)
        server.remove_tool("one")
        assert {m["method"] for m in await ready.settled()} == {"notifications/tools/list_changed"}
        assert await opening.settled() == []
        [tool] = (await ready.ask(ready.request(1, "tools/list")))["result"]["tools"]
        assert tool["name"] == "two"
        assert (await ready.ask(ready.call(2, "one")))["error"]["code"] == -32602


async def test_a_connection_of_the_modern_era_is_told_nothing_unasked(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")
    server.tool(name="one")(lambda: 1)
    async with served(server) as peer:
        await peer.ask(peer.request(1, "server/discover"))
        server.tool(name="two")(lambda: 2)
        assert await peer.settled() == []


async def test_many_changes_are_one_notice_where_the_peer_is_slow(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.tool
    async def large() -> str:
        return "x" * 10_000

    async with server.running(), served(server, LEGACY[3], capacity=1000) as peer:
        await peer.send(peer.call(1, "large"))
        await wait_all_tasks_blocked()
        for n in range(100):
            server.tool(name=f"t{n}")(lambda: 1)
        messages = await peer.settled()
        assert [m.get("method", m.get("id")) for m in messages] == [1, "notifications/tools/list_changed"]


async def test_a_call_of_a_tool_that_is_removed_goes_on(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")
    go = trio.Event()

    @server.tool
    async def wait() -> str:
        await go.wait()
        return "done"

    async with served(server) as peer:
        await peer.send(peer.call(1, "wait"))
        await wait_all_tasks_blocked()
        server.remove_tool("wait")
        go.set()
        assert (await peer.receive())["result"]["content"][0]["text"] == "done"


@pytest.mark.parametrize("version", ERAS)
async def test_a_whole_result_goes_out_as_it_is(version: str, autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.tool
    async def whole() -> CallToolResult:
        return CallToolResult([TextContent("x")], is_error=True, meta={"example.com/a": 1})

    async with served(server, version) as peer:
        result = (await peer.ask(peer.call(1, "whole")))["result"]
        assert result["isError"] is True
        assert result["_meta"]["example.com/a"] == 1


async def test_errors_can_be_shown_where_the_server_says_so(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a", show_errors=True)

    @server.tool
    async def fail() -> int:
        raise ValueError("details")

    async with trimcp.connect(server) as client:
        assert "ValueError: details" in (await client.call_tool("fail")).text


# --- sync tools -----------------------------------------------------------------------


async def test_sync_tools_run_in_threads_of_their_own_limiter() -> None:
    server = trimcp.Server("a", limits=Limits(tool_threads=2))
    started = threading.Semaphore(0)
    go = threading.Event()
    names: list[str] = []

    @server.tool
    def block() -> str:
        names.append(threading.current_thread().name)
        started.release()
        go.wait(60)
        return "done"

    @server.tool
    async def light() -> str:
        return "light"

    with trio.fail_after(30):
        async with served(server) as peer:
            try:
                await peer.send(*(peer.call(n, "block") for n in range(4)))
                for _ in range(2):
                    await trio.to_thread.run_sync(started.acquire)
                # Two run, two wait for a thread; async tools and the program's own threads do not.
                assert server.tree()[0].tool_threads == 2
                assert (await peer.ask(peer.call("l", "light")))["id"] == "l"
                assert await trio.to_thread.run_sync(lambda: 5) == 5
                assert len(names) == 2
            finally:
                go.set()
            assert {(await peer.receive())["id"] for _ in range(4)} == {0, 1, 2, 3}
            assert threading.main_thread().name not in names


async def test_a_thread_whose_request_is_cancelled_is_left_behind_and_keeps_its_place() -> None:
    server = trimcp.Server("a", limits=Limits(tool_threads=1))
    started = threading.Semaphore(0)
    go = threading.Event()
    ended = threading.Event()

    @server.tool
    def block() -> str:
        started.release()
        go.wait(60)
        ended.set()
        return "done"

    with trio.fail_after(30):
        async with server.running() as running:
            try:
                async with served(server) as peer:
                    await peer.send(peer.call(1, "block"))
                    await trio.to_thread.run_sync(started.acquire)
                    await peer.send(cancelled(1))
                    assert await peer.settled() == []
                    assert peer.session is not None
                    assert peer.session.snapshot().requests == ()
                    assert running.snapshot().tool_threads == 1
                    # The next one waits for that thread.
                    await peer.send(peer.call(2, "block"))
                    assert await peer.settled() == []
                    go.set()
                    assert (await peer.receive())["id"] == 2
                    assert ended.is_set()
            finally:
                go.set()


@pytest.mark.parametrize("version", ERAS)
async def test_a_sync_tool_may_report_by_way_of_trio(version: str) -> None:
    server = trimcp.Server("a")

    @server.tool
    def work(ctx: trimcp.Context) -> int:
        for step in (1, 2):
            trio.from_thread.run(ctx.progress, step)
        return 5

    @server.tool
    def leave() -> int:
        raise SystemExit(4)

    @server.tool
    def fail() -> int:
        raise trimcp.ToolError("for the model")

    with trio.fail_after(30):
        async with served(server, version) as peer:
            await peer.send(peer.call(1, "work", progressToken="t"))
            messages = [await peer.receive() for _ in range(3)]
            assert [m["params"]["progress"] for m in messages[:2]] == [1, 2]
            assert messages[2]["id"] == 1
            assert (await peer.ask(peer.call(2, "leave")))["error"]["code"] == -32603
            assert (await peer.ask(peer.call(3, "fail")))["result"]["content"][0]["text"] == "for the model"


@pytest.mark.parametrize("version", ALL)
async def test_a_server_may_ignore_arguments_that_clients_add(version: str, autojump_clock: MockClock) -> None:
    arguments = {"a": 1, "toolCallId": "call_1"}
    for ignored in ((), {"toolCallId"}):
        server = trimcp.Server("a", ignored_arguments=ignored)
        server.add_provider(Shelf("lend"))

        @server.tool
        async def add(a: int) -> int:
            return a

        @server.tool
        async def named(a: int, toolCallId: str) -> str:
            return toolCallId

        async with served(server, version) as peer:
            result = (await peer.ask(peer.call(1, "add", arguments)))["result"]
            assert result.get("isError", False) is not bool(ignored)
            misspelt = (await peer.ask(peer.call(2, "add", {**arguments, "dryrun": True})))["result"]
            assert "unexpected property @ $.dryrun" in misspelt["content"][0]["text"]
            text = (await peer.ask(peer.call(3, "named", arguments)))["result"]["content"][0]["text"]
            assert text == "call_1"
            text = (await peer.ask(peer.call(4, "lend", arguments)))["result"]["content"][0]["text"]
            assert ("toolCallId" in text) is not bool(ignored)


@pytest.mark.parametrize("version", ALL)
async def test_a_string_counts_as_often_as_it_is_sent(version: str, autojump_clock: MockClock) -> None:
    server = trimcp.Server("a", limits=Limits(result_bytes=1000))

    @server.tool
    async def text() -> str:
        return "x" * 700

    async with served(server, version) as peer:
        answer = await peer.ask(peer.call(1, "text"))
        is_text_alone = version < "2025-06-18"
        assert ("result" in answer) is is_text_alone
        assert is_text_alone or "bytes" in answer["error"]["message"]
