"""Listeners: what they bind, what they leave behind, and that no single failure ends them."""

from __future__ import annotations

import errno
import functools
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.transports.pairs import open_descriptors
from trimcp.errors import ConnectionLost, UsageError
from trimcp.transports import endpoints, listener
from trimcp.transports.duplex import Duplex
from trimcp.transports.endpoints import TcpEndpoint, UnixEndpoint
from trimcp.transports.listener import serve_lines
from trimcp.transports.socket import connect_tcp, connect_unix, socket_duplex


async def shout(duplex: Duplex) -> None:
    while frames := await duplex.receive():
        for frame in frames:
            assert isinstance(frame, bytes)
            await duplex.send_all(frame.upper() + b"\n")


async def asked(duplex: Duplex, question: bytes) -> bytes:
    await duplex.send_all(question + b"\n")
    (answer,) = await duplex.receive()
    await duplex.aclose()
    assert isinstance(answer, bytes)
    return answer


async def test_tcp_serves_many_and_says_where() -> None:
    before = open_descriptors()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            host, port = await nursery.start(serve_lines, shout, TcpEndpoint("127.0.0.1", 0))
            assert host == "127.0.0.1"
            clients = [await connect_tcp(host, port) for _ in range(20)]
            assert clients[0].description == f"tcp 127.0.0.1:{port}"
            for client in clients:
                assert await asked(client, b"hello") == b"HELLO"
            nursery.cancel_scope.cancel()
    assert open_descriptors() <= before


async def test_nobody_at_the_address_is_a_lost_connection(tmp_path: Path) -> None:
    with socket.socket() as taken:  # which does not listen
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ConnectionLost, match=f"cannot connect to tcp 127.0.0.1:{port}: Connection refused"):
            await connect_tcp("127.0.0.1", port)
    with pytest.raises(ConnectionLost, match="cannot connect to unix"):
        await connect_unix(tmp_path / "nothing")


async def test_an_address_in_use_is_told_at_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on tcp 127.0.0.1:{port}"):
            await serve_lines(shout, TcpEndpoint("127.0.0.1", port))


async def test_a_unix_socket_is_private_and_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    before = open_descriptors()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            assert await nursery.start(serve_lines, shout, UnixEndpoint(path)) == str(path)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert await asked(await connect_unix(path), b"hello") == b"HELLO"
            nursery.cancel_scope.cancel()
    assert not path.exists()
    assert open_descriptors() <= before


async def test_a_socket_file_that_nobody_answers_on_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_lines, shout, UnixEndpoint(path, 0o660))
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            assert await asked(await connect_unix(path), b"hello") == b"HELLO"
            nursery.cancel_scope.cancel()


async def test_a_socket_that_somebody_answers_on_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(path))
        alive.listen()
        with pytest.raises(UsageError, match="another server listens"):
            await serve_lines(shout, UnixEndpoint(path))
        assert path.exists()


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(UsageError, match="no socket"):
        await serve_lines(shout, UnixEndpoint(path))
    assert path.read_text() == "data"
    with pytest.raises(UsageError, match="cannot listen"):
        await serve_lines(shout, UnixEndpoint(tmp_path / "no" / "directory"))


async def test_the_file_of_a_server_that_took_over_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as successor, trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_lines, shout, UnixEndpoint(path))
            path.rename(tmp_path / "old")
            successor.bind(str(path))
            nursery.cancel_scope.cancel()
    assert path.exists()


async def test_a_handler_that_fails_ends_its_own_connection_alone() -> None:
    reports: list[tuple[str, dict[str, Any]]] = []

    async def handler(duplex: Duplex) -> None:
        (frame,) = await duplex.receive()
        if frame == b"fail":
            raise ValueError("a bug")
        if frame == b"lose":
            raise ConnectionLost("they left")
        await duplex.send_all(b"fine\n")

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            address = await nursery.start(
                functools.partial(
                    serve_lines,
                    handler,
                    TcpEndpoint("127.0.0.1", 0),
                    report=lambda event, keys: reports.append((event, keys)),
                )
            )
            well = await connect_tcp(*address)
            for question in (b"fail\n", b"lose\n"):
                ill = await connect_tcp(*address)
                await ill.send_all(question)
                assert await ill.receive() == []
                await ill.aclose()
            assert await asked(well, b"hello") == b"fine"
            nursery.cancel_scope.cancel()
    assert [event for event, _ in reports] == ["connection.failed", "connection.lost"]
    assert isinstance(reports[0][1]["exc_info"], ValueError)


