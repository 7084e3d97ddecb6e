"""stdio over real descriptors: which backend, whose blocking mode, and what stands in for 0 and 1."""

from __future__ import annotations

import fcntl
import os
import pty
import random
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
from trimcp.errors import ConnectionClosed, ConnectionLost, UsageError
from trimcp.transports import stdio
from trimcp.transports.descriptors import PIPE_BYTES, PolledReader, PolledWriter, ThreadReader, backend_of
from trimcp.transports.stdio import stdio_duplex, stdio_set_aside


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
    with opened(tmp_path / "in") as source, opened(tmp_path / "out") as sink, trio.fail_after(60):
        duplex = stdio_duplex(source, sink)
        assert await duplex.receive() == [b'{"a": 1}']
        assert await duplex.receive() == [b'{"b": 2}']
        assert await duplex.receive() == []
        assert duplex.try_send(b"x") == 0
        await duplex.send_all(b"answer\n")
        await duplex.aclose()
    assert (tmp_path / "out").read_bytes() == b"answer\n"
    assert open_descriptors() <= before


async def test_dev_null_as_stdin_is_the_end_of_input() -> None:
    with pipe() as (_, write_fd), opened(os.devnull) as null, trio.fail_after(60):
        duplex = stdio_duplex(null, write_fd)
        assert await duplex.receive() == []
        await duplex.aclose()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no such device")
async def test_a_full_device_is_a_lost_connection() -> None:
    with pipe() as (read_fd, _), opened("/dev/full") as full, trio.fail_after(60):
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
    assert open_descriptors() <= before


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
    assert open_descriptors() <= before


async def test_a_mode_that_was_non_blocking_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pipe() as (read_fd, write_fd):
        os.set_blocking(read_fd, False)
        duplex = stdio_duplex(read_fd, write_fd, backend="threads")
        with trio.fail_after(60):
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
    with trio.fail_after(60):
        os.write(master, b"typed\n")
        assert await duplex.receive() == [b"typed"]
        os.write(master, b"\x04")
        assert await duplex.receive() == []
        await duplex.aclose()
    os.close(master)
    os.close(slave)


async def test_what_a_left_thread_reads_is_given_to_the_next_receive() -> None:
    with pipe() as (read_fd, write_fd), trio.fail_after(60):
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
    kind: type[PolledReader | ThreadReader],
) -> None:
    with pipe() as (read_fd, write_fd), trio.fail_after(60):
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
    assert open_descriptors() <= before


async def test_a_named_pipe_whose_writer_has_left_ends_and_is_restored(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with trio.fail_after(60), opened(os.devnull) as null:
        read_fd = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        write_fd = os.open(tmp_path / "fifo", os.O_WRONLY)
        os.set_blocking(read_fd, True)
        os.write(write_fd, b"all of it\n")
        os.close(write_fd)
        duplex = stdio_duplex(read_fd, null)
        assert await duplex.receive() == [b"all of it"]
        assert await duplex.receive() == []
        await duplex.aclose()
        assert os.get_blocking(read_fd)
        os.close(read_fd)


async def test_a_pipe_whose_writer_has_left_gives_what_it_held_and_ends() -> None:
    with trio.fail_after(60), pipe() as (_, out_fd):
        read_fd, write_fd = os.pipe()
        os.write(write_fd, b"all of it")
        os.close(write_fd)
        duplex = stdio_duplex(read_fd, out_fd)
        os.close(read_fd)
        assert await duplex.receive() == [b"all of it"]
        assert await duplex.receive() == []
        await duplex.aclose()


async def test_the_other_end_of_a_terminal_going_away_is_the_end_of_input() -> None:
    master, slave = pty.openpty()
    with trio.fail_after(60):
        duplex = stdio_duplex(master, master, backend="polled")
        os.close(slave)
        assert await duplex.receive() == []
        await duplex.aclose()
    os.close(master)


async def test_what_the_medium_refuses_is_a_lost_connection(tmp_path: Path) -> None:
    readers: list[tuple[type[PolledReader | ThreadReader], int, str]] = [
        (PolledReader, os.O_RDWR, "Operation not permitted"),  # a file cannot be polled
        (ThreadReader, os.O_WRONLY, "Bad file descriptor"),
    ]
    for kind, flag, reason in readers:
        reader = kind(os.open(tmp_path / "file", flag | os.O_CREAT))
        with trio.fail_after(60), pytest.raises(ConnectionLost, match=f"reading failed: {reason}"):
            await reader.receive_some(1)
        reader.close()


async def test_an_expired_reader_that_cannot_read_is_at_the_end(tmp_path: Path) -> None:
    reader = PolledReader(os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT))
    reader.expire()
    with trio.fail_after(60):
        assert await reader.receive_some(1) == b""
    reader.close()


