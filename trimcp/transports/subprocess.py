"""A server that we started: its stdin and stdout as a `Duplex`, its life and its end.

Owns the child from its start until nothing of it is left: its pipes, stderr, the exit, and the
stop sequence of the basic/transports/stdio page (close stdin, wait, then
force). The client opens one for `connect(["command", …])`. What is said over the pipes is
the session's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import attrs
import trio

from trimcp.errors import ConnectionClosed, ConnectionLost, ServerExited, UsageError
from trimcp.framing.lines import DEFAULT_LINE_LIMIT, LineSplitter, Oversized
from trimcp.observability import events, log
from trimcp.transports.descriptors import (
    DescriptorReader,
    DescriptorStream,
    DescriptorWriter,
    PolledReader,
    PolledWriter,
    ThreadReader,
    ThreadWriter,
)
from trimcp.transports.duplex import Duplex, Frame
from trimcp.transports.environment import server_environment
from trimcp.transports.lines import READ_CHUNK, LineDuplex
from trimcp.transports.process_group import KILL, group_lives, signal_group

STDERR_LINES: Final = 20
"""Lines of stderr that are kept for `ServerExited`: a traceback's end, and what led to it."""
STDERR_KEPT: Final = 500
"""Characters of each that are kept."""
STDERR_LINE_LIMIT: Final = 65536
"""Bytes of one line of stderr; a longer one is passed on as a note that it was left out."""
EXIT_PATIENCE: Final = 1.0
"""Seconds for which a server that has closed a pipe may take to exit, to tell why it did."""
STDERR_PATIENCE: Final = 0.2
"""Seconds to wait for the last of stderr after the exit: a process left behind may hold it."""


@attrs.frozen
class StopDeadlines:
    """How long each step of stopping a server may take, in seconds."""

    grace: float = 5.0
    """From closing its stdin, on which a server should finish and exit, to SIGTERM."""
    terminate: float = 2.0
    """From SIGTERM to SIGKILL."""
    kill: float = 2.0
    """From SIGKILL until we stop waiting: a process stuck in the kernel dies when it comes out."""


def to_our_stderr(line: str) -> None:
    """Write a line to this program's stderr: what becomes of a server's stderr by default."""
    if sys.stderr is not None:
        print(line, file=sys.stderr, flush=True)


@contextlib.asynccontextmanager
async def server_process(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    inherit_env: bool = False,
    cwd: str | os.PathLike[str] | None = None,
    on_stderr: Callable[[str], None] | None = to_our_stderr,
    stop: StopDeadlines | None = None,
    limit: int = DEFAULT_LINE_LIMIT,
) -> AsyncIterator[ServerProcess]:
    """Start a server and speak to it over its stdin and stdout; stop it on the way out.

    Leaving the context closes the server's stdin and waits for it to exit; one that does not is
    sent SIGTERM, and then SIGKILL. This happens as well when an exception or a cancel passes
    (`StopDeadlines` says how long that may take), so no process stays behind. The server leads
    a process group of its own: Ctrl-C in our terminal does not reach it, signals of ours reach
    what it has started, and what it left behind when it exited is ended too.

    Args:
        command: program and arguments.
        env: variables to add to its environment.
        inherit_env: give it all of our environment, not just PATH, HOME and the like.
        cwd: directory to run it in; None is ours.
        on_stderr: called with each line that it writes to stderr, without its ending; it must
            not wait. None discards them. The last ones are kept in any case.
        stop: the deadlines of stopping it.
        limit: bytes that a line of its stdout may have.

    Raises:
        UsageError: the command cannot be run.
        ConnectionLost: the system has no room for another process.
    """
    server = await _start(command, server_environment(env, inherit_all=inherit_env), cwd, on_stderr, stop, limit)
    failure: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server._attend, name=f"trimcp {server.description}")
            try:
                yield server
            except Exception as exc:  # noqa: BLE001
                # It leaves below, as itself: that a nursery is used here is nobody's business.
                failure = exc
            finally:
                await server._stop_all()
    finally:
        if failure is not None:  # not lost either where the scope around it is cancelled
            raise failure


