"""Reading and writing file descriptors without stopping the event loop.

Owns two ways to do it and the choice between them: **polled**, for what the system can
announce as ready (pipes, sockets, terminals), and **threads**, for what it cannot (regular
files, /dev/null, anything on Windows). Each direction chooses for itself, since `server < file | cat`
needs one of each. stdio and subprocesses are built on it; it knows nothing of frames.
"""

from __future__ import annotations

import abc
import errno
import os
import stat
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal, TypeVar

import trio

from trimcp.errors import ConnectionClosed, ConnectionLost
from trimcp.transports.lines import ByteStream

PIPE_BYTES: Final = 2**20
"""Bytes that a pipe may hold once a write did not fit it: what Linux lets any user have."""

Backend = Literal["polled", "threads"]
Close = Callable[[int], None]
T = TypeVar("T")

if sys.platform != "win32":
    import fcntl

EXPIRY_PATIENCE: Final = 0.2
"""Seconds for which a thread may still bring bytes after `expire`: it cannot be asked what there is."""


def backend_of(fd: int) -> Backend:
    """Choose how a descriptor is waited for, by what it is.

    Raises:
        ConnectionClosed: the descriptor is not open.
    """
    if sys.platform == "win32":  # pragma: no cover
        return "threads"
    try:
        mode = os.fstat(fd).st_mode
    except OSError as exc:
        raise ConnectionClosed(f"descriptor {fd} is not open") from exc
    # What epoll refuses with EPERM is always "ready" to poll(2), and then blocks all the same.
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd):
        return "polled"
    return "threads"


class DescriptorReader(abc.ABC):
    """The incoming half. It owns its descriptor."""

    @abc.abstractmethod
    async def receive_some(self, max_bytes: int) -> bytes:
        """Wait for bytes, as `ByteStream.receive_some`."""

    @abc.abstractmethod
    def expire(self) -> None:
        """Let what has arrived be read, and then report the end, even if a writer lives on.

        Wakes a read that waits. This is how a server process that has exited is noticed
        though a process it left behind holds the pipe.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Close it; a read that waits raises `ConnectionClosed`. Idempotent."""


class DescriptorWriter(abc.ABC):
    """The outgoing half. It owns its descriptor."""

    @abc.abstractmethod
    def try_send(self, data: bytes) -> int:
        """Write what is taken without waiting, as `ByteStream.try_send`."""

    @abc.abstractmethod
    async def send_all(self, data: bytes) -> None:
        """Write all of it, as `ByteStream.send_all`."""

    async def wait_writable(self) -> bool:
        """Wait until `try_send` may take something, as `ByteStream.wait_writable`."""
        return False

    @abc.abstractmethod
    def close(self) -> None:
        """Close it; a write that waits raises `ConnectionClosed`. Idempotent."""


def _closed() -> ConnectionClosed:
    return ConnectionClosed("this end of the connection has been closed")


def _lost(exc: OSError, doing: str) -> ConnectionLost:
    return ConnectionLost(f"{doing} failed: {exc.strerror or exc}")