async def test_handlers_in_a_nursery_of_their_own_outlive_the_listener() -> None:
    with trio.fail_after(60):
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as nursery:
                address = await nursery.start(
                    functools.partial(serve_lines, shout, TcpEndpoint("127.0.0.1", 0), connections=connections)
                )
                client = await connect_tcp(*address)
                await client.send_all(b"one\n")
                assert await client.receive() == [b"ONE"]
                nursery.cancel_scope.cancel()
            assert await asked(client, b"two") == b"TWO"
            with pytest.raises(ConnectionLost):
                await connect_tcp(*address)


async def test_connections_over_the_limit_wait_their_turn() -> None:
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            address = await nursery.start(
                functools.partial(serve_lines, shout, TcpEndpoint("127.0.0.1", 0), max_connections=1)
            )
            first, second = await connect_tcp(*address), await connect_tcp(*address)
            await second.send_all(b"second\n")
            await first.send_all(b"first\n")
            assert await first.receive() == [b"FIRST"]
            await first.aclose()
            assert await second.receive() == [b"SECOND"]
            await second.aclose()
            nursery.cancel_scope.cancel()


class _Listening(socket.socket):
    """A listening socket with one connection to accept, whose accept fails first as the test says."""

    def __init__(self, *outcomes: int) -> None:
        super().__init__()
        self.outcomes = list(outcomes)
        self.bind(("127.0.0.1", 0))
        self.listen()
        self.setblocking(False)
        self.client = socket.create_connection(self.getsockname())

    def accept(self) -> Any:
        if self.outcomes:
            raise OSError(self.outcomes.pop(0), "provoked")
        super().accept()[0].close()  # so that the socket is not readable any more
        raise BlockingIOError

    def close(self) -> None:
        super().close()
        self.client.close()


class _Crowded(_Listening):
    """A listening socket at which many connections wait; it notes in which turn of another task each is accepted."""

    def __init__(self, connections: int) -> None:
        super().__init__()
        self.waiting = connections
        self.turn = 0
        self.turns: list[int] = []
        self.clients: list[socket.socket] = []

    def accept(self) -> Any:
        if len(self.turns) == self.waiting:
            return super().accept()
        self.turns.append(self.turn)
        ours, theirs = socket.socketpair()
        self.clients.append(theirs)
        return ours, None

    async def count_turns(self) -> None:
        while len(self.turns) < self.waiting:
            self.turn += 1
            await trio.lowlevel.checkpoint()

    def close(self) -> None:
        super().close()
        for client in self.clients:
            client.close()


class _Endpoint(endpoints.Endpoint):
    def __init__(self, *sockets: _Listening | OSError) -> None:
        self.sockets = list(sockets)

    async def open(self) -> list[Any]:
        await trio.lowlevel.checkpoint()
        found = self.sockets.pop(0)
        if isinstance(found, OSError):
            raise found
        return [found]

    def address(self) -> str:
        return "somewhere"

    def describe(self, peer: object) -> str:
        return "somebody"

    def clean(self) -> None:
        pass

    def __str__(self) -> str:
        return "somewhere"


async def reports_of(endpoint: _Endpoint, seconds: float) -> list[tuple[float, str]]:
    """Run a listener on the endpoint and return when it reported what."""
    reports: list[tuple[float, str]] = []
    start = trio.current_time()

    def report(event: str, keys: dict[str, Any]) -> None:
        reports.append((round(trio.current_time() - start, 3), event))

    with trio.move_on_after(seconds):
        accepting = listener.Accepting(shout, functools.partial(socket_duplex, limit=100), 10, report)
        await listener._listen(endpoint, accepting, None, trio.TASK_STATUS_IGNORED)
    return reports