class ServerProcess(Duplex):
    """The pipes of a server that we started. `server_process` makes it.

    When the server exits, `receive` gives what it wrote before, and then raises `ServerExited`
    with its status and the end of its stderr, at once, even if a process that it left behind
    holds the pipes. If we had said first that we send no more, its exit is a plain end of input.
    `aclose` closes the connection; the process is stopped by the end of its context.
    """

    def __init__(
        self,
        process: trio.Process,
        program: str,
        reader: DescriptorReader,
        writer: DescriptorWriter,
        leftovers: DescriptorReader,
        stderr: DescriptorReader,
        on_stderr: Callable[[str], None] | None,
        stop: StopDeadlines,
        limit: int,
    ) -> None:
        self._process = process
        self._reader = reader
        self._leftovers = leftovers
        self._stderr = stderr
        self._on_stderr = on_stderr
        self._stop = stop
        self._lines = LineDuplex(
            DescriptorStream(reader, writer, f"process {program} (pid {process.pid})"), limit=limit
        )
        self._tail: deque[str] = deque(maxlen=STDERR_LINES)
        self._exited = trio.Event()
        self._stderr_ended = trio.Event()
        self._asked_to_end = False
        self._refuses_input = False
        # Shielded since they must see the stop sequence through; `_stop_all`, whose every
        # wait has a deadline, cancels it.
        self._attendance = trio.CancelScope(shield=True)

    @property
    def pid(self) -> int:
        """The id of the process, and of its group."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status as `subprocess` gives it; None while it runs."""
        return self._process.returncode

    @property
    def stderr(self) -> str:
        """The last lines that it wrote to stderr."""
        return "\n".join(self._tail)

    @property
    def description(self) -> str:
        return self._lines.description

    async def receive(self) -> Sequence[Frame]:
        lost: ConnectionLost | None = None
        try:
            frames = await self._lines.receive()
        except ConnectionLost as exc:
            frames, lost = (), exc
        if frames or self._asked_to_end:
            return frames
        await self._raise_if_exits()
        if lost is not None:
            raise lost
        return frames

    def try_send(self, data: bytes) -> int:
        try:
            return self._lines.try_send(data)
        except ConnectionLost:
            if self._exited.is_set():
                raise self._exit_error() from None
            # It is about to exit: `send_all` can wait for the reason, and then tell it.
            self._refuses_input = True
            return 0

    async def wait_writable(self) -> bool:
        return not self._refuses_input and await self._lines.wait_writable()

    async def send_all(self, data: bytes) -> None:
        try:
            await self._lines.send_all(data)
        except ConnectionLost:
            await self._raise_if_exits()
            raise

    async def send_eof(self) -> None:
        self._asked_to_end = True
        await self._lines.send_eof()

    async def aclose(self) -> None:
        await self._lines.aclose()

    async def _raise_if_exits(self) -> None:
        with trio.move_on_after(EXIT_PATIENCE):
            await self._exited.wait()
        if self._exited.is_set():
            with trio.move_on_after(STDERR_PATIENCE):
                await self._stderr_ended.wait()
            raise self._exit_error()

    def _exit_error(self) -> ServerExited:
        code = self._process.returncode
        if code is not None and code < 0:
            try:
                how = f"was ended by {signal.Signals(-code).name}"
            except ValueError:
                how = f"was ended by signal {-code}"
        else:
            how = f"exited with status {code}"
        last = f": {self._tail[-1]}" if self._tail else ""
        return ServerExited(f"{self.description} {how}{last}", code, self.stderr)

    async def _attend(self) -> None:
        """Watch for the exit, and pass stderr on, until the stop sequence has ended."""
        with self._attendance:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pass_on_stderr)
                await self._process.wait()
                self._exited.set()
                self._reader.expire()

    async def _pass_on_stderr(self) -> None:
        splitter = LineSplitter(STDERR_LINE_LIMIT)
        # If it cannot be read any more there is nothing to pass on, and the server is not to blame.
        with contextlib.suppress(ConnectionLost, ConnectionClosed):
            while data := await self._stderr.receive_some(READ_CHUNK):
                self._pass_on(splitter.feed(data))
        self._pass_on(splitter.end())
        self._stderr_ended.set()

    def _pass_on(self, lines: list[Frame]) -> None:
        for line in lines:
            if isinstance(line, Oversized):
                text = f"(a line of more than {line.limit} bytes was left out)"
            else:
                text = line.decode(errors="replace")
            self._tail.append(text[:STDERR_KEPT])
            if self._on_stderr is not None:
                try:
                    self._on_stderr(text)
                except Exception as exc:  # noqa: BLE001
                    # The user's function: its failure must not end the session.
                    log.error(events.STDERR_CALLBACK_FAILED, exc_info=exc, server=self.description)
                    self._on_stderr = None

    async def _stop_all(self) -> None:
        """Run the stop sequence to its end, whatever happens meanwhile."""
        self._asked_to_end = True
        deadlines = (self._stop.grace, self._stop.terminate, self._stop.kill, self._stop.terminate)
        try:
            with trio.move_on_after(sum(deadlines) + STDERR_PATIENCE, shield=True):
                await self._lines.send_eof()
                async with trio.open_nursery() as nursery:
                    # Nobody reads it any more, and it must not wait for ever to write its last.
                    nursery.start_soon(self._discard_output)
                    await self._end_process()
                    nursery.cancel_scope.cancel()
                await self._end_group()
                with trio.move_on_after(STDERR_PATIENCE):
                    await self._stderr_ended.wait()
        finally:
            if self._process.returncode is None:
                self._kill_now()
            self._attendance.cancel()
            for half in (self._reader, self._leftovers, self._stderr):
                half.close()

    def _kill_now(self) -> None:
        # An exception from without, such as a second Ctrl-C, has cut the sequence short, or
        # SIGKILL did not help. A process dies of it within a millisecond or not soon; that
        # this waits with everything stopped does not matter here, and leaves no zombie.
        signal_group(self._process, KILL)
        for _ in range(20):
            if self._process.returncode is not None:
                return
            time.sleep(0.005)
        log.warning(events.SERVER_OUTLIVED, server=self.description)

    async def _end_process(self) -> None:
        if await self._exits_within(self._stop.grace):
            return
        signal_group(self._process, signal.SIGTERM)
        if await self._exits_within(self._stop.terminate):
            return
        signal_group(self._process, KILL)
        await self._exits_within(self._stop.kill)

    async def _exits_within(self, seconds: float) -> bool:
        with trio.move_on_after(seconds):
            await self._exited.wait()
        return self._exited.is_set()

    async def _discard_output(self) -> None:
        with contextlib.suppress(ConnectionLost, ConnectionClosed):
            while await self._leftovers.receive_some(READ_CHUNK):
                pass

    async def _end_group(self) -> None:
        """End what the server had started and not taken along."""
        if sys.platform == "win32" or not signal_group(self._process, signal.SIGTERM):
            return
        with trio.move_on_after(self._stop.terminate):
            while group_lives(self._process.pid):  # noqa: ASYNC110
                # There is no way to wait for processes that are not our children.
                await trio.sleep(0.02)
            return
        signal_group(self._process, KILL)


