"""Servers within somebody else's program: in a nursery of its own, on sockets and pipes, many at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

import trimcp
from tests.process.children import META, PATIENCE, call, child, text_of
from tests.transports.pairs import open_descriptors
from trimcp.transports.stdio import stdio_duplex

CYCLES = 200


def make_server(**limits: float) -> trimcp.Server:
    server = trimcp.Server("embedded", limits=trimcp.Limits(**limits))  # type: ignore[arg-type]

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @server.tool
    async def forever() -> str:
        await trio.sleep_forever()
        raise AssertionError

    return server


async def until(server: trimcp.Server, *, in_flight: int) -> None:
    """Until that many requests run on the server."""
    while sum(len(session.requests) for run in server.tree() for session in run.sessions) != in_flight:
        await trio.sleep(0.005)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_server_in_a_nursery_of_the_users_is_reached_by_tcp(host: str) -> None:
    server = make_server()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            _, port = await nursery.start(server.serve_tcp, 0, host)
            async with trimcp.connect(f"tcp://{host}:{port}") as client:
                assert await client.call_tool("add", {"a": 1, "b": 2}, returns=int) == 3
            nursery.cancel_scope.cancel()
    assert server.tree() == ()


@pytest.mark.parametrize("form", ["unix:{}", "unix://{}"])
async def test_a_server_is_reached_by_a_unix_socket_whose_file_goes_with_it(tmp_path: Path, form: str) -> None:
    server, path = make_server(), tmp_path / "socket"
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_unix, path)
            assert path.stat().st_mode & 0o777 == 0o600
            async with trimcp.connect(form.format(path)) as client:
                assert await client.call_tool("add", {"a": 1, "b": 2}, returns=int) == 3
            nursery.cancel_scope.cancel()
    assert not path.exists()


async def test_nobody_there_is_a_lost_connection(tmp_path: Path) -> None:
    with pytest.raises(trimcp.ConnectionLost):
        async with trimcp.connect(f"unix:{tmp_path / 'nobody'}"):
            raise AssertionError


async def test_an_address_that_is_taken_is_said_to_be() -> None:
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            _, port = await nursery.start(make_server().serve_tcp)
            with pytest.RaisesGroup(trimcp.UsageError, allow_unwrapped=True, flatten_subgroups=True):
                await make_server().serve_tcp(port)
            nursery.cancel_scope.cancel()


async def test_a_server_is_served_on_pipes_of_the_users() -> None:
    server = make_server()
    forth, back = os.pipe(), os.pipe()
    before = open_descriptors()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve, stdio_duplex(forth[0], back[1]))
            async with trimcp.connect(stdio_duplex(back[0], forth[1])) as client:
                assert await client.call_tool("add", {"a": 1, "b": 2}, returns=int) == 3
            nursery.cancel_scope.cancel()
    assert open_descriptors() <= before
    for fd in (*forth, *back):
        os.close(fd)  # they were the user's all the time


async def test_serve_stdio_runs_beside_other_tasks_of_a_program_and_touches_nothing(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import signal, sys\n"
        "import trio, trimcp\n"
        "server = trimcp.Server('embedded')\n"
        "@server.tool\n"
        "async def add(a: int, b: int) -> int:\n"
        "    return a + b\n"
        "async def main():\n"
        "    async with trio.open_nursery() as nursery:\n"
        "        await nursery.start(server.serve_stdio)\n"
        "        same = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n"
        "        print('serving', same, file=sys.stderr, flush=True)\n"
        "    print('ended', file=sys.stderr, flush=True)\n"
        "trio.run(main)\n"
    )
    async with child([sys.executable, str(program)]) as served:
        await served.says("serving True")
        await served.send(call(1, "add", a=1, b=2))
        assert text_of(await served.receive()) == "3"
        assert served.process.stdin is not None
        await served.process.stdin.aclose()
        await served.says("ended")
        assert await served.exit_code() == 0


async def test_many_clients_of_several_transports_are_served_at_once(tmp_path: Path) -> None:
    server = make_server(server_requests=64, session_requests=8)
    answers: list[int] = []

    async def use(target: str, number: int) -> None:
        async with trimcp.connect(target) as client, trio.open_nursery() as nursery:

            async def add(more: int) -> None:
                answers.append(await client.call_tool("add", {"a": number, "b": more}, returns=int))

            for more in range(20):
                nursery.start_soon(add, more)

    with trio.fail_after(PATIENCE):
        async with server.running(), trio.open_nursery() as serving:
            _, port = await serving.start(server.serve_tcp)
            await serving.start(server.serve_unix, tmp_path / "socket")
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(use, f"tcp://127.0.0.1:{port}", number * 1000)
                    nursery.start_soon(use, f"unix:{tmp_path / 'socket'}", number * 1000)
            (run,) = server.tree()
            assert run.places == run.places_free
            await server.drain(1)
    assert sorted(answers) == sorted(2 * [number * 1000 + more for number in range(20) for more in range(20)])


async def test_a_drain_answers_the_tcp_clients_and_lets_the_listener_return() -> None:
    server, go_on = make_server(), trio.Event()
    outcomes: list[str] = []
    reports: list[trimcp.DrainReport] = []

    @server.tool
    async def wait() -> str:
        await go_on.wait()
        return "done"

    async def use(address: str, tool: str) -> None:
        async with trimcp.connect(address) as client:
            try:
                outcomes.append((await client.call_tool(tool)).text)
            except trimcp.RequestFailed as exc:
                outcomes.append(exc.data["reason"])
            with pytest.raises((trimcp.ConnectionLost, trimcp.RequestFailed)):
                while True:
                    await client.ping()

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            _, port = await nursery.start(server.serve_tcp)
            address = f"tcp://127.0.0.1:{port}"
            nursery.start_soon(use, address, "wait")
            nursery.start_soon(use, address, "forever")
            nursery.start_soon(use, address, "forever")
            await until(server, in_flight=3)

            @nursery.start_soon
            async def drain() -> None:
                reports.append(await server.drain(2))

            await trio.testing.wait_all_tasks_blocked()
            go_on.set()
    (report,) = reports
    assert (report.finished, report.cancelled, report.lost) == (1, 2, 0)
    assert sorted(outcomes) == ["done", "shutdown", "shutdown"]
    assert server.tree() == ()


async def test_a_client_that_comes_during_a_drain_is_not_left_waiting() -> None:
    server, go_on = make_server(), trio.Event()

    @server.tool
    async def wait() -> str:
        await go_on.wait()
        return "done"

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            _, port = await nursery.start(server.serve_tcp)
            async with trimcp.connect(f"tcp://127.0.0.1:{port}") as client:
                nursery.start_soon(client.call_tool, "wait")
                await until(server, in_flight=1)
                async with trio.open_nursery() as draining:
                    draining.start_soon(server.drain, PATIENCE)
                    await trio.testing.wait_all_tasks_blocked(0.01)
                    with pytest.raises(trimcp.ConnectionLost):
                        async with trimcp.connect(f"tcp://127.0.0.1:{port}") as late:
                            await late.ping()
                    go_on.set()


async def test_a_client_by_hand_that_hangs_up_in_mid_call_costs_nothing() -> None:
    server = make_server(grace=0.05, cleanup=0.05)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            _, port = await nursery.start(server.serve_tcp)
            for _ in range(20):
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                await stream.send_all(
                    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"forever","_meta":'
                    + str(META).replace("'", '"').encode()
                    + b"}}\n"
                )
                await stream.aclose()
            (run,) = server.tree()
            while run.sessions or run.places != run.places_free:
                await trio.sleep(0.005)
                (run,) = server.tree()
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("version", ["2025-11-25", None])
async def test_two_hundred_connections_leave_no_descriptor_and_no_task(version: str | None) -> None:
    server = make_server()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            _, port = await nursery.start(server.serve_tcp)

            async def cycle() -> None:
                async with trimcp.connect(f"tcp://127.0.0.1:{port}", revision=version) as client:
                    await client.call_tool("add", {"a": 1, "b": 2})

            await cycle()  # what is opened once and kept
            await until_alone(server)
            descriptors = open_descriptors()
            tasks = trio.lowlevel.current_statistics().tasks_living
            for _ in range(CYCLES):
                await cycle()
            await until_alone(server)
            assert open_descriptors() <= descriptors
            assert trio.lowlevel.current_statistics().tasks_living <= tasks
            nursery.cancel_scope.cancel()


async def until_alone(server: trimcp.Server) -> None:
    """Until the server has noticed that its clients have left."""
    while any(run.sessions for run in server.tree()):
        await trio.sleep(0.005)
    await trio.testing.wait_all_tasks_blocked()
