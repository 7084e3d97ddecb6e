"""A server that listens ends in good order: what is in flight is answered, streams end, the exit code says so."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest
import trio

from tests.process.by_http import LEGACY, RUN, Answer, Listening, call, listening, open_session
from tests.process.children import TEMPERAMENTS

DOORS = {
    "direct": ["--http", "127.0.0.1:0"],
    "hypercorn": ["--hypercorn", "127.0.0.1:0"],
    "unix": ["--uds", "{tmp}/s"],
    "hypercorn-unix": ["--hypercorn", "--uds", "{tmp}/s"],
}
RUN_HTTP = (
    f"import sys; sys.path.insert(0, {str(TEMPERAMENTS.parent)!r})\nfrom temperaments import server\nserver.run_http(0)"
)
SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


def options(door: str, tmp_path: Path) -> list[str]:
    return [option.format(tmp=tmp_path) for option in DOORS[door]]


async def in_flight(there: Listening, request: bytes) -> trio.abc.Stream:
    """A connection on which a request runs whose tool has said that it has started."""
    stream = await there.connect()
    await stream.send_all(request)
    await there.server.says("started")
    return stream


@pytest.mark.parametrize("door", DOORS)
async def test_a_signal_lets_what_is_in_flight_finish_and_ends_streams(door: str, tmp_path: Path) -> None:
    async with listening(*options(door, tmp_path), "--grace", "1000") as there:
        session = await open_session(there)
        async with await there.connect() as stream, await in_flight(there, call("shielded", seconds=0.5)) as calling:
            fields = ["Host: localhost", "Accept: text/event-stream", f"Mcp-Session-Id: {session}"]
            head = ["GET /mcp HTTP/1.1", *fields, f"MCP-Protocol-Version: {LEGACY}"]
            await stream.send_all("\r\n".join(head).encode() + b"\r\n\r\n")
            assert b" 200 " in await stream.receive_some(100)
            there.server.signal(signal.SIGTERM)
            assert (await Answer.read(calling)).message["result"]["structuredContent"] == {"result": "done"}
            while await stream.receive_some(65536):
                pass  # until its end
        assert await there.server.exit_code() == 0
        assert "Traceback" not in there.server.stderr
    assert not list(tmp_path.iterdir())  # a Unix socket leaves no file


@SIGNALS
@pytest.mark.parametrize("program", ["trimcp run", "run_http"])
async def test_an_idle_server_ends_at_once(program: str, number: signal.Signals) -> None:
    command = [*RUN, "--http", "0", "--health"] if program == "trimcp run" else [sys.executable, "-c", RUN_HTTP]
    async with listening(command=command, GRACE="1000") as there:
        assert (await there.ask(call("add", a=1, b=2))).message["result"]["structuredContent"] == {"result": 3}
        async with await there.connect():  # one that asks nothing keeps nobody
            there.server.signal(number)
            assert await there.server.exit_code() == 0


@pytest.mark.parametrize("door", ["direct", "hypercorn"])
async def test_while_it_drains_new_work_is_refused_and_a_second_signal_ends_it(door: str, tmp_path: Path) -> None:
    async with listening(*options(door, tmp_path), "--health", "--grace", "1000") as there:
        async with await in_flight(there, call("forever")) as stream:
            there.server.signal(signal.SIGTERM)
            while (ready := await there.ask(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")).status == 200:
                pass
            assert json.loads(ready.body) == {"status": "draining"}
            refused = await there.ask(call("add", a=1, b=2))
            assert (refused.status, refused.message["error"]["data"]["reason"]) == (503, "draining")
            there.server.signal(signal.SIGTERM)
            # It was answered, if by an error: nothing is lost.
            assert (await Answer.read(stream)).message["error"]["data"]["reason"] == "shutdown"
        assert await there.server.exit_code() == 0
        await there.server.says("drained: 0 finished, 1 cancelled, 0 lost\n")


@pytest.mark.parametrize("door", ["direct", "hypercorn"])
async def test_what_would_not_end_is_a_loss_or_is_left_behind(door: str, tmp_path: Path) -> None:
    # Of the limits of this server: 0.3 s of grace, and 0.2 s to clean up.
    async with listening(*options(door, tmp_path)) as there, await in_flight(there, call("cleans_up", seconds=0.7)):
        there.server.signal(signal.SIGTERM)
        assert await there.server.exit_code() == 1
        await there.server.says("drained: 0 finished, 0 cancelled, 1 lost\n")
    async with listening(*options(door, tmp_path)) as there, await in_flight(there, call("shielded", seconds=1e6)):
        there.server.signal(signal.SIGTERM)
        assert await there.server.exit_code() == 3
        await there.server.says("ending with handlers still running: tools/call")


async def test_a_websocket_is_answered_to_the_end(tmp_path: Path) -> None:
    import trimcp

    async with listening("--websocket", "0", "--grace", "1000") as there:
        assert isinstance(there.address, tuple)
        async with trimcp.connect(f"ws://127.0.0.1:{there.address[1]}/mcp") as client, trio.open_nursery() as nursery:

            async def stop() -> None:
                await there.server.says("started")
                there.server.signal(signal.SIGTERM)

            nursery.start_soon(stop)
            assert (await client.call_tool("shielded", {"seconds": 0.5})).text == "done"
        assert await there.server.exit_code() == 0


async def test_a_server_that_leaves_is_not_ready_and_serves_on_for_a_while() -> None:
    async with listening("--http", "127.0.0.1:0", "--health", "--drain-delay", "1000") as there:
        ready, live = (
            f"GET /health/{check} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for check in ("ready", "live")
        )
        assert (await there.ask(ready)).status == 200
        there.server.signal(signal.SIGTERM)
        with trio.fail_after(60):
            while (await there.ask(ready)).status != 503:
                await trio.sleep(0.01)
        assert (await there.ask(live)).status == 200
        assert (await there.ask(call("add", a=1, b=2))).message["result"]["structuredContent"] == {"result": 3}
        there.server.signal(signal.SIGTERM)
        assert await there.server.exit_code() == 0


async def test_workers_share_an_address_and_end_together() -> None:
    async with listening("--hypercorn", "127.0.0.1:0", "--workers", "2", "--grace", "1000") as there:
        async with await in_flight(there, call("shielded", seconds=0.5)) as stream:
            for _ in range(4):  # also while the one is busy
                assert (await there.ask(call("add", a=1, b=2))).message["result"]["structuredContent"] == {"result": 3}
            there.server.signal(signal.SIGTERM)
            assert (await Answer.read(stream)).message["result"]["structuredContent"] == {"result": "done"}
        assert await there.server.exit_code() == 0
        await there.server.says("drained: 1 finished, 0 cancelled, 0 lost\n")
        await there.server.says("drained: no request was in flight\n")  # by the other worker


async def test_an_address_that_is_taken_is_one_clear_line() -> None:
    async with listening("--http", "127.0.0.1:0") as there:
        assert isinstance(there.address, tuple)
        port = there.address[1]
        for door in (["--http"], ["--hypercorn"], ["--websocket"], ["--workers", "2", "--hypercorn"]):
            done = await trio.run_process(
                [*RUN, *door, f"127.0.0.1:{port}"],
                capture_stderr=True,
                check=False,
            )
            assert done.returncode == 2
            expected = f"trimcp: cannot listen on tcp 127.0.0.1:{port}: Address already in use\n"
            assert done.stderr.decode().endswith(expected)
