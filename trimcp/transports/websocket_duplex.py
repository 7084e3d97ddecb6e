"""An open WebSocket of trio-websocket as a `Duplex`: its messages, its pings, its close.

`websocket` opens it, on either end; what it shares with the ASGI door is in `websocket_messages`.
A message leaves whole, so a limit of time on a write runs over all of it.

trio-websocket is kept at arm's length: its reader has a task and a nursery of its own (`attend`),
since what it raises (on a Host field that is no name, on a peer that leaves in the wrong moment)
would end whatever nursery it is given; and it reads through `Wire`, since it does not notice a
connection that ends during the opening handshake, and does not close one that it gave up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import trio
import trio_websocket

from trimcp.errors import ConnectionClosed, ConnectionEnded, ConnectionLost
from trimcp.transports.duplex import Duplex, Frame
from trimcp.transports.lines import READ_CHUNK, ByteStream
from trimcp.transports.websocket_messages import (
    CLOSING,
    MESSAGE_BYTES,
    MESSAGE_TOO_BIG,
    NORMAL,
    ORDERLY,
    UNSUPPORTED_DATA,
    Lines,
)

PING_TIMEOUT: Final = 20.0
"""Seconds that a silent peer has to answer one."""
MISSED_PINGS: Final = 100
"""Pings that a peer may leave unanswered while its messages come; then it is asked no more."""
DEPARTURE: Final = 0.1
"""Seconds for a close that nobody reads the answer to."""
OPENING_TIMEOUT: Final = 10.0
"""Seconds for the opening handshake, TLS included."""

T = TypeVar("T")


class WebSocketDuplex(Duplex):
    """An open WebSocket of trio-websocket.

    Args:
        connection: the connection, past its opening handshake.
        wire: what lies below it.
        nursery: where what goes on beside the session runs; it ends after the connection is closed.
        description: what it calls itself.
        message_bytes: bytes that an incoming message may have; one that is longer ends the connection.
    """

    half_closes = False

    def __init__(
        self,
        connection: trio_websocket.WebSocketConnection,
        wire: Wire,
        nursery: trio.Nursery,
        description: str,
        *,
        message_bytes: int = MESSAGE_BYTES,
    ) -> None:
        self._connection = connection
        self._wire = wire
        self._nursery = nursery
        self._description = description
        self._message_bytes = message_bytes
        self._lines = Lines()
        self._receiving: trio.CancelScope | None = None
        self._received = 0
        self._sending: trio.CancelScope | None = None
        self._is_torn = False  # whether a message has left in part, so that nothing more may follow
        self._end: ConnectionEnded | None = None
        self._is_orderly = False
        self._is_closed = False
        self._farewell = trio.Event()
        self.close_code = NORMAL
        """What `aclose` says: set `GOING_AWAY` or `POLICY_VIOLATION` before, where it is one of these."""

    async def receive(self) -> Sequence[Frame]:
        while self._end is None:
            frame = await self._next()
            if frame:
                return [frame]
        await trio.lowlevel.checkpoint()
        if self._is_orderly and not self._is_closed:
            return []
        raise self._end.again()

    async def _next(self) -> bytes:
        """The next message; empty where the connection has ended instead, or there was nothing in it."""
        message: str | bytes = ""
        try:
            with trio.CancelScope() as self._receiving:
                message = await self._connection.get_message()
        except trio_websocket.ConnectionClosed:
            self._find_end()
            return b""
        finally:
            self._receiving = None
        self._received += 1
        if self._end is not None:
            return b""  # closed meanwhile
        if isinstance(message, bytes):
            self._break_off(UNSUPPORTED_DATA, "sent a binary message")
            return b""
        frame = message.encode()
        if len(frame) > self._message_bytes:
            # The library counts characters, as they come, so it may have let through a little more.
            self._break_off(MESSAGE_TOO_BIG, f"sent a message of more than {self._message_bytes} bytes")
            return b""
        return frame

    def try_send(self, data: bytes) -> int:
        self._check_sending()
        return 0

    async def send_all(self, data: bytes) -> None:
        self._check_sending()
        await trio.lowlevel.checkpoint()
        for message in self._lines.feed(data):
            self._check_sending()
            self._is_torn = True
            try:
                with trio.CancelScope() as self._sending:
                    await self._connection.send_message(message)
                    self._is_torn = False
            except trio_websocket.ConnectionClosed as exc:
                # What came before the end can still be received, so this is not where it ends.
                raise ConnectionLost(f"the peer of {self._description} has gone") from exc
            finally:
                self._sending = None
            self._check_sending()

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        if not self._is_closed:
            was_open = self._end is None
            self._is_closed, self._end = True, ConnectionClosed(f"this side has closed {self._description}")
            if was_open:
                self._leave(self.close_code)
        await trio.lowlevel.checkpoint()

    async def farewell(self) -> None:
        """Wait until the close is over, which has its bound."""
        if self._end is not None:
            await self._farewell.wait()

    @property
    def description(self) -> str:
        return self._description

    async def keep_alive(self, interval: float) -> None:
        """Ping the peer until the connection ends; a peer that is silent over a ping is lost."""
        missed = 0
        while self._end is None and missed < MISSED_PINGS:
            with trio.move_on_after(interval):
                await self._farewell.wait()
            received, pings_while_receiving = self._received, self._receiving is not None
            try:
                with trio.move_on_after(PING_TIMEOUT) as patience:
                    await self._connection.ping()
                    missed = 0
            except trio_websocket.ConnectionClosed:
                return
            if patience.cancelled_caught:
                missed += 1
                # Where nobody has received meanwhile, an answer waits behind messages that did arrive.
                if pings_while_receiving and self._receiving is not None and self._received == received:
                    self._end = ConnectionLost(f"the peer of {self._description} answers no ping")
                    self._is_torn = True
                    self._leave(NORMAL)

    # --- the end ----------------------------------------------------------------------

    def _check_sending(self) -> None:
        if self._end is not None:
            raise (ConnectionLost(*self._end.args) if not self._is_closed else self._end.again())

    def _find_end(self) -> None:
        """The library says that the connection has ended: keep why."""
        if self._end is not None:
            return
        why = self._connection.closed
        self._is_orderly = why is not None and why.code in ORDERLY
        text = (
            "broke off" if why is None else f"was closed with code {why.code}{f' ({why.reason})' if why.reason else ''}"
        )
        self._end = ConnectionLost(f"{self._description} {text}")
        self._leave(NORMAL)

    def _break_off(self, code: int, deed: str) -> None:
        self._end = ConnectionLost(f"the peer of {self._description} {deed}")
        self._leave(code)

    def _leave(self, code: int) -> None:
        """Wake who waits, and close in a task of its own, since the close waits for the peer."""
        for waiting in (self._receiving, self._sending):
            if waiting is not None:
                waiting.cancel()
        self._nursery.start_soon(self._say_goodbye, code, name=f"trimcp closing {self._description}")

    async def _say_goodbye(self, code: int) -> None:
        try:
            with trio.move_on_after(CLOSING, shield=True) as patience:
                self._wire.hasten(patience)
                if self._sending is None and not self._is_torn:
                    await self._connection.aclose(code)
        finally:
            await self._wire.cut()
            self._farewell.set()


class Wire(trio.abc.Stream):
    """A byte stream as trio-websocket and `trio.SSLStream` want one, which tells when it has ended."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.on_end: Callable[[], None] | None = None
        self._is_read = True
        self._closing: trio.CancelScope | None = None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        try:
            data = await self._stream.receive_some(max_bytes or READ_CHUNK)
        except ConnectionEnded as exc:
            self._ended()
            raise _as_trio(exc) from exc
        if not data:
            self._ended()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._stream.send_all(bytes(data))
        except ConnectionEnded as exc:
            raise _as_trio(exc) from exc

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def cut(self) -> None:
        """Close it, whatever has been cancelled; it waits for nobody."""
        with trio.move_on_after(CLOSING, shield=True):
            await self._stream.aclose()

    def reader_ended(self) -> None:
        """The library's reader is there no more."""
        self._is_read = False
        if self._closing is not None:
            self.hasten(self._closing)

    def hasten(self, closing: trio.CancelScope) -> None:
        """Do not let a close wait for a peer whose own close nobody would read, now or later."""
        self._closing = closing
        if not self._is_read:
            closing.deadline = min(closing.deadline, trio.current_time() + DEPARTURE)

    def _ended(self) -> None:
        if self.on_end is not None:
            self.on_end()


def _as_trio(exc: ConnectionEnded) -> trio.ClosedResourceError | trio.BrokenResourceError:
    kind = trio.ClosedResourceError if isinstance(exc, ConnectionClosed) else trio.BrokenResourceError
    return kind(str(exc))


async def attend(
    wire: Wire,
    open_it: Callable[[trio.Nursery], Awaitable[T]],
    *,
    task_status: trio.TaskStatus[T | Exception],
) -> None:
    """Run the library's reader of one connection. The status is what `open_it` opened, or why it did not."""
    failure: Exception = ConnectionLost("it was not opened in time, or closed again")
    has_opened = False
    try:
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(OPENING_TIMEOUT) as patience:
                wire.on_end = patience.cancel
                opened = await open_it(nursery)
                wire.on_end = None
                has_opened = True
                task_status.started(opened)
            if not has_opened:
                nursery.cancel_scope.cancel()
    except Exception as exc:  # noqa: BLE001
        # Whatever the library lets pass ends this connection, and nothing else.
        failure = exc
    finally:
        wire.reader_ended()
        if not has_opened:
            await wire.cut()
    if not has_opened:
        task_status.started(failure)