async def _start(
    command: Sequence[str],
    environment: dict[str, str],
    cwd: str | os.PathLike[str] | None,
    on_stderr: Callable[[str], None] | None,
    stop: StopDeadlines | None,
    limit: int,
) -> ServerProcess:
    if isinstance(command, str) or not command:
        raise UsageError("the command of a server is a list: its program, then its arguments")
    # In a group of its own, so that signals reach all of it and none of our terminal's do.
    options: dict[str, Any] = {} if sys.platform == "win32" else {"process_group": 0}
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        try:
            child_in, to_child = _pipe(theirs, ours)
            from_child, child_out = _pipe(ours, theirs)
            child_errors, child_err = _pipe(ours, theirs)
            leftovers = os.dup(from_child)
            ours.callback(os.close, leftovers)
            process = await trio.lowlevel.open_process(
                list(command), stdin=child_in, stdout=child_out, stderr=child_err, cwd=cwd, env=environment, **options
            )
        except (FileNotFoundError, PermissionError, NotADirectoryError) as exc:
            raise UsageError(f"cannot run {command[0]!r}: {exc.strerror}: {exc.filename!r}") from exc
        except OSError as exc:
            raise ConnectionLost(f"cannot start {command[0]!r}: {exc.strerror}") from exc
        ours.pop_all()
    return ServerProcess(
        process,
        os.path.basename(command[0]),
        _reader(from_child),
        _writer(to_child),
        _reader(leftovers),
        _reader(child_errors),
        on_stderr,
        stop or StopDeadlines(),
        limit,
    )


def _pipe(reading: contextlib.ExitStack, writing: contextlib.ExitStack) -> tuple[int, int]:
    read_fd, write_fd = os.pipe()
    reading.callback(os.close, read_fd)
    writing.callback(os.close, write_fd)
    return read_fd, write_fd


# Our end of a pipe that we made is an open file of its own: its mode is nobody else's.
def _reader(fd: int) -> DescriptorReader:
    if sys.platform == "win32":  # pragma: no cover
        return ThreadReader(fd)
    os.set_blocking(fd, False)
    return PolledReader(fd)


def _writer(fd: int) -> DescriptorWriter:
    if sys.platform == "win32":  # pragma: no cover
        return ThreadWriter(fd)
    os.set_blocking(fd, False)
    return PolledWriter(fd)
