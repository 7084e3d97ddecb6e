"""stdio over real descriptors: which backend, whose blocking mode, and what stands in for 0 and 1."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.transports.pairs import open_descriptors
from trimcp.errors import ConnectionClosed, ConnectionLost
from trimcp.transports import stdio
from trimcp.transports.descriptors import PolledReader, ThreadReader, backend_of
from trimcp.transports.stdio import stdio_duplex


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    fds = os.pipe()
    try:
        yield fds
    finally:
        for fd in fds:
            os.close(fd)


@contextmanager
def opened(path: Path | str) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        yield fd
    finally:
        os.close(fd)


def test_the_backend_follows_from_what_the_descriptor_is(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    file = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    null = os.open(os.devnull, os.O_RDWR)
    one, two = socket.socketpair()
    with pipe() as (read_fd, write_fd):
        for fd in (read_fd, write_fd, one.fileno(), slave):
            assert backend_of(fd) == "polled"
        for fd in (file, null):
            assert backend_of(fd) == "threads"
    one.close()
    two.close()
    for fd in (master, slave, file, null):
        os.close(fd)
    with pytest.raises(ConnectionClosed):
        backend_of(file)


async def test_a_file_as_stdin_and_a_file_as_stdout(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b'{"a": 1}\n{"b": 2}')
    before = open_descriptors()
    with opened(tmp_path / "in") as source, opened(tmp_path / "out") as sink, trio.fail_after(5):
        duplex = stdio_duplex(source, sink)
        assert await duplex.receive() == [b'{"a": 1}']
        assert await duplex.receive() == [b'{"b": 2}']
        assert await duplex.receive() == []
        assert duplex.try_send(b"x") == 0
        await duplex.send_all(b"answer\n")
        await duplex.aclose()
    assert (tmp_path / "out").read_bytes() == b"answer\n"
    assert open_descriptors() == before


async def test_dev_null_as_stdin_is_the_end_of_input() -> None:
    with pipe() as (_, write_fd), opened(os.devnull) as null, trio.fail_after(5):
        duplex = stdio_duplex(null, write_fd)
        assert await duplex.receive() == []
        await duplex.aclose()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no such device")
async def test_a_full_device_is_a_lost_connection() -> None:
    with pipe() as (read_fd, _), opened("/dev/full") as full, trio.fail_after(5):
        duplex = stdio_duplex(read_fd, full)
        with pytest.raises(ConnectionLost, match="No space"):
            await duplex.send_all(b"x")
        await duplex.aclose()


@pytest.mark.parametrize("reopening", [True, False])
async def test_pipes_are_left_in_the_mode_they_were_in(reopening: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not reopening:
        monkeypatch.setattr(stdio, "_open_again", lambda fd, flag: None)
    before = open_descriptors()
    with pipe() as (read_fd, write_fd):
        duplex = stdio_duplex(read_fd, write_fd)
        assert os.get_blocking(read_fd) is reopening
        duplex.try_send(b"to ourselves\n")
        assert await duplex.receive() == [b"to ourselves"]
        await duplex.send_eof()
        await duplex.aclose()
        assert os.get_blocking(read_fd)
        assert os.get_blocking(write_fd)
    assert open_descriptors() == before


async def test_one_socket_for_both_directions_is_restored_when_both_are_done() -> None:
    before = open_descriptors()
    one, two = socket.socketpair()
    with one, two:
        duplex = stdio_duplex(one.fileno(), one.fileno())
        assert not os.get_blocking(one.fileno())
        await duplex.send_eof()
        assert not os.get_blocking(one.fileno()), "the incoming direction still needs it"
        two.sendall(b"hello\n")
        assert await duplex.receive() == [b"hello"]
        await duplex.aclose()
        assert os.get_blocking(one.fileno())
    assert open_descriptors() == before


async def test_a_mode_that_was_non_blocking_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pipe() as (read_fd, write_fd):
        os.set_blocking(read_fd, False)
        duplex = stdio_duplex(read_fd, write_fd, backend="threads")
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def receive() -> None:
                    assert await duplex.receive() == [b"x"]

                await trio.testing.wait_all_tasks_blocked()
                await duplex.send_all(b"x\n")
            await duplex.aclose()
        assert not os.get_blocking(read_fd)
        assert os.get_blocking(write_fd)


@pytest.mark.parametrize("reopening", [True, False])
async def test_a_terminal_never_becomes_non_blocking(reopening: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not reopening:
        monkeypatch.setattr(stdio, "_open_again", lambda fd, flag: None)
    master, slave = pty.openpty()
    duplex = stdio_duplex(slave, slave)
    assert os.get_blocking(slave)
    with trio.fail_after(5):
        os.write(master, b"typed\n")
        assert await duplex.receive() == [b"typed"]
        os.write(master, b"\x04")
        assert await duplex.receive() == []
        await duplex.aclose()
    os.close(master)
    os.close(slave)


async def test_what_a_left_thread_reads_is_given_to_the_next_receive() -> None:
    with pipe() as (read_fd, write_fd), trio.fail_after(5):
        reader = ThreadReader(os.dup(read_fd))
        for _ in range(3):
            with trio.move_on_after(0.001):
                await reader.receive_some(100)
        os.write(write_fd, b"late")
        assert await reader.receive_some(100) == b"late"
        os.write(write_fd, b"later")
        assert await reader.receive_some(100) == b"later"
        reader.close()


@pytest.mark.parametrize("kind", [PolledReader, ThreadReader])
async def test_an_expired_reader_gives_what_is_there_and_then_the_end(
    kind: type[PolledReader] | type[ThreadReader],
) -> None:
    with pipe() as (read_fd, write_fd), trio.fail_after(5):
        copy = os.dup(read_fd)
        os.set_blocking(copy, kind is ThreadReader)
        reader = kind(copy)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def receive() -> None:
                assert await reader.receive_some(3) == b""

            await trio.testing.wait_all_tasks_blocked()
            reader.expire()
        os.write(write_fd, b"abcd")
        assert await reader.receive_some(3) == b"abc"
        assert await reader.receive_some(3) == b"d"
        assert await reader.receive_some(3) == b""
        reader.close()
        with pytest.raises(ConnectionClosed):
            await reader.receive_some(3)


def test_a_descriptor_that_is_not_open_is_refused_and_nothing_leaks() -> None:
    before = open_descriptors()
    with pipe() as (read_fd, _):
        with pytest.raises(ConnectionClosed, match="descriptor 999 is not open"):
            stdio_duplex(read_fd, 999)
        with pytest.raises(ConnectionClosed, match="descriptor 999 is not open"):
            stdio_duplex(999, read_fd, backend="threads")
    assert open_descriptors() == before


def run_child(code: str, given: bytes, *, close: tuple[int, ...] = ()) -> subprocess.CompletedProcess[bytes]:
    closing = "".join(f"os.close({fd});" for fd in close)
    source = f"import os, sys; {closing}\n" + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", source], input=given, capture_output=True, timeout=20, check=False)


ASIDE = """
    import subprocess
    from trimcp.transports.stdio import stdio_set_aside
    print("before")
    with stdio_set_aside() as (read_fd, write_fd):
        assert min(read_fd, write_fd) >= 64
        assert not os.get_inheritable(read_fd) and not os.get_inheritable(write_fd)
        print("stray")
        os.write(1, b"from C\\n")
        assert os.read(0, 10) == b""
        subprocess.run([sys.executable, "-c", "import sys; print('child', repr(sys.stdin.read()))"])
        os.write(write_fd, os.read(read_fd, 100).upper())
        sys.stdout.write("unflushed")
    os.write(1, b"after\\n")
    assert os.read(0, 10) == b""
