"""Requests in flight: what a handler may do wrong, ids that come twice, and who else notices (nobody)."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.session.peer import ERAS, LEGACY, MODERN, Logged, Peer, notification, served
from trimcp import Limits
from trimcp.observability import log


def text(answer: dict[str, Any]) -> str:
    return str(answer["result"]["content"][0]["text"])


def with_echo(**options: Any) -> trimcp.Server:
    server = trimcp.Server("test", **options)

    @server.tool
    async def echo(a: int) -> int:
        return a

    return server


async def still_works(peer: Peer) -> bool:
    return text(await peer.ask(peer.call("last", "echo", {"a": 3}))) == "3"


class Odd(Exception):
    def __str__(self) -> str:
        raise ValueError("an exception that cannot even be shown")


async def in_a_group(*failures: BaseException) -> None:
    """Raise them together, as a nursery does."""

    async def fail(failure: BaseException) -> None:
        raise failure

    async with trio.open_nursery() as nursery:
        for failure in failures:
            nursery.start_soon(fail, failure)


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize(
    "failure",
    [
        ValueError("secret"),
        KeyError("secret"),
        RecursionError("secret"),
        StopIteration("secret"),
        StopAsyncIteration("secret"),
        TimeoutError("secret"),
        MemoryError("secret"),
        ExceptionGroup("secret", [ValueError("secret")]),
        Odd(),
        trio.TooSlowError(),
        trio.BrokenResourceError(),
        # Those of trimcp's own that a handler has no business to raise.
        trimcp.ConnectionLost("secret"),
        trimcp.UsageError("secret"),
        trimcp.InvalidResult(["secret"]),
    ],
)
async def test_a_tool_that_raises_answers_so_and_only_the_log_has_the_details(
    version: str, failure: Exception, logged: Logged, autojump_clock: MockClock
) -> None:
    server = with_echo()

    @server.tool
    async def fail() -> int:
        raise failure

    async with served(server, version) as peer:
        answer = await peer.ask(peer.call(1, "fail"))
        assert answer["result"]["isError"] is True
        assert "secret" not in str(answer)
        assert logged.of("handler.failed")[0]["exc_info"] is not None
        assert await still_works(peer)


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("grouped", [False, True])
async def test_a_tool_that_exits_the_interpreter_does_not(
    version: str, grouped: bool, logged: Logged, autojump_clock: MockClock
) -> None:
    server = with_echo()

    @server.tool
    async def leave() -> int:
        if grouped:
            await in_a_group(SystemExit(3), ValueError("x"))
        sys.exit(3)

    async with served(server, version) as peer:
        answer = await peer.ask(peer.call(1, "leave"))
        assert answer["error"] == {"code": -32603, "message": "Internal error"}
        assert logged.of("handler.failed")
        assert await still_works(peer)


@pytest.mark.parametrize("version", ERAS)
async def test_tool_errors_in_a_group_are_told_together(version: str, autojump_clock: MockClock) -> None:
    server = with_echo()

    @server.tool
    async def fail() -> int:
        raise ExceptionGroup("g", [trimcp.ToolError("one"), ExceptionGroup("h", [trimcp.ToolError("two")])])

    @server.tool
    async def mixed() -> int:
        await in_a_group(trimcp.ToolError("one"), ValueError("secret"))
        return 1

    async with served(server, version) as peer:
        answer = await peer.ask(peer.call(1, "fail"))
        assert (text(answer), answer["result"]["isError"]) == ("one; two", True)
        answer = await peer.ask(peer.call(2, "mixed"))
        assert answer["result"]["isError"] is True
        assert "secret" not in text(answer)


@pytest.mark.parametrize("version", ERAS)
async def test_a_failure_that_is_mixed_with_a_cancel_stays_in_its_request(
    version: str, logged: Logged, autojump_clock: MockClock
) -> None:
    """A nursery raises what its children raise on the way out together with their `Cancelled`."""
    server = with_echo()
    started = trio.Event()

    async def messy() -> None:
        try:
            started.set()
            await trio.sleep_forever()
        finally:
            raise ValueError("while cleaning up")

    @server.tool
    async def mixed() -> int:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(messy)
            nursery.start_soon(trio.sleep_forever)
        return 1

    @server.tool(timeout=5)
    async def late() -> int:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(messy)
            nursery.start_soon(trio.sleep_forever)
        return 1

    async with served(server, version) as peer:
        await peer.send(peer.call(1, "mixed"))
        await started.wait()
        await peer.send(notification("notifications/cancelled", {"requestId": 1}))
        assert await still_works(peer)
        answer = await peer.ask(peer.call(2, "late"))
        assert answer["id"] == 2
        assert answer["error"]["data"] == {"reason": "deadline"}
        assert await still_works(peer)


@pytest.mark.parametrize("version", ERAS)
async def test_a_result_that_cannot_be_encoded_is_an_error(
    version: str, logged: Logged, autojump_clock: MockClock
) -> None:
    server = with_echo()

    @server.tool
    async def surrogate():  # type: ignore[no-untyped-def]
        return "\ud800"

    @server.tool
    async def thing() -> Any:
        return object()

    @server.tool
    async def wrong() -> int:
        return "five"  # type: ignore[return-value]

    @server.tool
    async def cyclic() -> Any:
        cycle: list[Any] = []
        cycle.append(cycle)
        return cycle

    @server.tool
    async def huge() -> dict[str, Any]:
        return {"a": 10**4300}

    async with served(server, version) as peer:
        for name in ("surrogate", "thing", "wrong", "cyclic", "huge"):
            answer = await peer.ask(peer.call(name, name))
            assert answer["id"] == name
            assert "error" in answer or answer["result"]["isError"] is True
        assert len(logged.of("handler.failed")) == 5
        assert await still_works(peer)


@pytest.mark.parametrize("version", ERAS)
async def test_a_result_over_the_limit_is_replaced_by_an_error(version: str, autojump_clock: MockClock) -> None:
    server = with_echo(limits=Limits(result_bytes=1000))

    @server.tool
    async def large(size: int) -> str:
        return "x" * size

    async with served(server, version) as peer:
        answer = await peer.ask(peer.call(1, "large", {"size": 2000}))
        assert answer["error"]["code"] == -32603
        assert "1000" in answer["error"]["message"]
        assert "result" in await peer.ask(peer.call(2, "large", {"size": 100}))


@pytest.mark.parametrize("version", ERAS)
async def test_an_error_that_a_tool_chooses_goes_out_as_it_is(version: str, autojump_clock: MockClock) -> None:
    server = with_echo()

    @server.tool
    async def refuse(how: str) -> int:
        if how == "params":
            raise trimcp.InvalidParams("not this one")
        raise trimcp.RequestFailed(-5, "mine", {"a": 1} if how == "data" else object() if how == "odd" else None)

    async with served(server, version) as peer:
        expected = {
            "data": {"code": -5, "message": "mine", "data": {"a": 1}},
            "plain": {"code": -5, "message": "mine"},
            "odd": {"code": -5, "message": "mine"},
            "params": {"code": -32602, "message": "not this one"},
        }
        for how, wanted in expected.items():
            assert (await peer.ask(peer.call(1, "refuse", {"how": how})))["error"] == wanted


@pytest.mark.parametrize("version", ERAS)
async def test_params_that_break_the_schema_are_refused_with_their_path(
    version: str, autojump_clock: MockClock
) -> None:
    async with served(with_echo(), version) as peer:
        for params in ({}, {"name": 5}, {"name": "echo", "arguments": []}):
            answer = await peer.ask(peer.request(1, "tools/call", params))
            assert answer["error"]["code"] == -32602
            assert "@ $" in answer["error"]["data"]["problems"][0]
        answer = await peer.ask(peer.request(1, "tools/list", {"cursor": 5}))
        assert answer["error"]["data"]["problems"] == ["expected string @ $.cursor"]
        assert await still_works(peer)


# --- ids ------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [*LEGACY, MODERN])
@pytest.mark.parametrize("second", ["tools/call", "tools/list", "ping", "server/discover", "no/such/method"])
async def test_a_second_request_with_an_id_in_flight_gets_nothing_by_that_id(
    version: str, second: str, logged: Logged, autojump_clock: MockClock
) -> None:
    server = with_echo()
    go = trio.Event()

    @server.tool
    async def wait() -> str:
        await go.wait()
        return "mine"

    async with served(server, version) as peer:
        await peer.send(peer.call(1, "wait"))
        await peer.send(peer.request(1, second, {"name": "echo", "arguments": {"a": 1}}))
        said = await peer.settled()
        if version in ERAS:
            [refusal] = said
            assert refusal["error"]["code"] == -32600
            assert "id" not in refusal
        else:
            assert said == []
        assert logged.levels("request.duplicated") == ["warning"]
        go.set()
        answer = await peer.receive()
        assert (answer["id"], text(answer)) == (1, "mine")
        # Once it is answered, the id is free again.
        assert text(await peer.ask(peer.call(1, "echo", {"a": 4}))) == "4"


@pytest.mark.parametrize("version", ERAS)
async def test_ids_keep_their_type(version: str, autojump_clock: MockClock) -> None:
    server = with_echo()
    go = trio.Event()

    @server.tool
    async def wait() -> str:
        await go.wait()
        return "done"

    async with served(server, version) as peer:
        names: list[Any] = [1, "1", "", 0, -1, 2**63 - 1, "ü\u2028", "x" * 1000]
        await peer.send(*(peer.call(name, "wait") for name in names))
        assert await peer.settled() == []
        go.set()
        assert {(type(a["id"]), a["id"]) for a in await peer.settled()} == {(type(n), n) for n in names}


async def test_each_request_is_one_line_while_info_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(log, "_emit", lambda level, event, keys: lines.append({"event": event, **keys}))
    server = trimcp.Server("a")

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @server.tool
    async def refuse() -> int:
        raise trimcp.ToolError("no")

    try:
        log.set_level("info")
        async with trimcp.connect(server, revision="2025-11-25") as client:
            await client.call_tool("add", {"a": 1, "b": 2})
            with pytest.raises(trimcp.ToolFailed):
                (await client.call_tool("refuse")).raise_for_error()
            with pytest.raises(trimcp.RequestFailed):
                await client.call_tool("none")
    finally:
        log.set_level("warning")
    told = [(line["method"], line["name"], line["outcome"]) for line in lines if line["event"] == "request.ended"]
    assert [line for line in told if line[0] == "tools/call"] == [
        ("tools/call", "add", "ok"),
        ("tools/call", "refuse", "tool error"),
        ("tools/call", "none", "error -32602"),
    ]
