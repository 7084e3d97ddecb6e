"""Writes to stderr without waiting and without raising: the log, messages of a server process, and stray prints.

A host may read a server's stdout alone, so that the pipe of its stderr fills; a disk may be full; a descriptor may be
closed. What stderr does not take at once is dropped and counted, and the number is written when it takes lines
again. On Windows, and where stderr was replaced by an object of the program, a write waits as long as that does.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import socket
import stat
import sys
import threading
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


TERMINAL: Final = "TRIMCP_TERMINAL"
"""The environment variable of a server whose client passes the lines of its stderr on to a terminal."""


class _Stderr:
    """Writes to what `sys.stderr` is at that moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rest = b""
        """The end of a line of which stderr has taken the beginning."""
        self._dropped = 0

    def write(self, data: bytes, patience: float = -1) -> None:
        """Write a line, or count it as dropped. `patience`: seconds to wait for another writer; below 0: any time."""
        if not self._lock.acquire(timeout=patience):
            return
        taken = False
        try:
            # A broken pipe, a full disk, a closed stream, an object of the program's.
            with contextlib.suppress(Exception):
                taken = self._write(sys.stderr, data)
            self._dropped += not taken
        finally:
            self._lock.release()

    def _write(self, stream: TextIO | None, data: bytes) -> bool:
        if stream is None:
            return False
        if self._dropped:
            data = b"level=warning event=lines.dropped number=%d\n" % self._dropped + data
        if type(stream) is not io.TextIOWrapper or sys.platform == "win32":
            stream.write(data.decode(errors="replace"))
            stream.flush()
        else:
            fd = stream.fileno()
            if self._rest:
                self._rest = self._rest[_send(fd, self._rest) :]
                if self._rest:
                    return False
            sent = _send(fd, data)
            if not sent:
                return False
            self._rest = data[sent:]
        self._dropped = 0
        return True


_stderr: Final = _Stderr()


def write_line(text: str, *, patience: float = -1) -> None:
    """Write a line to stderr if it takes one now. Never waits, never raises; from any thread.

    Args:
        text: the line.
        patience: in the handler of a signal: seconds after which the line is dropped, since the code that the signal
            interrupted may be writing itself.
    """
    _stderr.write(f"{text}\n".encode(errors="backslashreplace"), patience)


def is_terminal() -> bool:
    """Whether the lines on stderr are shown on a terminal."""
    try:
        return TERMINAL in os.environ or (sys.stderr is not None and sys.stderr.isatty())
    except ValueError:  # it was closed
        return False


class StrayOutput(io.RawIOBase):
    """Takes the place of stdout where that is the protocol's: prints go to stderr, or are dropped."""

    def writable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def fileno(self) -> int:
        """Return 1, which leads to stderr too."""
        return 1

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of it, or drop it."""
        taken = bytes(data)
        _stderr.write(taken)
        return len(taken)


def open_again(fd: int, flag: int) -> int | None:
    """Open the same pipe or terminal again, in non-blocking mode; return None if that is not possible.

    Blocking mode belongs to the open file, which other processes share. This opening is ours alone.
    """
    if not sys.platform.startswith("linux"):  # pragma: no cover
        return None
    try:
        link = f"/proc/self/fd/{fd}"
        target = os.readlink(link)
        # Not a socket, which cannot be opened again. Not a named pipe, which does not become readable at its end if
        # its last writer left before we opened it. Not the master of a pseudo-terminal: that would make another.
        if not target.startswith("pipe:") and (not os.isatty(fd) or target.endswith("/ptmx")):
            return None
        return os.open(link, flag | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        # No /proc, no permission (the process has changed its user), no descriptor left, or a pipe without a reader.
        return None


def _send(fd: int, data: bytes) -> int:
    """Write as many bytes as the descriptor takes without waiting; return how many those are."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode):  # Node gives its children sockets
        same = socket.socket(fileno=fd)
        try:
            return same.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        finally:
            same.detach()
    if not stat.S_ISFIFO(mode) and not os.isatty(fd):
        return os.write(fd, data)
    own = open_again(fd, os.O_WRONLY)
    try:
        return _send_to_pipe(fd if own is None else own, data, polls=own is None)
    finally:
        if own is not None:
            os.close(own)


def _send_to_pipe(fd: int, data: bytes, *, polls: bool) -> int:
    sent = 0
    with contextlib.suppress(BlockingIOError):
        # A pipe that polls as writable takes PIPE_BUF bytes without waiting, unless another process is faster.
        while sent < len(data) and (not polls or _takes_more(fd)):
            sent += os.write(fd, data[sent : sent + select.PIPE_BUF])
    return sent


def _takes_more(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(0))
