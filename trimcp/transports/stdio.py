"""Our own stdin and stdout as a `Duplex`, for a server that a client has started.

The basic/transports/stdio page says that only messages may be written to stdout; `stdio_set_aside` ensures that.
`server.run()` and the command line use both functions; `serve_stdio()`, in a program of the user's, uses `stdio_duplex`
alone. Descriptors are polled or read in threads; see `descriptors`.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TextIO

from trimcp.errors import ConnectionClosed, UsageError
from trimcp.framing.lines import DEFAULT_LINE_LIMIT
from trimcp.observability.stderr import StrayOutput
from trimcp.observability.stderr import open_again as _open_again
from trimcp.transports.descriptors import (
    Backend,
    DescriptorReader,
    DescriptorStream,
    DescriptorWriter,
    PolledReader,
    PolledWriter,
    ThreadReader,
    ThreadWriter,
    backend_of,
)
from trimcp.transports.lines import LineDuplex

ASIDE: Final = 64
"""Lowest number of a descriptor that is set aside: above those that programs hand on by convention."""


class StdioDescriptors(NamedTuple):
    """The descriptors of stdin and stdout while they are set aside."""

    read_fd: int
    write_fd: int


def stdio_duplex(
    read_fd: int = 0,
    write_fd: int = 1,
    *,
    backend: Backend | None = None,
    limit: int = DEFAULT_LINE_LIMIT,
    description: str = "stdio",
) -> LineDuplex:
    """Open a `Duplex` on two descriptors, without changing anything else of the process. See `stdio_stream`.

    Args:
        read_fd: messages are read from it.
        write_fd: messages are written to it.
        backend: `polled` or `threads`; None chooses for each descriptor.
        limit: bytes that an incoming line may have.
        description: the name of the connection in logs and errors.

    Raises:
        ConnectionClosed: one of the descriptors is not open.
    """
    return LineDuplex(stdio_stream(read_fd, write_fd, backend=backend, description=description), limit=limit)


def stdio_stream(
    read_fd: int = 0, write_fd: int = 1, *, backend: Backend | None = None, description: str = "stdio"
) -> DescriptorStream:
    """Open a `ByteStream` on two descriptors.

    The caller keeps the descriptors: they are duplicated, so closing the stream leaves them open, in the blocking
    mode they had. The peer sees the end of our output when the caller's descriptor is closed as well. While the
    stream is open, nothing else may read `read_fd`.

    Raises:
        ConnectionClosed: one of the descriptors is not open.
    """
    modes = _Modes()
    with contextlib.ExitStack() as undo:
        read_copy, reading = modes.open(read_fd, os.O_RDONLY, backend)
        undo.callback(modes.close, read_copy)
        write_copy, writing = modes.open(write_fd, os.O_WRONLY, backend)
        undo.callback(modes.close, write_copy)
        modes.apply()
        undo.pop_all()
    reader: DescriptorReader
    writer: DescriptorWriter
    reader = (PolledReader if reading == "polled" else ThreadReader)(read_copy, modes.close)
    writer = (PolledWriter if writing == "polled" else ThreadWriter)(write_copy, modes.close)
    return DescriptorStream(reader, writer, description)


class _Modes:
    """Sets the blocking modes of the descriptors that one `Duplex` uses, and restores them.

    Blocking mode belongs to the open file, which others share: our parent, its other children, and our own stderr if
    all three are one terminal. So:

    * Linux can open a terminal or an unnamed pipe once more, and that opening is ours alone;
      nothing needs restoring then, not even after a crash.
    * A terminal that cannot be opened again is left to threads, as a logger that writes
      to stderr would otherwise fail.
    * Anything else is switched, and switched back when the last user is done: stdin and stdout
      may be one open file, so no mode is changed before both were noted, nor restored
      while the other direction still needs it.
    """

    def __init__(self) -> None:
        self._wanted: dict[int, bool] = {}
        self._original: dict[int, bool] = {}
        self._done: list[int] = []
        self._lock = threading.Lock()  # the last user of a descriptor may be a thread left behind

    def open(self, fd: int, flag: int, backend: Backend | None) -> tuple[int, Backend]:
        """Return a descriptor of our own for the same file, and its backend."""
        chosen = backend or backend_of(fd)
        if chosen == "polled":
            private = _open_again(fd, flag)
            if private is not None:
                return private, chosen
            if backend is None and os.isatty(fd):
                chosen = "threads"
        try:
            copy = os.dup(fd)
        except OSError as exc:
            raise ConnectionClosed(f"descriptor {fd} is not open") from exc
        if sys.platform != "win32":
            self._wanted[copy] = chosen == "threads"
        return copy, chosen

    def apply(self) -> None:
        """Note the modes that the descriptors have, and set those that they need."""
        self._original = {fd: os.get_blocking(fd) for fd in self._wanted}
        for fd, blocking in self._wanted.items():
            os.set_blocking(fd, blocking)

    def close(self, fd: int) -> None:
        """Close one of the descriptors, or keep it until the other of the same file is closed too."""
        with self._lock:
            if fd not in self._original:
                os.close(fd)
                return
            self._done.append(fd)
            if any(os.path.sameopenfile(fd, other) for other in self._original if other not in self._done):
                return
            for done in self._done:
                with contextlib.suppress(OSError):
                    os.set_blocking(done, self._original.pop(done))
            for done in self._done:
                os.close(done)
            self._done.clear()


@contextlib.contextmanager
def stdio_set_aside() -> Iterator[StdioDescriptors]:
    """Move stdin and stdout to other descriptors, out of the reach of other code in the process.

    In their place descriptor 0 is empty and descriptor 1 leads to stderr: a stray `print`, a C library that writes to
    descriptor 1, and a child process that inherits both do no harm. A print that stderr does not take at once is
    dropped, since a host may not read it. Text that was printed before goes to stdout. On exit all is restored.

    This changes the whole process; use it in a process of your own.

    Raises:
        UsageError: stdin or stdout is not open.
    """
    _flush(sys.stdout)
    with contextlib.ExitStack() as back:
        for fd, name in ((0, "stdin"), (1, "stdout")):
            try:
                os.fstat(fd)
            except OSError as exc:
                raise UsageError(f"{name} is not open: start this program with stdin and stdout open") from exc
        aside: list[int] = []
        for fd in (0, 1):
            copy = _duplicate_high(fd)
            back.callback(_put_back, copy, fd)
            aside.append(copy)
        _point_at_null(0, os.O_RDONLY)
        try:
            if sys.stderr is None:
                raise OSError("it was closed at the start, and descriptor 2 may be another file by now")
            os.dup2(2, 1)
        except OSError:
            _point_at_null(1, os.O_WRONLY)
        if sys.stdout is not None and sys.stdout is sys.__stdout__:
            back.callback(setattr, sys, "stdout", sys.stdout)
            raw: Any = StrayOutput()  # a raw stream, as `python -u` has it
            sys.stdout = io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True)
        with _prompt(sys.stdout):
            yield StdioDescriptors(*aside)


def _duplicate_high(fd: int) -> int:
    if sys.platform != "win32":
        import fcntl

        with contextlib.suppress(OSError):  # the limit on descriptors may be that low
            return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, ASIDE)
    return os.dup(fd)


def _put_back(copy: int, fd: int) -> None:
    os.dup2(copy, fd)
    os.close(copy)


def _point_at_null(fd: int, flag: int) -> None:
    null = os.open(os.devnull, flag)
    os.dup2(null, fd)
    if null != fd:
        os.close(null)


def _flush(stream: TextIO | None) -> None:
    # Python's buffer holds text that was printed for the descriptor as it is now. If that cannot be written, or there
    # is no stdout at all, nothing is lost that we could save.
    with contextlib.suppress(OSError, ValueError):
        if stream is not None:
            stream.flush()


@contextlib.contextmanager
def _prompt(stream: TextIO | None) -> Iterator[None]:
    """Flush stray prints to stderr line by line, and all of them before stdout is restored."""
    changed = isinstance(stream, io.TextIOWrapper) and not stream.line_buffering
    if isinstance(stream, io.TextIOWrapper) and changed:
        stream.reconfigure(line_buffering=True)
    try:
        yield
    finally:
        _flush(stream)
        if isinstance(stream, io.TextIOWrapper) and changed and not stream.closed:
            stream.reconfigure(line_buffering=False)
