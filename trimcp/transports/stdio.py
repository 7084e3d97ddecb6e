"""Our own stdin and stdout as a `Duplex`, for a program that a client has started.

Owns which descriptors that is, in which mode they are while we use them, and what stands in
their place meanwhile. The basic/transports/stdio page says that nothing but messages may be
written to stdout; `stdio_set_aside` is how that is kept. `server.run()` and the command line
use both functions, `serve_stdio()` in somebody else's program `stdio_duplex` alone.

Works where descriptors can be polled and, by threads, where not; see `descriptors`.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Iterator
from typing import Final, NamedTuple, TextIO

from trimcp.errors import ConnectionClosed, UsageError
from trimcp.framing.lines import DEFAULT_LINE_LIMIT
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
"""Lowest number for a descriptor set aside: beyond those that programs hand on by convention."""


class StdioDescriptors(NamedTuple):
    """Where stdin and stdout are for the moment."""

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
    """Open a `Duplex` on two descriptors, without touching anything else of the process.

    The descriptors stay the caller's: they are duplicated, so closing the `Duplex` leaves them
    open, and in the blocking mode they were in. (So the peer sees the end of our output when
    the caller's is closed as well.) While it is open nobody else should read `read_fd`.

    Args:
        read_fd: messages come from here.
        write_fd: messages go there.
        backend: `polled` or `threads`; None chooses for each descriptor what it allows.
        limit: bytes that an incoming line may have.
        description: what it calls itself in logs and errors.

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
    return LineDuplex(DescriptorStream(reader, writer, description), limit=limit)


class _Modes:
    """The blocking modes of the descriptors that one `Duplex` has borrowed.

    Blocking mode belongs to the open file, which we share with whoever else has it: our
    parent, its other children, our own stderr where all three are one terminal. So:

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
        """Return a descriptor of our own for the same file, and how to wait for it."""
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
        self._original = {fd: os.get_blocking(fd) for fd in self._wanted}
        for fd, blocking in self._wanted.items():
            os.set_blocking(fd, blocking)

    def close(self, fd: int) -> None:
        """Close one of the descriptors, or keep it for the moment if the other is of the same file."""
        with self._lock:
            if fd not in self._original:
                os.close(fd)
                return
            self._done.append(fd)
            if any(os.path.sameopenfile(fd, other) for other in self._original if other not in self._done):
                return
            for done in self._done:
                # Not worth an error: the medium is being closed.
                with contextlib.suppress(OSError):
                    os.set_blocking(done, self._original.pop(done))
            for done in self._done:
                os.close(done)
            self._done.clear()


def _open_again(fd: int, flag: int) -> int | None:
    """Open the same pipe or terminal anew, in non-blocking mode; None where that cannot be done."""
    if not sys.platform.startswith("linux"):  # pragma: no cover
        return None
    try:
        link = f"/proc/self/fd/{fd}"
        target = os.readlink(link)
        # Not a socket, since none can be; not a named pipe, which does not become readable at its
        # end if its last writer left before we opened it; and not the master of a pseudo-terminal,
        # since to open that is to make another.
        if not target.startswith("pipe:") and (not os.isatty(fd) or target.endswith("/ptmx")):
            return None
        return os.open(link, flag | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        # No /proc, no permission (the user has changed since), or a pipe that has no reader any more.
        return None


@contextlib.contextmanager
def stdio_set_aside() -> Iterator[StdioDescriptors]:
    """Move stdin and stdout to other descriptors, so that nobody else in the process can touch them.

    In their place descriptor 0 is empty and descriptor 1 leads to stderr: a stray `print`, a C
    library that writes to descriptor 1 and a child process that inherits both do no harm.
    What was printed before goes where it was meant to. On exit all is put back.

    This changes the whole process; use it where the process is yours.

    Raises:
        UsageError: stdin or stdout is not open.
    """
    _flush(sys.stdout)
    with contextlib.ExitStack() as back:
        for fd, name in ((0, "stdin"), (1, "stdout")):
            try:
                os.fstat(fd)
            except OSError as exc:
                raise UsageError(f"{name} is not open, so no messages can pass over it") from exc
        aside: list[int] = []
        for fd in (0, 1):
            copy = _duplicate_high(fd)
            back.callback(_put_back, copy, fd)
            aside.append(copy)
        _point_at_null(0, os.O_RDONLY)
        try:
            os.dup2(2, 1)
        except OSError:
            _point_at_null(1, os.O_WRONLY)
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
    # Python's own buffer holds what was printed for the descriptor as it is now. That it
    # cannot be written (or that there is no stdout at all) is nobody's concern here.
    with contextlib.suppress(OSError, ValueError):
        if stream is not None:
            stream.flush()


@contextlib.contextmanager
def _prompt(stream: TextIO | None) -> Iterator[None]:
    """Let stray prints appear on stderr line by line, and all of them before stdout is put back."""
    changed = isinstance(stream, io.TextIOWrapper) and not stream.line_buffering
    if isinstance(stream, io.TextIOWrapper) and changed:
        stream.reconfigure(line_buffering=True)
    try:
        yield
    finally:
        _flush(stream)
        if isinstance(stream, io.TextIOWrapper) and changed and not stream.closed:
            stream.reconfigure(line_buffering=False)
