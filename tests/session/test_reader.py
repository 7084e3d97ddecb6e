"""What arrives and is no message, or no request that could be served: the right error, and the session goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.session.peer import ALL, ERAS, LEGACY, MODERN, Logged, Peer, cancelled, notification, result, served
from trimcp import Limits


def make_server(**limits: Any) -> trimcp.Server:
    server = trimcp.Server("test", limits=Limits(**limits))

    @server.tool
    async def double(a: int) -> int:
        return 2 * a

    return server


async def alive(peer: Peer) -> bool:
    """Whether the session still serves."""
    answer = await peer.ask(peer.call("alive", "double", {"a": 21}))
    return bool(answer["id"] == "alive" and answer["result"]["content"][0]["text"] == "42")


def is_nameless(message: dict[str, Any], version: str) -> bool:
    """Whether an error names no request in the way of its revision."""
    if version in ("2025-11-25", MODERN):
        return "id" not in message
    return "id" in message and message["id"] is None


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"hello", -32700),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping"', -32700),
        (b"[" * 100_000, -32700),
        (b'{"a":' * 100_000, -32700),
        (b"1", -32600),
        (b'"ping"', -32600),
        (b"null", -32600),
        (b"{}", -32600),
        (b'{"jsonrpc":"2.0"}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":[1],"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1' + b"0" * 4300 + b',"method":"ping"}', -32700),
    ],
)
async def test_what_cannot_be_answered_by_id_is_an_error_without_one(
    version: str, line: bytes, code: int, autojump_clock: MockClock
) -> None:
    async with served(make_server(), version) as peer:
        answer = await peer.ask(line)
        assert answer["error"]["code"] == code
        assert is_nameless(answer, version)
        assert await alive(peer)


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":1,"method":"\xff\xfe"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":NaN}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\\ud800"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b'{"a":' * 200 + b"1" + b"}" * 201,
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[' + b"[]," * 300_000 + b"1]}}",
    ],
)
async def test_a_text_that_cannot_be_read_is_refused_by_the_id_that_is_found_in_it(
    version: str, line: bytes, autojump_clock: MockClock
) -> None:
    async with served(make_server(), version) as peer:
        answer = await peer.ask(line)
        assert (answer["id"], answer["error"]["code"]) == (1, -32700)
        assert await alive(peer)


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    "message",
    [
        {"id": 7, "method": "ping"},
        {"jsonrpc": "1.0", "id": 7, "method": "ping"},
        {"jsonrpc": 2.0, "id": 7, "method": "ping"},
        {"jsonrpc": "2.0", "id": 7, "method": 5},
        {"jsonrpc": "2.0", "id": 7, "method": "ping", "params": []},
        {"jsonrpc": "2.0", "id": 7, "method": "ping", "result": {}},
    ],
)
async def test_what_is_wrong_but_has_an_id_is_answered_by_it(
    version: str, message: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with served(make_server(), version) as peer:
        answer = await peer.ask(message)
        assert (answer["id"], answer["error"]["code"]) == (7, -32600)
        assert await alive(peer)


async def test_a_broken_message_with_the_id_of_a_request_in_flight_does_not_settle_that_one(
    autojump_clock: MockClock,
) -> None:
    server = trimcp.Server("test")
    go = trio.Event()

    @server.tool
    async def wait() -> str:
        await go.wait()
        return "mine"

    async with served(server) as peer:
        await peer.send(peer.call(1, "wait"), {"jsonrpc": "1.0", "id": 1, "method": "ping"})
        [refusal] = await peer.settled()
        assert refusal["error"]["code"] == -32600
        assert "id" not in refusal
        go.set()
        assert (await peer.receive())["result"]["content"][0]["text"] == "mine"


@pytest.mark.parametrize("version", ALL)
async def test_blank_lines_are_silence_and_a_byte_order_mark_is_no_part_of_a_message(
    version: str, autojump_clock: MockClock
) -> None:
    async with served(make_server(), version) as peer:
        await peer.send(b"", b"   ", b"\t\r", b"\xef\xbb\xbf" + json.dumps(peer.request(1, "ping")).encode(), b" ")
        assert [answer["id"] for answer in await peer.settled()] == [1]
        assert await alive(peer)


async def test_before_a_handshake_an_error_for_nothing_readable_has_no_id(autojump_clock: MockClock) -> None:
    async with served(make_server(), LEGACY[0], opened=False) as peer:
        answer = await peer.ask(b"x")
        assert "id" not in answer


@pytest.mark.parametrize("version", ERAS)
async def test_a_line_over_the_limit_is_refused_and_never_held(version: str, autojump_clock: MockClock) -> None:
    async with served(make_server(message_bytes=4096), version, capacity=4096) as peer:
        assert peer.session is not None
        splitter = peer.session.duplex._splitter  # type: ignore[attr-defined]
        for _ in range(100):
            await peer.send_bytes(b"x" * 2048)
            assert splitter.held <= 4097
        await peer.send_bytes(b"\n")
        answer = await peer.receive()
        assert answer["error"]["code"] == -32600
        assert "4096" in answer["error"]["message"]
        assert await alive(peer)


@pytest.mark.parametrize("version", ERAS)
async def test_of_a_duplicate_key_the_last_value_counts(version: str, autojump_clock: MockClock) -> None:
    async with served(make_server(), version) as peer:
        line = json.dumps(peer.call(1, "double", {"a": 5})).replace('"a": 5', '"a": 4, "a": 5')
        assert (await peer.ask(line.encode()))["result"]["content"][0]["text"] == "10"


@pytest.mark.parametrize("version", ERAS)
async def test_integers_beyond_64_bits_are_exact_in_both_directions(version: str, autojump_clock: MockClock) -> None:
    async with served(make_server(), version) as peer:
        answer = await peer.ask(peer.call(10**30, "double", {"a": 10**40 + 1}))
        assert answer["id"] == 10**30
        assert answer["result"]["content"][0]["text"] == str(2 * 10**40 + 2)
        assert answer["result"].get("structuredContent", {}).get("result") in (None, 2 * 10**40 + 2)
        assert await alive(peer)


async def test_the_words_of_an_error_never_hold_what_was_sent(autojump_clock: MockClock) -> None:
    async with served(make_server()) as peer:
        for line in (b'{"secret": hush', b'{"jsonrpc":"2.0","id":{"hush":1},"method":"ping"}'):
            assert "hush" not in json.dumps(await peer.ask(line))


@pytest.mark.parametrize("version", ALL)
async def test_a_notification_is_never_answered_whatever_is_wrong_with_it(
    version: str, logged: Logged, autojump_clock: MockClock
) -> None:
    async with served(make_server(), version) as peer:
        await peer.send(
            notification("notifications/nothing"),
            notification("no/such/method", {"a": 1}),
            notification("tools/call", {"name": "double", "arguments": {"a": 1}}),  # a request without an id
            notification("initialize"),
            notification("ping"),
            {"jsonrpc": "1.0", "method": "notifications/nothing"},
            {"jsonrpc": "2.0", "method": "notifications/nothing", "params": []},
            {"jsonrpc": "2.0", "method": 5},
            notification("notifications/initialized"),
            notification("notifications/progress"),
            notification("notifications/progress", {"progressToken": 1, "progress": "x"}),
        )
        assert await peer.settled() == []
        assert len(logged.of("message.ignored")) >= 7
        assert await alive(peer)


@pytest.mark.parametrize("version", ERAS)
async def test_answers_to_nobody_are_ignored(version: str, logged: Logged, autojump_clock: MockClock) -> None:
    async with served(make_server(), version) as peer:
        await peer.send(
            result(1),
            {"jsonrpc": "2.0", "id": 2, "error": {"code": 1, "message": "x"}},
            {"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": "x"}},
            {"jsonrpc": "2.0", "error": {"code": 1, "message": "x"}},
            {"jsonrpc": "2.0", "id": 3, "error": "x"},
            {"jsonrpc": "2.0", "id": 4, "result": []},
            {"jsonrpc": "2.0", "id": 5, "result": {}, "error": {"code": 1, "message": "x"}},
        )
        assert await peer.settled() == []
        assert len(logged.of("response.ignored")) == 7
        assert await alive(peer)


@pytest.mark.parametrize("version", ERAS)
async def test_one_byte_at_a_time_or_all_at_once_makes_no_difference(version: str, autojump_clock: MockClock) -> None:
    async with served(make_server(), version) as peer:
        lines = b"".join(json.dumps(peer.call(n, "double", {"a": n})).encode() + b"\r\n\n" for n in range(5))
        await peer.send_bytes(lines)
        at_once = await peer.settled()
        for index in range(len(lines)):
            await peer.send_bytes(lines[index : index + 1])
        assert len(at_once) == 5
        assert sorted(await peer.settled(), key=lambda m: int(m["id"])) == sorted(at_once, key=lambda m: int(m["id"]))


async def test_errors_for_garbage_do_not_pass_the_bound_of_what_waits_to_leave(autojump_clock: MockClock) -> None:
    """A byte of garbage makes a hundred bytes of error: the reader must look up in the midst of what it has read."""
    async with served(make_server(out_bytes=10_000), capacity=65536) as peer:
        assert peer.session is not None
        for _ in range(4):
            peer.duplex.try_send(b"1\n" * 32_000)
            await wait_all_tasks_blocked()
            assert peer.session.writer.waiting_bytes < 2 * 65536 + 3 * 10_000


@pytest.mark.parametrize("version", ERAS)
async def test_a_cancel_that_is_malformed_is_ignored(version: str, logged: Logged, autojump_clock: MockClock) -> None:
    async with served(make_server(), version) as peer:
        await peer.send(
            notification("notifications/cancelled"),
            notification("notifications/cancelled", {}),
            cancelled(None),
            cancelled(True),
            cancelled(1.5),
            cancelled([1]),
            cancelled("unknown", reason="x"),
            cancelled("opening", reason={"not": "text"}),
        )
        assert await peer.settled() == []
        assert len(logged.of("cancel.ignored")) == 8
        assert await alive(peer)


@pytest.mark.parametrize("frame", [b" \n", b"\r\r\n", b'{"jsonrpc":"2.0","result":{},"id":7}\n'])
async def test_frames_without_an_answer_do_not_hold_up_other_tasks(frame: bytes, autojump_clock: MockClock) -> None:
    passes = 0

    async def count() -> None:
        nonlocal passes
        while True:
            await trio.lowlevel.checkpoint()
            passes += 1

    async with served(make_server(), MODERN) as peer, trio.open_nursery() as nursery:
        nursery.start_soon(count)
        number = 60_000 // len(frame)
        await peer.send_bytes(frame * number)
        assert await alive(peer)
        assert passes > number // 300 > 4
        nursery.cancel_scope.cancel()
