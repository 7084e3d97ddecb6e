"""Addresses to listen on: how their sockets are opened, named, and cleaned up after."""

from __future__ import annotations

import abc
import contextlib
import os
import socket
import stat
from collections.abc import Sequence
from typing import Any, Final

import trio

from trimcp.errors import UsageError
from trimcp.transports.socket import detached, host_and_port

BACKLOG: Final = 512
"""Connections that the kernel holds until they are accepted."""


class Endpoint(abc.ABC):
    """An address to listen on: opens its sockets, and cleans up after them."""

    @abc.abstractmethod
    async def open(self) -> list[socket.socket]:
        """Bind and listen. The sockets do not block.

        Raises:
            OSError: the system refuses it.
            UsageError: the address is taken.
        """

    @abc.abstractmethod
    def address(self) -> Any:
        """Return the address that was bound."""

    @abc.abstractmethod
    def describe(self, peer: Any) -> str:
        """Return the name of a connection from that peer, for logs and errors."""

    @abc.abstractmethod
    def clean(self) -> None:
        """Remove the files that `open` made."""

    @abc.abstractmethod
    def __str__(self) -> str: ...


class TcpEndpoint(Endpoint):
    """A host and port to listen on."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    async def open(self) -> list[socket.socket]:
        """See `Endpoint`."""
        listeners = await trio.open_tcp_listeners(self._port, host=self._host, backlog=BACKLOG)
        # A restart must come back to the same port, also where the system chose it.
        self._host, self._port = listeners[0].socket.getsockname()[:2]
        return [detached(listener.socket) for listener in listeners]

    def address(self) -> tuple[str, int]:
        """See `Endpoint`."""
        return self._host, self._port

    def describe(self, peer: Any) -> str:
        """See `Endpoint`."""
        return f"tcp {host_and_port(peer[0], peer[1])}"

    def clean(self) -> None:
        """See `Endpoint`."""

    def __str__(self) -> str:
        return f"tcp {host_and_port(self._host, self._port)}"


class UnixEndpoint(Endpoint):
    """The path of a Unix socket to listen on."""

    def __init__(self, path: str | os.PathLike[str], mode: int = 0o600) -> None:
        self._path = os.fspath(path)
        self._mode = mode
        self._made: tuple[int, int] | None = None

    async def open(self) -> list[socket.socket]:
        """See `Endpoint`."""
        await self._remove_stale()
        sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            await sock.bind(self._path)
            self._made = self._identity()
            # No client can connect before `listen`, so the mode is never wider than asked for.
            os.chmod(self._path, self._mode)
            sock.listen(BACKLOG)
        except BaseException:
            sock.close()
            self.clean()
            raise
        return [detached(sock)]

    async def _remove_stale(self) -> None:
        try:
            found = os.lstat(self._path)
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(found.st_mode):
            raise UsageError(f"{self._path} exists and is no socket: choose another path or remove it")
        with trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                await probe.connect(self._path)
            except ConnectionRefusedError:
                # No server holds it any more. Only the file that was probed may be removed.
                if self._identity() == (found.st_dev, found.st_ino):
                    os.unlink(self._path)
                return
            except FileNotFoundError:
                return
        raise UsageError(f"another server listens on {self._path}: stop it or choose another path")

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.lstat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def address(self) -> str:
        """See `Endpoint`."""
        return self._path

    def describe(self, peer: Any) -> str:
        """See `Endpoint`."""
        return f"unix {self._path}"

    def clean(self) -> None:
        """See `Endpoint`."""
        # The path may have been taken over by another server meanwhile: that file stays.
        if self._made is not None and self._identity() == self._made:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        self._made = None

    def __str__(self) -> str:
        return f"unix {self._path}"


class BoundSockets(Endpoint):
    """Sockets that the program has bound, and gives to the listener. They cannot be opened again."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets = list(sockets)
        self._names = [sock.getsockname() for sock in sockets]

    async def open(self) -> list[socket.socket]:
        """See `Endpoint`."""
        if not self._sockets:
            raise UsageError(f"{self} was lost, and cannot be bound again: start the server again")
        given, self._sockets = self._sockets, []
        for sock in given:
            sock.setblocking(False)
            sock.listen(BACKLOG)
        return given

    def address(self) -> Any:
        """See `Endpoint`."""
        name = self._names[0]
        return name if isinstance(name, str) else name[:2]

    def describe(self, peer: Any) -> str:
        """See `Endpoint`."""
        return f"tcp {host_and_port(peer[0], peer[1])}" if isinstance(peer, tuple) else f"unix {self.address()}"

    def clean(self) -> None:
        """See `Endpoint`."""

    def __str__(self) -> str:
        return f"socket {self.address()}"


def endpoint_at(
    host: str, port: int, *, uds: str | os.PathLike[str] | None, sockets: Sequence[socket.socket] | None
) -> Endpoint:
    """Return where to listen: on bound sockets, else on the Unix socket `uds`, else on TCP."""
    if sockets is not None:
        return BoundSockets(sockets)
    return TcpEndpoint(host, port) if uds is None else UnixEndpoint(uds)
