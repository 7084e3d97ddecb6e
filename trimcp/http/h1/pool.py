"""The connections of one client: those that carry a request, and those that wait for the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from trimcp.errors import ExchangeFailed
from trimcp.http.h1.client_connection import ClientConnection
from trimcp.http.h1.stream import MAX_IDLE_CONNECTIONS, ClientStream, connect
from trimcp.http.urls import Origin

IDLE_TIMEOUT: Final = 30.0
"""Seconds that a connection without a request is kept. Servers close idle connections as well; the earlier a
client closes one, the rarer a request meets a connection that the server is closing."""

Connect = Callable[[Origin, str], Awaitable[ClientStream]]
"""Connects to a server; the second argument is the URL that errors show."""


class ConnectionPool:
    """Keeps connections to servers. The connection that was used last is used first."""

    __slots__ = ("_connect", "_idle", "_in_use", "_is_closed")

    def __init__(self, connect: Connect = connect) -> None:
        self._connect = connect
        self._idle: list[ClientConnection] = []  # in the order in which their responses were over
        self._in_use: set[ClientConnection] = set()
        self._is_closed = False

    def take(self, origin: Origin) -> ClientConnection | None:
        """Take an idle connection to this server; None where no idle one still stands."""
        idle = self._idle
        for at in range(len(idle) - 1, -1, -1):
            if idle[at].origin == origin:
                connection = idle.pop(at)
                if connection.stream.is_quiet() and connection.idle_since >= trio.current_time() - IDLE_TIMEOUT:
                    self._in_use.add(connection)
                    return connection
                connection.close()
        return None

    async def open(self, origin: Origin, shown: str) -> ClientConnection:
        """Open another connection to a server. `shown`: the URL that errors show.

        Raises:
            ExchangeFailed: the server cannot be reached, or the pool is closed.
        """
        self._check_open(shown)
        connection = ClientConnection(await self._connect(origin, shown), origin)
        try:
            self._check_open(shown)
        except ExchangeFailed:
            connection.close()
            raise
        self._in_use.add(connection)
        return connection

    def _check_open(self, shown: str) -> None:
        if self._is_closed:
            raise ExchangeFailed(f"this side has closed its connections to {shown}")

    def give_back(self, connection: ClientConnection) -> None:
        """Keep a connection for another request, or close it if it cannot carry one."""
        self._in_use.discard(connection)
        if not connection.is_reusable():
            connection.close()
            return
        idle = self._idle
        connection.idle_since = now = trio.current_time()
        idle.append(connection)
        while len(idle) > MAX_IDLE_CONNECTIONS or idle[0].idle_since < now - IDLE_TIMEOUT:
            idle.pop(0).close()

    def discard(self, connection: ClientConnection) -> None:
        """Close a connection whose request failed."""
        self._in_use.discard(connection)
        connection.close()

    def close(self) -> None:
        """Close all connections, and open no more. Idempotent."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()
        for connection in self._in_use:
            connection.close()
