"""Reads and writes file descriptors without blocking the event loop.

There are two backends: **polled**, for files that the system can announce as ready (pipes, sockets, terminals), and
**threads**, for those that it cannot (regular files, /dev/null, all on Windows). Each direction chooses for itself,
since `server < file | cat` needs one of each. stdio and subprocesses are built on them.
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
"""Bytes that a pipe may hold after a write did not fit: as many as Linux allows any user."""

Backend = Literal["polled", "threads"]
Close = Callable[[int], None]
T = TypeVar("T")

if sys.platform != "win32":
    import fcntl

EXPIRY_PATIENCE: Final = 0.2
"""Seconds for which a thread may still bring bytes after `expire`: it only knows by trying."""


def backend_of(fd: int) -> Backend:
    """Choose the backend of a descriptor by the kind of its file.

    Raises:
        ConnectionClosed: the descriptor is not open.
    """
    if sys.platform == "win32":  # pragma: no cover
        return "threads"
    try:
        mode = os.fstat(fd).st_mode
    except OSError as exc:
        raise ConnectionClosed(f"descriptor {fd} is not open") from exc
    # Files that epoll refuses with EPERM are always "ready" for poll(2), and then block all the same.
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd):
        return "polled"
    return "threads"


class DescriptorReader(abc.ABC):
    """Reads one descriptor, which it owns."""

    @abc.abstractmethod
    async def receive_some(self, max_bytes: int) -> bytes:
        """Wait for bytes. See `ByteStream.receive_some`."""

    @abc.abstractmethod
    def expire(self) -> None:
        """Let the bytes that have arrived be read, and then report the end, even if a writer lives on.

        It wakes a read that waits. So the exit of a server process is noticed though a process that it left behind
        holds the pipe.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Close it; a read that waits raises `ConnectionClosed`. Idempotent."""


class DescriptorWriter(abc.ABC):
    """Writes one descriptor, which it owns."""

    @abc.abstractmethod
    def try_send(self, data: bytes) -> int:
        """Write the bytes that are taken without waiting. See `ByteStream.try_send`."""

    @abc.abstractmethod
    async def send_all(self, data: bytes) -> None:
        """Write all of it. See `ByteStream.send_all`."""

    async def wait_writable(self) -> bool:
        """Wait until `try_send` may take something. See `ByteStream.wait_writable`."""
        return False

    @abc.abstractmethod
    def close(self) -> None:
        """Close it; a write that waits raises `ConnectionClosed`. Idempotent."""


def _closed() -> ConnectionClosed:
    return ConnectionClosed("this end of the connection has been closed")


def _lost(exc: OSError, doing: str) -> ConnectionLost:
    return ConnectionLost(f"{doing} failed: {exc.strerror or exc}")


def _enlarged(fd: int) -> bool:
    """Let a pipe hold more, if possible: a message of 1 MB then costs few system calls and wakes."""
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
        """See `DescriptorReader`."""
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
                # Another reader of the pipe was faster.
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
        """See `DescriptorReader`."""
        self._expired = True
        if self._fd >= 0:
            trio.lowlevel.notify_closing(self._fd)

    def close(self) -> None:
        """See `DescriptorReader`."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            trio.lowlevel.notify_closing(fd)
            self._close(fd)


