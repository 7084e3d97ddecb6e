"""SIGTERM and SIGINT end a server within its grace, whatever it does and though its stdin stays open."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import trio
import trio.testing

import trimcp
from tests.process.children import RUN, SCRIPT, Child, call, child, text_of
from tests.session.peer import MODERN, Peer
from trimcp.server.process import EXIT_LOST, LAST_MOMENTS, Binding, _serve_bindings, _session_signals
from trimcp.session.duplex_session import DuplexSession
from trimcp.transports.memory import memory_pair

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
COMMANDS = pytest.mark.parametrize("command", [RUN, SCRIPT], ids=["trimcp run", "server.run()"])


async def until_ready(server: Child) -> None:
    """Until it has shown that it serves, and so has taken over the signals."""
    await server.send(call(0, "add", a=1, b=2))
    assert text_of(await server.receive()) == "3"


@SIGNALS
@COMMANDS
async def test_an_idle_server_ends_at_once(command: list[str], number: signal.Signals) -> None:
    async with child(command, GRACE="1000") as server:
        await until_ready(server)
        server.signal(number)
        assert await server.exit_code() == 0
        await server.says("drained: no request was in flight\n")
        assert "Traceback" not in server.stderr


@SIGNALS
async def test_what_is_done_within_the_grace_is_answered(number: signal.Signals, tmp_path: Path) -> None:
    async with child(RUN, GRACE="1000", TRIMCP_LOG="info") as server:
        await server.send(call(1, "until", path=str(tmp_path / "drains")), call(2, "add", a=1, b=2))
        assert (await server.receive())["id"] == 2
        server.signal(number)
        await server.says("drain.started")
        (tmp_path / "drains").touch()
        assert text_of(await server.receive()) == "done"
        assert await server.exit_code() == 0
        await server.says("drained: 1 finished, 0 cancelled, 0 lost\n")


@SIGNALS
@pytest.mark.parametrize("tool", ["forever", "forever_in_a_thread"])
async def test_what_goes_on_for_ever_is_answered_so_at_the_end_of_the_grace(number: signal.Signals, tool: str) -> None:
    async with child(RUN) as server:
        await server.send(call(1, tool))
        await server.says("started")
        server.signal(number)
        error = (await server.receive())["error"]
        assert error["data"]["reason"] == "shutdown"
        # All that was accepted was answered, if by an error: nothing is lost. A thread cannot be ended.
        assert await server.exit_code() == (3 if tool == "forever_in_a_thread" else 0)
        await server.says("drained: 0 finished, 1 cancelled, 0 lost\n")
        assert "Traceback" not in server.stderr


async def test_new_work_is_refused_while_the_server_drains(tmp_path: Path) -> None:
    async with child(RUN, GRACE="1000") as server:
        await server.send(call(1, "until", path=str(tmp_path / "refused")))
        await server.says("started")
        server.signal(signal.SIGTERM)
        await server.send(call(2, "add", a=1, b=2))
        while "error" not in (answer := await server.receive()):
            await server.send(call(2, "add", a=1, b=2))
        assert (answer["id"], answer["error"]["data"]["reason"]) == (2, "draining")
        (tmp_path / "refused").touch()
        answer = await server.receive()
        assert (answer["id"], text_of(answer)) == (1, "done")
        assert await server.exit_code() == 0


@pytest.mark.parametrize("tool", ["forever", "forever_in_a_thread"])
@COMMANDS
async def test_a_second_signal_does_not_wait_for_the_grace(command: list[str], tool: str) -> None:
    async with child(command, GRACE="1000") as server:
        await server.send(call(1, tool))
        await server.says("started")
        server.signal(signal.SIGINT)
        # The first one has been taken in when it refuses work.
        await server.send(call(2, "add", a=1, b=2))
        while "error" not in await server.receive():
            await server.send(call(2, "add", a=1, b=2))
        server.signal(signal.SIGINT)
        assert (await server.receive())["error"]["data"]["reason"] == "shutdown"
        assert await server.exit_code() == (3 if tool == "forever_in_a_thread" else 0)
        # An addition may have been in flight when the first one came. The call was not finished by its drain.
        await server.says(" finished, 1 cancelled, 0 lost\n")


@SIGNALS
@COMMANDS
async def test_signals_end_a_server_whose_event_loop_is_blocked(command: list[str], number: signal.Signals) -> None:
    async with child(command, GRACE="1000") as server, trio.open_nursery() as nursery:
        await server.send(call(1, "blocks_the_loop"))
        await server.says("started")

        async def insist() -> None:
            while True:
                server.signal(number)
                await trio.sleep(0.1)

        nursery.start_soon(insist)
        assert await server.exit_code() == 3
        nursery.cancel_scope.cancel()
        await server.says("a function blocks the event loop, at ")
        await server.says("temperaments.py")


async def test_a_signal_after_the_end_of_input_does_not_wait_for_the_grace() -> None:
    async with child(RUN, GRACE="1000") as server:
        await server.send(call(1, "forever"))
        await server.says("started")
        assert server.process.stdin is not None
        await server.process.stdin.aclose()
        server.signal(signal.SIGTERM)
        # It may come before the end of input is seen; then it is the first, and this the second.
        server.signal(signal.SIGINT)
        assert await server.exit_code() in (0, 1)


async def test_a_signal_after_the_end_of_input_sends_no_answers() -> None:
    # Clients on the Python SDK close stdin, wait, and send SIGTERM; an answer then makes them raise.
    app, started = trimcp.Server("a"), trio.Event()

    @app.tool
    async def forever() -> None:
        started.set()
        await trio.sleep_forever()

    ours, theirs = memory_pair()
    peer = Peer(ours, MODERN)
    async with app.running() as run, trio.open_nursery() as nursery:
        session = DuplexSession(theirs, run.service, run.admission)

        async def serve() -> None:
            async with _session_signals(session, run):
                await session.run()

        nursery.start_soon(serve)
        await peer.send(peer.call(1, "forever"))
        await started.wait()
        await peer.end()
        await trio.testing.wait_all_tasks_blocked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert await peer.rest() == []
    assert session.lost == 1


async def test_a_second_signal_does_not_wait_for_a_peer_that_does_not_read(
    autojump_clock: trio.testing.MockClock,
) -> None:
    app = trimcp.Server("a", limits=trimcp.Limits(write_timeout=1000))

    @app.tool
    async def long() -> str:
        return "x" * 100_000

    ours, theirs = memory_pair(capacity=1000)
    peer = Peer(ours, MODERN)
    async with app.running() as run, trio.open_nursery() as nursery:
        session = DuplexSession(theirs, run.service, run.admission)

        async def serve() -> None:
            async with _session_signals(session, run):
                await session.run()

        nursery.start_soon(serve)
        await peer.send(peer.call(1, "long"))
        for _ in range(2):
            await trio.testing.wait_all_tasks_blocked()
            os.kill(os.getpid(), signal.SIGTERM)
        with trio.fail_after(60):
            await session.wait_over()
    assert session.lost == 1


async def test_a_handler_that_takes_longer_than_its_cleaning_up_may_is_a_loss() -> None:
    async with child(RUN) as server:
        await server.send(call(1, "cleans_up", seconds=0.7))
        await server.says("started")
        server.signal(signal.SIGTERM)
        assert await server.exit_code() == 1


async def test_a_handler_that_never_ends_is_left_behind() -> None:
    async with child(RUN) as server:
        await server.send(call(1, "shielded", seconds=1e6))
        await server.says("started")
        server.signal(signal.SIGTERM)
        assert await server.exit_code() == 3
        await server.says("ending with handlers still running: tools/call")


async def test_a_handler_that_never_ends_is_left_behind_at_the_end_of_input_too() -> None:
    async with child(RUN) as server:
        await server.send(call(1, "shielded", seconds=1e6))
        await server.says("started")
        assert server.process.stdin is not None
        await server.process.stdin.aclose()
        assert await server.exit_code() == 3


async def test_a_listener_whose_peer_does_not_read_has_the_grace_to_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    app = trimcp.Server("a", limits=trimcp.Limits(grace=20, write_timeout=1000))

    async def serve(*, task_status: trio.TaskStatus[str]) -> None:
        task_status.started("an address")
        await trio.sleep_forever()

    async def stop() -> None:
        await trio.testing.wait_all_tasks_blocked()
        os.kill(os.getpid(), signal.SIGTERM)

    before = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop)
        assert await _serve_bindings(app, [Binding(serve, str)], lambda url: None) == EXIT_LOST
    assert trio.current_time() - before == pytest.approx(20 + LAST_MOMENTS)
