"""A response that is none ends its own call, with words that say what came; other calls and the client go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
import trio

import trimcp
from tests.http.client.eras import MODERN, Legacy, modern, text
from tests.http.client.scripted import Answer, Ask, Script, TcpAnswer, scripted
from trimcp.errors import ExchangeFailed, InvalidResult, RequestFailed, TrimcpError

HTML = b"<html><head><title>502 Bad Gateway</title></head></html>"
ERAS = ("2025-11-25", MODERN)


@attrs.frozen
class Fault:
    """What is done instead of an answer, and what the call then raises."""

    do: Callable[[Ask, Any], Awaitable[None]]
    words: str
    raised: type[TrimcpError] = ExchangeFailed
    carriers: tuple[str, ...] = ("memory", "tcp")


def whole(status: int, media_type: str = "", body: bytes = b"", **fields: str) -> Script:
    async def do(ask: Ask, answer: Answer) -> None:
        await answer.whole(status, media_type, body, **fields)

    return do


def json(value: dict[str, Any], status: int = 200) -> Script:
    async def do(ask: Ask, answer: Answer) -> None:
        filled = {name: ask.id if part == "ID" else part for name, part in value.items()}
        await answer.json(filled, status)

    return do


def raw(*pieces: bytes) -> Callable[[Ask, TcpAnswer], Awaitable[None]]:
    """Bytes, and then the end of what is sent."""

    async def do(ask: Ask, answer: TcpAnswer) -> None:
        for piece in pieces:
            await answer.raw(piece)
        await answer.break_gently()

    return do


def event(value: dict[str, Any] | str) -> Script:
    async def do(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        if isinstance(value, str):
            await answer.event(value)
            return
        filled = {name: ask.id if part == "ID" else part for name, part in value.items()}
        await answer.event(filled)

    return do


async def reset_at_once(ask: Ask, answer: Answer) -> None:
    await answer.break_off()


async def reset_in_stream(ask: Ask, answer: Answer) -> None:
    await answer.stream()
    await answer.piece(b"data: {")
    await answer.break_off()


async def reset_in_body(ask: Ask, answer: Answer) -> None:
    await answer.head(200, {"content-type": "application/json"}, 100)
    await answer.piece(b"{")
    await answer.break_off()


OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
TCP = ("tcp",)
FAULTS: dict[str, Fault] = {
    "reset before the head": Fault(reset_at_once, "broke|reset"),
    "closed before the head": Fault(raw(), "broke|closed", carriers=TCP),
    "cut in the head": Fault(raw(b"HTTP/1.1 200 OK\r\ncontent-ty"), "broke|closed", carriers=TCP),
    "no HTTP": Fault(raw(b"SSH-2.0-OpenSSH_9.7\r\n"), "no HTTP|not answer in HTTP|broke", carriers=TCP),
    "cut in the body": Fault(raw(OK + b"content-length: 100\r\n\r\n", b'{"jsonrpc"'), "broke off", carriers=TCP),
    "cut in a chunk": Fault(raw(OK + b"transfer-encoding: chunked\r\n\r\n20\r\n{", b"}"), "broke off", carriers=TCP),
    "a body that is longer than it says": Fault(
        raw(OK + b"content-length: 2\r\n\r\n{}{}"), "no MCP message", carriers=TCP
    ),
    "reset in the body": Fault(reset_in_body, "broke off"),
    "reset in an event": Fault(reset_in_stream, "broke off|without an answer"),
    "502 with HTML": Fault(whole(502, "text/html", HTML), r"gateway cannot reach the server \(status 502, text/html"),
    "503 with HTML": Fault(whole(503, "text/html", HTML, retry_after="7"), "overloaded"),
    "504 with nothing": Fault(whole(504), r"\(status 504, nothing\)"),
    "500 with text": Fault(whole(500, "text/plain", b"Traceback"), r"the server failed \(status 500.*Traceback"),
    "401": Fault(whole(401), "wants authentication"),
    "403": Fault(whole(403), "refuses this client"),
    "413": Fault(whole(413), "too long"),
    "429": Fault(whole(429), "fewer requests"),
    "301": Fault(whole(301, location="https://elsewhere.test/mcp"), "redirects.*elsewhere.test/mcp"),
    "redirected elsewhere": Fault(
        whole(307, location="https://elsewhere.test/mcp?key=secret"),
        "redirects (elsewhere: connect )?to .*elsewhere.test/mcp",
    ),
    "202 to a request": Fault(whole(202), "took the request, and does not answer it"),
    "200 with nothing": Fault(whole(200), r"no MCP message \(status 200, nothing\)"),
    "200 with HTML": Fault(whole(200, "text/html", b"<html>Log in</html>"), r"no MCP message \(status 200, text/html"),
    "JSON that is none": Fault(whole(200, "application/json", b'{"jsonrpc": "2.0",'), "no MCP message"),
    "JSON that is no message": Fault(json({"hello": "world"}), "no MCP message.*hello"),
    "JSON that is no object": Fault(whole(200, "application/json", b"7"), "no MCP message"),
    "bytes that are no UTF-8": Fault(whole(200, "application/json", b'{"a": "\xff"}'), "no MCP message"),
    "too deep": Fault(whole(200, "application/json", b"[" * 10_000 + b"]" * 10_000), "no MCP message"),
    "too many arrays": Fault(whole(200, "application/json", b"[" + b"[]," * 20_000 + b"1]"), "no MCP message"),
    "too long": Fault(whole(200, "application/json", b'"' + b"x" * 70_000 + b'"'), "longer than"),
    "an answer to nobody": Fault(json({"jsonrpc": "2.0", "id": 4711, "result": {}}), "no MCP message"),
    "an answer to nobody, as an event": Fault(
        event({"jsonrpc": "2.0", "id": 4711, "result": {}}), "ended its response without an answer"
    ),
    "an answer with a result that is none": Fault(
        json({"jsonrpc": "2.0", "id": "ID", "result": 7}), "result", InvalidResult
    ),
    "an event with a result that is none": Fault(
        event({"jsonrpc": "2.0", "id": "ID", "result": 7}), "result", InvalidResult
    ),
    "a result that breaks its schema": Fault(
        json({"jsonrpc": "2.0", "id": "ID", "result": {"content": 7}}), "content", InvalidResult
    ),
    "an event that is no JSON": Fault(event("nonsense"), "without an answer"),
    "an event that is too long": Fault(event('"' + "x" * 70_000 + '"'), "without an answer"),
    "an error": Fault(json({"jsonrpc": "2.0", "id": "ID", "error": {"code": 1, "message": "no"}}), "no", RequestFailed),
    "an error for an id that could not be read": Fault(
        json({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "what?"}}, 400), "what", RequestFailed
    ),
}
CASES = [(name, carrier) for name, fault in FAULTS.items() for carrier in fault.carriers]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(("name", "carrier"), CASES)
async def test_a_fault_ends_its_own_call_and_nothing_else(name: str, carrier: str, era: str, logged: Any) -> None:
    fault = FAULTS[name]
    go_on = trio.Event()

    async def call(ask: Ask, answer: Answer) -> None:
        if ask.params["name"] == "faulty":
            await fault.do(ask, answer)
        elif ask.params["name"] == "sibling":
            await answer.stream()
            await go_on.wait()
            await answer.result_event(text("sibling"))
        else:
            await answer.result(text("after"))

    said: list[str] = []

    async def sibling() -> None:
        said.append((await client.call_tool("sibling")).text)

    serve: Script = modern({"tools/call": call}) if era == MODERN else Legacy({"tools/call": call}, standing=405)
    limits = trimcp.Limits(message_bytes=65536, json_containers=10_000)
    async with scripted(serve, carrier) as server:
        async with trimcp.connect(server.url, revision=era, limits=limits) as client, trio.open_nursery() as nursery:
            nursery.start_soon(sibling)
            await server.was_asked("tools/call")
            with pytest.raises(fault.raised, match=fault.words) as caught:
                await client.call_tool("faulty")
            assert "secret" not in str(caught.value)
            assert (await client.call_tool("after")).text == "after"
            go_on.set()
        assert said == ["sibling"]
        # A call that may have been made is not made again.
        assert sum(ask.params["name"] == "faulty" for ask in server.asked("tools/call")) == 1


async def test_a_refusal_says_its_status_and_when_to_come_back() -> None:
    async with (
        scripted(modern({"tools/call": whole(503, "text/html", HTML, retry_after="7")})) as server,
        trimcp.connect(server.url) as client,
    ):
        with pytest.raises(ExchangeFailed) as caught:
            await client.call_tool("x")
    assert (caught.value.status, caught.value.retry_after) == (503, 7)


async def test_an_answer_to_another_call_in_the_body_of_one_does_not_answer_it(carrier: str) -> None:
    first = trio.Event()

    async def call(ask: Ask, answer: Answer) -> None:
        if ask.params["name"] == "first":
            await first.wait()
            await answer.result(text("mine"))
        else:
            other = server.asked("tools/call")[0].id
            await answer.json({"jsonrpc": "2.0", "id": other, "result": text("not mine")})

    said: list[str] = []

    async def ask_first() -> None:
        said.append((await client.call_tool("first")).text)

    async with (
        scripted(modern({"tools/call": call}), carrier) as server,
        trimcp.connect(server.url) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(ask_first)
        await server.was_asked("tools/call")
        with pytest.raises(ExchangeFailed):
            await client.call_tool("second")
        first.set()
    assert said == ["mine"]


async def test_a_redirect_within_the_server_is_followed() -> None:
    inner = modern()

    async def serve(ask: Ask, answer: Answer) -> None:
        if ask.path == "/mcp":
            await answer.whole(308, location="/mcp/")
        else:
            await inner(ask, answer)

    async with scripted(serve, "tcp") as server, trimcp.connect(server.url) as client:
        assert await client.list_tools() == []


@pytest.mark.parametrize("location", ["http://[", "//[/x"])
async def test_a_redirect_to_what_is_no_url_ends_its_own_call_and_nothing_else(location: str) -> None:
    inner = modern()

    async def serve(ask: Ask, answer: Answer) -> None:
        if ask.method == "tools/call":
            await answer.whole(302, location=location)
        else:
            await inner(ask, answer)

    async with scripted(serve, "tcp") as server, trimcp.connect(server.url) as client:
        with pytest.raises(ExchangeFailed, match="redirects to an invalid URL"):
            await client.call_tool("x")
        assert await client.list_tools() == []


async def test_an_answer_to_another_call_in_the_stream_of_one_does_not_answer_it() -> None:
    held: list[Ask] = []
    is_held, is_said, is_answered = trio.Event(), trio.Event(), trio.Event()

    async def call(ask: Ask, answer: Answer) -> None:
        if ask.params["name"] == "held":
            held.append(ask)
            is_held.set()
            await is_said.wait()
            await answer.result(text("mine"))
        else:
            await answer.stream()
            await answer.result_event(text("forged"), to=held[0].id)
            await answer.result_event(text("other"))

    said: list[str] = []
    async with (
        scripted(modern({"tools/call": call})) as server,
        trimcp.connect(server.url) as client,
        trio.open_nursery() as nursery,
    ):

        async def hold() -> None:
            said.append((await client.call_tool("held")).text)
            is_answered.set()

        nursery.start_soon(hold)
        await is_held.wait()
        assert (await client.call_tool("x")).text == "other"
        is_said.set()
        await is_answered.wait()
    assert said == ["mine"]


@pytest.mark.parametrize("era", ERAS)
async def test_an_error_without_an_id_is_about_the_request_in_whose_stream_it_comes(era: str) -> None:
    no = event({"jsonrpc": "2.0", "id": None, "error": {"code": -32602, "message": "not so"}})
    script = modern({"tools/call": no}) if era == MODERN else Legacy({"tools/call": no})
    async with scripted(script) as server, trimcp.connect(server.url, revision=era) as client:
        with pytest.raises(RequestFailed, match="not so"):
            await client.call_tool("x")
