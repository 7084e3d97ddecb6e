"""Starts a server as a process, and connects to its stdin and stdout.

The basic/transports/stdio page says how it is stopped: close its stdin, wait, SIGTERM, SIGKILL. The client starts a
server for `connect(["command", …])`. The messages over the pipes are the session's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final, Literal

import attrs
import trio

from trimcp.actors.containment import unwrapped
from trimcp.errors import ConnectionClosed, ConnectionLost, ServerExited, UsageError
from trimcp.framing.lines import DEFAULT_LINE_LIMIT, LineSplitter, Oversized
from trimcp.observability import events, log
from trimcp.observability.cleaning import escaped_lines
from trimcp.observability.stderr import TERMINAL, is_terminal, write_line
from trimcp.transports.descriptors import DescriptorReader, DescriptorStream, DescriptorWriter
from trimcp.transports.duplex import Duplex, Frame
from trimcp.transports.lines import READ_CHUNK, ByteStream, LineDuplex
from trimcp.transports.process import (
    KILL,
    group_lives,
    pipe,
    pipe_reader,
    pipe_writer,
    server_environment,
    signal_group,
    unread_bytes,
)

STDERR_LINES: Final = 20
"""Lines of stderr that are kept for `ServerExited`: the end of a traceback."""
STDERR_KEPT: Final = 500
"""Characters of each that are kept."""
STDERR_LINE_LIMIT: Final = 65536
"""Bytes of one line of stderr; a longer one is passed on as a note that it was left out."""
EXIT_PATIENCE: Final = 1.0
"""Seconds that a server which has closed a pipe has to exit, so that its status can be told."""
STDERR_PATIENCE: Final = 0.2
"""Seconds to wait for the end of stderr after the exit: a process left behind may hold it."""


@attrs.frozen
class StopDeadlines:
    """The seconds that each step of stopping a server may take."""

    grace: float = 5.0
    """From closing its stdin, on which a server should finish and exit, to SIGTERM."""
    terminate: float = 2.0
    """From SIGTERM to SIGKILL."""
    kill: float = 2.0
    """From SIGKILL until we stop waiting: a process stuck in the kernel dies when it comes out."""


def to_our_stderr(line: str) -> None:
    """Write a line of a server's stderr to our stderr, which is the default. A terminal gets no unsafe characters."""
    write_line(escaped_lines(line) if is_terminal() else line)


@contextlib.asynccontextmanager
async def server_process(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    inherit_env: bool = False,
    cwd: str | os.PathLike[str] | None = None,
    on_stderr: Callable[[str], None] | Literal["inherit"] | None = to_our_stderr,
    worth_showing: Callable[[list[str]], list[str]] | None = None,
    stop: StopDeadlines | None = None,
    limit: int = DEFAULT_LINE_LIMIT,
) -> AsyncIterator[ServerProcess]:
    """Start a server, and connect to its stdin and stdout; stop it when the context is left.

    Leaving the context closes the server's stdin and waits for it to exit; a server that does not is
    sent SIGTERM, and then SIGKILL. This happens as well when an exception or a cancel passes
    (`StopDeadlines` says how long that may take), so no process stays behind. The server leads
    a process group of its own: Ctrl-C in our terminal does not reach it, signals of ours reach
    what it has started, and processes that it left behind are ended too.

    Args:
        command: program and arguments.
        env: variables to add to its environment.
        inherit_env: give it all of our environment, not just PATH, HOME and the like.
        cwd: directory to run it in; None is ours.
        on_stderr: called with each line that it writes to stderr, without its ending; it must
            not wait. None discards them. The last ones are kept in any case. With `inherit` the
            server has our stderr itself, and none are known.
        worth_showing: returns those of the lines that were read at once which `on_stderr` is called with.
        stop: the deadlines of stopping it.
        limit: bytes that a line of its stdout may have.

    Raises:
        UsageError: the command cannot be run.
        ConnectionLost: the system has no room for another process.
    """
    if on_stderr is to_our_stderr and is_terminal():
        env = {TERMINAL: "1", **(env or {})}
    server = await _start(command, server_environment(env, inherit_all=inherit_env), cwd, on_stderr, stop, limit)
    server._worth_showing = worth_showing
    with unwrapped() as block:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server._attend, name=f"trimcp {server.description}")
            try:
                with block:
                    yield server
            finally:
                await server._stop_all()


