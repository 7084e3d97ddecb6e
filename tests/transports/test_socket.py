"""What a socket says when it fails, which the kit cannot provoke."""

from __future__ import annotations

import socket
import struct

import pytest
import trio
import trio.testing

from trimcp.errors import ConnectionClosed, ConnectionLost
from trimcp.transports.duplex import Duplex
from trimcp.transports.socket import host_and_port, reason, socket_duplex


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        return client, server.accept()[0]


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def test_a_reset_is_a_lost_connection_for_whatever_is_tried() -> None:
    with trio.fail_after(60):
        client, server = tcp_pair()
        duplex = socket_duplex(client, "tcp somewhere")
        reset(server)
        with pytest.raises(ConnectionLost, match="receiving from tcp somewhere failed: Connection reset"):
            await duplex.receive()
        with pytest.raises(ConnectionLost, match="sending to tcp somewhere failed: Broken pipe"):
            duplex.try_send(b"x")
        with pytest.raises(ConnectionLost, match="ending the output to tcp somewhere failed"):
            await duplex.send_eof()
        await duplex.aclose()


async def test_an_answer_is_read_though_its_sender_left_input_unread() -> None:
    with trio.fail_after(60):
        left, right = (socket_duplex(sock, "tcp somewhere") for sock in tcp_pair())
        await left.send_all(b"never read\n" * 1000)
        await right.send_all(b"answer\n")
        await right.aclose()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert await left.receive() == [b"answer"]
        assert await left.receive() == []
        await left.aclose()


async def test_two_that_read_one_socket_do_not_disturb_each_other() -> None:
    one, two = socket.socketpair()
    readers = [socket_duplex(one.dup(), "first"), socket_duplex(one, "second")]
    got: list[object] = []
    with trio.fail_after(60), two:
        async with trio.open_nursery() as nursery:

            async def receive(duplex: Duplex) -> None:
                got.extend(await duplex.receive())

            for duplex in readers:
                nursery.start_soon(receive, duplex)
            await trio.testing.wait_all_tasks_blocked()
            two.send(b"one\n")
            await trio.testing.wait_all_tasks_blocked()
            assert got == [b"one"]
            two.send(b"two\n")
        assert got == [b"one", b"two"]
        for duplex in readers:
            await duplex.aclose()


async def test_a_close_between_being_woken_and_receiving_is_a_close(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = socket.socketpair()
    duplex = socket_duplex(one, "first")
    wait_readable = trio.lowlevel.wait_readable

    async def wait_until_closed(sock: socket.socket) -> None:
        await wait_readable(sock)
        await duplex.aclose()

    monkeypatch.setattr(trio.lowlevel, "wait_readable", wait_until_closed)
    with trio.fail_after(60), two:
        two.send(b"x\n")
        with pytest.raises(ConnectionClosed):
            await duplex.receive()


def test_addresses_and_reasons_are_written_as_people_do() -> None:
    assert host_and_port("::1", 80) == "[::1]:80"
    assert host_and_port("localhost", 80) == "localhost:80"
    assert reason(OSError(98, "whatever it says")) == "Address already in use"
    assert reason(socket.gaierror(-2, "Name or service not known")) == "Name or service not known"
    assert reason(ValueError("a bug")) == "a bug"
    assert reason(ValueError()) == "ValueError"
