"""The addresses that workers share.

A port has one listening socket for each worker, among which the kernel spreads connections. A path has one socket for
all workers.
"""

from __future__ import annotations

import abc
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any, Final, Self

from trimcp.errors import UsageError
from trimcp.transports.endpoints import BACKLOG, UnixEndpoint
from trimcp.transports.listener import open_sockets
from trimcp.transports.socket import host_and_port, reason

BALANCES: Final = sys.platform == "linux"
"""Whether the kernel spreads connections over the sockets of a port. Elsewhere the workers share one socket."""


class SharedAddress(abc.ABC):
    """An address that the supervisor holds for the workers. Entered, it is given up at the end."""

    @abc.abstractmethod
    def open(self) -> Sequence[socket.socket]:
        """Open the listening sockets of one worker.

        Raises:
            OSError: the system refuses it.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Give the address up. The sockets that were opened stay. May be called again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class SharedPort(SharedAddress):
    """Holds a port for the workers, and opens their listening sockets.

    A bound socket that does not listen keeps the port while no worker has one. The sockets belong to the supervisor,
    which gives each worker a copy: connections that wait in a queue survive the worker, and its successor accepts them.
    """

    def __init__(self, host: str, port: int) -> None:
        """
        Raises:
            UsageError: the address cannot be listened on.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            self._family = found[0][0]
            self._address: tuple[Any, ...] = found[0][4]
            if BALANCES and port:
                self._bound(shares=False).close()  # else two servers of one user could share the port unknowingly
            self._held = self._bound(shares=BALANCES)
        except OSError as exc:
            raise UsageError(f"cannot listen on tcp {host_and_port(host, port)}: {reason(exc)}") from exc
        self._address = self._held.getsockname()
        self.address: tuple[str, int] = self._address[:2]
        """Host and port, also where the system chose it."""
        if not BALANCES:
            self._held.listen(BACKLOG)

    def _bound(self, *, shares: bool) -> socket.socket:
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if shares:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(self._address)
        except BaseException:
            sock.close()
            raise
        return sock

    def open(self) -> Sequence[socket.socket]:
        """See `SharedAddress`."""
        if not BALANCES:
            return (self._held.dup(),)
        sock = self._bound(shares=True)
        sock.listen(BACKLOG)
        return (sock,)

    def close(self) -> None:
        """See `SharedAddress`."""
        self._held.close()


class SharedPath(SharedAddress):
    """Holds the path of a Unix socket, on which all workers accept. Only this user can connect."""

    def __init__(self, endpoint: UnixEndpoint, held: socket.socket) -> None:
        """Made by `bound`."""
        self._endpoint = endpoint
        self._held = held

    @classmethod
    async def bound(cls, path: str | os.PathLike[str]) -> SharedPath:
        """Listen at a path.

        Raises:
            UsageError: the path cannot be listened on.
        """
        endpoint = UnixEndpoint(path)
        (held,) = await open_sockets(endpoint)
        return cls(endpoint, held)

    def open(self) -> Sequence[socket.socket]:
        """See `SharedAddress`."""
        return (self._held.dup(),)

    def close(self) -> None:
        """See `SharedAddress`. The file of the socket is removed."""
        self._held.close()
        self._endpoint.clean()
