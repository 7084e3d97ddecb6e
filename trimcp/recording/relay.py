"""Stands between a client and a server that it starts, passes all bytes on as they are, and records them."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Sequence
from typing import Final

import trio

from trimcp.errors import ConnectionEnded
from trimcp.observability.wire_tap import ConnectionTap, Sender
from trimcp.transports.lines import READ_CHUNK, ByteStream
from trimcp.transports.subprocess import ServerProcess, StopDeadlines, server_process

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
GRACE: Final = 5.0
"""Seconds that the server has to finish once its stdin is closed."""
AFTER_GRACE: Final = StopDeadlines(grace=0.0)
SIGNALLED: Final = 128
"""Is added to the number of a signal that has ended a process, in the exit code of a shell."""
KILLED: Final = 137
"""The exit code of a process that SIGKILL was to end."""


async def relay(command: Sequence[str], client: ByteStream, tap: ConnectionTap) -> int:
    """Run a server for the client on our own stdin and stdout; return its exit code.

    The server has our stderr and our environment. On SIGTERM and SIGINT, and where the client reads no more, it is
    ended as the stdio page of the specification says: its stdin is closed, and then it gets signals. A second signal
    does not wait.

    Args:
        command: the program and its arguments.
        client: our stdin and stdout.
        tap: is told of all bytes.

    Raises:
        UsageError: the command cannot be run.
    """
    starting = server_process(command, inherit_env=True, on_stderr="inherit", stop=AFTER_GRACE)
    with trio.open_signal_receiver(*SIGNALS) as signals:
        async with starting as server, trio.open_nursery() as nursery:
            stopping = trio.Event()
            nursery.start_soon(_note_signals, signals, stopping, nursery.cancel_scope)
            nursery.start_soon(_to_server, client, server, tap)
            nursery.start_soon(_end_when_stopping, server, stopping, nursery.cancel_scope)
            if await _pass_on(server.stream, client, "server", tap):
                await client.send_eof()
            else:
                stopping.set()
            with trio.move_on_after(GRACE):
                await server.wait_exited()
            nursery.cancel_scope.cancel()
    tap.ended()
    code = server.returncode
    return KILLED if code is None else code if code >= 0 else SIGNALLED - code


async def _note_signals(signals: AsyncIterator[int], stopping: trio.Event, scope: trio.CancelScope) -> None:
    async for _ in signals:
        if stopping.is_set():
            scope.cancel()
        stopping.set()


async def _end_when_stopping(server: ServerProcess, stopping: trio.Event, scope: trio.CancelScope) -> None:
    """Close the server's stdin, and go on passing its answers on while it finishes."""
    await stopping.wait()
    await server.stream.send_eof()
    await trio.sleep(GRACE)
    scope.cancel()


async def _to_server(client: ByteStream, server: ServerProcess, tap: ConnectionTap) -> None:
    if await _pass_on(client, server.stream, "client", tap):
        await server.stream.send_eof()


async def _pass_on(source: ByteStream, target: ByteStream, sender: Sender, tap: ConnectionTap) -> bool:
    """Pass bytes on until the source has ended; return False where the target takes no more."""
    while True:
        try:
            data = await source.receive_some(READ_CHUNK)
        except ConnectionEnded:
            return True
        if not data:
            return True
        tap.passed(sender, data)  # before it leaves, since an answer may come before we run again
        try:
            await target.send_all(data)
        except ConnectionEnded:
            return False