async def test_connections_that_come_together_are_accepted_together_and_others_have_their_turn() -> None:
    batches = 4
    sock = _Crowded(batches * listener.ACCEPTED_AT_ONCE)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_lines, shout, _Endpoint(sock))
            await sock.count_turns()
            nursery.cancel_scope.cancel()
    # The other task runs once in each pass of the loop, before the listener or behind it.
    assert batches / 2 <= len(set(sock.turns)) <= batches


async def test_running_out_of_descriptors_is_reported_and_waited_out(autojump_clock: trio.testing.MockClock) -> None:
    endpoint = _Endpoint(_Listening(errno.EMFILE, *[errno.ENFILE] * 5000, errno.ECONNABORTED, errno.ENFILE))
    assert await reports_of(endpoint, 1000) == [(0.0, "accept.failed")]


async def test_running_out_of_descriptors_once_more_is_reported_after_a_while(
    autojump_clock: trio.testing.MockClock,
) -> None:
    reports: list[str] = []
    accepting = listener.Accepting(
        shout, functools.partial(socket_duplex, limit=100), 10, lambda name, _: reports.append(name)
    )
    for pause in (0, 30, 61):
        await trio.sleep(pause)
        with trio.move_on_after(1), _Listening(errno.EMFILE) as sock:
            await accepting.accept_until_failure(_Endpoint(), [sock], None)  # type: ignore[arg-type]
    assert reports == ["accept.failed"] * 2


async def test_a_lost_listener_is_opened_anew_with_backoff(autojump_clock: trio.testing.MockClock) -> None:
    lost = _Listening(errno.EBADF)
    refusal = OSError(errno.EADDRINUSE, "in use")
    endpoint = _Endpoint(lost, *[refusal] * 8, _Listening())
    reports = await reports_of(endpoint, 100)
    assert reports == [
        *((when, "listener.failed") for when in (0.0, 0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 11.3, 16.3)),
        (21.3, "listener.restarted"),
    ]
    assert lost.fileno() < 0


async def test_a_restarted_listener_has_the_port_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[str] = []
    restarted = trio.Event()

    def report(event: str, keys: dict[str, Any]) -> None:
        reports.append(event)
        if event == "listener.restarted":
            restarted.set()

    sockets: list[socket.socket] = []
    open_really = endpoints.TcpEndpoint.open

    async def open_in_sight(endpoint: endpoints.TcpEndpoint) -> list[socket.socket]:
        sockets[:] = await open_really(endpoint)
        return sockets

    monkeypatch.setattr(endpoints.TcpEndpoint, "open", open_in_sight)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            address = await nursery.start(
                functools.partial(serve_lines, shout, TcpEndpoint("127.0.0.1", 0), report=report)
            )
            client = await connect_tcp(*address)
            await client.send_all(b"before\n")
            assert await client.receive() == [b"BEFORE"]
            sockets[0].shutdown(socket.SHUT_RDWR)
            await restarted.wait()
            assert await asked(await connect_tcp(*address), b"hello") == b"HELLO"
            assert await asked(client, b"after") == b"AFTER"
            nursery.cancel_scope.cancel()
    assert reports == ["listener.failed", "listener.restarted"]


def test_a_path_that_is_gone_has_no_identity(tmp_path: Path) -> None:
    endpoint = UnixEndpoint(tmp_path / "nothing")
    assert endpoint._identity() is None
    endpoint.clean()


def test_what_nobody_asked_to_be_told_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr("trimcp.observability.log.error", lambda event, **keys: logged.append(f"error {event}"))
    monkeypatch.setattr("trimcp.observability.log.warning", lambda event, **keys: logged.append(f"warning {event}"))
    listener._log("listener.failed", {"reason": "gone"})
    listener._log("connection.failed", {"exc_info": ValueError()})
    assert logged == ["warning listener.failed", "error connection.failed"]
