"""The client of HTTP+SSE, the transport of 2024-11-05: one stream to read, and a URL to post to."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import trimcp
from tests.http.client.eras import Older, text, until_gone
from tests.http.client.scripted import Answer, Ask, scripted
from trimcp.errors import ConnectionClosed, ConnectionLost, ExchangeFailed, SessionFailed

Clock = trio.testing.MockClock


async def test_answers_come_on_the_stream_whatever_the_post_says(carrier: str) -> None:
    async with scripted(Older(), carrier) as server, trimcp.connect(server.url, transport="sse") as client:
        assert await client.list_tools() == []
        assert (await client.call_tool("x")).text == "done"
    assert {ask.path for ask in server.asks if ask.verb == "POST"} == {"/messages?session=7"}
    assert [ask.path for ask in server.asks if ask.verb == "GET"] == ["/mcp"]


@pytest.mark.parametrize("status", [400, 404, 500, 502, None])
async def test_a_message_that_the_server_does_not_take_fails_its_call_alone(status: int | None, carrier: str) -> None:
    async def call(ask: Ask, answer: Answer) -> None:
        if ask.params["name"] != "faulty":
            await answer.whole(202)
            assert older.stream is not None
            await older.stream.result_event(text("done"), to=ask.id)
        elif status is None:
            await answer.break_off()
        else:
            await answer.whole(status, "text/plain", b"no")

    older = Older({"tools/call": call})
    async with scripted(older, carrier) as server, trimcp.connect(server.url, transport="sse") as client:
        words = f"did not take a message \\(status {status}\\)" if status is not None else "broke|reset"
        with pytest.raises(ExchangeFailed, match=words):
            await client.call_tool("faulty")
        assert (await client.call_tool("x")).text == "done"


async def test_a_post_that_is_not_answered_fails_its_call_after_a_while(autojump_clock: Clock) -> None:
    async def call(ask: Ask, answer: Answer) -> None:
        await until_gone(ask, answer)

    async with scripted(Older({"tools/call": call})) as server, trimcp.connect(server.url, transport="sse") as client:
        with pytest.raises(ExchangeFailed, match="did not take a message within 10 s"):
            await client.call_tool("x")
        assert await client.list_tools() == []


async def test_a_stream_that_ends_ends_the_client(carrier: str) -> None:
    async def call(ask: Ask, answer: Answer) -> None:
        await answer.whole(202)
        older.hang_up.set()

    older = Older({"tools/call": call})
    async with scripted(older, carrier) as server, trimcp.connect(server.url, transport="sse") as client:
        with pytest.raises(ConnectionLost, match=r"sse .*closed the connection"):
            await client.call_tool("x")
        with pytest.raises(ConnectionLost):
            await client.list_tools()


async def test_a_server_that_says_to_post_elsewhere_is_refused() -> None:
    older = Older(endpoint="https://elsewhere.test/messages")
    async with scripted(older) as server:
        with pytest.raises(SessionFailed, match="to post to another server"):
            async with trimcp.connect(server.url):
                raise AssertionError
    assert not [ask for ask in server.asks if ask.path != "/mcp"]


async def test_a_stream_that_does_not_say_where_to_post_is_no_server(autojump_clock: Clock) -> None:
    async def serve(ask: Ask, answer: Answer) -> None:
        if ask.verb == "GET":
            await answer.stream()
            await ask.gone.wait()
        else:
            await answer.whole(405)

    async with scripted(serve) as server:
        with pytest.raises(SessionFailed, match="does not name the URL to post to"):
            async with trimcp.connect(server.url):
                raise AssertionError


async def test_a_flood_before_the_server_says_where_to_post_is_not_kept(autojump_clock: Clock) -> None:
    sent = 0

    async def serve(ask: Ask, answer: Answer) -> None:
        nonlocal sent
        if ask.verb != "GET":
            await answer.whole(405)
            return
        await answer.stream()
        while not ask.gone.is_set():
            await answer.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x" * 4000}})
            sent += 4000

    async with scripted(serve) as server:
        with pytest.raises(SessionFailed, match="sends messages before it names the URL to post to"):
            async with trimcp.connect(server.url, limits=trimcp.Limits(message_bytes=100_000)):
                raise AssertionError
    assert sent < 3_000_000


async def test_what_the_server_asks_is_answered_by_a_post() -> None:
    answered = trio.Event()

    async def call(ask: Ask, answer: Answer) -> None:
        await answer.whole(202)
        assert older.stream is not None
        params = {"messages": [{"role": "user", "content": {"type": "text", "text": "?"}}], "maxTokens": 9}
        await older.stream.event({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": params})
        await answered.wait()
        await older.stream.result_event(text("done"), to=ask.id)

    async def take(ask: Ask, answer: Answer) -> None:
        await answer.whole(202)
        answered.set()

    async def think(params: Any) -> str:
        return "42"

    older = Older({"tools/call": call, "answer": take})
    async with scripted(older) as server, trimcp.connect(server.url, transport="sse", sampling=think) as client:
        assert (await client.call_tool("x")).text == "done"
    assert server.asked("answer")[0].message["result"]["content"]["text"] == "42"


async def test_cancelling_a_call_is_told_by_a_notification(carrier: str) -> None:
    async def call(ask: Ask, answer: Answer) -> None:
        await answer.whole(202)

    async with (
        scripted(Older({"tools/call": call}), carrier) as server,
        trimcp.connect(server.url, transport="sse") as client,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call_tool, "slow")
            asked = await server.was_asked("tools/call")
            nursery.cancel_scope.cancel()
        said = await server.was_asked("notifications/cancelled")
        assert said.params["requestId"] == asked.id


async def test_closing_it_lets_go_of_the_stream(carrier: str) -> None:
    async with scripted(Older(), carrier) as server:
        async with trimcp.connect(server.url, transport="sse") as client:
            client.close()
            with pytest.raises(ConnectionClosed):
                await client.list_tools()
        await server.asked("GET")[0].gone.wait()


async def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(autojump_clock: Clock) -> None:
    async def serve(ask: Ask, answer: Answer) -> None:
        await ask.gone.wait()

    async with scripted(serve) as server:
        with trio.fail_after(60):
            with pytest.raises(ExchangeFailed, match="did not open a stream within"):
                async with trimcp.connect(server.url, transport="sse"):
                    raise AssertionError


async def test_the_same_server_by_another_spelling_is_no_other_server() -> None:
    older = Older(endpoint="http://SCRIPTED.test:80/messages")
    async with scripted(older) as server:

        async def serve(ask: Ask, answer: Answer) -> None:
            older.endpoint = ask.path if ask.path.endswith("/messages") else older.endpoint
            await older(ask, answer)

        server.script = serve
        async with trimcp.connect(server.url) as client:
            await client.list_tools()


async def test_where_to_post_must_be_a_url() -> None:
    async with scripted(Older(endpoint="http://[/")) as server:
        with pytest.raises(SessionFailed, match="an invalid URL"):
            async with trimcp.connect(server.url):
                raise AssertionError