"""


def test_stray_output_goes_to_stderr_while_stdio_is_set_aside_and_all_is_put_back() -> None:
    done = run_child(ASIDE, b"message\n")
    assert done.stderr == b"stray\nfrom C\nchild ''\nunflushed"
    assert done.stdout == b"before\nMESSAGE\nafter\n"
    assert done.returncode == 0


def test_without_a_stderr_stray_output_goes_nowhere() -> None:
    done = run_child(
        """
        from trimcp.transports.stdio import stdio_set_aside
        with stdio_set_aside() as (read_fd, write_fd):
            print("stray")
            os.write(write_fd, b"message\\n")
        """,
        b"",
        close=(2,),
    )
    assert (done.stdout, done.returncode) == (b"message\n", 0)


@pytest.mark.parametrize(("fd", "name"), [(0, "stdin"), (1, "stdout")])
def test_stdio_that_is_not_open_is_refused_in_words(fd: int, name: str) -> None:
    done = run_child(
        """
        from trimcp.errors import UsageError
        from trimcp.transports.stdio import stdio_set_aside
        try:
            with stdio_set_aside():
                pass
        except UsageError as exc:
            sys.stderr.write(str(exc))
        """,
        b"",
        close=(fd,),
    )
    assert done.stderr.decode() == f"{name} is not open, so no messages can pass over it"


SERVE = """
    import trio
    from trimcp.transports.stdio import stdio_duplex, stdio_set_aside

    async def main():
        with stdio_set_aside() as fds:
            duplex = stdio_duplex(*fds, backend=%r)
            while frames := await duplex.receive():
                for frame in frames:
                    print("got", len(frame))
                    await duplex.send_all(frame.upper() + b"\\n")
            await duplex.aclose()

    trio.run(main)
"""


@pytest.mark.parametrize("backend", [None, "polled", "threads"])
def test_a_program_serves_its_own_stdio(backend: str | None) -> None:
    done = run_child(SERVE % backend, b"one\r\n\ntwo\n" + b"x" * 100_000)
    assert done.stdout == b"ONE\nTWO\n" + b"X" * 100_000 + b"\n"
    assert done.stderr.split() == b"got 3 got 3 got 100000".split()
    assert done.returncode == 0


def test_a_program_that_waits_for_stdin_can_be_cancelled_and_exit() -> None:
    source = """
        import trio
        from trimcp.transports.stdio import stdio_duplex

        async def main():
            duplex = stdio_duplex(backend=%r)
            with trio.move_on_after(0.01):
                await duplex.receive()
            await duplex.aclose()

        trio.run(main)
    """
    for backend in ("polled", "threads"):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(source % backend)], stdin=subprocess.PIPE
        ) as process:
            assert process.wait(20) == 0
