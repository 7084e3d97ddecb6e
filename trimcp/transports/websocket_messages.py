"""What both kinds of WebSocket `Duplex` share: the subprotocol, the close codes, messages out of lines.

The specification defines no WebSocket transport, so these are trimcp's own rules for a custom
one: the subprotocol is `mcp`; one text message carries one JSON-RPC message (or batch), with
nothing round it; binary messages are refused. `websocket` and `http.asgi_websocket` keep them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

import trio

from trimcp.errors import ConnectionEnded
from trimcp.framing.lines import DEFAULT_LINE_LIMIT
from trimcp.transports.http.door import PLAIN, Refusal

SUBPROTOCOL: Final = "mcp"

MESSAGE_BYTES: Final = DEFAULT_LINE_LIMIT
"""Bytes that one message may have, unless told."""

CLOSING: Final = 1.0
"""Seconds that a peer has for its part of a close."""

# RFC 6455, section 7.4.1.
NORMAL: Final = 1000
GOING_AWAY: Final = 1001
UNSUPPORTED_DATA: Final = 1003
NO_STATUS: Final = 1005
POLICY_VIOLATION: Final = 1008
MESSAGE_TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011

ORDERLY: Final = frozenset({NORMAL, GOING_AWAY, NO_STATUS})
"""Codes by which a peer says that it has finished: the end of the input, and no failure."""

NO_COMMON_SUBPROTOCOL: Final = Refusal(400, PLAIN, b"Of the subprotocols of WebSocket, `mcp` is the one spoken here.\n")


def speaks_mcp(offered: Sequence[str]) -> bool:
    """Whether a client that offers these subprotocols can be served.

    One that offers none is: browsers' and many programs' first attempt. One that offers others
    expects another protocol.
    """
    return not offered or SUBPROTOCOL in offered


def select(offered: Sequence[str]) -> str | None:
    """The subprotocol to answer with: none where none was offered, as RFC 6455 demands."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


class Lines:
    """Puts outgoing lines together, however they were sliced: each is one text message."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: list[bytes] = []  # of one line, whose size is its sender's own

    def feed(self, data: bytes) -> list[str]:
        """Take the next slice; return the messages that it completes."""
        lines = data.split(b"\n")
        rest = lines.pop()
        if self._held and lines:
            self._held.append(lines[0])
            lines[0] = b"".join(self._held)
            self._held.clear()
        if rest:
            self._held.append(rest)
        return [line.decode() for line in lines if line]


class Closable(Protocol):
    """What `closing` needs of a WebSocket."""

    close_code: int

    async def aclose(self) -> None:
        """Say that it is closed; waits for nobody."""
        ...

    async def farewell(self) -> None:
        """Wait for what the peer says to that."""
        ...


@asynccontextmanager
async def closing(duplex: Closable, *, failed: int = INTERNAL_ERROR) -> AsyncIterator[None]:
    """Close a WebSocket when the block ends, with the code that fits how it ended, and wait briefly for the peer.

    Args:
        duplex: the WebSocket.
        failed: the code for a block that raises something of its own.
    """
    code: int | None = failed
    try:
        yield
        code = None
    except ConnectionEnded:
        code = None
        raise
    except trio.Cancelled:
        code = GOING_AWAY
        raise
    finally:
        if code is not None:
            duplex.close_code = code
        with trio.move_on_after(CLOSING, shield=True):
            await duplex.aclose()
            # Where the connection is cut before the peer's close has been read, a reset might
            # overtake what was sent last.
            await duplex.farewell()