async def test_two_that_read_one_pipe_do_not_disturb_each_other() -> None:
    with trio.fail_after(60), pipe() as (read_fd, write_fd):
        readers = []
        got: list[bytes] = []
        for _ in range(2):
            copy = os.dup(read_fd)
            os.set_blocking(copy, False)
            readers.append(PolledReader(copy))
        async with trio.open_nursery() as nursery:

            async def receive(reader: PolledReader) -> None:
                got.append(await reader.receive_some(10))

            for reader in readers:
                nursery.start_soon(receive, reader)
            await trio.testing.wait_all_tasks_blocked()
            os.write(write_fd, b"one")
            await trio.testing.wait_all_tasks_blocked()
            assert got == [b"one"]
            os.write(write_fd, b"two")
        assert got == [b"one", b"two"]
        for reader in readers:
            reader.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a pipe cannot be enlarged")
@pytest.mark.parametrize("size", [2**16, PIPE_BYTES], ids=["small", "as large as it may be"])
async def test_a_write_that_does_not_fit_its_pipe_counts_each_byte_once(size: int) -> None:
    with pipe() as (read_fd, write_fd):
        fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, size)
        os.set_blocking(write_fd, False)
        writer = PolledWriter(os.dup(write_fd))
        data = random.Random(size).randbytes(2 * PIPE_BYTES)
        assert writer.try_send(data) == PIPE_BYTES
        assert writer.try_send(data) == 0
        assert os.read(read_fd, 2 * PIPE_BYTES) == data[:PIPE_BYTES]
        writer.close()


async def test_a_close_between_being_woken_and_reading_is_a_close() -> None:
    with trio.fail_after(60), pipe() as (read_fd, write_fd):
        copy = os.dup(read_fd)
        os.set_blocking(copy, False)
        reader = PolledReader(copy)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def receive() -> None:
                with pytest.raises(ConnectionClosed):
                    await reader.receive_some(1)

            await trio.testing.wait_all_tasks_blocked()
            os.write(write_fd, b"x")
            # As if it came between: the descriptor is gone when the reader's turn comes.
            reader._fd, fd = -1, reader._fd
        os.close(fd)


def test_stdio_is_set_aside_and_put_back_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [os.dup(fd) for fd in (0, 1, 2)]
    before = open_descriptors()
    with pipe() as stdin, pipe() as stdout, pipe() as stderr:
        monkeypatch.setattr(sys, "stdout", open(1, "w", closefd=False))  # noqa: SIM115
        try:
            for fd, standard in ((stdin[0], 0), (stdout[1], 1), (stderr[1], 2)):
                os.dup2(fd, standard)
            print("before")
            os.write(stdin[1], b"message")
            with pytest.raises(ZeroDivisionError), stdio_set_aside() as fds:
                assert min(fds) >= 64
                print("stray")
                assert os.read(0, 10) == b""
                assert os.read(fds.read_fd, 100) == b"message"
                os.write(fds.write_fd, b"answer\n")
                raise ZeroDivisionError
            print("after", flush=True)
            os.close(2)
            with stdio_set_aside():
                print("nowhere")
            os.dup2(stderr[1], 2)
            monkeypatch.setattr(sys, "stdout", None)
            monkeypatch.setattr(stdio, "ASIDE", 1 << 30)
            with stdio_set_aside():
                os.write(1, b"more\n")
            for number, name in ((0, "stdin"), (1, "stdout")):
                copy = os.dup(number)
                os.close(number)
                with pytest.raises(UsageError, match=name), stdio_set_aside():
                    pass
                os.dup2(copy, number)
                os.close(copy)
        finally:
            for copy, fd in zip(kept, (0, 1, 2), strict=True):
                os.dup2(copy, fd)
                os.close(copy)
        assert os.read(stdout[0], 100) == b"before\nanswer\nafter\n"
        assert os.read(stderr[0], 100) == b"stray\nmore\n"
    assert open_descriptors() <= before


def test_a_mode_that_cannot_be_set_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, blocking: bool) -> None:
        raise OSError("refused")

    monkeypatch.setattr(os, "set_blocking", refuse)
    one, two = socket.socketpair()
    with one, two:
        before = open_descriptors()
        with pytest.raises(OSError, match="refused"):
            stdio_duplex(one.fileno(), two.fileno())
        assert open_descriptors() <= before


async def test_a_terminal_that_is_asked_to_be_polled_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "_open_again", lambda fd, flag: None)
    master, slave = pty.openpty()
    duplex = stdio_duplex(slave, slave, backend="polled")
    assert not os.get_blocking(slave)
    await duplex.aclose()
    assert os.get_blocking(slave)
    os.close(master)
    os.close(slave)


def run_child(code: str, given: bytes, *, close: tuple[int, ...] = ()) -> subprocess.CompletedProcess[bytes]:
    closing = "".join(f"os.close({fd});" for fd in close)
    source = f"import os, sys; {closing}\n" + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", source], input=given, capture_output=True, timeout=60, check=False)


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
    assert done.stderr.decode() == f"{name} is not open: start this program with stdin and stdout open"


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
            assert process.wait(60) == 0
