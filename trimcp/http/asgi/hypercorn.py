"""Serves an ASGI application by hypercorn, with TLS, HTTP/2 and WebSocket, and with our order of stopping.

The listener, the order of stopping and the table of connections are ours; the protocols of one connection and the
lifespan are hypercorn's. Properties of hypercorn (0.18), and what this file does about them:

- Its own server gives open responses `graceful_timeout` after its shutdown trigger, and only then tells the
  application, by `lifespan.shutdown`. So requests in flight are drained first, while connections are still accepted
  and answered.
- It shields every write from cancelling, without a limit of time. A peer that has stopped reading would keep the
  server from ending: the kernel is asked to give up on the peer (`TCP_USER_TIMEOUT`), and connections left at the end
  are cut.
- It keeps a connection that its peer has closed until `keep_alive_timeout` is over. `HypercornConnection` ends it.
- After a peer has gone it neither cancels the application nor fails its `send`; only `receive` tells it, so the ASGI
  binding watches `receive`.
- It takes a connection whose peer has ended its own direction for a lost connection.
- It closes a connection whose response has ended before the whole body of the request was read, and waits meanwhile
  until the application has taken the received part of the body (ten events).
- An unfinished response closes an HTTP/1.1 connection, as it should; in HTTP/2 the stream stays open until the
  connection is closed, since nothing resets it.
- It reports every WebSocket that its peer closes as 1006, also after an orderly close.
- It agrees to compress the messages of a WebSocket, and inflates them before it counts: see
  `trimcp.http.asgi.websocket`.
- It handles all frames that it has read at once in one turn, and small ones make it wait for nothing: it gets WebSocket
  and HTTP/2 in pieces, with a checkpoint after each.
- With HTTP/2 a WebSocket works as well (extended CONNECT), and so does a request without `host`.
"""

from __future__ import annotations

import copy
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.errors import UsageError
from trimcp.http.asgi.app import text_of
from trimcp.http.websocket.duplex import MESSAGE_BYTES
from trimcp.transports.endpoints import endpoint_at
from trimcp.transports.listener import open_sockets

if TYPE_CHECKING:
    from hypercorn.config import Config

DEFAULT_PORT: Final = 8000
GRACEFUL_TIMEOUT: Final = 1.0
"""Seconds that hypercorn gives open responses after the drain."""
KEEP_ALIVE: Final = 75.0
"""Seconds that a connection may be without a request."""
PING_INTERVAL: Final = 20.0
"""Seconds between pings of a WebSocket."""
REQUESTS: Final = 1_000_000
"""Requests that one connection may bring; the 1000 of hypercorn would make clients reconnect all the time."""

Application = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI 3 application."""
Address = tuple[str, int] | str
"""A bound address: (host, port), or the path of a Unix socket."""


async def serve_hypercorn(
    app: Application,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    uds: str | os.PathLike[str] | None = None,
    sockets: Sequence[socket.socket] | None = None,
    certfile: str | os.PathLike[str] | None = None,
    keyfile: str | os.PathLike[str] | None = None,
    config: Config | None = None,
    shutdown: trio.Event | None = None,
    drain: Callable[[], Awaitable[None]] | None = None,
    closes_first: bool = False,
    task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an application until `shutdown` is set and it has drained, or until cancelled.

    The status is the bound address, and comes when the application's lifespan has begun.

    Args:
        app: an ASGI 3 application, such as `AsgiBinding`.
        host: address to listen on; the default is reachable from this machine alone.
        port: port number; 0 lets the system choose.
        uds: listen on a Unix socket of this path instead, open to this user alone.
        sockets: listen on these bound sockets instead; the function owns and closes them.
        certfile: certificate chain, for TLS; `keyfile` belongs to it.
        keyfile: private key of the certificate.
        config: a configuration of hypercorn for its other settings. It is copied. Its sockets are replaced, and its
            certificates if `certfile` is given.
        shutdown: set it to stop.
        drain: awaited once `shutdown` is set, while the server still answers. When it returns,
            open responses have `graceful_timeout` of the configuration.
        closes_first: whether no further connection is accepted during `drain`.

    Raises:
        UsageError: hypercorn is not installed, listening on the address fails, or the certificate has no key.
    """
    try:
        from hypercorn.utils import LifespanFailureError

        from trimcp.http.asgi.hypercorn_server import HypercornServer
    except ImportError as exc:
        raise UsageError.not_installed("hypercorn", "http") from exc
    if (certfile is None) != (keyfile is None):
        raise UsageError("TLS needs both certfile and keyfile: give the missing one")
    settings = _configured(config, certfile, keyfile)
    endpoint = endpoint_at(host, port, uds=uds, sockets=sockets)
    bound = await open_sockets(endpoint)
    try:
        served = HypercornServer(app, settings, endpoint)
        shutdown = trio.Event() if shutdown is None else shutdown
        await served.run(bound, shutdown, drain, task_status, closes_first=closes_first)
    except BaseExceptionGroup as group:
        failed, others = group.split(LifespanFailureError)
        if failed is None or others is not None:
            raise
        raise UsageError(f"the application did not start: {text_of(failed)}") from group
    finally:
        for sock in bound:
            sock.close()
        endpoint.clean()


def _configured(
    config: Config | None,
    certfile: str | os.PathLike[str] | None,
    keyfile: str | os.PathLike[str] | None,
) -> Config:
    from hypercorn.config import Config

    if config is None:
        config = Config()
        config.loglevel = "WARNING"
        config.include_server_header = False
        config.graceful_timeout = GRACEFUL_TIMEOUT
        config.keep_alive_timeout = KEEP_ALIVE
        config.keep_alive_max_requests = REQUESTS
        config.websocket_ping_interval = PING_INTERVAL
        config.websocket_max_message_size = MESSAGE_BYTES
    else:
        config = copy.copy(config)
    if certfile is not None and keyfile is not None:
        config.certfile, config.keyfile = os.fspath(certfile), os.fspath(keyfile)
    return config