def _enlarged(fd: int) -> bool:
    """Let a pipe hold more, where that is possible: a message of 1 MB then costs few system calls and wakes."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except (OSError, AttributeError):  # no pipe, a limit of the system, or not Linux
        return False
    return True


class PolledReader(DescriptorReader):
    """Reads a descriptor that is in non-blocking mode already."""

    def __init__(self, fd: int, close: Close = os.close) -> None:
        self._fd = fd
        self._close = close
        self._expired = False

    async def receive_some(self, max_bytes: int) -> bytes:
        # Waiting first is one pass of the scheduler in every case; trying first would cost a
        # failed system call, an exception and a checkpoint whenever the peer is slower than we are.
        while not self._expired:
            if self._fd < 0:
                await trio.lowlevel.checkpoint()
                raise _closed()
            try:
                await trio.lowlevel.wait_readable(self._fd)
                return os.read(self._fd, max_bytes)
            except trio.ClosedResourceError:
                # `close` or `expire` woke us, and the loop asks which it was.
                continue
            except BlockingIOError:
                # Somebody who shares the pipe was faster.
                continue
            except OSError as exc:
                if self._fd < 0:
                    raise _closed() from exc
                if exc.errno == errno.EIO:  # a terminal, or a pseudo-terminal whose other end was closed
                    return b""
                raise _lost(exc, "reading") from exc
        await trio.lowlevel.checkpoint()
        if self._fd < 0:
            raise _closed()
        try:
            return os.read(self._fd, max_bytes)
        except OSError:
            return b""

    def expire(self) -> None:
        self._expired = True
        if self._fd >= 0:
            trio.lowlevel.notify_closing(self._fd)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            trio.lowlevel.notify_closing(fd)
            self._close(fd)


class PolledWriter(DescriptorWriter):
    """Writes a descriptor that is in non-blocking mode already."""

    def __init__(self, fd: int, close: Close = os.close) -> None:
        self._fd = fd
        self._close = close
        self._is_enlarged = False

    def try_send(self, data: bytes | memoryview) -> int:
        try:
            sent = os.write(self._fd, data)
            if sent < len(data) and not self._is_enlarged:
                self._is_enlarged = True
                if _enlarged(self._fd):
                    sent += os.write(self._fd, memoryview(data)[sent:])
            return sent
        except BlockingIOError:
            return 0
        except OSError as exc:
            if self._fd < 0:
                raise _closed() from exc
            raise _lost(exc, "writing") from exc

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self._fd < 0:
            raise _closed()
        rest = memoryview(data)
        rest = rest[self.try_send(rest) :]
        while rest:
            await self.wait_writable()
            rest = rest[self.try_send(rest) :]

    async def wait_writable(self) -> bool:
        if self._fd < 0:
            await trio.lowlevel.checkpoint()
            raise _closed()
        try:
            await trio.lowlevel.wait_writable(self._fd)
        except trio.ClosedResourceError:
            raise _closed() from None
        return True

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            trio.lowlevel.notify_closing(fd)
            self._close(fd)


class _SharedDescriptor:
    """A descriptor used in threads, closed when the last of them has let go of it.

    A thread that was abandoned may be on its way into a system call; closing the descriptor
    under it could hand its number to another file, and the thread would then read that one.
    """

    def __init__(self, fd: int, close: Close) -> None:
        self._fd = fd
        self._close = close
        self._lock = threading.Lock()
        self._users = 0
        self.closed = False

    def use(self, function: Callable[[int], T]) -> T:
        """Call the function with the descriptor. Runs in a worker thread."""
        with self._lock:
            if self.closed:
                raise _closed()
            self._users += 1
        try:
            return function(self._fd)
        finally:
            with self._lock:
                self._users -= 1
                self._close_if_unused()

    def close(self) -> None:
        """Close it now, or when the last thread lets go of it. Idempotent."""
        with self._lock:
            if not self.closed:
                self.closed = True
                self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self.closed and not self._users:
            self._close(self._fd)


class ThreadReader(DescriptorReader):
    """Reads a descriptor in blocking calls, each in a thread.

    A read cannot be interrupted. Cancelled, it is left to itself, at most one at a time;
    what it brings is kept and given to the next receive.
    """

    def __init__(self, fd: int, close: Close = os.close) -> None:
        self._descriptor = _SharedDescriptor(fd, close)
        # One token: a receive after a cancelled one waits for the thread that was left behind.
        # Nor can it take a thread from anybody else's pool, or lack one because of them.
        self._limiter = trio.CapacityLimiter(1)
        self._arrived: bytes | None = None
        self._wait: trio.CancelScope | None = None
        self._expired = False

    def _read(self, max_bytes: int) -> None:
        if self._arrived is None:
            self._arrived = self._descriptor.use(lambda fd: os.read(fd, max_bytes))

    async def receive_some(self, max_bytes: int) -> bytes:
        with trio.CancelScope() as self._wait:
            if self._expired:
                self._wait.deadline = trio.current_time() + EXPIRY_PATIENCE
            if self._descriptor.closed:
                await trio.lowlevel.checkpoint()
                raise _closed()
            try:
                await trio.to_thread.run_sync(self._read, max_bytes, abandon_on_cancel=True, limiter=self._limiter)
            except OSError as exc:
                raise _lost(exc, "reading") from exc
        if self._descriptor.closed:
            raise _closed()
        # Nothing has arrived only where the scope was cancelled, by `expire`.
        data, self._arrived = self._arrived, None
        return data or b""

    def expire(self) -> None:
        self._expired = True
        if self._wait is not None:
            self._wait.deadline = trio.current_time() + EXPIRY_PATIENCE

    def close(self) -> None:
        self._descriptor.close()
        if self._wait is not None:
            self._wait.cancel()


class ThreadWriter(DescriptorWriter):
    """Writes a descriptor in blocking calls, each in a thread. `try_send` takes nothing."""

    def __init__(self, fd: int, close: Close = os.close) -> None:
        self._descriptor = _SharedDescriptor(fd, close)
        self._limiter = trio.CapacityLimiter(1)  # as the reader's
        self._wait: trio.CancelScope | None = None

    def _write(self, data: bytes) -> None:
        def write_all(fd: int) -> None:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]

        self._descriptor.use(write_all)

    def try_send(self, data: bytes) -> int:
        if self._descriptor.closed:
            raise _closed()
        return 0

    async def send_all(self, data: bytes) -> None:
        with trio.CancelScope() as self._wait:
            if self._descriptor.closed:
                await trio.lowlevel.checkpoint()
                raise _closed()
            try:
                await trio.to_thread.run_sync(self._write, data, abandon_on_cancel=True, limiter=self._limiter)
            except OSError as exc:
                raise _lost(exc, "writing") from exc
        if self._wait.cancelled_caught:
            raise _closed()

    def close(self) -> None:
        self._descriptor.close()
        if self._wait is not None:
            self._wait.cancel()


class DescriptorStream(ByteStream):
    """A byte stream of a reader and a writer that need not be of one kind."""

    def __init__(self, reader: DescriptorReader, writer: DescriptorWriter, description: str) -> None:
        self._reader = reader
        self._writer = writer
        self._description = description

    def receive_some(self, max_bytes: int) -> Coroutine[Any, Any, bytes]:
        # Not `async`: on the path of every message, and it has nothing to add.
        return self._reader.receive_some(max_bytes)

    def try_send(self, data: bytes) -> int:
        return self._writer.try_send(data)

    def send_all(self, data: bytes) -> Coroutine[Any, Any, None]:
        return self._writer.send_all(data)

    def wait_writable(self) -> Coroutine[Any, Any, bool]:
        return self._writer.wait_writable()

    async def send_eof(self) -> None:
        self._writer.close()
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self._reader.close()
        self._writer.close()
        await trio.lowlevel.checkpoint()

    @property
    def description(self) -> str:
        return self._description