class ServerProcess(Duplex):
    """The duplex of a server that we started. `server_process` makes it.

    When the server exits, `receive` returns the frames that it wrote before, and then raises `ServerExited`
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
        self._writer = writer
        self._has_sent = False
        self._has_read = True
        self._on_stderr = on_stderr
        self._stop = stop
        self._bytes = DescriptorStream(reader, writer, f"process {program} (pid {process.pid})")
        self._lines = LineDuplex(self._bytes, limit=limit)
        self._worth_showing: Callable[[list[str]], list[str]] | None = None
        self._tail: deque[str] = deque(maxlen=STDERR_LINES)
        self._exited = trio.Event()
        self._stderr_ended = trio.Event()
        self._asked_to_end = False
        self._refuses_input = False
        # Shielded, since it must last until the end of `_stop_all`, which cancels it and has a deadline for
        # each wait.
        self._attendance = trio.CancelScope(shield=True)

    @property
    def pid(self) -> int:
        """The id of the process, and of its group."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, as in `subprocess`; None while it runs."""
        return self._process.returncode

    @property
    def stderr(self) -> str:
        """The last lines that it wrote to stderr."""
        return "\n".join(self._tail)

    @property
    def description(self) -> str:
        """See `Duplex`."""
        return self._lines.description

    @property
    def stream(self) -> ByteStream:
        """The bytes of its stdout and stdin, in place of `receive` and `send_all`, for a relay that changes nothing."""
        return self._bytes

    async def receive(self) -> Sequence[Frame]:
        """See `Duplex`."""
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
        """See `Duplex`."""
        try:
            sent = self._lines.try_send(data)
        except ConnectionLost:
            if self._exited.is_set():
                raise self._exit_error() from None
            # It is about to exit: `send_all` can wait for the reason, and then tell it.
            self._refuses_input = True
            return 0
        self._has_sent = True
        return sent

    async def wait_writable(self) -> bool:
        """See `Duplex`."""
        return not self._refuses_input and await self._lines.wait_writable()

    async def send_all(self, data: bytes) -> None:
        """See `Duplex`."""
        self._has_sent = True
        try:
            await self._lines.send_all(data)
        except ConnectionLost:
            await self._raise_if_exits()
            raise

    async def send_eof(self) -> None:
        """See `Duplex`."""
        self._asked_to_end = True
        await self._lines.send_eof()

    async def aclose(self) -> None:
        """See `Duplex`."""
        await self._lines.aclose()

    async def wait_exited(self) -> None:
        """Wait until the process has exited."""
        await self._exited.wait()

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
        return ServerExited(f"{self.description} {how}{last}", code, self.stderr, has_read=self._has_read)

    async def _attend(self) -> None:
        """Watch for the exit, and pass stderr on, until the stop sequence has ended."""
        with self._attendance:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pass_on_stderr)
                await self._process.wait()
                self._has_read = self._has_sent and not unread_bytes(self._writer)
                self._exited.set()
                self._reader.expire()

    async def _pass_on_stderr(self) -> None:
        splitter = LineSplitter(STDERR_LINE_LIMIT)
        # Where it cannot be read any more there is nothing to pass on.
        with contextlib.suppress(ConnectionLost, ConnectionClosed):
            while data := await self._stderr.receive_some(READ_CHUNK):
                self._pass_on(splitter.feed(data))
        self._pass_on(splitter.end())
        self._stderr_ended.set()

    def _pass_on(self, lines: list[Frame]) -> None:
        texts = [
            f"(a line of more than {line.limit} bytes was left out)"
            if isinstance(line, Oversized)
            else line.decode(errors="replace")
            for line in lines
        ]
        self._tail.extend(text[:STDERR_KEPT] for text in texts)
        for text in texts if self._worth_showing is None else self._worth_showing(texts):
            if self._on_stderr is not None:
                try:
                    self._on_stderr(text)
                except Exception as exc:  # noqa: BLE001
                    # The failure of the user's function must not end the session.
                    log.error(events.STDERR_CALLBACK_FAILED, exc_info=exc, server=self.description)
                    self._on_stderr = None

    async def _stop_all(self) -> None:
        """Run the stop sequence to its end, whatever happens in the meantime."""
        self._asked_to_end = True
        deadlines = (self._stop.grace, self._stop.terminate, self._stop.kill, self._stop.terminate)
        try:
            with trio.move_on_after(sum(deadlines) + STDERR_PATIENCE, shield=True):
                await self._lines.send_eof()
                async with trio.open_nursery() as nursery:
                    # Its output is read and dropped, so that the server is not blocked by a full pipe.
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
        # An exception, such as a second Ctrl-C, has cut the sequence short, or SIGKILL did not help. A process
        # dies of SIGKILL within a millisecond, or not soon. Blocking the event loop does no harm here, and
        # leaves no zombie.
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
        """End the processes that the server started and left behind."""
        if sys.platform == "win32" or not signal_group(self._process, signal.SIGTERM):
            return
        with trio.move_on_after(self._stop.terminate):
            while group_lives(self._process.pid):  # noqa: ASYNC110
                # Only children of ours can be waited for.
                await trio.sleep(0.02)
            return
        signal_group(self._process, KILL)


async def _start(
    command: Sequence[str],
    environment: dict[str, str],
    cwd: str | os.PathLike[str] | None,
    on_stderr: Callable[[str], None] | Literal["inherit"] | None,
    stop: StopDeadlines | None,
    limit: int,
) -> ServerProcess:
    if isinstance(command, str) or not command:
        raise UsageError("the command of a server is a list: give the program, then its arguments")
    # In a group of its own: signals of ours reach all of it, and those of our terminal do not.
    options: dict[str, Any] = {} if sys.platform == "win32" else {"process_group": 0}
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        try:
            child_in, to_child = pipe(theirs, ours)
            from_child, child_out = pipe(ours, theirs)
            child_errors, child_err = pipe(ours, theirs)
            leftovers = os.dup(from_child)
            ours.callback(os.close, leftovers)
            options |= {"stdin": child_in, "stdout": child_out, "stderr": None if on_stderr == "inherit" else child_err}
            process = await trio.lowlevel.open_process(list(command), cwd=cwd, env=environment, **options)
        except (FileNotFoundError, PermissionError, NotADirectoryError) as exc:
            raise UsageError(f"cannot run {command[0]!r}: {exc.strerror}: {exc.filename!r}") from exc
        except OSError as exc:
            raise ConnectionLost(f"cannot start {command[0]!r}: {exc.strerror}") from exc
        ours.pop_all()
    return ServerProcess(
        process,
        os.path.basename(command[0]),
        pipe_reader(from_child),
        pipe_writer(to_child),
        pipe_reader(leftovers),
        pipe_reader(child_errors),
        None if on_stderr == "inherit" else on_stderr,
        stop or StopDeadlines(),
        limit,
    )
