"""WebSockets of trio-websocket: messages, pings, the close, and the byte stream beneath.

trio-websocket is kept apart from the rest. Its reader has a task and a nursery of its own (`run_connection`), since its
exceptions (on a Host field that is no name, on a peer that leaves in the wrong moment) would end any nursery that it is
given. It reads through `WatchedStream`, since it does not notice a connection that ends during the opening handshake,
and does not close one that it gave up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio
import trio_websocket

from trimcp.errors import ConnectionClosed, ConnectionEnded, ConnectionLost
from trimcp.http.websocket.duplex import CLOSING, MESSAGE_BYTES, NORMAL, WebSocketDuplex, WebSocketEnded
from trimcp.observability.cleaning import escaped
from trimcp.transports.lines import READ_CHUNK, ByteStream

PING_TIMEOUT: Final = 20.0
"""Seconds that a silent peer has to answer a ping."""
MISSED_PINGS: Final = 100
"""Pings that a peer may leave unanswered while its messages arrive; then no more are sent."""
DEPARTURE: Final = 0.1
"""Seconds for a close whose answer is not read."""
OPENING_TIMEOUT: Final = 10.0
"""Seconds for the opening handshake, TLS included."""

T = TypeVar("T")


class TrioWebSocketDuplex(WebSocketDuplex):
    """An open WebSocket of trio-websocket.

    Args:
        connection: the connection, after its opening handshake.
        stream: the byte stream beneath.
        nursery: for the tasks beside the session; it ends after the connection is closed.
        description: the other end, for logs and errors.
        message_bytes: bytes that an incoming message may have; a longer one ends the connection.
    """

    def __init__(
        self,
        connection: trio_websocket.WebSocketConnection,
        stream: WatchedStream,
        nursery: trio.Nursery,
        description: str,
        *,
        message_bytes: int = MESSAGE_BYTES,
    ) -> None:
        super().__init__(description, message_bytes)
        self._connection = connection
        self._stream = stream
        self._nursery = nursery
        self._received = 0
        self._is_torn = False  # whether a message has left in part, so that nothing more may follow
        self._farewell = trio.Event()

    async def _receive_message(self) -> str | bytes:
        try:
            message: str | bytes = await self._connection.get_message()
        except trio_websocket.ConnectionClosed:
            raise self._ended() from None
        self._received += 1
        return message

    async def _send_message(self, message: str) -> None:
        self._is_torn = True
        try:
            await self._connection.send_message(message)
        except trio_websocket.ConnectionClosed as exc:
            raise WebSocketEnded("the connection is closed") from exc
        self._is_torn = False

    def _ended(self) -> WebSocketEnded:
        why = self._connection.closed
        if why is None:
            return WebSocketEnded(f"{self._description} broke off")
        said = f" ({escaped(why.reason)})" if why.reason else ""
        return WebSocketEnded(f"{self._description} was closed with code {why.code}{said}", why.code)

    async def _begin_close(self, code: int) -> None:
        # In a task of its own, since the close waits for the peer.
        self._nursery.start_soon(self._close, code, name=f"trimcp closing {self._description}")

    async def _close(self, code: int) -> None:
        try:
            with trio.move_on_after(CLOSING, shield=True) as patience:
                self._stream.shorten_close(patience)
                if self._sending is None and not self._is_torn:
                    await self._connection.aclose(code)
        finally:
            await self._stream.cut()
            self._farewell.set()

    async def farewell(self) -> None:
        """Wait until the close is over, which is limited to `CLOSING` seconds."""
        if self._end is not None:
            await self._farewell.wait()

    async def keep_alive(self, interval: float) -> None:
        """Ping the peer until the connection ends, and end it if a silent peer answers no ping."""
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
                # If no task has received meanwhile, the answer may wait behind messages that have arrived.
                if pings_while_receiving and self._receiving is not None and self._received == received:
                    self._is_torn = True
                    await self._finish(ConnectionLost(f"the peer of {self._description} answers no ping"), NORMAL)


class WatchedStream(trio.abc.Stream):
    """A byte stream for trio-websocket and `trio.SSLStream`, which tells when it has ended."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.on_end: Callable[[], None] | None = None
        """Called when the stream ends; set while no reader of trio-websocket would notice."""
        self.upgrade: trio_websocket.WebSocketRequest | None = None
        """The upgrade of a client, from its head to its answer. Nothing more may come then: the stream ends."""
        self._is_read = True
        self._closing: trio.CancelScope | None = None
        self._connection: trio_websocket.WebSocketConnection | None = None
        self._most_pieces = 0

    def limit_pieces(self, connection: trio_websocket.WebSocketConnection, most: int) -> None:
        """End the connection when a message has more pieces: the library counts bytes, and empty pieces have none."""
        self._connection = connection
        self._most_pieces = most

    @property
    def has_early_data(self) -> bool:
        """Whether a client has sent data after the head of its upgrade, and before the answer."""
        if self.upgrade is None:
            return False
        return bool(self.upgrade._connection._wsproto.handshake._h11_connection.trailing_data[0])

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`."""
        if self.has_early_data:
            self._ended()
            raise trio.BrokenResourceError("the client does not wait for the answer to its upgrade")
        if self._connection is not None and len(self._connection._message_parts) > self._most_pieces:
            raise trio.BrokenResourceError("a message has too many pieces")
        try:
            data = await self._stream.receive_some(max_bytes or READ_CHUNK)
        except ConnectionEnded as exc:
            self._ended()
            raise _as_trio(exc) from exc
        if not data:
            self._ended()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        try:
            await self._stream.send_all(bytes(data))
        except ConnectionEnded as exc:
            raise _as_trio(exc) from exc

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        await self._stream.aclose()

    async def cut(self) -> None:
        """Close the stream, also in a cancelled scope, without waiting for the peer."""
        with trio.move_on_after(CLOSING, shield=True):
            await self._stream.aclose()

    def reader_ended(self) -> None:
        """Note that the reader of trio-websocket has ended."""
        self._is_read = False
        if self._closing is not None:
            self.shorten_close(self._closing)

    def shorten_close(self, closing: trio.CancelScope) -> None:
        """Limit a close to `DEPARTURE` seconds as soon as the peer's part of it would not be read."""
        self._closing = closing
        if not self._is_read:
            closing.deadline = min(closing.deadline, trio.current_time() + DEPARTURE)

    def _ended(self) -> None:
        if self.on_end is not None:
            self.on_end()


def _as_trio(exc: ConnectionEnded) -> trio.ClosedResourceError | trio.BrokenResourceError:
    kind = trio.ClosedResourceError if isinstance(exc, ConnectionClosed) else trio.BrokenResourceError
    return kind(str(exc))


async def run_connection(
    stream: WatchedStream,
    open_it: Callable[[trio.Nursery], Awaitable[T]],
    *,
    task_status: trio.TaskStatus[T | Exception],
) -> None:
    """Run the reader of trio-websocket for one connection.

    The status is the result of `open_it`, or the exception that kept it from opening.
    """
    failure: Exception = ConnectionLost("it was not opened in time, or closed again")
    has_opened = False
    try:
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(OPENING_TIMEOUT) as patience:
                stream.on_end = patience.cancel
                opened = await open_it(nursery)
                stream.on_end = None
                has_opened = True
                task_status.started(opened)
            if not has_opened:
                nursery.cancel_scope.cancel()
    except Exception as exc:  # noqa: BLE001
        # Any exception of the library ends this connection, and nothing else.
        failure = exc
    finally:
        stream.reader_ended()
        if not has_opened:
            await stream.cut()
    if not has_opened:
        task_status.started(failure)