class PolledWriter(DescriptorWriter):
    """Writes a descriptor that is in non-blocking mode already."""

    def __init__(self, fd: int, close: Close = os.close) -> None:
        self.fd: int = fd
        self._close = close
        self._is_enlarged = False

    def try_send(self, data: bytes | memoryview) -> int:
        """See `DescriptorWriter`."""
        sent = self._write(data)
        if sent < len(data) and not self._is_enlarged:
            self._is_enlarged = True
            if _enlarged(self.fd):
                sent += self._write(memoryview(data)[sent:])
        return sent

    def _write(self, data: bytes | memoryview) -> int:
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            if self.fd < 0:
                raise _closed() from exc
            raise _lost(exc, "writing") from exc

    async def send_all(self, data: bytes) -> None:
        """See `DescriptorWriter`."""
        await trio.lowlevel.checkpoint()
        if self.fd < 0:
            raise _closed()
        rest = memoryview(data)
        rest = rest[self.try_send(rest) :]
        while rest:
            await self.wait_writable()
            rest = rest[self.try_send(rest) :]

    async def wait_writable(self) -> bool:
        """See `DescriptorWriter`."""
        if self.fd < 0:
            await trio.lowlevel.checkpoint()
            raise _closed()
        try:
            await trio.lowlevel.wait_writable(self.fd)
        except trio.ClosedResourceError:
            raise _closed() from None
        return True

    def close(self) -> None:
        """See `DescriptorWriter`."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            trio.lowlevel.notify_closing(fd)
            self._close(fd)


class _SharedDescriptor:
    """A descriptor that threads use. It is closed when the last of them has let go of it.

    An abandoned thread may be about to make a system call. If the descriptor were closed before, its number could go
    to another file, and the thread would read that file.
    """

    def __init__(self, fd: int, close: Close) -> None:
        self._fd = fd
        self._close = close
        self._lock = threading.Lock()
        self._users = 0
        self.closed: bool = False

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

    A read cannot be interrupted. After a cancel its thread goes on, at most one at a time; the bytes that it brings are
    kept for the next receive.
    """

    def __init__(self, fd: int, close: Close = os.close) -> None:
        self._descriptor = _SharedDescriptor(fd, close)
        # One token: a receive after a cancelled one waits for the thread that goes on. With a limiter of its own it
        # neither takes threads from others nor lacks one because of them.
        self._limiter = trio.CapacityLimiter(1)
        self._arrived: bytes | None = None
        self._wait: trio.CancelScope | None = None
        self._expired = False

    def _read(self, max_bytes: int) -> None:
        if self._arrived is None:
            self._arrived = self._descriptor.use(lambda fd: os.read(fd, max_bytes))

    async def receive_some(self, max_bytes: int) -> bytes:
        """See `DescriptorReader`."""
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
        # It is None only where `expire` has cancelled the scope.
        data, self._arrived = self._arrived, None
        return data or b""

    def expire(self) -> None:
        """See `DescriptorReader`."""
        self._expired = True
        if self._wait is not None:
            self._wait.deadline = trio.current_time() + EXPIRY_PATIENCE

    def close(self) -> None:
        """See `DescriptorReader`."""
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
        """See `DescriptorWriter`."""
        if self._descriptor.closed:
            raise _closed()
        return 0

    async def send_all(self, data: bytes) -> None:
        """See `DescriptorWriter`."""
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
        """See `DescriptorWriter`."""
        self._descriptor.close()
        if self._wait is not None:
            self._wait.cancel()


class DescriptorStream(ByteStream):
    """Joins a reader and a writer, which may have different backends, to a byte stream."""

    def __init__(self, reader: DescriptorReader, writer: DescriptorWriter, description: str) -> None:
        self._reader = reader
        self._writer = writer
        self._description = description

    def receive_some(self, max_bytes: int) -> Coroutine[Any, Any, bytes]:
        """See `ByteStream`."""
        # Not `async`, since it is on the path of every message.
        return self._reader.receive_some(max_bytes)

    def try_send(self, data: bytes) -> int:
        """See `ByteStream`."""
        return self._writer.try_send(data)

    def send_all(self, data: bytes) -> Coroutine[Any, Any, None]:
        """See `ByteStream`."""
        return self._writer.send_all(data)

    def wait_writable(self) -> Coroutine[Any, Any, bool]:
        """See `ByteStream`."""
        return self._writer.wait_writable()

    async def send_eof(self) -> None:
        """See `ByteStream`."""
        self._writer.close()
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """See `ByteStream`."""
        self._reader.close()
        self._writer.close()
        await trio.lowlevel.checkpoint()

    @property
    def description(self) -> str:
        """See `ByteStream`."""
        return self._description
